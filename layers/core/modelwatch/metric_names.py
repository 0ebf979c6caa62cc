"""The one catalog of metrics: what the functions emit and the bridge serves.

A function emits a metric by its name here, in an EMF line; the bridge knows from this catalog
whether it counts, gauges or goes into a histogram, and which labels it may carry. No label here
grows with traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NAMESPACE = "modelwatch"
"""CloudWatch namespace of EMF lines; those of functions have the stage behind it."""

Kind = Literal["counter", "gauge", "histogram"]

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds, for requests and predictions."""

DURATION_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
"""Seconds, for whole invocations and analyses."""

DELAY_BUCKETS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Seconds that something waits in a queue."""

VALUE_BUCKETS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 25.0, 50.0, 100.0, 1000.0)
"""Model outputs, whose unit is the model's own."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: Prometheus name, kind, label names in order, help text, EMF unit, buckets.

    ``current``, for a gauge: the label whose newest values alone show 1, those before them 0.
    ``needs_verdict``, for a gauge: not shown once a newer ``verdict`` (a status gauge) of the same
    model version is :data:`DRIFT_UNKNOWN`. ``preset``, for a counter: label values that show 0
    before anything was counted, so that the first one counted is seen as an increase.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = "None"
    buckets: tuple[float, ...] = ()
    current: str = ""
    needs_verdict: bool = False
    verdict: str = "evidently_drift_status"
    preset: tuple[tuple[str, ...], ...] = ()


_MODEL = ("model_name", "model_version")
_VARIANT = (*_MODEL, "variant")

DRIFT_STATUS = "evidently_drift_status"
"""Gauge that analyze emits with every analysis: its value is one of `STATUS_VALUES`."""

VERSION_STATUS = "evidently_version_status"
"""Gauge that says how a version stands by all of its windows."""

SEGMENT_STATUS = "evidently_segment_drift_status"
"""Gauge that says the same of the declared segments, in the main window."""

DRIFT_OK, DRIFT_DETECTED, DRIFT_UNKNOWN, DRIFT_WARNING = 0, 1, 2, 3

STATUS_VALUES = {
    "ok": DRIFT_OK,
    "drift": DRIFT_DETECTED,
    "unknown": DRIFT_UNKNOWN,
    "warning": DRIFT_WARNING,
}
"""How gauges show severities: a value stays what it was, a new one gets the next number."""

EPISODE_STATUS = "evidently_episode_status"
"""Gauge that alerts follow: its value is one of the next."""

EPISODE_STATUS_VALUES = {"closed": 0, "open": 1, "acknowledged": 2, "expected": 3}
"""How it shows the newest episode of a model version; only ``open`` alerts."""

EPISODE_OPENED = "evidently_episode_opened_timestamp_seconds"
"""Gauge that says since when."""

VERDICT_EVENTS = "verdict_events_total"
"""Counter of the events about episodes."""

MONITOR_INFO = "model_monitor_info"
"""Gauge that says who cares for a model: alerts take their label ``owner`` from it."""

MONITOR_LABELS = "model_monitor_labels"
"""Gauge with the labels of a model's monitor as one text: alerts take ``labels`` from it."""

PERFORMANCE_STATUS = "model_performance_status"
"""Gauge that says whether labels allow metrics: 0, or `DRIFT_UNKNOWN`."""

_PERFORMANCE_GAUGES = {
    "model_accuracy": "Share of labelled predictions that were right, 0 to 1.",
    "model_f1_score": "F1 of labelled predictions, mean over the classes, 0 to 1.",
    "model_precision": "Precision of labelled predictions, mean over the classes, 0 to 1.",
    "model_recall": "Recall of labelled predictions, mean over the classes, 0 to 1.",
    "model_roc_auc": "ROC AUC of labelled predictions; of more than two classes the mean.",
    "model_log_loss": "Log loss of labelled predictions.",
    "model_mean_absolute_error": "Mean absolute error of labelled predictions.",
    "model_root_mean_squared_error": "Root mean squared error of labelled predictions.",
    "model_r2_score": "R squared of labelled predictions, at most 1.",
}
"""Absent while the performance is unknown; by model version."""

FUNCTION_METRICS: tuple[Metric, ...] = (
    Metric(
        "api_requests_total",
        "counter",
        ("method", "endpoint", "status"),
        "HTTP requests, by route.",
        "Count",
    ),
    Metric(
        "api_request_latency_seconds",
        "histogram",
        ("method", "endpoint"),
        "Time from a request's arrival in the function to its response.",
        "Seconds",
        LATENCY_BUCKETS,
    ),
    Metric("model_predictions_total", "counter", _VARIANT, "Rows predicted.", "Count"),
    Metric(
        "model_prediction_latency_seconds",
        "histogram",
        _VARIANT,
        "Time that the model itself took for a request.",
        "Seconds",
        LATENCY_BUCKETS,
    ),
    Metric(
        "model_prediction_value",
        "histogram",
        _VARIANT,
        "Numeric predictions.",
        "None",
        VALUE_BUCKETS,
    ),
    Metric(
        "model_prediction_errors_total",
        "counter",
        ("model_name", "error_type"),
        "Predictions that failed, by type of error.",
        "Count",
    ),
    Metric(
        "model_version_info",
        "gauge",
        ("model_name", "version"),
        "1 for the version that was loaded last, 0 for those before it.",
        current="version",
    ),
    Metric(
        "model_stale",
        "gauge",
        ("model_name",),
        "1 while something older than what the registry asks for is served, else 0.",
    ),
    Metric(
        "model_load_time_seconds",
        "gauge",
        ("model_name",),
        "Time that the last load of the model took.",
        "Seconds",
    ),
    Metric(
        "capture_records_total",
        "counter",
        ("outcome",),
        "Records: sampled_out or accepted, then sent or lost by predict; stored or rejected by "
        "capture.",
        "Count",
        preset=(("sampled_out",), ("accepted",), ("sent",), ("lost",), ("stored",), ("rejected",)),
    ),
    Metric(
        "capture_labels_total",
        "counter",
        ("outcome",),
        "Labels (ground truth): accepted by the API, stored by the queue's consumer.",
        "Count",
        preset=(("accepted",), ("stored",)),
    ),
    Metric(
        "capture_compacted_hours_total",
        "counter",
        ("outcome",),
        "Closed hours of captures: merged into one object each, or failed.",
        "Count",
        preset=(("merged",), ("failed",)),
    ),
    Metric(
        "capture_queue_delay_seconds",
        "histogram",
        (),
        "Age of the oldest message of a batch when capture had done with the batch.",
        "Seconds",
        DELAY_BUCKETS,
    ),
    Metric(
        DRIFT_STATUS,
        "gauge",
        _MODEL,
        "Verdict of the newest analysis. 0: no drift; 1: drift; 2: unknown; 3: warning, "
        "a drift that by the rule is not enough to act on, or unusual rows.",
    ),
    Metric(
        MONITOR_INFO,
        "gauge",
        ("model_name", "owner"),
        "1 for the owner that the model's monitor names, empty where it names none; 0 for others.",
        current="owner",
    ),
    Metric(
        MONITOR_LABELS,
        "gauge",
        ("model_name", "labels"),
        "1 for the labels of the model's monitor, such as `,region=eu,tier=1,`, empty where it has "
        "none; 0 for others.",
        current="labels",
    ),
    Metric(
        EPISODE_STATUS,
        "gauge",
        _MODEL,
        "Newest drift episode. 0: none is open; 1: open; 2: open and acknowledged; "
        "3: open and expected.",
    ),
    Metric(
        EPISODE_OPENED,
        "gauge",
        _MODEL,
        "End of the first window of the episode that is open, in seconds since 1970; 0: none.",
        "Seconds",
    ),
    Metric(
        VERDICT_EVENTS,
        "counter",
        ("outcome",),
        "Events about episodes: sent to EVENT_BUS, or failed. A failed one is tried at each run.",
        "Count",
        preset=(("sent",), ("failed",)),
    ),
    Metric(
        "evidently_data_drift_detected",
        "gauge",
        _MODEL,
        "1: drift; 0: none. Absent while the status is unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_drift_score",
        "gauge",
        _MODEL,
        "Share of drifted features, 0 to 1. Absent while the status is unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_drifted_features_count",
        "gauge",
        _MODEL,
        "Number of drifted features. Absent while the status is unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_feature_drift_score",
        "gauge",
        (*_MODEL, "feature", "method"),
        "Drift score of a feature, in its method's own scale. Absent while unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_feature_critical_score",
        "gauge",
        (*_MODEL, "feature"),
        "Score that drift of a feature takes now. Absent while unknown, and in the mode classic.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_feature_drift_detected",
        "gauge",
        (*_MODEL, "feature"),
        "1: the feature drifted; 0: it did not. Absent while unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_missing_values_ratio",
        "gauge",
        (*_MODEL, "feature"),
        "Share of missing values in the window, 0 to 1.",
    ),
    Metric(
        "evidently_window_status",
        "gauge",
        (*_MODEL, "variant", "window"),
        "As evidently_drift_status, of every window, for all rows (variant empty) and by variant.",
    ),
    Metric(
        VERSION_STATUS,
        "gauge",
        _MODEL,
        "As evidently_drift_status, the worst of all windows of the version; a window without any "
        "row counts only where every one is such.",
    ),
    Metric(
        SEGMENT_STATUS,
        "gauge",
        (*_MODEL, "segment"),
        "As evidently_drift_status, of a declared segment of the rows (ANALYSIS_SEGMENTS).",
    ),
    Metric(
        "evidently_output_drift_score",
        "gauge",
        (*_MODEL, "output", "method"),
        "Drift score of predictions, probabilities, in the method's scale. Absent while unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_output_drift_detected",
        "gauge",
        (*_MODEL, "output"),
        "1: the predictions or probabilities drifted; 0: not. Absent while unknown.",
        needs_verdict=True,
    ),
    Metric(
        "evidently_constraint_violations_count",
        "gauge",
        _MODEL,
        "Constraints on data quality that the window breaks, beyond chance.",
    ),
    Metric(
        "evidently_analysis_late_total",
        "counter",
        _MODEL,
        "Windows that were analyzed late, because runs were missed.",
        "Count",
    ),
    Metric(
        "evidently_analysis_missed_total",
        "counter",
        _MODEL,
        "Windows that were never analyzed: a run does not catch up so many.",
        "Count",
    ),
    Metric(
        PERFORMANCE_STATUS,
        "gauge",
        _MODEL,
        "0: labels show how well the version predicts; 2: unknown, too few labels yet.",
    ),
    Metric(
        "model_label_maturity_ratio",
        "gauge",
        _MODEL,
        "Share of the window's predictions whose label is known, 0 to 1.",
    ),
    Metric(
        "model_unknown_labels",
        "gauge",
        _MODEL,
        "Labels for the window's hours, of every version, that are of no captured prediction.",
    ),
    *(
        Metric(name, "gauge", _MODEL, meaning, needs_verdict=True, verdict=PERFORMANCE_STATUS)
        for name, meaning in _PERFORMANCE_GAUGES.items()
    ),
    Metric(
        "model_performance_bound",
        "gauge",
        (*_MODEL, "metric", "bound"),
        "By metric: low and high end of its 95 % interval, and what the best constant gives.",
        needs_verdict=True,
        verdict=PERFORMANCE_STATUS,
    ),
    Metric(
        "model_estimated_accuracy",
        "gauge",
        _MODEL,
        "Accuracy to expect from the probabilities of all predictions, without labels.",
    ),
    Metric(
        "model_estimated_roc_auc",
        "gauge",
        _MODEL,
        "ROC AUC to expect likewise; of more than two classes the mean.",
    ),
    Metric(
        "model_estimated_mean_absolute_error",
        "gauge",
        _MODEL,
        "Mean absolute error of a regression to expect from its rows, without labels.",
    ),
    Metric(
        "model_estimated_root_mean_squared_error",
        "gauge",
        _MODEL,
        "Root mean squared error to expect likewise.",
    ),
    Metric(
        "model_estimated_bound",
        "gauge",
        (*_MODEL, "metric", "bound"),
        "By estimated metric: low and high end of its interval; of errors the threshold, too.",
    ),
    Metric(
        "evidently_analysis_total",
        "counter",
        (*_MODEL, "status"),
        "Analyses, by status: ok, drift, unknown or error.",
        "Count",
    ),
    Metric(
        "evidently_analysis_duration_seconds",
        "histogram",
        _MODEL,
        "Time that an analysis took.",
        "Seconds",
        DURATION_BUCKETS,
    ),
)
"""Emitted by the functions as EMF."""

RUNTIME_METRICS: tuple[Metric, ...] = (
    Metric(
        "faas_invoke_duration_seconds",
        "histogram",
        ("function",),
        "Duration of invocations, from Lambda's REPORT lines.",
        "Seconds",
        DURATION_BUCKETS,
    ),
    Metric(
        "faas_init_duration_seconds",
        "histogram",
        ("function",),
        "Duration of cold starts.",
        "Seconds",
        DURATION_BUCKETS,
    ),
    Metric("faas_coldstarts_total", "counter", ("function",), "Cold starts.", "Count"),
    Metric(
        "faas_errors_total",
        "counter",
        ("function",),
        "Invocations that failed, timed out or died.",
        "Count",
    ),
    Metric(
        "faas_throttles_total",
        "counter",
        ("function",),
        "Invocations that Lambda refused, from CloudWatch's metric (BRIDGE_THROTTLES_SECONDS).",
        "Count",
    ),
    Metric(
        "faas_max_memory_bytes",
        "gauge",
        ("function",),
        "Largest memory use reported by the newest invocation.",
        "Bytes",
    ),
    Metric(
        "faas_billed_gb_seconds_total",
        "counter",
        ("function",),
        "Billed duration times memory size, in gigabyte-seconds: what AWS charges for.",
        "None",
    ),
)
"""Derived by the bridge from what the Lambda service itself logs."""

BRIDGE_METRICS: tuple[Metric, ...] = (
    Metric("bridge_events_total", "counter", (), "Log events read, each once.", "Count"),
    Metric(
        "bridge_parse_errors_total",
        "counter",
        (),
        "Events that look like metrics and cannot be used.",
        "Count",
    ),
    Metric(
        "bridge_unknown_metrics_total",
        "counter",
        (),
        "Metrics in EMF lines that no catalog lists; they are not served.",
        "Count",
    ),
    Metric(
        "bridge_overflow_total",
        "counter",
        ("metric",),
        "Values that came when a metric had as many series as it may have.",
        "Count",
    ),
    Metric(
        "bridge_lag_seconds", "gauge", (), "Age of the newest event when it was read.", "Seconds"
    ),
    Metric(
        "bridge_last_success_timestamp_seconds",
        "gauge",
        (),
        "When every source was last read, in seconds since 1970.",
        "Seconds",
    ),
    Metric(
        "bridge_read_errors_total",
        "counter",
        (),
        "Rounds of reading, since the bridge started, in which a source failed.",
        "Count",
    ),
    Metric(
        "queue_messages",
        "gauge",
        ("queue", "state"),
        "Messages in the queues of captures and analyses, and their dead-letter queues: visible, "
        "in_flight, delayed.",
        "Count",
    ),
    Metric(
        "queue_oldest_message_seconds",
        "gauge",
        ("queue",),
        "Age of the oldest message of a dead-letter queue; SQS deletes it after 14 days.",
        "Seconds",
    ),
)
"""About the bridge itself, and what it asks of the queues."""

CATALOG: dict[str, Metric] = {
    metric.name: metric for metric in (*FUNCTION_METRICS, *RUNTIME_METRICS, *BRIDGE_METRICS)
}
"""Every metric by name."""

CORE = frozenset({
    "api_requests_total", "api_request_latency_seconds", "model_predictions_total",
    "model_prediction_errors_total", "model_stale", "capture_records_total", "capture_labels_total",
    "evidently_drift_status", "evidently_drifted_features_count", "evidently_analysis_total",
    "evidently_analysis_missed_total", "model_performance_status", "model_accuracy",
    "model_mean_absolute_error",
})  # fmt: skip
"""What CloudWatch shows by default: none of these has a series for each feature."""
