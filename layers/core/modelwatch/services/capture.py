"""Capture: records and labels from the queue to the store, and from applications to the queue."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from modelwatch.domain.faults import refuse_repeated_names
from modelwatch.domain.labels import Label, decode_labels, newest
from modelwatch.domain.records import Record, decode_record, decode_records
from modelwatch.errors import InvalidInputError, StoreError, stack_of
from modelwatch.ports import (
    DeadLetters,
    Deliveries,
    LabelQueue,
    LabelWriter,
    MetricSink,
    RecordQueue,
    RecordStore,
    Sample,
)
from modelwatch.services.deliveries import (
    Letter,
    Message,
    oldest_seconds,
    put_aside,
    read_message,
    retry_delays,
)

_LOG = logging.getLogger(__name__)

_STORE_SECONDS = 25.0
"""How long a run goes on to the next object. One that hangs may take as long again, and the run has
60 s: one that exceeds them has its whole batch delivered again, and late."""

_LABEL_HOURS_AT_ONCE = 8
"""Records of a batch are of an hour or two; its labels may be of every hour of a year."""

_PUT_ASIDE_SECONDS = 45.0
"""How long a run goes on to the next dead letter."""


class CaptureService:
    """Stores what the queue delivers, and queues what applications send."""

    def __init__(
        self,
        *,
        store: RecordStore,
        labels: LabelWriter,
        queue: RecordQueue,
        label_queue: LabelQueue,
        dead_letters: DeadLetters,
        deliveries: Deliveries,
        metrics: MetricSink,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._labels = labels
        self._queue = queue
        self._label_queue = label_queue
        self._dead_letters = dead_letters
        self._deliveries = deliveries
        self._metrics = metrics
        self._clock = clock

    def store_messages(self, messages: Sequence[Message]) -> list[str]:
        """Store what ``messages`` hold; return the ids of the messages that failed.

        What cannot be used goes to the dead letters with its reason, alone, and is done with; its
        message fails only where they do not take it. When the store refuses an object, the messages
        with a record or label in it fail, whole, and are handed back; what was stored already is
        recognised when it comes again.
        """
        began = self._clock()
        now_ms = self._now_ms()
        failed: dict[str, None] = {}
        letters: list[Letter] = []
        records: dict[str, Record] = {}
        labels: list[Label] = []
        held: list[tuple[str, Sequence[Record | Label]]] = []
        for message in messages:
            found, unusable = read_message(message, now_ms)
            for element in found:
                if isinstance(element, Record):
                    records[element.event_id] = element
                else:
                    labels.append(element)
            letters += unusable
            held.append((message.id, found))
        groups = _by_partition(records.values())
        stored, refused = _write_groups(self._store.write, groups, self._until(began))
        stored_labels, refused_labels = _write_groups(
            self._labels.write, _by_hour(labels), self._until(began), _LABEL_HOURS_AT_ONCE
        )
        if again := {*refused, *refused_labels}:
            failed.update(
                (message_id, None)
                for message_id, found in held
                if any(element.event_id in again for element in found)
            )
        # a message that comes again brings its bad records, too
        done_with = [letter for letter in letters if letter.message_id not in failed]
        rejected, not_taken = put_aside(
            done_with, self._dead_letters, self._until(began, _PUT_ASIDE_SECONDS)
        )
        failed.update(dict.fromkeys(not_taken))
        self._deliveries.hand_back(
            retry_delays([message for message in messages if message.id in failed])
        )
        samples = [
            Sample("capture_records_total", stored, {"outcome": "stored"}),
            Sample("capture_records_total", rejected, {"outcome": "rejected"}),
            *(
                Sample("capture_queue_delay_seconds", seconds, {})
                for seconds in oldest_seconds(messages, self._now_ms())
            ),
        ]
        if labels:
            samples.append(Sample("capture_labels_total", stored_labels, {"outcome": "stored"}))
        self._metrics.emit(samples)
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
        refuse_repeated_names(body, record)
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
        refuse_repeated_names(body, records)
        self._queue.send(records)
        return [record.event_id for record in records]

    def accept_labels(self, body: bytes) -> tuple[list[str], Sample]:
        """Queue a label, or a JSON list of labels, all or none.

        Returns
        -------
        tuple
            The event ids, and the sample that counts the labels.

        Raises
        ------
        InvalidInputError
            When one of them is not a label: none was accepted.
        QueueError
            When the queue fails: send them again; a label that comes twice is the same label.
        """
        labels = decode_labels(_given(body, "a label"), self._now_ms())
        refuse_repeated_names(body, labels)
        self._label_queue.send(labels)
        sample = Sample("capture_labels_total", len(labels), {"outcome": "accepted"})
        return [label.event_id for label in labels], sample

    def _until(self, began: float, seconds: float = _STORE_SECONDS) -> Callable[[], bool]:
        """Return what tells whether fewer than ``seconds`` have passed since ``began``."""
        return lambda: self._clock() - began < seconds

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _given(body: bytes, expected: str = "a record") -> bytes:
    if not body.strip():
        raise InvalidInputError("", f"the body is empty; expected {expected} as JSON")
    return body


def _write_groups[T: (Record, Label)](
    write: Callable[[Sequence[T]], str],
    groups: Iterable[list[T]],
    may_go_on: Callable[[], bool],
    at_once: int = 1,
) -> tuple[int, list[str]]:
    """Write each group, so many at once; return how many elements were stored, and others' ids.

    Once it may not go on, the rest counts as refused.
    """

    def refused(group: list[T]) -> list[str]:
        if not may_go_on():
            _LOG.error("%d records or labels wait for another try: no time", len(group))
            return [element.event_id for element in group]
        try:
            write(group)
        except StoreError as error:
            _LOG.error("%d records or labels wait for another try: %s", len(group), error)
        except Exception as error:  # noqa: BLE001 - what nobody thought of concerns one object
            place = stack_of(error)
            _LOG.error("%d records or labels wait for another try:\n%s", len(group), place)
        else:
            return []
        return [element.event_id for element in group]

    chosen = list(groups)
    with ThreadPoolExecutor(at_once) as threads:
        waiting = [event_id for each in threads.map(refused, chosen) for event_id in each]
    return sum(map(len, chosen)) - len(waiting), waiting


def _by_partition(records: Iterable[Record]) -> Iterable[list[Record]]:
    groups: defaultdict[tuple[str, str, int, int], list[Record]] = defaultdict(list)
    for record in records:
        day, hour = record.captured_at.toordinal(), record.captured_at.hour
        groups[record.model_name, record.model_version, day, hour].append(record)
    return groups.values()


def _by_hour(labels: Iterable[Label]) -> Iterable[list[Label]]:
    groups: defaultdict[datetime, list[Label]] = defaultdict(list)
    for label in labels:
        groups[label.hour].append(label)
    # a label that holds within the batch is all that any reader will ask of it
    return [newest(group) for group in groups.values()]
