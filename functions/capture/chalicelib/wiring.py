"""Builds the services of capture from settings, once, at the first event."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from modelwatch.adapters.access.tokens import Callers
from modelwatch.adapters.aws.clients import s3_client, sqs_client
from modelwatch.adapters.aws.emf import metric_sink
from modelwatch.adapters.aws.queues import (
    SqsDeadLetters,
    SqsDeliveries,
    SqsLabelQueue,
    SqsRecordQueue,
)
from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.label_compaction import S3LabelCompaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.erasure.erased import S3Erasures
from modelwatch.adapters.results.capture_monitors import S3CaptureMonitors, captured_segments
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.ports.compaction import CaptureHours
from modelwatch.ports.metrics import MetricSink
from modelwatch.services.capture import CaptureService
from modelwatch.services.compaction import CompactionService
from modelwatch.settings.functions import CaptureSettings

_QUEUE_BUDGET_MS = 5_000
"""An application that sends a record waits until the queue has it; no one else waits."""

_STORE_BUDGET_MS = 26_000
"""Longest that an object may take: the service begins none after 25 s of the function's 60."""

_MONITORS_SECONDS = 15.0
"""How long the monitors that were read hold."""

_COMPACTION_BUDGET_SECONDS = 600
"""A run of 900 s begins no hour of captures after these."""

_LABEL_COMPACTION_BUDGET_SECONDS = 120
"""And none of labels after so many more."""


@cache
def door() -> Callers:
    """Return what knows who may call."""
    return Callers.of(CaptureSettings())


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return metric_sink(CaptureSettings())


@cache
def capture_service() -> CaptureService:
    """Return the service."""
    settings = CaptureSettings()
    sqs = sqs_client(settings, _QUEUE_BUDGET_MS)
    queue_name = settings.capture_queue_name
    queue_url = settings.capture_queue_url
    s3 = s3_client(settings, _STORE_BUDGET_MS)
    bucket = settings.capture_bucket
    monitors = S3CaptureMonitors(s3, settings.report_bucket, _MONITORS_SECONDS)
    segments_of = captured_segments(monitors, settings.analysis_segments)
    return CaptureService(
        store=S3RecordStore(s3, bucket, segments_of),
        labels=S3LabelStore(s3, bucket),
        queue=SqsRecordQueue(sqs, queue_url=queue_url, queue_name=queue_name),
        label_queue=SqsLabelQueue(sqs, queue_url=queue_url, queue_name=queue_name),
        dead_letters=SqsDeadLetters(
            sqs,
            queue_url=settings.dead_letter_queue_url,
            queue_name=f"{queue_name}-dead",
        ),
        deliveries=SqsDeliveries(sqs, queue_url=queue_url, queue_name=queue_name),
        monitors=monitors,
        unmonitored=CaptureRules(read_policy("", secret(settings, "CAPTURE_HASH_KEY"))),
        metrics=metrics(),
    )


@cache
def compaction_service() -> CompactionService:
    """Return the service that merges objects."""
    settings = CaptureSettings()
    monitors = S3CaptureMonitors(s3_client(settings), settings.report_bucket, _MONITORS_SECONDS)
    segments_of = captured_segments(monitors, settings.analysis_segments)
    hours = partial(S3Compaction, segments_of=segments_of)
    return _compaction_of(hours, _COMPACTION_BUDGET_SECONDS)


@cache
def label_compaction_service() -> CompactionService:
    """Return the service that merges objects of labels."""
    return _compaction_of(S3LabelCompaction, _LABEL_COMPACTION_BUDGET_SECONDS)


def _compaction_of(
    hours: Callable[[Any, str], CaptureHours], budget_seconds: float
) -> CompactionService:
    settings = CaptureSettings()
    s3, bucket = s3_client(settings), settings.capture_bucket
    return CompactionService(
        captures=hours(s3, bucket),
        erasures=S3Erasures(s3, bucket),
        lag_seconds=settings.compaction_lag_seconds,
        budget_seconds=budget_seconds,
    )
