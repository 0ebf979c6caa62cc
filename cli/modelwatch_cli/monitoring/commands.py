"""`modelwatch analyze`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, count_of, error_console, print_json, print_table
from modelwatch_cli.monitoring.reports import SEVERITY_COLOURS
from modelwatch_cli.options import (
    model_option,
    until_option,
    version_option,
    window_option,
)
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_time

if TYPE_CHECKING:
    from modelwatch.client import Client
    from modelwatch.domain.verdict.results import AnalysisResult
    from modelwatch.result_forms import Analysis


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(analyze)


def analyze(
    model: Annotated[str | None, model_option("only this model; by default all")] = None,
    version: Annotated[
        str | None, version_option("only this version of --model; by default all")
    ] = None,
    window: Annotated[
        str | None, window_option("length of the window; by default as the model is monitored")
    ] = None,
    until: Annotated[str | None, until_option("its end; by default now")] = None,
    min_rows: Annotated[
        int | None,
        typer.Option(
            "--min-rows",
            min=2,
            max=1_000_000,
            help="fewest rows that allow a verdict; changes no gauge",
        ),
    ] = None,
    with_report: Annotated[
        bool, typer.Option("--with-report", help="make the HTML report even without drift")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Analyze the window up to now, or a past one, without waiting for the schedule.

    The results stand beside the schedule's, and are marked: they replace none.
    Exits with 1 when a version could not be analyzed; drift is a verdict, not a failure.
    """
    from modelwatch.domain.durations import parse_duration

    if version and not model:
        raise InvalidInputError("--version", "is of no model; give --model, too")
    length = parse_duration(window, "--window") if window else None
    with _analyzing() as say, _client() as client:
        found = client.analyze(
            on_wait=say,
            model_name=model,
            model_version=version,
            window_seconds=int(length.total_seconds()) if length else None,
            window_end=option_time("--until", until) if until else None,
            min_rows=min_rows,
            with_report=with_report,
        )
    if as_json:
        print_json(found)
    else:
        if not (found.results or found.failures):
            console.print("There are no captures in that window")
        for result in found.results:
            print_result(result)
            if result.has_report:
                console.print(f"Report: `modelwatch reports` has its address: {result.name}")
    _require_no_failures(found)


def print_result(result: AnalysisResult) -> None:
    """Print the verdict on a model version, and its features as a table."""
    colour = SEVERITY_COLOURS[result.severity]
    console.print(
        f"{result.model_name} version {result.model_version}, "
        f"{result.window_start:%Y-%m-%d %H:%M:%S} to {result.window_end:%Y-%m-%d %H:%M:%S} UTC, "
        f"{count_of(result.rows, 'row')}: [{colour}]{result.severity}[/{colour}] "
        f"({escape(result.reason)})"
    )
    for note in result.notes:
        console.print(escape(note))
    features = sorted(result.features, key=lambda feature: -(feature.score or 0))
    if features:
        print_table(
            [
                "feature",
                "importance",
                "status",
                "score",
                "critical",
                "method",
                "threshold",
                "missing",
                "why",
            ],
            [
                [
                    feature.feature,
                    "-" if feature.importance is None else f"{feature.importance:.0%}",
                    feature.status,
                    *(
                        "-" if each is None else f"{each:.3f}"
                        for each in (feature.score, feature.critical_score)
                    ),
                    feature.method,
                    f"{feature.threshold:g}",
                    f"{feature.missing_ratio:.0%}",
                    feature.reason,
                ]
                for feature in features
            ],
        )
        console.print(escape(result.calibrated_by))
    if result.segments:
        print_table(
            ["segment", "status", "rows", "of the reference", "drifted", "why"],
            [
                [
                    segment.name,
                    segment.severity,
                    segment.rows,
                    segment.reference_rows,
                    len(segment.drifted_features),
                    segment.headline if segment.status == "drift" else segment.reason,
                ]
                for segment in result.segments
            ],
        )


def analyze_window(window_seconds: int, model_name: str | None = None) -> list[AnalysisResult]:
    """Analyze the window of ``window_seconds`` up to now, of one model or of all.

    Raises ModelwatchError when the analyze API is not deployed or does not respond, or a version
    was not analyzed.
    """
    with _analyzing() as say, _client() as client:
        found = client.analyze(on_wait=say, model_name=model_name, window_seconds=window_seconds)
    _require_no_failures(found)
    return found.results


@contextmanager
def _analyzing() -> Iterator[Callable[[float], None]]:
    """Say that an analysis is made; give what says for how many seconds."""
    with error_console.status("analyzing") as status:

        def say(seconds: float) -> None:
            text = f"still analyzing after {seconds:.0f} s"
            status.update(text)
            if not error_console.is_terminal:
                error_console.print(text)

        yield say


def _require_no_failures(found: Analysis) -> None:
    if found.failures:
        details = "; ".join(f"{name}: {why}" for name, why in found.failures.items())
        raise ModelwatchError(f"the analysis failed for {details}")


def _client() -> Client:
    from modelwatch_cli.deployment.cloudformation.calling import open_client

    return open_client(Settings(), "analyze")
