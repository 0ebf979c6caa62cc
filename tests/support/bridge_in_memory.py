"""A log source and a clock without a service: for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
