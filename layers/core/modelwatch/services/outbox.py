"""Records between prediction and queue: those of dense requests travel together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelwatch.domain.blocks import blocks_of
from modelwatch.domain.packing import pack
from modelwatch.domain.records import Record
from modelwatch.errors import QueueError, RecordTooLargeError, stack_of
from modelwatch.ports.capture import RecordQueue
from modelwatch.ports.metrics import Sample
from modelwatch.services.outcome import capture_samples

_LOG = logging.getLogger(__name__)

WAITING_LIMIT_BYTES = 250_000
"""What waits at most: a message of the queue."""

_MOST_WAITING = 1000
"""Records that wait at most: no more of them fit, and so many need not be measured."""

_DENSE = 0.25
"""Requests are dense when each follows the one before within this share of the interval."""

Served = tuple[str, str]
"""Version and variant."""


class _Request(NamedTuple):
    records: list[Record]
    size: int


class Outbox:
    """Sends a request's records immediately or, where requests are dense, with those that follow.

    Records that wait are sent when the first of them has waited for the interval, when no more fit,
    or when `flush` is called, whichever is first. What the queue refuses meanwhile waits for
    another try, as long as it fits; the oldest go first, and are counted as lost.

    Parameters
    ----------
    flush_seconds
        The interval; 0 sends every request's records immediately.
    may_wait
        Whether someone calls `flush` in time. Where no one does, nothing waits, and what the queue
        refuses is lost.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        queue: RecordQueue,
        *,
        flush_seconds: float = 0.0,
        may_wait: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._flush_seconds = flush_seconds
        self._may_wait = may_wait
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []
        self._since = 0.0
        self._last = float("-inf")
        self._lost: dict[Served, int] = {}

    def put(self, records: Sequence[Record]) -> list[Sample]:
        """Take the records of one request; return what became of these and of others."""
        with self._lock:
            now = self._clock()
            may_wait = self._waits()
            is_dense = may_wait and now - self._last < _DENSE * self._flush_seconds
            self._last = now
            if not records:
                return []
            samples: list[Sample] = []
            try:
                # what is sent at once and alone need not be measured
                may_stay = is_dense or (may_wait and self._waiting)
                request = _Request(list(records), _size(records) if may_stay else 0)
            except Exception as error:  # noqa: BLE001 - what no one foresaw concerns this request
                _LOG.error("records cannot be packed:\n%s", stack_of(error))
                return self._lose(records)
            was_refused = False
            if self._size() + request.size > WAITING_LIMIT_BYTES:
                samples += self._flush(keeps=may_wait)
                was_refused = bool(self._waiting)
            if not self._waiting:
                self._since = now
            self._waiting.append(request)
            is_full = request.size > WAITING_LIMIT_BYTES
            if not was_refused and (not is_dense or is_full or self._is_due(now)):
                samples += self._flush(keeps=may_wait)
            while self._size() > WAITING_LIMIT_BYTES:
                samples += self._lose(self._waiting.pop(0).records)
            return samples

    def lose(self, served: Served, count: int) -> list[Sample]:
        """Count records of a version that could not even be made; the next record says it."""
        with self._lock:
            self._lost[served] = self._lost.get(served, 0) + count
        return capture_samples(lost=count)

    def due_in(self) -> float | None:
        """Return in how many seconds `flush` is due, or None when nothing waits."""
        with self._lock:
            if not self._waiting:
                return None
            return max(0.0, self._since + self._flush_seconds - self._clock())

    def flush(self, *, is_last: bool = False) -> list[Sample]:
        """Send what waits; return what became of it. After the last time nothing waits."""
        with self._lock:
            return self._flush(keeps=self._waits() and not is_last)

    def _waits(self) -> bool:
        return self._flush_seconds > 0 and self._may_wait()

    def _is_due(self, now: float) -> bool:
        return now - self._since >= self._flush_seconds

    def _size(self) -> int:
        return sum(request.size for request in self._waiting)

    def _flush(self, *, keeps: bool) -> list[Sample]:
        groups: dict[Served, list[Record]] = {}
        for request in self._waiting:
            for record in request.records:
                served = (record.model_version, record.variant)
                groups.setdefault(served, []).append(record)
        samples: list[Sample] = []
        refused: list[Record] = []
        for served, records in groups.items():
            left, found = (records, []) if refused and keeps else self._send(served, records)
            refused += left
            samples += found
        if not keeps:
            samples += self._lose(refused)
            refused = []
        self._waiting = _those_of(self._waiting, refused)
        self._since = self._clock()
        return samples

    def _send(self, served: Served, records: list[Record]) -> tuple[list[Record], list[Sample]]:
        """Send records of one version; return those that the queue refused, and samples."""
        samples: list[Sample] = []
        while records:
            # the first record that gets through counts those that did not: a window that lacks
            # many gets no verdict but `unknown`
            records[0].lost_before = self._lost.get(served, 0)
            try:
                self._queue.send(records)
            except RecordTooLargeError as error:
                _LOG.warning("records that no message can hold: %s", error)
                large = error.event_ids
                samples += self._lose([each for each in records if each.event_id in large])
                records = [each for each in records if each.event_id not in large]
            except QueueError as error:
                _LOG.warning("the queue refused %d records: %s", len(records), error)
                return records, samples
            except Exception as error:  # noqa: BLE001 - it would stop what comes later as well
                _LOG.error("sending records failed:\n%s", stack_of(error))
                return [], samples + self._lose(records)
            else:
                self._lost.pop(served, None)
                return [], samples + capture_samples(sent=len(records))
        return [], samples

    def _lose(self, records: Sequence[Record]) -> list[Sample]:
        if records:
            # never the features: only how many records are lost
            _LOG.warning("lost records: %d", len(records))
        for record in records:
            served = (record.model_version, record.variant)
            self._lost[served] = self._lost.get(served, 0) + 1
        return capture_samples(lost=len(records))


def _those_of(requests: Sequence[_Request], records: Sequence[Record]) -> list[_Request]:
    """Return the requests with those of their records that are among ``records``."""
    wanted = {id(record) for record in records}
    left = ([each for each in request.records if id(each) in wanted] for request in requests)
    return [_Request(found, _size(found)) for found in left if found]


def _size(records: Sequence[Record]) -> int:
    """Return the bytes of ``records`` as messages, or more than may wait."""
    if len(records) > _MOST_WAITING:
        return WAITING_LIMIT_BYTES + 1
    return sum(len(pack(block)) for block in blocks_of(records))
