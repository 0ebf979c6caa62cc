"""`modelwatch simulate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, print_json
from modelwatch_cli.options import model_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.schedule import Bursts, Pattern, Run, make_schedule, parse_seconds

if TYPE_CHECKING:
    from modelwatch.domain.verdict.results import AnalysisResult
    from modelwatch_cli.traffic.load import LoadSummary

DEFAULT_REQUESTS = 200
INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""


class ScenarioName(StrEnum):
    """The scenarios of `modelwatch_cli.traffic.scenarios`, which takes a while to import."""

    NORMAL = "normal"
    SLIGHT_DRIFT = "slight_drift"
    MODERATE_DRIFT = "moderate_drift"
    SEVERE_DRIFT = "severe_drift"
    GRADUAL_DRIFT = "gradual_drift"
    SUDDEN_SHIFT = "sudden_shift"
    MISSING_VALUES = "missing_values"
    DATA_QUALITY = "data_quality"
    SEGMENT_DRIFT = "segment_drift"
    UNSEEN_CATEGORIES = "unseen_categories"
    STRESS = "stress"


class Expected(StrEnum):
    """A verdict."""

    OK = "ok"
    DRIFT = "drift"
    UNKNOWN = "unknown"


_BURSTS = Bursts()


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(simulate)


def simulate(
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", min=1, help="how many; 200 by default")
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("-d", "--duration", help="duration, such as 90s, 5m or 2h; overrides -n"),
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="until Ctrl-C")] = False,
    rate: Annotated[
        float, typer.Option("-r", "--rate", "--rps", min=0.001, help="requests per second")
    ] = 20.0,
    scenario: Annotated[
        ScenarioName,
        typer.Option("-s", "--scenario", help="how the rows differ from the reference"),
    ] = ScenarioName.NORMAL,
    pattern: Annotated[
        Pattern, typer.Option("-p", "--pattern", help="how the rate changes")
    ] = Pattern.STEADY,
    burst_height: Annotated[
        float, typer.Option(min=1, help="burst: times --rate")
    ] = _BURSTS.height,
    burst_seconds: Annotated[
        float, typer.Option(min=0.001, help="burst: how long one lasts")
    ] = _BURSTS.seconds,
    burst_every: Annotated[
        float, typer.Option(min=0.001, help="burst: seconds from one to the next")
    ] = _BURSTS.every_seconds,
    to_rate: Annotated[
        float | None,
        typer.Option(min=0, help="gradual: the rate at the end; five times --rate by default"),
    ] = None,
    day_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="daily: how long a day lasts; by default as long as the run"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="same seed, same rows")] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="then post labels for the predictions")
    ] = False,
    label_delay: Annotated[
        float, typer.Option(min=0, help="seconds from a prediction to its label, at least")
    ] = 5.0,
    label_accuracy: Annotated[
        float, typer.Option(min=0, max=1, help="share of the labels that equal the prediction")
    ] = 0.9,
    wait: Annotated[
        bool, typer.Option("--wait", help="then wait until the predictions are on S3")
    ] = False,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="then wait, and analyze the window of this traffic")
    ] = False,
    newest: Annotated[
        int | None,
        typer.Option(min=1, help="analyze only this number of the newest predictions"),
    ] = None,
    expect: Annotated[
        Expected | None, typer.Option("--expect", help="exit with 1 if the verdict differs")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="a predict API; by default the deployed one")
    ] = None,
    model_name: Annotated[
        str | None,
        model_option("a model of MODELS; by default MODEL_NAME"),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", help="sent as x-api-key; PREDICT_API_KEY is safer"),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option("--rows", help="CSV or Parquet to draw from; by default the reference"),
    ] = None,
    max_in_flight: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="most requests in flight at once; by default 64 on a stack of this machine "
            "and 4096 elsewhere",
        ),
    ] = None,
    no_capture: Annotated[bool, typer.Option("--no-capture", hidden=True)] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Send prediction requests to a predict API, with rows drawn from the reference data.

    Each request is sent at its planned time, even if earlier ones have no response yet; latency
    counts from that time. Ctrl-C ends with the summary. Exits with 1 if a request got no
    prediction, a label was not accepted, or the verdict is not the expected one.
    """
    from modelwatch_cli.deployment.cloudformation.calling import serving_settings
    from modelwatch_cli.traffic import running
    from modelwatch_cli.traffic.display import summary_dict

    if no_capture:
        raise InvalidInputError(
            "--no-capture",
            "capture is a setting of the deployment: CAPTURE_SAMPLE_RATE=0 modelwatch deploy",
        )
    if (expect or newest) and not analyze:
        raise InvalidInputError("--expect" if expect else "--newest", "needs --analyze")
    schedule = make_schedule(
        pattern,
        rate,
        _run(requests, duration, forever),
        bursts=Bursts(burst_height, burst_seconds, burst_every),
        to_rate=to_rate,
        day_seconds=day_seconds,
    )
    settings = serving_settings(Settings(), model_name)
    target = running.find_target(settings, url, api_key, rows, max_in_flight, model_name)
    keep = labels or wait or analyze or as_json
    summary = running.send_traffic(target, scenario, schedule, seed, keep=keep, quiet=quiet)
    asked = None if scenario is ScenarioName.STRESS else schedule.mean_rate(summary.sent)
    found = {"scenario": scenario, "pattern": pattern, **summary_dict(summary, asked)}
    _say_sent(summary, asked, as_json)
    results: list[AnalysisResult] = []
    try:
        running.require_predictions(scenario, summary)
        if labels:
            right = running.post_labels(settings, summary, label_delay, label_accuracy, seed)
            found["labels"] = {"accepted": len(summary.predicted), "right": right}
            _say(as_json, labels_sentence(len(summary.predicted), right))
        if wait or analyze:
            captured = running.require_on_s3(settings, summary)
            found["captured"] = captured.found
            _say(as_json, f"All {captured.found} predictions are captured on S3.")
        if analyze:
            results = running.analyze_traffic(settings, summary, newest)
            found["results"] = results
            _say_results(results, captured.found, newest, as_json)
    finally:
        if as_json:
            print_json(found)
    if expect:
        _require_verdict(results, expect)
    if summary.interrupted and not forever:
        raise typer.Exit(INTERRUPTED)


def labels_sentence(accepted: int, right: int) -> str:
    """Return a sentence about the labels."""
    return f"{accepted} labels were accepted; {right} of them prove the model right."


def _run(requests: int | None, duration: str | None, forever: bool) -> Run:
    if forever:
        if requests or duration:
            raise InvalidInputError("--forever", "has no end: leave out -n and --duration")
        return Run()
    if duration is not None:
        return Run(seconds=parse_seconds("--duration", duration))
    return Run(requests=requests or DEFAULT_REQUESTS)


def _say(as_json: bool, sentence: str) -> None:
    if not as_json:
        console.print(sentence)


def _say_sent(summary: LoadSummary, asked: float | None, as_json: bool) -> None:
    from modelwatch_cli.traffic.display import print_summary

    if not as_json:
        print_summary(summary, asked)


def _say_results(
    results: list[AnalysisResult], sent: int, newest: int | None, as_json: bool
) -> None:
    from modelwatch_cli.monitoring.commands import print_result

    if as_json:
        return
    for result in results:
        print_result(result)
    more = sum(result.rows for result in results) - sent
    if more > 0 and not newest:
        console.print(f"{more} rows belong to other traffic in the same minutes.")


def _require_verdict(results: list[AnalysisResult], expected: Expected) -> None:
    wrong = [each for each in results if each.status != expected]
    if wrong or not results:
        said = "; ".join(f"'{each.status}' ({each.reason})" for each in wrong) or "missing"
        raise ModelwatchError(f"the verdict should be '{expected}', and is {said}")
