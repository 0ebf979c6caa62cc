"""Log sources and a clock without a service: for tests and benchmarks."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.sources.ports import SourceError


class ManualClock:
    """A clock that moves only when a test moves it.

    Parameters
    ----------
    now_ms
        Where it starts, in milliseconds since 1970.
    """

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Return the time, in milliseconds since 1970."""
        return self.now_ms

    def advance(self, seconds: float) -> None:
        """Go forward, or with a negative number back."""
        self.now_ms += int(seconds * 1000)


class InMemoryLogSource:
    """Log groups whose events become visible at times of their own.

    Parameters
    ----------
    clock
        Decides what is visible.
    page_events
        Most events of a page.
    order
        Reorders the events of a reading in place; None leaves the order in which they were put.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        page_events: int = 3,
        order: Callable[[list[LogEvent]], None] | None = None,
    ) -> None:
        self._clock = clock
        self._page_events = page_events
        self._order = order
        self._events: dict[str, list[tuple[int, LogEvent]]] = {}
        self.reads: list[tuple[int, int | None]] = []
        """Ranges of time that were asked for, in milliseconds since 1970."""
        self.outcomes: list[bool] = []
        """Whether the calls and pages to come succeed, the next one last; then all do."""

    def put(self, group: str, event: LogEvent, visible_at_ms: int = 0) -> None:
        """Add an event that no one can read before ``visible_at_ms``."""
        self._events.setdefault(group, []).append((visible_at_ms, event))

    def forget_everything(self) -> None:
        """Drop all groups, as LocalStack does when it restarts."""
        self._events.clear()

    def groups(self) -> Sequence[str]:
        """Return the names of the groups, see `LogSource`."""
        self._succeed_or_fail()
        return list(self._events)

    def pages(self, group: str, start_ms: int, end_ms: int | None) -> Iterator[Sequence[LogEvent]]:
        """Yield the visible events of a range of time, see `LogSource`."""
        self.reads.append((start_ms, end_ms))
        events = [
            event
            for visible_at_ms, event in self._events.get(group, [])
            if visible_at_ms <= self._clock()
            and event.at_ms >= start_ms
            and (end_ms is None or event.at_ms <= end_ms)
        ]
        if self._order is not None:
            self._order(events)
        for at in range(0, len(events), self._page_events):
            self._succeed_or_fail()
            yield events[at : at + self._page_events]

    def _succeed_or_fail(self) -> None:
        if self.outcomes and not self.outcomes.pop():
            raise SourceError("throttled")


def member(group: str, events: Sequence[LogEvent], kind: str = "DATA_MESSAGE") -> bytes:
    """Return events of a stream as a subscription filter sends them."""
    sent = {
        "messageType": kind,
        "owner": "123456789012",
        "logGroup": group,
        "logStream": events[0].stream if events else "",
        "subscriptionFilters": ["bridge"],
        "logEvents": [
            {"id": each.event_id, "timestamp": each.at_ms, "message": each.message}
            for each in events
        ],
    }
    return gzip.compress(json.dumps(sent).encode(), compresslevel=1)


def object_key(at_ms: int, name: str = "") -> str:
    """Return the key of an object whose first record came at that time."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"logs/{at:%Y/%m/%d/%H}/modelwatch-1-{at:%Y-%m-%d-%H-%M-%S}-{name}"


class InMemoryDeliveries:
    """S3 as Firehose fills it: the objects of one bucket, each visible from a time of its own.

    Parameters
    ----------
    clock
        Decides what is visible.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._events: dict[str, list[tuple[str, LogEvent]]] = {}
        self._visible_at_ms: dict[str, int] = {}
        self.objects: dict[str, bytes] = {}
        """Objects as they are, by key."""
        self.asked: list[str] = []
        """After which key each listing began."""
        self.outcomes: list[bool] = []
        """Whether the requests to come succeed, the next one last; then all do."""

    def put(self, group: str, event: LogEvent, visible_at_ms: int = 0, name: str = "") -> None:
        """Add an event to the object of that time and name."""
        key = object_key(visible_at_ms or self._clock(), name)
        self._visible_at_ms[key] = visible_at_ms
        events = self._events.setdefault(key, [])
        events.append((group, event))
        self.objects[key] = b"".join(
            member(group, [event for _, event in members])
            for (group, _), members in groupby(events, lambda each: (each[0], each[1].stream))
        )

    def get_paginator(self, name: str) -> InMemoryDeliveries:
        """Return what lists objects, as boto3's client does."""
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Prefix: str, StartAfter: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        """Yield a page for each three objects."""
        self.asked.append(StartAfter)
        keys = sorted(
            key
            for key in self.objects
            if key.startswith(Prefix)
            and key > StartAfter
            and self._visible_at_ms.get(key, 0) <= self._clock()
        )
        for at in range(0, max(1, len(keys)), 3):
            self._succeed_or_fail()
            yield {"Contents": [{"Key": key} for key in keys[at : at + 3]]}

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Return an object, as boto3's client does."""
        self._succeed_or_fail()
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        return {"Body": _Body(self.objects[Key], self._succeed_or_fail)}

    def _succeed_or_fail(self) -> None:
        if self.outcomes and not self.outcomes.pop():
            raise EndpointConnectionError(endpoint_url="memory://s3")


class _Body:
    """An object that is read in small pieces, and may break off."""

    def __init__(self, data: bytes, before_piece: Callable[[], None]) -> None:
        self._file = io.BytesIO(data)
        self._before_piece = before_piece

    def read(self, size: int) -> bytes:
        self._before_piece()
        return self._file.read(min(size, 100))
