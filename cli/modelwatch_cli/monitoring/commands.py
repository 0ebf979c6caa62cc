"""`modelwatch analyze` and `modelwatch reports`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.settings import Settings, model_option

if TYPE_CHECKING:
    from modelwatch.client import Analysis, Client
    from modelwatch.domain.verdict.results import AnalysisResult


SEVERITY_COLOURS = {
    "ok": "green",
    "warning": "dark_orange",
    "drift": "red",
    "unknown": "yellow",
}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(analyze)
    app.command()(reports)


def analyze(
    model_name: Annotated[
        str | None, typer.Option("--model-name", help="a model; by default all")
    ] = None,
    window_seconds: Annotated[
        int | None, typer.Option("--window-seconds", min=1, help="length of the window")
    ] = None,
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
    """Analyze the window up to now, without waiting for the schedule.

    The results stand beside the schedule's, and are marked: they replace none.
    Exits with 1 when a version could not be analyzed; drift is a verdict, not a failure.
    """
    with error_console.status("analyzing"), _client() as client:
        found = client.analyze(
            model_name=model_name,
            window_seconds=window_seconds,
            min_rows=min_rows,
            with_report=with_report,
        )
    if as_json:
        print_json(found)
    else:
        for result in found.results:
            print_result(result)
    _require_no_failures(found)


def reports(
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """List the newest results; anyone can open the address of a report for one hour."""
    from modelwatch_cli.deployment.endpoints import api_urls

    with _client() as client:
        results = client.results()
    if as_json:
        print_json({"results": results})
        return
    if not results:
        console.print("There are no results yet: wait for the schedule, or run modelwatch analyze")
        return
    url = api_urls(Settings(), ["analyze"])["analyze"]
    print_table(
        [
            "window end (UTC)",
            "by",
            "model",
            "version",
            "status",
            "rows",
            "drifted",
            "segments",
            "report",
        ],
        [
            [
                f"{result.window_end:%Y-%m-%d %H:%M:%S}",
                "request" if result.ad_hoc else "schedule",
                result.model_name,
                result.model_version,
                result.severity,
                result.rows,
                len(result.drifted_features),
                ", ".join(each.name for each in result.segments if each.status == "drift"),
                f"{url}/reports/{result.name}" if result.has_report else "",
            ]
            for result in results
        ],
    )
    _print_open_episodes({result.model_name for result in results})


def _print_open_episodes(models: set[str]) -> None:
    """Print which episodes of drift are open; their record is on S3, which not every reader has."""
    from modelwatch_cli.episodes.commands import episode_store

    try:
        store, _ = episode_store(None)
        found = [each for model in sorted(models) for each in store.load(model).open_episodes()]
    except ModelwatchError as error:
        error_console.print(f"Open episodes cannot be shown: {error}", markup=False)
        return
    for each in found:
        console.print(
            f"Episode {each.id} of {each.model_name} is {each.status} since "
            f"{each.opened:%Y-%m-%d %H:%M} UTC: "
            f"`modelwatch episodes show {each.id}{model_option(each.model_name)}`",
            markup=False,
        )


def print_result(result: AnalysisResult) -> None:
    """Print the verdict on a model version, and its features as a table."""
    colour = SEVERITY_COLOURS[result.severity]
    console.print(
        f"{result.model_name} version {result.model_version}, "
        f"{result.window_start:%H:%M:%S} to {result.window_end:%H:%M:%S} UTC, "
        f"{result.rows} rows: [{colour}]{result.severity}[/{colour}] ({escape(result.reason)})"
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
    with error_console.status("analyzing"), _client() as client:
        found = client.analyze(model_name=model_name, window_seconds=window_seconds)
    _require_no_failures(found)
    return found.results


def _require_no_failures(found: Analysis) -> None:
    if found.failures:
        details = "; ".join(f"{name}: {why}" for name, why in found.failures.items())
        raise ModelwatchError(f"the analysis failed for {details}")


def _client() -> Client:
    from modelwatch_cli.deployment.calling import open_client

    return open_client(Settings(), "analyze")
