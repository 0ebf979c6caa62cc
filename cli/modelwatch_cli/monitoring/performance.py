"""`modelwatch performance`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.domain.performance.estimates import Estimate
    from modelwatch.domain.performance.results import PerformancePolicy, PerformanceResult


class TaskName(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(performance)


def performance(
    version: Annotated[str, typer.Option(help="model version; by default the served one")] = "",
    window: Annotated[str, typer.Option(help="length of the window, in ISO 8601")] = "P1D",
    end: Annotated[
        datetime | None, typer.Option(help="end of the window, in UTC; by default now")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="only predictions under this alias")] = None,
    min_labels: Annotated[
        int, typer.Option(min=1, help="fewest labelled predictions that allow metrics")
    ] = 100,
    min_maturity: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="smallest share of labelled predictions that allows metrics"
        ),
    ] = 0.5,
    task: Annotated[
        TaskName | None,
        typer.Option(help="what the model does; by default its predictions show it"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Show how well a model version predicted, by the labels so far.

    The window is rounded outward to whole hours. The sums of each hour's labels are stored in
    the bucket of captures, and made again when labels change. An unknown result is no failure.
    """
    from modelwatch.domain.performance.results import PerformancePolicy

    policy = PerformancePolicy(
        min_labels=min_labels,
        min_maturity=min_maturity,
        task=None if task is None else task.value,
    )
    with error_console.status("summing up"):
        result = _evaluate(Settings(), version, window, end, variant, policy)
    if as_json:
        print_json(result)
    else:
        print_result(result)


def _evaluate(
    settings: Settings,
    version: str,
    window: str,
    end: datetime | None,
    variant: str | None,
    policy: PerformancePolicy,
) -> PerformanceResult:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.captures.outcomes import S3OutcomeStore
    from modelwatch.adapters.registries import artifacts_of, registry_of
    from modelwatch.adapters.results.performance import S3PerformanceStore
    from modelwatch.domain.durations import parse_duration
    from modelwatch.domain.windows import Window
    from modelwatch.services.performance import PerformanceMonitor

    length = parse_duration(window, "--window")
    until = (end or datetime.now(UTC)).replace(tzinfo=UTC)
    registry = registry_of(settings)
    name = settings.model_name
    found = (
        registry.version(name, version) if version else registry.resolve(name, settings.model_alias)
    )
    s3 = s3_client(settings)
    bucket = settings.capture_bucket
    monitor = PerformanceMonitor(
        outcomes=S3OutcomeStore(s3, bucket),
        profiles=S3PerformanceStore(s3, bucket),
        policy=policy,
        # a user of the command waits for it
        refresh_seconds=0,
        seconds=3600,
    )
    artifacts = artifacts_of(settings, s3)
    return monitor.evaluate(
        found.name,
        found.version,
        Window(until - length, until),
        variant=variant,
        reference=artifacts.holdout(found),
        losses=artifacts.losses(found),
    )


def print_result(result: PerformanceResult) -> None:
    """Print the result: the metrics by labels, and the estimates from probabilities."""
    verdict = result.verdict
    colour = {"ok": "green", "unknown": "yellow"}[verdict.status]
    console.print(
        f"{result.model_name} version {result.model_version}"
        + (f" as {result.variant}" if result.variant else "")
        + f", {result.window_start:%Y-%m-%d %H:%M} to {result.window_end:%Y-%m-%d %H:%M} UTC: "
        f"[{colour}]{verdict.status}[/{colour}] ({verdict.reason})"
    )
    if result.unknown_labels:
        console.print(f"{result.unknown_labels} of {result.labels} labels belong to no prediction")
    late = result.pending_hours + result.outdated_hours
    if late:
        console.print(f"{late} hours are not in the result, or not with their newest labels")
    if verdict.metrics:
        rows = [
            [name, *_cells(estimate), verdict.constant_metrics.get(name)]
            for name, estimate in verdict.metrics.items()
        ]
        print_table(["metric", "value", "low", "high", f"always {verdict.constant}"], rows)
    if verdict.classes:
        print_table(
            ["class", "labels", "predicted", "precision", "recall", "F1", "ROC AUC"],
            [
                [
                    each.name,
                    each.actual,
                    each.predicted,
                    each.precision,
                    each.recall,
                    each.f1,
                    None if each.roc_auc is None else each.roc_auc.value,
                ]
                for each in verdict.classes
            ],
        )
    estimated = verdict.estimated
    if estimated.status == "unknown":
        console.print(f"nothing can be estimated without labels: {estimated.reason}", markup=False)
        return
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in estimated.metrics.items())
    basis = {
        "reference": "calibrated with the labelled reference",
        "none": "not calibrated: there is no labelled reference",
    }[estimated.calibration]
    if estimated.mae is not None:
        basis = "learned from the errors of the labelled reference"
    console.print(f"expected of {estimated.rows} predictions without labels: {metrics} ({basis})")
    for name, estimate in (("mae", estimated.mae), ("rmse", estimated.rmse)):
        if estimate is not None:
            threshold = estimated.thresholds[name]
            alarm = ": all of it is above" if name in estimated.alarms else ""
            console.print(
                f"  {name} between {estimate.low:.4g} and {estimate.high:.4g}, "
                f"threshold {threshold:.4g}{alarm}"
            )


def _cells(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]
