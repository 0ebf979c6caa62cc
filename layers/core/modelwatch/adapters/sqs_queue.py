"""The capture queue on SQS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.records import Record
from modelwatch.errors import QueueError

MESSAGE_LIMIT_BYTES = 250_000
"""What a message may hold: SQS's classic 256 KiB, with room for its own envelope."""

_encode = msgspec.json.Encoder().encode


class SqsRecordQueue:
    """Sends records as JSON messages: a list of records each, as many as fit.

    Parameters
    ----------
    client
        SQS client; its timeouts are the caller's time budget.
    queue_url
        URL of the queue, or empty: then it is looked up by ``queue_name`` once.
    """

    def __init__(self, client: Any, *, queue_url: str = "", queue_name: str = "") -> None:
        self._client = client
        self._url = queue_url
        self._name = queue_name

    def send(self, records: Sequence[Record]) -> None:
        """Send ``records``.

        Raises
        ------
        QueueError
            When the queue does not take them, or one alone is larger than a message.
        """
        try:
            for body in message_bodies(records):
                self._client.send_message(QueueUrl=self._queue_url(), MessageBody=body)
        except (BotoCoreError, ClientError) as error:
            raise QueueError(f"the capture queue did not take the record: {error}") from error

    def _queue_url(self) -> str:
        if not self._url:
            self._url = self._client.get_queue_url(QueueName=self._name)["QueueUrl"]
        return self._url


def message_bodies(records: Sequence[Record]) -> Iterator[str]:
    """Yield JSON lists of ``records``, each within the limit of a message.

    Raises
    ------
    QueueError
        When one record alone is larger.
    """
    parts: list[bytes] = []
    size = 2
    for record in records:
        part = _encode(record)
        if len(part) + 2 > MESSAGE_LIMIT_BYTES:
            raise QueueError(
                f"record {record.event_id} has {len(part)} bytes; "
                f"a message holds {MESSAGE_LIMIT_BYTES}"
            )
        if size + len(part) + 1 > MESSAGE_LIMIT_BYTES:
            yield f"[{b','.join(parts).decode()}]"
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield f"[{b','.join(parts).decode()}]"
