"""`modelwatch simulate`."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.errors import ModelwatchError
from modelwatch.settings import Settings
from modelwatch_cli.console import console, print_json, print_table, progress

if TYPE_CHECKING:
    from modelwatch_cli.traffic.load import LoadSummary


class ScenarioName(StrEnum):
    """The scenarios of `modelwatch_cli.traffic.scenarios`, which takes a while to import."""

    NORMAL = "normal"
    GRADUAL_DRIFT = "gradual_drift"
    SUDDEN_SHIFT = "sudden_shift"
    MODERATE_DRIFT = "moderate_drift"
    MISSING_VALUES = "missing_values"
    SEGMENT_DRIFT = "segment_drift"
    UNSEEN_CATEGORIES = "unseen_categories"
    STRESS = "stress"


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(simulate)


def simulate(
    requests: Annotated[int, typer.Option("-n", "--requests", min=1, help="how many")] = 200,
    rate: Annotated[float, typer.Option(min=0.1, help="requests per second")] = 20.0,
    scenario: Annotated[
        ScenarioName, typer.Option(help="how the rows differ from the reference")
    ] = ScenarioName.NORMAL,
    seed: Annotated[int | None, typer.Option(help="same seed, same rows")] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="then post the ground truth of the predictions")
    ] = False,
    label_delay: Annotated[
        float, typer.Option(min=0, help="seconds from a prediction to its label, at least")
    ] = 5.0,
    label_accuracy: Annotated[
        float, typer.Option(min=0, max=1, help="share of the labels that prove it right")
    ] = 0.9,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Send predictions through the predict API, drawn from the model's reference data.

    Exits with 1 when a request was not answered with a prediction, or a label not accepted.
    """
    settings = Settings()
    summary = send_traffic(settings, scenario, requests, rate, seed)
    if set(summary.statuses) != {"200"}:
        _print(summary, as_json)
        raise ModelwatchError(f"not every request was answered: {summary.first_problem[:300]}")
    right = post_labels(settings, summary, label_delay, label_accuracy, seed) if labels else None
    _print(summary, as_json, right)


def send_traffic(
    settings: Settings, scenario: ScenarioName, requests: int, rate: float, seed: int | None = None
) -> LoadSummary:
    """Send ``requests`` rows of ``scenario`` to the deployed predict API, with a progress bar.

    Raises
    ------
    ModelwatchError
        When the API is not deployed, or the served version has no reference data.
    """
    from modelwatch_cli.deployment.endpoints import api_urls
    from modelwatch_cli.traffic.load import send_predictions
    from modelwatch_cli.traffic.reference import reference_features
    from modelwatch_cli.traffic.scenarios import SCENARIOS, simulate_rows

    chosen = SCENARIOS[scenario]
    url = api_urls(settings, ["predict"])["predict"]
    rows = simulate_rows(
        chosen,
        reference_features(settings),
        requests,
        seed if seed is not None else _any_seed(),
    )
    with progress() as bar:
        task = bar.add_task(scenario, total=requests)
        return send_predictions(
            url, rows, rate if chosen.paced else None, lambda: bar.advance(task)
        )


def post_labels(
    settings: Settings,
    summary: LoadSummary,
    delay_seconds: float,
    accuracy: float,
    seed: int | None = None,
) -> int:
    """Post the ground truth of what was answered; return how many predictions it proves right.

    Raises
    ------
    ModelwatchError
        When the capture API is not deployed, or does not accept the labels.
    """
    from modelwatch_cli.deployment.endpoints import api_urls
    from modelwatch_cli.traffic.labels import send_labels, simulate_truths

    url = api_urls(settings, ["capture"])["capture"]
    predictions = [each.prediction for each in summary.answered]
    truths = simulate_truths(predictions, accuracy, seed if seed is not None else _any_seed())
    with progress() as bar:
        task = bar.add_task("labels", total=len(truths))
        send_labels(
            url,
            summary.answered,
            truths,
            delay_seconds,
            lambda count: bar.advance(task, count),
        )
    return sum(prediction == truth for prediction, truth in zip(predictions, truths, strict=True))


def print_summary(summary: LoadSummary) -> None:
    """Print status codes and latencies."""
    count = sum(summary.statuses.values())
    console.print(
        f"{count} requests in {summary.duration_seconds:.1f} s: "
        + ", ".join(f"{number} x {status}" for status, number in summary.statuses.items())
    )
    values = [summary.percentile_ms(percent) for percent in (50, 95, 99, 100)]
    print_table(["p50 ms", "p95 ms", "p99 ms", "max ms"], [[f"{value:.1f}" for value in values]])


def _print(summary: LoadSummary, as_json: bool, right: int | None = None) -> None:
    labels = None if right is None else {"accepted": len(summary.answered), "right": right}
    if as_json:
        print_json(_as_dict(summary) | ({"labels": labels} if labels else {}))
        return
    print_summary(summary)
    if labels:
        console.print(
            f"{labels['accepted']} labels were accepted; {right} of them prove the model right."
        )


def _any_seed() -> int:
    return time.time_ns() % 2**32


def _as_dict(summary: LoadSummary) -> dict[str, object]:
    return {
        "requests": sum(summary.statuses.values()),
        "statuses": summary.statuses,
        "duration_seconds": round(summary.duration_seconds, 3),
        "latency_ms": {
            f"p{percent}": round(summary.percentile_ms(percent), 2)
            for percent in (50, 95, 99, 100)
            if summary.latencies_ms
        },
        "event_ids": summary.event_ids,
    }
