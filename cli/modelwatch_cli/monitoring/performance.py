"""`modelwatch performance`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from modelwatch.domain.numbers import rounded
from modelwatch.errors import InvalidInputError, NoModelError, NotFoundError
from modelwatch_cli.console import console, counting, error_console, print_json, print_table
from modelwatch_cli.options import model_option, until_option, version_option, window_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_time

if TYPE_CHECKING:
    from modelwatch.domain.models import ModelVersion
    from modelwatch.domain.performance.estimates import Estimate
    from modelwatch.domain.performance.results import PerformanceResult
    from modelwatch.domain.windows import Window
    from modelwatch.ports.serving import ModelRegistry


class TaskName(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(performance)


def performance(
    model: Annotated[str | None, model_option()] = None,
    version: Annotated[
        str | None,
        version_option("its version; by default the served one, else the one that was captured"),
    ] = None,
    window: Annotated[str, window_option()] = "P1D",
    until: Annotated[str | None, until_option("its end; by default now")] = None,
    variant: Annotated[str | None, typer.Option(help="only predictions under this alias")] = None,
    min_labels: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="fewest labelled predictions that allow metrics; by default as the model is "
            "monitored",
        ),
    ] = None,
    min_maturity: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="smallest share of labelled predictions that allows metrics"
        ),
    ] = None,
    task: Annotated[
        TaskName | None,
        typer.Option(help="what the model does; by default its predictions show it"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Show how well a model version predicted, by the labels so far.

    The window is rounded outward to whole hours. The sums of each hour's labels are stored in
    the bucket of captures, and made again when labels change. A model that the registry does not
    know, as one that is served elsewhere, has the same metrics. An unknown result is no failure.
    """
    from modelwatch.domain.durations import parse_duration
    from modelwatch.domain.windows import Window

    given = {"min_labels": min_labels, "min_maturity": min_maturity, "task": task and task.value}
    end = option_time("--until", until) if until else datetime.now(UTC)
    span = Window(end - parse_duration(window, "--window"), end)
    settings = Settings()
    result = _evaluate(settings, model or settings.model_name, version, span, variant, given)
    if as_json:
        print_json(result)
    else:
        print_result(result)


def _evaluate(
    settings: Settings,
    model: str,
    version: str | None,
    window: Window,
    variant: str | None,
    given: Mapping[str, Any],
) -> PerformanceResult:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.captures.outcomes import S3OutcomeStore
    from modelwatch.adapters.captures.records import S3RecordStore
    from modelwatch.adapters.registries import artifacts_of, registry_of
    from modelwatch.adapters.results.performance import S3PerformanceStore
    from modelwatch.services.performance import PerformanceMonitor
    from modelwatch.settings.serving import aliases_of_served
    from modelwatch_cli.monitors.held import held_monitors

    s3 = s3_client(settings)
    bucket = settings.capture_bucket
    with error_console.status("asking the registry"):
        alias = aliases_of_served(settings).get(model, settings.model_alias)
        found = _registered(registry_of(settings), model, version, alias)
        artifacts = artifacts_of(settings, s3)
        reference = artifacts.holdout(found) if found else None
        losses = artifacts.losses(found) if found else None
        if found is None:
            version = version or _captured(S3RecordStore(s3, bucket).versions(window), model)
        else:
            version = found.version
    asked = {name: each for name, each in given.items() if each is not None}
    policy = msgspec.structs.replace(held_monitors(settings, s3).of(model).performance, **asked)
    with counting("hours") as count:
        monitor = PerformanceMonitor(
            outcomes=S3OutcomeStore(s3, bucket),
            profiles=S3PerformanceStore(s3, bucket),
            policy=policy,
            # a user of the command waits for it
            refresh_seconds=0,
            seconds=3600,
            progress=count,
        )
        return monitor.evaluate(
            model, version, window, variant=variant, reference=reference, losses=losses
        )


def _registered(
    registry: ModelRegistry, model: str, version: str | None, alias: str
) -> ModelVersion | None:
    """Return what the registry knows; None of a model, or a version, that it does not have."""
    try:
        return registry.version(model, version) if version else registry.resolve(model, alias)
    except NoModelError:
        return None


def _captured(versions: Sequence[tuple[str, str]], model: str) -> str:
    """Return the one version of a model that was captured; raises where it is none or several."""
    found = [version for name, version in versions if name == model]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInputError("--version", f"give one of {', '.join(found)}")
    raise NotFoundError(
        f"{model} is not in the registry under that version or alias, and the window has no "
        "captures of it"
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
    metrics = ", ".join(f"{name} {rounded(value, 4)}" for name, value in estimated.metrics.items())
    basis = {
        "reference": "calibrated with the labelled reference",
        "none": "not calibrated: there is no labelled reference",
    }[estimated.calibration]
    if estimated.mae is not None:
        basis = "learned from the errors of the labelled reference"
    console.print(f"expected of {estimated.rows} predictions without labels: {metrics} ({basis})")
    for name in ("accuracy", "roc_auc", "mae", "rmse"):
        estimate: Estimate | None = getattr(estimated, name)
        if estimate is not None:
            threshold = estimated.thresholds.get(name)
            alarm = ": all of it is above" if name in estimated.alarms else ""
            limit = "" if threshold is None else f", threshold {rounded(threshold, 4)}{alarm}"
            low, high = rounded(estimate.low, 4), rounded(estimate.high, 4)
            console.print(f"  {name} between {low} and {high}{limit}")


def _cells(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]
