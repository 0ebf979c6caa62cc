"""What AWS asks for a million captured predictions, from counted requests and its list prices."""

from __future__ import annotations

from dataclasses import dataclass

PRICES_OF = "2026-11"

ROWS = 1_000_000
BATCH_ROWS = 1_000
"""Records that a run of the consumer takes."""

_POLL_MESSAGES = 10
"""SQS hands over ten messages a request, and deletes as many."""

_CHUNK_BYTES = 64 * 1024
"""And bills so much of a payload as a request."""


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in USD."""

    region: str = "us-east-1"
    sqs_request: float = 0.40e-6
    s3_put_or_list: float = 0.005e-3
    s3_get: float = 0.0004e-3
    s3_gb_month: float = 0.023
    lambda_request: float = 0.20e-6
    lambda_gb_second: float = 16.6667e-6


PRICES = Prices()

_CONSUMER_GB = 1769 / 1024


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the bill."""

    what: str
    requests: float
    usd: float


def bill(
    *,
    messages: float,
    billed_sends: float,
    message_bytes: float,
    rows_per_second: float,
    stored_bytes_per_row: float,
    merge_requests_per_object: float,
) -> list[Item]:
    """Return the bill of capturing a million predictions and keeping them a month.

    Parameters
    ----------
    messages, billed_sends, message_bytes
        Of a prediction: its messages (less than one where they share one), the requests that SQS
        bills for sending them, and their bytes.
    rows_per_second
        Of the consumer, as measured; AWS's whole CPU is taken for one of ours.
    stored_bytes_per_row
        Of merged captures and their profiles.
    merge_requests_per_object
        S3 requests by which an object of a batch is merged, deletions (free) included.
    """
    objects = ROWS / BATCH_ROWS
    sends = ROWS * billed_sends
    polls = ROWS * messages / _POLL_MESSAGES
    receives = max(polls, ROWS * message_bytes / _CHUNK_BYTES)
    seconds = ROWS / rows_per_second
    merges = objects * merge_requests_per_object
    stored_gb = ROWS * stored_bytes_per_row / 1e9
    return [
        Item("SQS: predict sends", sends, sends * PRICES.sqs_request),
        Item("SQS: the consumer receives, by ten", receives, receives * PRICES.sqs_request),
        Item("SQS: it deletes, by ten", polls, polls * PRICES.sqs_request),
        Item("Lambda: runs of the consumer", objects, objects * PRICES.lambda_request),
        Item(
            "Lambda: GB-seconds of the consumer",
            seconds * _CONSUMER_GB,
            seconds * _CONSUMER_GB * PRICES.lambda_gb_second,
        ),
        Item("S3: one object a batch, with its profile", objects, objects * PRICES.s3_put_or_list),
        Item("S3: merging an hour's objects", merges, merges * PRICES.s3_get),
        Item("S3: a month of them", 0, stored_gb * PRICES.s3_gb_month),
    ]
