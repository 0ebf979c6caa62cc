"""The metrics of the catalog that may be absent, each with the reason; all others must exist.

There are three kinds: metrics that count faults, until there is one; metrics that the settings
disable; and metrics for which the newest analysis has no value, as its result says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.metric_names import CATALOG, SEGMENT_STATUS
from modelwatch.services.performance_samples import ESTIMATED_GAUGES, GAUGES
from modelwatch_cli.checks.promql import Selector
from modelwatch_cli.settings import Settings

FAULTS = {
    "model_prediction_errors_total": "no prediction has failed",
    "faas_errors_total": "no invocation has failed",
    "faas_throttles_total": "no invocation was throttled, or BRIDGE_THROTTLES_SECONDS is 0",
    "bridge_overflow_total": "no metric has too many series",
    "evidently_analysis_late_total": "no window was analyzed late",
    "evidently_analysis_missed_total": "no window was missed",
    "queue_oldest_message_seconds": "there is no dead letter",
}
"""Metrics that exist from the first fault on."""

STATUSES = {
    "api_requests_total": "no response had this status",
    "evidently_analysis_total": "no analysis ended with this status",
}
"""Metrics with a label ``status`` whose values appear one by one."""

_VERDICT = (
    "evidently_data_drift_detected",
    "evidently_drift_score",
    "evidently_drifted_features_count",
    "evidently_missing_values_ratio",
)
_FEATURES = ("evidently_feature_drift_score", "evidently_feature_drift_detected")
_OUTPUTS = ("evidently_output_drift_score", "evidently_output_drift_detected")
_CRITICAL = "evidently_feature_critical_score"
_ESTIMATED = {gauge: metric for metric, gauge in ESTIMATED_GAUGES.items()}
_METRICS = {gauge: metric for metric, gauge in GAUGES.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """Facts about the served version, besides its metrics.

    Attributes
    ----------
    settings
        Of the deployment.
    model, version
        The version that serves; empty if no metric shows it.
    result
        The newest result of the main window, None before the first one.
    has_numbers
        Whether captured predictions are numbers; called only when needed.
    """

    settings: Settings
    model: str
    version: str
    result: AnalysisResult | None
    has_numbers: Callable[[], bool]


def why_absent(selector: Selector, known: Known) -> str:
    """Return why the series of ``selector`` may be absent; empty if they must exist.

    A histogram has several names, one for each of its parts.
    """
    name = metric_of(selector.name)
    if name in FAULTS:
        return FAULTS[name]
    if name in STATUSES and any(label == "status" for label, _, _ in selector.matchers):
        return STATUSES[name]
    if name == "queue_messages" and known.settings.bridge_queues:
        return "BRIDGE_QUEUES says which queues are watched"
    if name == "model_prediction_value":
        return "" if known.has_numbers() else "the predictions are no numbers"
    return _why_no_value(name, selector, known.result) if known.result else ""


def metric_of(name: str) -> str:
    """Return the metric of the catalog that a series belongs to, or the name itself.

    >>> metric_of("model_prediction_value_bucket"), metric_of("api_requests_total")
    ('model_prediction_value', 'api_requests_total')
    """
    for part in ("_bucket", "_sum", "_count"):
        metric = CATALOG.get(name.removesuffix(part))
        if name.endswith(part) and metric is not None and metric.kind == "histogram":
            return metric.name
    return name


def series_names() -> set[str]:
    """Return the name of every series that the catalog may give."""
    return {
        f"{metric.name}{part}"
        for metric in CATALOG.values()
        for part in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
    }


def _why_no_value(name: str, selector: Selector, result: AnalysisResult) -> str:
    """Return why the newest analysis has no value for a gauge."""
    unknown = f"the newest analysis is unknown: {result.reason}"
    if name in (*_VERDICT, *_FEATURES, *_OUTPUTS, _CRITICAL) and result.status == "unknown":
        return unknown
    if name in _OUTPUTS and not any(output.score is not None for output in result.outputs):
        return "the reference has no predictions to compare with"
    if name == _CRITICAL and all(each.critical_score is None for each in result.features):
        return "no feature has a critical score"
    if name in _FEATURES and not any(feature.score is not None for feature in result.features):
        return "no feature could be compared"
    if name == "evidently_constraint_violations_count":
        if result.quality is None:
            return unknown if result.status == "unknown" else "no constraints are in use"
        return "no constraint could be evaluated" if result.quality.status == "unknown" else ""
    if name == SEGMENT_STATUS:
        return "" if result.segments else "no segments are declared, or none has rows"
    return _why_no_performance(name, selector, result)


def _why_no_performance(name: str, selector: Selector, result: AnalysisResult) -> str:
    performance = result.performance
    if performance is None:
        return ""
    verdict = performance.verdict
    if name == "model_label_maturity_ratio":
        return "there are no predictions" if performance.maturity is None else ""
    if name.startswith("model_estimated_"):
        estimated = verdict.estimated
        wanted = [_ESTIMATED[name]] if name in _ESTIMATED else []
        if not wanted:
            wanted = [value for label, _, value in selector.matchers if label == "metric"]
        if estimated.status == "unknown":
            return f"nothing is estimated: {estimated.reason}"
        other = [metric for metric in wanted if metric not in estimated.metrics]
        if other:
            return f"no {other[0]} is estimated: it is of another task"
        asks_threshold = ("bound", "threshold") in {
            (label, value) for label, _, value in selector.matchers
        }
        if asks_threshold and not estimated.thresholds:
            return "no estimate has a threshold: only errors of regressions have"
        return ""
    metrics = [_METRICS[name]] if name in _METRICS else []
    if name == "model_performance_bound":
        metrics = [value for label, _, value in selector.matchers if label == "metric"]
        if not metrics:
            return "" if verdict.metrics else f"no performance is known: {verdict.reason}"
    for metric in metrics:
        if metric not in verdict.metrics:
            why = verdict.missing.get(metric) or verdict.reason
            return f"no {metric} is known: {why or f'the task is {verdict.task}'}"
    return ""
