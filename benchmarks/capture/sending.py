"""What predict sends for its records, by how densely requests come to one environment."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelwatch.adapters.aws.queues import SqsRecordQueue
from modelwatch.domain.records import Record
from modelwatch.services.outbox import Outbox
from modelwatch_cli.costs.prices import CHUNK_BYTES

_FLUSH_SECONDS = 1.0


@dataclass(slots=True)
class Sent:
    """Messages of a run, with their bytes and the requests that SQS bills for sending them."""

    records: int = 0
    messages: int = 0
    size: int = 0
    billed: int = 0

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:  # noqa: N803 - as boto3
        """Return an address."""
        return {"QueueUrl": QueueName}

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803, ARG002 - as boto3
        """Count a message."""
        size = len(MessageBody.encode())
        self.messages += 1
        self.size += size
        self.billed += math.ceil(size / CHUNK_BYTES)


def sent_by(
    make: Callable[[int], Sequence[Record]],
    *,
    per_second: float,
    rows: int = 1,
    requests: int = 2_000,
    flush_seconds: float = _FLUSH_SECONDS,
) -> Sent:
    """Send the records of requests that come to an environment at random, so many a second.

    As on AWS, nothing is sent between requests: the environment is frozen.
    """
    sent = Sent()
    now = 0.0
    outbox = Outbox(
        SqsRecordQueue(sent, queue_name="captures"),
        flush_seconds=flush_seconds,
        may_wait=lambda: True,
        clock=lambda: now,
    )
    chance = random.Random(7)
    for _ in range(requests):
        outbox.put(make(rows))
        sent.records += rows
        now += chance.expovariate(per_second)
    outbox.flush(is_last=True)
    return sent
