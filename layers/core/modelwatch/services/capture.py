"""Capture: records from the queue to the store, and from other applications to the queue."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from modelwatch.domain.records import Record, decode_record, decode_records
from modelwatch.errors import InvalidInputError, QueueError, StoreError
from modelwatch.ports import DeadLetters, MetricSink, RecordQueue, RecordStore, Sample

_LOG = logging.getLogger(__name__)

_DEAD_LETTER_FAILURES = 2
"""So many refusals, and the dead-letter queue is left alone until the next batch: each may take
seconds, and a run that exceeds its time has its whole batch delivered again."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the queue: its id, and its body (one record, or a list of records)."""

    id: str
    body: str


class CaptureService:
    """Stores what the queue delivers, and queues what applications send."""

    def __init__(
        self,
        *,
        store: RecordStore,
        queue: RecordQueue,
        dead_letters: DeadLetters,
        metrics: MetricSink,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._queue = queue
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock

    def store_messages(self, messages: Iterable[Message]) -> list[str]:
        """Store the records of ``messages``; return the ids of the messages that failed.

        A message that cannot be read goes to the dead letters with the reason, alone, and is done
        with; it fails only where they do not take it. When the store refuses an object, the
        messages with a record in it fail; records that were stored already are recognised when
        they come again.
        """
        now_ms = self._now_ms()
        failed: dict[str, None] = {}
        unreadable: list[tuple[Message, str]] = []
        records: dict[str, Record] = {}
        senders: defaultdict[str, list[str]] = defaultdict(list)
        for message in messages:
            try:
                for record in decode_records(message.body, now_ms):
                    records[record.event_id] = record
                    senders[record.event_id].append(message.id)
            except InvalidInputError as error:
                unreadable.append((message, str(error)))
        stored = 0
        for group in _by_partition(records.values()).values():
            try:
                self._store.write(group)
                stored += len(group)
            except StoreError as error:
                _LOG.error("%d records wait for another try: %s", len(group), error)
                for record in group:
                    failed.update(dict.fromkeys(senders[record.event_id]))
        not_taken = self._put_aside(unreadable)
        failed.update(dict.fromkeys(not_taken))
        rejected = len(unreadable) - len(not_taken)
        self._metrics.emit(
            [
                Sample("capture_records_total", stored, {"outcome": "stored"}),
                Sample("capture_records_total", rejected, {"outcome": "rejected"}),
            ]
        )
        return list(failed)

    def accept(self, body: bytes) -> str:
        """Queue one record that an application sent; return its event id.

        Raises
        ------
        InvalidInputError
            When it is not a record.
        QueueError
            When the queue does not take it: nothing was accepted.
        """
        record = decode_record(_given(body), self._now_ms())
        self._queue.send([record])
        return record.event_id

    def accept_batch(self, body: bytes) -> list[str]:
        """Queue a JSON list of records, all or none; return their event ids.

        Raises
        ------
        InvalidInputError
            When one of them is not a record: none was accepted.
        QueueError
            When the queue fails: send the batch again; repeats are recognised by event id.
        """
        if not _given(body).lstrip().startswith(b"["):
            raise InvalidInputError("", "expected a list of records")
        records = decode_records(body, self._now_ms())
        if not records:
            raise InvalidInputError("", "the list is empty")
        self._queue.send(records)
        return [record.event_id for record in records]

    def _put_aside(self, unreadable: Iterable[tuple[Message, str]]) -> list[str]:
        """Hand messages to the dead letters, each with its reason; return the ids not taken."""
        not_taken: list[str] = []
        for message, reason in unreadable:
            _LOG.error("message %s cannot be used: %s", message.id, reason)
            if len(not_taken) < _DEAD_LETTER_FAILURES:
                try:
                    self._dead_letters.put(message.id, message.body, reason)
                    continue
                except QueueError as error:
                    _LOG.error("message %s waits for another try: %s", message.id, error)
            not_taken.append(message.id)
        return not_taken

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _given(body: bytes) -> bytes:
    if not body.strip():
        raise InvalidInputError("", "the body is empty; expected a record as JSON")
    return body


def _by_partition(
    records: Iterable[Record],
) -> Mapping[tuple[str, str, datetime], list[Record]]:
    groups: defaultdict[tuple[str, str, datetime], list[Record]] = defaultdict(list)
    for record in records:
        hour = record.captured_at.replace(minute=0, second=0, microsecond=0)
        groups[record.model_name, record.model_version, hour].append(record)
    return groups
