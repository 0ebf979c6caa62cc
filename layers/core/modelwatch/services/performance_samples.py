"""The metrics of a performance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelwatch.domain.performance.calibration import EstimatedPerformance
from modelwatch.domain.performance.estimates import Estimate
from modelwatch.domain.performance.results import PerformanceResult
from modelwatch.metric_names import STATUS_VALUES
from modelwatch.ports.metrics import Sample

GAUGES = {
    "accuracy": "model_accuracy",
    "f1": "model_f1_score",
    "precision": "model_precision",
    "recall": "model_recall",
    "roc_auc": "model_roc_auc",
    "log_loss": "model_log_loss",
    "mae": "model_mean_absolute_error",
    "rmse": "model_root_mean_squared_error",
    "r2": "model_r2_score",
}
"""The gauge of each metric."""

ESTIMATED_GAUGES = {
    "accuracy": "model_estimated_accuracy",
    "roc_auc": "model_estimated_roc_auc",
    "mae": "model_estimated_mean_absolute_error",
    "rmse": "model_estimated_root_mean_squared_error",
}
"""The gauge of each metric that is estimated without labels."""


def performance_samples(result: PerformanceResult) -> list[Sample]:
    """Return the metrics of a result; only those that it has a value for.

    A result of one variant alone has none: it would overwrite the version's.
    """
    if result.variant:
        return []
    model = {"model_name": result.model_name, "model_version": result.model_version}
    verdict = result.verdict
    found = [
        Sample("model_performance_status", STATUS_VALUES[verdict.status], model),
        Sample("model_unknown_labels", result.unknown_labels, model),
    ]
    if result.maturity is not None:
        found.append(Sample("model_label_maturity_ratio", result.maturity, model))
    for name, estimate in verdict.metrics.items():
        if name in GAUGES:
            found.append(Sample(GAUGES[name], estimate.value, model))
        bounds = {"low": estimate.low, "high": estimate.high}
        if name in verdict.constant_metrics:
            bounds["constant"] = verdict.constant_metrics[name]
        found += _bound_samples("model_performance_bound", name, bounds, model)
    return found + _estimated_samples(verdict.estimated, model)


def _estimated_samples(estimated: EstimatedPerformance, model: Mapping[str, str]) -> list[Sample]:
    found = []
    for name, gauge in ESTIMATED_GAUGES.items():
        estimate: Estimate | None = getattr(estimated, name)
        if estimate is None:
            continue
        found.append(Sample(gauge, estimate.value, model))
        bounds = {"low": estimate.low, "high": estimate.high}
        if name in estimated.thresholds:
            bounds["threshold"] = estimated.thresholds[name]
        found += _bound_samples("model_estimated_bound", name, bounds, model)
    return found


def _bound_samples(
    gauge: str, metric: str, bounds: Mapping[str, float], model: Mapping[str, str]
) -> Iterator[Sample]:
    for bound, value in bounds.items():
        yield Sample(gauge, value, {**model, "metric": metric, "bound": bound})
