"""Capture: records and labels from the queue to the store, and from applications to the queue."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from modelwatch.domain.blocks import Block
from modelwatch.domain.faults import refuse_repeated_names
from modelwatch.domain.labels import Label, decode_labels, newest
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.records import Record, decode_record, decode_records
from modelwatch.errors import InvalidInputError, MonitorError, StoreError
from modelwatch.ports.capture import (
    CaptureMonitors,
    DeadLetters,
    Deliveries,
    LabelQueue,
    LabelWriter,
    RecordQueue,
    RecordStore,
)
from modelwatch.ports.metrics import MetricSink, Sample
from modelwatch.services.deliveries import (
    DeadLetter,
    Message,
    oldest_seconds,
    read_message,
    retry_delays,
    send_to_dlq,
)
from modelwatch.services.storing import attempt, by_partition, event_ids_of, write_groups

_STORE_SECONDS = 25.0
"""How long a run starts further objects. One that hangs may take as long again. The run has 60 s;
after that, SQS delivers the whole batch again, and late."""

_LABEL_HOURS_AT_ONCE = 8
"""Records of a batch are of an hour or two; its labels may be of every hour of a year."""

_DLQ_SECONDS = 45.0
"""How long a run starts further dead letters."""

_TRIES = 3
"""How often a message may come when none of it can be stored and the reason is unknown."""


class CaptureService:
    """Stores what the queue delivers, and queues what applications send.

    Parameters
    ----------
    monitors
        Say what is captured of the models of other applications.
    unmonitored
        What is captured of a model whose monitor says nothing of it; its key is that of hashes.
    """

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
        monitors: CaptureMonitors | None = None,
        unmonitored: CaptureRules | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._labels = labels
        self._queue = queue
        self._label_queue = label_queue
        self._dead_letters = dead_letters
        self._deliveries = deliveries
        self._metrics = metrics
        self._monitors = monitors
        self._unmonitored = unmonitored or CaptureRules()
        self._clock = clock

    def store_messages(self, messages: Sequence[Message]) -> list[str]:
        """Store what ``messages`` hold; return the ids of the messages that failed.

        A record or label that cannot be used becomes a dead letter, alone, with its reason. Its
        message fails only when the dead-letter queue refuses it. When the store refuses an object,
        every message with a record or label in it fails as a whole and is released; what is stored
        already is recognised when it comes again. A record that raises an exception that no one
        foresaw becomes a dead letter too; everything beside it is stored.
        """
        began = self._clock()
        now_ms = self._now_ms()
        letters: list[DeadLetter] = []
        blocks: list[Block] = []
        labels: list[Label] = []
        held: list[tuple[Message, list[str]]] = []
        for message in messages:
            found, unusable = read_message(message, now_ms)
            for element in found:
                if isinstance(element, Block):
                    blocks.append(element)
                else:
                    labels.append(element)
            letters += unusable
            held.append((message, event_ids_of(found)))
        records = write_groups(self._store.write, by_partition(blocks), self._until(began))
        labelled = write_groups(
            self._labels.write, _by_hour(labels), self._until(began), _LABEL_HOURS_AT_ONCE
        )
        again = {*records.waiting, *labelled.waiting}
        faults = {**records.faults, **labelled.faults}
        for message, event_ids in held:
            mine = [faults[event_id] for event_id in event_ids if event_id in faults]
            if mine and not any(fault.is_alone for fault in mine) and message.deliveries < _TRIES:
                # nothing that was with them could be stored: that may pass
                again.update(event_ids)
            letters += [DeadLetter(message.id, fault.body, fault.reason, 1) for fault in mine]
        failed = {
            message.id: None for message, event_ids in held if not again.isdisjoint(event_ids)
        }
        # a message that comes again brings its bad records, too
        settled = [letter for letter in letters if letter.message_id not in failed]
        rejected, not_taken = send_to_dlq(
            settled, self._dead_letters, self._until(began, _DLQ_SECONDS)
        )
        failed.update(dict.fromkeys(not_taken))
        delays = retry_delays([message for message in messages if message.id in failed])
        attempt("releasing messages", lambda: self._deliveries.release(delays))
        samples = [
            Sample("capture_records_total", records.stored, {"outcome": "stored"}),
            Sample("capture_records_total", rejected, {"outcome": "rejected"}),
            *(
                Sample("capture_queue_delay_seconds", seconds, {})
                for seconds in oldest_seconds(messages, self._now_ms())
            ),
        ]
        if labels:
            samples.append(Sample("capture_labels_total", labelled.stored, {"outcome": "stored"}))
        attempt("counting", lambda: self._metrics.emit(samples))
        return list(failed)

    def accept(self, body: bytes) -> str:
        """Queue one record that an application sent; return its event id.

        What its model's monitor lets be captured is queued.

        Raises
        ------
        InvalidInputError
            When it is not a record.
        StoreError
            When no one knows what the monitor says: nothing was accepted.
        QueueError
            When the queue does not take it: nothing was accepted.
        """
        record = decode_record(_given(body), self._now_ms())
        refuse_repeated_names(body, record)
        self._send([record])
        return record.event_id

    def accept_batch(self, body: bytes) -> list[str]:
        """Queue a JSON list of records, all or none; return their event ids.

        Raises
        ------
        InvalidInputError
            When one of them is not a record: none was accepted.
        StoreError
            When no one knows what the monitor of a model says: none was accepted.
        QueueError
            When the queue fails: send the batch again; repeats are recognised by event id.
        """
        if not _given(body).lstrip().startswith(b"["):
            raise InvalidInputError("", "expected a list of records")
        records = decode_records(body, self._now_ms())
        if not records:
            raise InvalidInputError("", "the list is empty")
        refuse_repeated_names(body, records)
        self._send(records)
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

    def _send(self, records: Sequence[Record]) -> None:
        """Queue what models' monitors let be captured."""
        rules = {name: self._rules(name) for name in {each.model_name for each in records}}
        captured = [
            kept
            for each in records
            if (kept := rules[each.model_name].of_another(each)) is not None
        ]
        if captured:
            self._queue.send(captured)
        if left_out := len(records) - len(captured):
            labels = {"outcome": "sampled_out"}
            self._metrics.emit([Sample("capture_records_total", left_out, labels)])

    def _rules(self, model_name: str) -> CaptureRules:
        try:
            own = self._monitors.of(model_name) if self._monitors else None
            return self._unmonitored.overridden(own)
        except MonitorError as error:
            # the sender tries again: it is not its mistake
            raise StoreError(f"the monitor of {model_name}: {error}") from error

    def _until(self, began: float, seconds: float = _STORE_SECONDS) -> Callable[[], bool]:
        """Return a check that fewer than ``seconds`` have passed since ``began``."""
        return lambda: self._clock() - began < seconds

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _given(body: bytes, expected: str = "a record") -> bytes:
    if not body.strip():
        raise InvalidInputError("", f"the body is empty; expected {expected} as JSON")
    return body


def _by_hour(labels: Iterable[Label]) -> Iterable[list[Label]]:
    groups: defaultdict[datetime, list[Label]] = defaultdict(list)
    for label in labels:
        groups[label.hour].append(label)
    # a label that holds within the batch is all that any reader will ask of it
    return [newest(group) for group in groups.values()]
