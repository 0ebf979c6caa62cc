"""The capture queue and its dead-letter queue on SQS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.records import Record
from modelwatch.errors import QueueError

MESSAGE_LIMIT_BYTES = 250_000
"""What a message may hold: SQS's classic 256 KiB, with room for its own envelope."""

_REASON_LIMIT = 1000
_NOT_IN_MESSAGES = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""SQS refuses a message, attributes included, with any other character in it."""

_encode = msgspec.json.Encoder().encode


class _Address:
    """A queue's URL: given, or looked up by its name once."""

    def __init__(self, client: Any, url: str, name: str) -> None:
        self._client = client
        self._url = url
        self._name = name

    def url(self) -> str:
        if not self._url:
            self._url = self._client.get_queue_url(QueueName=self._name)["QueueUrl"]
        return self._url


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
        self._address = _Address(client, queue_url, queue_name)

    def send(self, records: Sequence[Record]) -> None:
        """Send ``records``.

        Raises
        ------
        QueueError
            When the queue does not take them, or one alone is larger than a message.
        """
        try:
            for body in message_bodies(records):
                self._client.send_message(QueueUrl=self._address.url(), MessageBody=body)
        except (BotoCoreError, ClientError) as error:
            raise QueueError(f"the capture queue did not take the record: {error}") from error


class SqsDeadLetters:
    """Sends messages to the dead-letter queue as they were, with two attributes.

    ``reason`` says what is wrong with the message, ``message_id`` which one it was in the capture
    queue: a message that is put here twice can be told by it.

    Parameters
    ----------
    client
        SQS client.
    queue_url
        URL of the dead-letter queue, or empty: then it is looked up by ``queue_name`` once.
    """

    def __init__(self, client: Any, *, queue_url: str = "", queue_name: str = "") -> None:
        self._client = client
        self._address = _Address(client, queue_url, queue_name)

    def put(self, message_id: str, body: str, reason: str) -> None:
        """Send a message.

        Raises
        ------
        QueueError
            When the queue does not take it. One that filled a message to the brim has no room for
            its reason and is never taken here; the capture queue's redrive policy moves it.
        """
        attributes = {"reason": _as_attribute(reason), "message_id": message_id}
        try:
            self._client.send_message(
                QueueUrl=self._address.url(),
                MessageBody=body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in attributes.items()
                },
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueError(
                f"the dead-letter queue did not take message {message_id}: {error}"
            ) from error


def _as_attribute(reason: str) -> str:
    """Return ``reason`` as SQS takes it; it may quote what a poisoned message holds."""
    return _NOT_IN_MESSAGES.sub("\ufffd", reason)[:_REASON_LIMIT]


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
