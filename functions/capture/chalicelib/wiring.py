"""Builds what capture needs, from settings, once, at the first event."""

from functools import cache

from modelwatch.adapters.aws import s3_client, sqs_client
from modelwatch.adapters.emf import EmfMetricSink
from modelwatch.adapters.s3_records import S3RecordStore
from modelwatch.adapters.sqs_queue import SqsDeadLetters, SqsRecordQueue
from modelwatch.ports import MetricSink
from modelwatch.services.capture import CaptureService
from modelwatch.settings import Settings

_QUEUE_BUDGET_MS = 5_000
"""An application that hands over a record waits for the queue's word; nobody waits behind it."""


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return EmfMetricSink()


@cache
def capture_service() -> CaptureService:
    """Return the service."""
    settings = Settings()
    sqs = sqs_client(settings, _QUEUE_BUDGET_MS)
    queue_name = settings.text("CAPTURE_QUEUE_NAME")
    return CaptureService(
        store=S3RecordStore(s3_client(settings), settings.text("CAPTURE_BUCKET")),
        queue=SqsRecordQueue(
            sqs, queue_url=settings.text("CAPTURE_QUEUE_URL"), queue_name=queue_name
        ),
        dead_letters=SqsDeadLetters(
            sqs,
            queue_url=settings.text("DEAD_LETTER_QUEUE_URL"),
            queue_name=f"{queue_name}-dead",
        ),
        metrics=metrics(),
    )
