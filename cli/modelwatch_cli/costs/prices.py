"""AWS's list prices, and what captures cost by them."""

from __future__ import annotations

from dataclasses import dataclass

PRICES_OF = "2026-11"
REGION = "us-east-1"

POLL_MESSAGES = 10
"""SQS hands over ten messages a request, and deletes as many."""

CHUNK_BYTES = 64 * 1024
"""SQS bills so many bytes of a payload as a request."""

FIREHOSE_STEP_BYTES = 5 * 1024


@dataclass(frozen=True, slots=True)
class Price:
    """A list price.

    Attributes
    ----------
    usd
        Of one unit. Free tiers and discounts for large volumes are left out.
    unit
        What is counted.
    """

    usd: float
    unit: str


API_REQUEST = Price(3.50e-6, "requests")
"""Of a REST API."""
LAMBDA_REQUEST = Price(0.20e-6, "requests")
LAMBDA_SECOND = Price(16.6667e-6, "GB-seconds")
"""On x86."""
LAMBDA_ARM_SECOND = Price(13.3334e-6, "GB-seconds")
"""On arm64."""
SQS_REQUEST = Price(0.40e-6, "requests")
SQS_FIFO_REQUEST = Price(0.50e-6, "requests")
S3_WRITE = Price(5e-6, "requests")
"""PUT and LIST; a deletion is free."""
S3_READ = Price(0.4e-6, "requests")
S3_STORAGE = Price(0.023, "GB-months")
LOG_INGESTION = Price(0.50, "GB")
LOG_STORAGE = Price(0.03, "GB-months")
FIREHOSE = Price(0.029, "GB")
"""Of what is put directly, each record rounded up to `FIREHOSE_STEP_BYTES`, as AWS's page of prices
says. The figure itself was not looked up in 2026-11: compare it with that page."""
METRIC = Price(0.30, "series")
ALARM_METRIC = Price(0.10, "metrics")
"""That an alarm reads; of a query, each that it finds."""
COMPOSITE_ALARM = Price(0.50, "alarms")
DASHBOARD = Price(3.00, "dashboards")
"""Of CloudWatch; the first three of an account are free."""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the bill."""

    what: str
    count: float
    price: Price

    @property
    def usd(self) -> float:
        """What it costs."""
        return self.count * self.price.usd


CONSUMER_GB = 1769 / 1024


def capture_items(
    rows: float,
    *,
    messages: float,
    billed_sends: float,
    message_bytes: float,
    runs: float,
    objects: float,
    rows_per_second: float,
    merge_requests_per_object: float,
    lambda_second: Price = LAMBDA_SECOND,
) -> list[Item]:
    """Return what capturing costs, without keeping the captures.

    Parameters
    ----------
    messages, billed_sends, message_bytes
        Of a row: its messages (less than one where they share one), the requests that SQS bills for
        sending them, and their bytes.
    runs, objects
        Of the consumer, and what it writes: an object a run for each model version.
    rows_per_second
        Of the consumer, as measured; AWS's whole CPU is taken for one of ours.
    merge_requests_per_object
        S3 requests by which an object of a batch is merged.
    """
    polls = rows * messages / POLL_MESSAGES
    receives = max(polls, rows * message_bytes / CHUNK_BYTES)
    return [
        Item("SQS: predict sends", rows * billed_sends, SQS_REQUEST),
        Item("SQS: the consumer receives, by ten", receives, SQS_REQUEST),
        Item("SQS: it deletes, by ten", polls, SQS_REQUEST),
        Item("Lambda: runs of the consumer", runs, LAMBDA_REQUEST),
        Item("Lambda: the consumer", rows / rows_per_second * CONSUMER_GB, lambda_second),
        Item("S3: one object a batch, with its profile", objects, S3_WRITE),
        Item("S3: merging an hour's objects", objects * merge_requests_per_object, S3_READ),
    ]
