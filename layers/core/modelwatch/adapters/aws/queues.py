"""Queues on SQS: the capture queue with its dead letters, and that of what is to be analyzed."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.blocks import blocks_of
from modelwatch.domain.due import DueAnalysis, encode_due
from modelwatch.domain.labels import Label
from modelwatch.domain.packing import pack
from modelwatch.domain.records import PREDICT_SOURCE, Record
from modelwatch.errors import QueueError, RecordTooLargeError

_LOG = logging.getLogger(__name__)

MESSAGE_LIMIT_BYTES = 1_000_000
"""The largest record: SQS's 1 MiB, with room for the reason that a dead letter has beside it."""

LIST_LIMIT_BYTES = 250_000
"""What a list of records grows to: one that is delivered again costs little, and 24 of them fit in
the 6 MiB of an event."""

_AT_ONCE = 10
"""Messages of one request: SQS's own limit."""

_REASON_LIMIT = 1000
_NOT_IN_MESSAGES = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""SQS refuses a message, attributes included, with any other character in it."""

_NOT_IN_JSON = {"\ufffe": "\\ufffe", "\uffff": "\\uffff"}
"""Characters that JSON carries as they are and SQS refuses; escaped, they are the same to JSON."""

_encode = msgspec.json.Encoder().encode

_LABELS_BEFORE, _LABELS_AFTER = '{"labels":', "}"


class _Queue:
    """A queue of SQS.

    Parameters
    ----------
    client
        SQS client; its timeouts are the caller's time budget.
    queue_url
        URL of the queue, or empty: then it is looked up by ``queue_name`` once.
    """

    def __init__(self, client: Any, *, queue_url: str = "", queue_name: str = "") -> None:
        self._client = client
        self._known_url = queue_url
        self._name = queue_name

    def _url(self) -> str:
        if not self._known_url:
            self._known_url = self._client.get_queue_url(QueueName=self._name)["QueueUrl"]
        return self._known_url

    def _send(self, bodies: Iterable[str], what: str) -> None:
        """Send messages of ``what``; raises QueueError when the queue does not take them."""
        try:
            for body in bodies:
                self._client.send_message(QueueUrl=self._url(), MessageBody=body)
        except (BotoCoreError, ClientError) as error:
            raise QueueError(f"the capture queue did not take the {what}: {error}") from error


class SqsRecordQueue(_Queue):
    """Sends records as JSON messages, as many in each as fit.

    Predict's own are packed (`modelwatch.domain.packing`): those of a batch share their names, and
    nothing has to be parsed that can be copied. What applications sent goes on as it came.
    """

    def send(self, records: Sequence[Record]) -> None:
        """Send ``records``.

        Raises
        ------
        RecordTooLargeError
            When one alone is larger than a message: none was sent.
        QueueError
            When the queue does not take them, possibly after some.
        """
        own = [record for record in records if record.source == PREDICT_SOURCE]
        others = [record for record in records if record.source != PREDICT_SOURCE]
        # all of them first: where one record is too large, none is sent
        self._send([*packed_bodies(own), *message_bodies(others)], "record")


class SqsLabelQueue(_Queue):
    """Sends labels through the capture queue: messages ``{"labels": [...]}``, as full as they get.

    They share the queue with the records: its consumer turns what came in a few seconds into one
    object an hour of predictions. Straight to S3, a label a request would be an object a label: a
    PUT (5 $ a million) in place of a message (0.40 $), and a GET a label for every reader.
    """

    def send(self, labels: Sequence[Label]) -> None:
        """Send ``labels``; raises QueueError when the queue does not take them."""
        self._send(label_bodies(labels), "labels")


class SqsDeadLetters(_Queue):
    """Sends messages to the dead-letter queue as they were, with two attributes.

    ``reason`` says what is wrong with the message, ``message_id`` which one it was in the capture
    queue: a message that comes here twice is recognised by it.
    """

    def put(self, message_id: str, body: str, reason: str) -> None:
        """Send a message.

        Raises QueueError when the queue does not take it. One that filled a message to the brim has
        no room for its reason and is never taken here; the capture queue's redrive policy moves it.
        """
        attributes = {"reason": _as_attribute(reason), "message_id": message_id}
        try:
            self._client.send_message(
                QueueUrl=self._url(),
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


class SqsAnalysisQueue(_Queue):
    """Sends what is due to a FIFO queue; see `modelwatch.ports.analysis.AnalysisQueue`.

    A model is a group: SQS delivers its messages one after another, and takes the same message once
    in five minutes, so that a run that comes twice sends nothing twice.
    """

    def send(self, due: Sequence[DueAnalysis]) -> None:
        """Send a message each; raises QueueError when the queue does not take all of them."""
        for some in batched(due, _AT_ONCE, strict=False):
            entries = []
            for index, each in enumerate(some):
                body = _as_message(encode_due(each))
                ids = {
                    "MessageGroupId": hashlib.sha256(each.model_name.encode()).hexdigest(),
                    "MessageDeduplicationId": hashlib.sha256(body.encode()).hexdigest(),
                }
                entries.append({"Id": str(index), "MessageBody": body, **ids})
            try:
                response = self._client.send_message_batch(QueueUrl=self._url(), Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise QueueError(f"the analysis queue takes no messages: {error}") from error
            for refused in response.get("Failed", ()):
                name = some[int(refused["Id"])].model_name
                raise QueueError(f"the analysis queue did not take {name}: {refused}")


class SqsDeliveries(_Queue):
    """What a queue delivered, by receipt; see `modelwatch.ports.capture.Deliveries`."""

    def release(self, delays_seconds: Mapping[str, int]) -> None:
        """Let messages be delivered again after a while each; see the port."""
        for some in batched(delays_seconds.items(), _AT_ONCE, strict=False):
            entries = [
                {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for index, (receipt, seconds) in enumerate(some)
            ]
            try:
                response = self._client.change_message_visibility_batch(
                    QueueUrl=self._url(), Entries=entries
                )
            except (BotoCoreError, ClientError) as error:
                # to try the rest takes time too; the rest comes again as these do
                _LOG.warning("messages wait for the queue's visibility timeout: %s", error)
                return
            for refused in response.get("Failed", ()):
                _LOG.warning("a message waits for the queue's visibility timeout: %s", refused)


def _as_attribute(reason: str) -> str:
    """Return ``reason`` as SQS takes it; it may quote what a poisoned message holds."""
    return _NOT_IN_MESSAGES.sub("\ufffd", reason)[:_REASON_LIMIT]


def message_bodies(records: Sequence[Record]) -> Iterator[str]:
    """Yield JSON lists of ``records``, as long as they may become, or of one that is longer.

    Raises RecordTooLargeError when records alone are larger than a message; before anything is
    yielded.
    """
    parts = [_encode(record) for record in records]
    too_large = {
        record.event_id: len(part)
        for record, part in zip(records, parts, strict=True)
        if len(part) + 2 > MESSAGE_LIMIT_BYTES
    }
    if too_large:
        raise RecordTooLargeError(too_large, MESSAGE_LIMIT_BYTES - 2)
    yield from _lists(parts)


def packed_bodies(records: Sequence[Record]) -> list[str]:
    """Return packed messages of ``records``, as long as they may become, or of one that is longer.

    Raises RecordTooLargeError when records alone are larger than a message.
    """
    bodies: list[str] = []
    too_large: dict[str, int] = {}
    waiting = blocks_of(records)
    while waiting:
        block = waiting.pop()
        body = pack(block)
        if len(body) > LIST_LIMIT_BYTES and len(block) > 1:
            parts = min(len(block), len(body) // LIST_LIMIT_BYTES + 1)
            waiting += [
                block.select(places)
                for places in batched(range(len(block)), -(-len(block) // parts), strict=False)
            ]
        elif len(body) > MESSAGE_LIMIT_BYTES:
            too_large[block.event_ids[0]] = len(body)
        else:
            bodies.append(_as_message(body))
    if too_large:
        raise RecordTooLargeError(too_large, MESSAGE_LIMIT_BYTES)
    return bodies


def label_bodies(labels: Sequence[Label]) -> Iterator[str]:
    """Yield messages of ``labels``, as long as a list may become."""
    for labels_list in _lists([_encode(label) for label in labels]):
        yield f"{_LABELS_BEFORE}{labels_list}{_LABELS_AFTER}"


def _lists(parts: Sequence[bytes]) -> Iterator[str]:
    """Yield JSON lists of ``parts``, as long as they may become, or of one that is longer."""
    together: list[bytes] = []
    size = 1
    for part in parts:
        # each has a comma or the closing bracket behind it
        if together and size + len(part) + 1 > LIST_LIMIT_BYTES:
            yield _list(together)
            together, size = [], 1
        together.append(part)
        size += len(part) + 1
    if together:
        yield _list(together)


def _list(parts: Sequence[bytes]) -> str:
    return _as_message(b"[" + b",".join(parts) + b"]")


def _as_message(json: bytes) -> str:
    body = json.decode()
    for refused, escaped in _NOT_IN_JSON.items():
        body = body.replace(refused, escaped)
    return body
