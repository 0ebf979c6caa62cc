"""A month's bill of a deployment: its settings and traffic, times what benchmarks measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from modelwatch.adapters.aws.emf import CLOUDWATCH, emf_lines
from modelwatch.metric_names import CATALOG
from modelwatch.ports.metrics import Sample
from modelwatch_cli.costs.prices import (
    ALARM_METRIC,
    API_REQUEST,
    CHUNK_BYTES,
    COMPOSITE_ALARM,
    DASHBOARD,
    FIREHOSE,
    FIREHOSE_STEP_BYTES,
    LAMBDA_ARM_SECOND,
    LAMBDA_REQUEST,
    LAMBDA_SECOND,
    LOG_INGESTION,
    LOG_STORAGE,
    METRIC,
    S3_READ,
    S3_STORAGE,
    S3_WRITE,
    SQS_FIFO_REQUEST,
    Item,
    Price,
    capture_items,
)
from modelwatch_cli.deployment.additions.alarms.twins import GROUPS, alarms
from modelwatch_cli.deployment.cloudformation.plan import wants_alarms, wants_firehose
from modelwatch_cli.deployment.settings import FUNCTION_NAMES
from modelwatch_cli.settings import Settings

MONTH = timedelta(hours=730)
_HOUR = timedelta(hours=1)
_SECONDS = MONTH.total_seconds()
_DAYS = MONTH / timedelta(days=1)

PREDICT_GB = 1.0
ANALYZE_GB = 3008 / 1024

# `make bench-capture`: packed rows of 13 numbers
_ROW_BYTES, _VALUE_BYTES = 40, 15
_STORED_BYTES = 5.5
_ROWS_PER_SECOND = 30_000
_MERGE_REQUESTS = 1.2

_ANALYSIS_SECONDS = 0.5
"""`make bench-analysis`: a verdict, with what reading takes on S3."""

_DUE_REQUESTS = 2.1
"""Of a message of what is due: sent by ten, received and deleted alone."""

_HOUR_READS = 2
"""Of the profile of an hour that is merged: the footer of its rows, and what is beside them."""

_RESULT_BYTES = 50_000
_RESULT_WRITES = 5
"""Of a result with its evidence and rows; and a listing."""

_LAMBDA_LINES = 350
"""Bytes of the lines that Lambda itself writes about an invocation."""

_LINE_OVERHEAD = 26
"""Bytes that CloudWatch adds to a line."""

_SENT_BYTES = 175
"""Of the lines of a prediction, packed as a subscription filter sends a hundred together."""

_SENT_EVERY_SECONDS = 1.0
"""CloudWatch Logs sends what a stream got meanwhile; AWS does not say how long it waits."""

_OBJECT_EVERY_SECONDS, _OBJECT_BYTES = 60, 64e6
_OBJECT_DAYS = 7
"""`templates/cloudformation/metrics.yaml`."""

_ROUTES = 6
"""In use, each with one status: predict, capture, ground truth, health, reports, analyze."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a deployment has to do.

    Attributes
    ----------
    per_second
        Predictions a second, all models together, in the mean over the month.
    features
        Of a model.
    models
        Versions that are captured at once.
    predict_ms
        Milliseconds that AWS bills for a prediction.
    """

    per_second: float
    features: int = 20
    models: int = 1
    predict_ms: float = 5.0

    @property
    def rows(self) -> float:
        """Predictions a month."""
        return self.per_second * _SECONDS


def month(traffic: Traffic, settings: Settings) -> list[Item]:
    """Return the lines of a month's bill, in the order of a prediction's way."""
    return [
        *_serving(traffic, settings),
        *_capturing(traffic, settings),
        *_analyzing(traffic, settings),
        *_transporting(traffic, settings),
        *_watching(traffic, settings),
    ]


def _lambda_second(settings: Settings) -> Price:
    is_x86 = settings.lambda_architecture == "x86_64"
    return LAMBDA_SECOND if is_x86 else LAMBDA_ARM_SECOND


def _transporting(traffic: Traffic, settings: Settings) -> list[Item]:
    """Return what the way of log lines to the bridge costs; to poll the logs is free."""
    if not wants_firehose(settings):
        return []
    packed = traffic.rows * _SENT_BYTES
    records = min(traffic.rows, _environments(traffic) * _SECONDS / _SENT_EVERY_SECONDS)
    billed = max(packed, records * FIREHOSE_STEP_BYTES)
    objects = max(_SECONDS / _OBJECT_EVERY_SECONDS, packed / _OBJECT_BYTES)
    lists = _SECONDS / max(0.05, settings.bridge_poll_seconds)
    return [
        Item("Firehose: log lines", billed / 1e9, FIREHOSE),
        Item("S3: objects of log lines", objects, S3_WRITE),
        Item("S3: the bridge lists them", lists, S3_WRITE),
        Item("S3: the bridge reads them", objects, S3_READ),
        Item("S3: a week of them", packed / 1e9 * _OBJECT_DAYS / _DAYS, S3_STORAGE),
    ]


def _environments(traffic: Traffic) -> int:
    """Return how many environments of predict work at once."""
    return math.ceil(traffic.per_second * traffic.predict_ms / 1000) + 1


def _watching(traffic: Traffic, settings: Settings) -> list[Item]:
    """Return what alarms cost, if anyone hears them."""
    if not wants_alarms(settings):
        return []
    functions = {f"modelwatch-{settings.stage}-{name}": 30 for name in FUNCTION_NAMES}
    # a query finds a series a version, with one value of the other labels
    read = sum(
        each.metrics if each.metrics else traffic.models
        for each in alarms(settings, functions, settings.capture_queue_name)
    )
    return [
        Item("CloudWatch: alarms", float(read), ALARM_METRIC),
        Item("CloudWatch: composite alarms", float(len(GROUPS)), COMPOSITE_ALARM),
        Item("CloudWatch: dashboard", 1.0, DASHBOARD),
    ]


def _serving(traffic: Traffic, settings: Settings) -> list[Item]:
    rows = traffic.rows
    second = _lambda_second(settings)
    gigabytes = rows * (_line_bytes() + _LAMBDA_LINES) / 1e9
    return [
        Item("API Gateway: predictions", rows, API_REQUEST),
        Item("Lambda: predictions", rows, LAMBDA_REQUEST),
        Item("Lambda: predict", rows * traffic.predict_ms / 1000 * PREDICT_GB, second),
        Item("CloudWatch: log lines of predict", gigabytes, LOG_INGESTION),
        Item("CloudWatch: a month of them", gigabytes, LOG_STORAGE),
    ]


def _line_bytes() -> int:
    """Return the bytes of the metric lines of one prediction."""
    version = {"model_name": "a_usual_model_name", "model_version": "12", "variant": "production"}
    route = {"method": "POST", "endpoint": "/predict"}
    samples = [
        Sample("api_requests_total", 1, {**route, "status": "200"}),
        Sample("api_request_latency_seconds", 0.0012345678, route),
        Sample("model_predictions_total", 1, version),
        Sample("model_prediction_latency_seconds", 0.0012345678, version),
        Sample("model_prediction_value", [1.0], version),
    ]
    return sum(len(line) + _LINE_OVERHEAD for line in emf_lines(samples, 1_800_000_000_000))


def _capturing(traffic: Traffic, settings: Settings) -> list[Item]:
    rows = _captured(traffic, settings)
    messages = 1 / _records_a_message(traffic, settings)
    message_bytes = _ROW_BYTES + _VALUE_BYTES * traffic.features
    gigabytes = rows / 1e9 * _STORED_BYTES * traffic.features
    return [
        *capture_items(
            rows,
            messages=messages,
            billed_sends=max(messages, message_bytes / CHUNK_BYTES),
            message_bytes=message_bytes,
            runs=_consumer_runs(traffic, settings),
            objects=_objects(traffic, settings),
            rows_per_second=_ROWS_PER_SECOND * 13 / max(traffic.features, 13),
            merge_requests_per_object=_MERGE_REQUESTS,
            lambda_second=_lambda_second(settings),
        ),
        Item("S3: captures", gigabytes * _months(settings.capture_retention_days), S3_STORAGE),
    ]


def _captured(traffic: Traffic, settings: Settings) -> float:
    """Return how many predictions a month are captured."""
    return traffic.rows * settings.capture_sample_rate


def _consumer_runs(traffic: Traffic, settings: Settings) -> float:
    """Return how often the consumer runs: when a batch is full, or has waited long enough."""
    rows = _captured(traffic, settings)
    wait = settings.capture_batch_window_seconds
    # without a wait, each record may have a run of its own
    ended = _SECONDS / wait if wait else rows
    return max(min(rows, ended), rows / settings.capture_batch_size)


def _objects(traffic: Traffic, settings: Settings) -> float:
    """Return how many objects the consumer writes: one a run for each model that has rows in it."""
    runs = _consumer_runs(traffic, settings)
    return min(_captured(traffic, settings), runs * traffic.models)


def _records_a_message(traffic: Traffic, settings: Settings) -> float:
    """Return how many records share a message: those of an environment in the time of a flush."""
    captured = traffic.per_second * settings.capture_sample_rate / _environments(traffic)
    return max(1.0, captured * settings.capture_flush_ms / 1000)


def _analyzing(traffic: Traffic, settings: Settings) -> list[Item]:
    runs, second = MONTH / settings.analysis_schedule, _lambda_second(settings)
    schedule = settings.analysis_schedule
    times = {
        plan: MONTH / max(plan.step or schedule, schedule) for plan in settings.analysis_windows
    }
    verdicts = sum(times.values()) * traffic.models
    # what is older than the newest hour is merged
    hours = sum(count * max(plan.length // _HOUR - 1, 0) for plan, count in times.items())
    objects_an_hour = _objects(traffic, settings) / (MONTH / _HOUR)
    # what is due of one model needs no queue
    messages = verdicts if traffic.models > 1 else 0.0
    stored = verdicts * _RESULT_BYTES / 1e9 * _months(settings.report_retention_days)
    return [
        Item("Lambda: runs of the analysis", runs + messages, LAMBDA_REQUEST),
        Item("SQS: what is due of several models", messages * _DUE_REQUESTS, SQS_FIFO_REQUEST),
        Item("Lambda: the analysis", verdicts * _ANALYSIS_SECONDS * ANALYZE_GB, second),
        Item("S3: profiles of the newest hour", runs * objects_an_hour, S3_READ),
        Item("S3: profiles of older hours", hours * traffic.models * _HOUR_READS, S3_READ),
        Item("S3: results and listings", verdicts * _RESULT_WRITES, S3_WRITE),
        Item("S3: results", stored, S3_STORAGE),
        Item("CloudWatch: metrics", float(_series(traffic, settings)), METRIC),
    ]


def _months(days: int | None) -> float:
    """Return how many months of what is stored are there, a month after the start at most."""
    return min(1.0, (days or _DAYS) / _DAYS)


def _series(traffic: Traffic, settings: Settings) -> int:
    """Return how many series of metrics CloudWatch shows: one for each value of the labels."""
    sizes = {"model_name": traffic.models, "feature": traffic.features, "endpoint": _ROUTES}
    return sum(
        math.prod(sizes.get(label, 1) for label in CATALOG[name].labels)
        for name in CLOUDWATCH[settings.metrics_to_cloudwatch]
    )
