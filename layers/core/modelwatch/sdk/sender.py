"""Sends what a program logs, from a thread of its own: a call only appends to a queue.

What is sent stays in the queue until the API has it. So an API that is down costs nothing as long
as the queue has room; after that, the newest is dropped and counted. What the API refuses for what
it is, is counted with the reason, and the rest of its batch is sent.
"""

from __future__ import annotations

import atexit
import logging
import random
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modelwatch.calls import ApiError
from modelwatch.errors import InvalidInputError
from modelwatch.forking import forget_after_fork

_LOG = logging.getLogger("modelwatch.client")

EXIT_SECONDS = 5.0
"""So long does a program that ends wait for what it has logged."""

_BATCH = 1000
_BATCH_BYTES = 1_000_000
_LONGEST_PAUSE_SECONDS = 30.0
_REFUSED = (400, 413, 422)
"""Statuses that say that what was sent is wrong. Any other may be the address, a key, an outage."""

_INDEX = re.compile(r"\[(\d+)\]")
_OWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{5,}\b(?= bytes;)")
_MOST_REASONS = 100
_OTHER_REASONS = "other reasons"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of what was logged in this process.

    Attributes
    ----------
    sent
        Accepted by the API.
    waiting
        In the queue, or on the way.
    lost
        Dropped: the queue was full, or the program ended first.
    refused
        How often which reason kept one from being sent.
    """

    sent: int
    waiting: int
    lost: int
    refused: Mapping[str, int]


class Parcel[T](NamedTuple):
    """An element as it is sent, and how many lost ones it reports."""

    element: T
    body: bytes
    lost_before: int


@dataclass(slots=True)
class _State:
    """What a sender holds; a forked child begins with a new one."""

    queue: deque[object] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)
    thread: threading.Thread | None = None
    taken: int = 0
    """Of the elements that came into the queue, how many have left it for good."""
    accepted: int = 0
    sent: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unreported: Counter[Hashable] = field(default_factory=Counter)
    """Lost and refused ones of each key that no record that was sent has reported yet."""
    is_hurried: bool = False
    is_closed: bool = False
    gives_up: bool = False


class Sender[T]:
    """A queue of elements, and the thread that sends them as JSON lists.

    Parameters
    ----------
    what
        Names the elements in the log.
    encode
        Returns an element as JSON, given how many were lost before it. Raises InvalidInputError.
    post
        Sends a list. Raises ApiError.
    key
        Elements with the same key report each other's loss; None reports nothing.
    most
        So many wait at most.
    flush_seconds
        So long does the first element of a batch wait for others.
    """

    def __init__(
        self,
        what: str,
        encode: Callable[[T, int], bytes],
        post: Callable[[bytes], object],
        key: Callable[[T], Hashable] = lambda _: None,
        *,
        most: int,
        flush_seconds: float,
    ) -> None:
        self._what = what
        self._encode = encode
        self._post = post
        self._key = key
        self._most = most
        self._flush_seconds = flush_seconds
        self._state = _State()
        forget_after_fork(self)

    def put(self, element: T) -> bool:
        """Append an element to the queue; return whether there was room. It never waits."""
        state = self._state
        with state.changed:
            waiting = len(state.queue)
            if waiting < self._most and not state.is_closed:
                state.queue.append(element)
                state.accepted += 1
                if state.thread is None:
                    self._start(state)
                if waiting == 0 or waiting + 1 == _BATCH:
                    state.changed.notify_all()
                return True
            state.lost += 1
            first = state.lost == 1
            state.unreported[self._key(element)] += 1
        if first:
            why = "the client is closed" if state.is_closed else f"{self._most:,} wait already"
            _LOG.warning("%s are dropped: %s", self._what, why)
        return False

    def put_all(self, elements: Iterable[T], *, wait: bool) -> None:
        """Append elements; with ``wait``, when there is room."""
        for element in elements:
            state = self._state
            if wait and len(state.queue) >= self._most:
                with state.changed:
                    state.changed.wait_for(
                        lambda: len(state.queue) < self._most or state.is_closed  # noqa: B023
                    )
            self.put(element)

    def refuse(self, key: Hashable, error: Exception, count: int = 1) -> None:
        """Count what cannot be sent, with the reason."""
        # no error's own text but ours: it may quote a feature
        reason = str(error) if isinstance(error, InvalidInputError) else type(error).__name__
        self._refuse(key, re.sub(_INDEX, "", reason).removeprefix("."), count)

    def counts(self) -> Counts:
        """Return what became of all elements so far."""
        state = self._state
        with state.changed:
            waiting = state.accepted - state.taken
            return Counts(state.sent, waiting, state.lost, dict(state.refused))

    def flush(self, seconds: float) -> bool:
        """Send what waits now; return whether all of it was dealt with in so many ``seconds``."""
        state = self._state
        with state.changed:
            goal = state.accepted
            state.is_hurried = True
            state.changed.notify_all()
            try:
                return state.changed.wait_for(lambda: state.taken >= goal, seconds)
            finally:
                # also where a user interrupts a notebook
                state.is_hurried = False

    def close(self, seconds: float) -> None:
        """Send what waits, for so many ``seconds`` at most; what is left is lost. Idempotent."""
        state = self._state
        done = self.flush(seconds)
        with state.changed:
            if state.is_closed:
                return
            state.is_closed = True
            state.gives_up = not done
            left = state.accepted - state.taken
            if not done:
                state.lost += left
                state.taken = state.accepted
            state.changed.notify_all()
        atexit.unregister(self._at_exit)
        if not done:
            _LOG.warning(
                "%d %s are lost: they could not be sent in %g s", left, self._what, seconds
            )

    def forget(self) -> None:
        """Begin anew in a forked child: what waits is the parent's to send."""
        self._state = _State(is_closed=self._state.is_closed)

    def _start(self, state: _State) -> None:
        thread = threading.Thread(
            target=self._run, args=(state,), name=f"modelwatch {self._what}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            # no more threads, or the interpreter ends: the next element tries again
            _LOG.warning("%s wait: %s", self._what, error)
            return
        state.thread = thread
        atexit.register(self._at_exit)

    def _at_exit(self) -> None:
        self.close(EXIT_SECONDS)

    def _run(self, state: _State) -> None:
        while batch := self._next(state):
            try:
                self._deliver(state, batch)
            except Exception as error:  # noqa: BLE001 - the thread goes on with what comes next
                _LOG.exception("%d %s are lost", len(batch), self._what)
                self.refuse(self._key(batch[0]), error, len(batch))
            with state.changed:
                if not state.gives_up:
                    state.taken += len(batch)
                state.changed.notify_all()

    def _next(self, state: _State) -> list[T]:
        """Wait for elements and return some; none where there will be no more."""
        with state.changed:
            state.changed.wait_for(lambda: state.queue or state.is_closed)
            state.changed.wait_for(
                lambda: state.is_hurried or state.is_closed or len(state.queue) >= _BATCH,
                self._flush_seconds,
            )
            if state.gives_up:
                return []
            some = [state.queue.popleft() for _ in range(min(_BATCH, len(state.queue)))]
            state.changed.notify_all()
            return some  # type: ignore[return-value]

    def _deliver(self, state: _State, batch: Sequence[T]) -> None:
        parcels: list[Parcel[T]] = []
        size = 0
        for element in batch:
            key = self._key(element)
            with state.changed:
                lost = 0 if key is None else state.unreported.pop(key, 0)
            try:
                body = self._encode(element, lost)
            except InvalidInputError as error:
                self._put_back(state, key, lost)
                self.refuse(key, error)
                continue
            if parcels and size + len(body) > _BATCH_BYTES:
                self._send(state, parcels)
                parcels, size = [], 0
            parcels.append(Parcel(element, body, lost))
            size += len(body) + 1
        if parcels:
            self._send(state, parcels)

    def _send(self, state: _State, parcels: Sequence[Parcel[T]]) -> None:
        """Send a list until the API has it, or refuses it for what it is."""
        tries = 0
        while not state.gives_up:
            try:
                self._post(b"[" + b",".join(parcel.body for parcel in parcels) + b"]")
            except ApiError as error:
                if error.status in _REFUSED:
                    self._sort_out(state, parcels, error)
                    return
                if tries == 0:
                    _LOG.warning("%s wait: %s", self._what, error)
                self._pause(state, tries)
                tries += 1
            else:
                if tries:
                    _LOG.warning("%s are sent again", self._what)
                with state.changed:
                    state.sent += len(parcels)
                return

    def _sort_out(self, state: _State, parcels: Sequence[Parcel[T]], error: ApiError) -> None:
        """Count what the API refused, and send the rest."""
        named: dict[int, str] = {}
        for place, problem in error.faults:
            found = _INDEX.match(place)
            if found and int(found[1]) < len(parcels):
                rest = place[found.end() :].removeprefix(".")
                named.setdefault(int(found[1]), f"{rest}: {problem}" if rest else problem)
        if len(parcels) == 1 and not named:
            # each id and size alone would be a reason of its own
            detail = re.sub(_OWN, "…", error.detail)
            named[0] = f"the API says {error.status}: {detail}"
        if not named:
            half = len(parcels) // 2
            self._send(state, parcels[:half])
            self._send(state, parcels[half:])
            return
        for index, reason in named.items():
            key = self._key(parcels[index].element)
            self._put_back(state, key, parcels[index].lost_before)
            self._refuse(key, reason)
        rest_of_it = [parcel for index, parcel in enumerate(parcels) if index not in named]
        if rest_of_it:
            self._send(state, rest_of_it)

    def _put_back(self, state: _State, key: Hashable, lost: int) -> None:
        if lost:
            with state.changed:
                state.unreported[key] += lost

    def _refuse(self, key: Hashable, reason: str, count: int = 1) -> None:
        state = self._state
        with state.changed:
            if reason not in state.refused and len(state.refused) >= _MOST_REASONS:
                reason = _OTHER_REASONS
            first = not state.refused[reason]
            state.refused[reason] += count
            state.unreported[key] += count
        if first:
            _LOG.warning("%s cannot be sent: %s", self._what, reason)

    def _pause(self, state: _State, tries: int) -> None:
        """Wait before another try, for a random part of a time that doubles; less when hurried."""
        longest = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2.0 ** min(tries, 10))
        until = time.monotonic() + random.uniform(0.1, longest)  # noqa: S311 - no secret
        with state.changed:
            state.changed.wait_for(
                lambda: state.gives_up or state.is_hurried, until - time.monotonic()
            )
            if state.is_hurried:
                state.changed.wait_for(lambda: state.gives_up, 0.1)
