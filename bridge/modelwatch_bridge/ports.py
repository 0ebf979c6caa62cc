"""What the bridge needs from outside, as small protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from modelwatch.errors import ModelwatchError
from modelwatch_bridge.events import LogEvent

if TYPE_CHECKING:
    from modelwatch_bridge.analyses import Analysis, Version
    from modelwatch_bridge.history import Slot

Clock = Callable[[], int]
"""Milliseconds since 1970."""


class SourceError(ModelwatchError):
    """A source cannot be read now: not there yet, throttled, refused. A later try may work."""


class LedgerError(ModelwatchError):
    """What was counted cannot be stored. Nothing of the batch was counted."""


class LogSource(Protocol):
    """Groups of logs that can be read again and again, by time."""

    def groups(self) -> Sequence[str]:
        """Return the names of the groups that exist now.

        Raises
        ------
        SourceError
            When the source does not answer.
        """

    def pages(self, group: str, start_ms: int, end_ms: int | None) -> Iterator[Sequence[LogEvent]]:
        """Yield the events of ``group`` with ``start_ms <= at_ms <= end_ms``, some at a time.

        Parameters
        ----------
        group
            One of `groups`; when it is gone by now, nothing is yielded.
        start_ms, end_ms
            Milliseconds since 1970; None for an open end.

        Raises
        ------
        SourceError
            When the source does not answer, possibly after some pages.
        """


class Reader(Protocol):
    """Something that brings new events into the ledger when it is polled."""

    def poll(self) -> None:
        """Read what is new.

        Raises
        ------
        SourceError
            When a source could not be read; the other sources were.
        LedgerError
            When the events could not be stored.
        """


class Queues(Protocol):
    """Queues whose depth can be asked for."""

    def depths(self) -> dict[tuple[str, str], float]:
        """Return the number of messages by queue name and state (visible, in_flight, delayed).

        A queue that does not exist is left out.

        Raises
        ------
        SourceError
            When the service does not answer.
        """

    def oldest_sent_ms(self) -> dict[str, int]:
        """Return when the oldest message was sent, in milliseconds since 1970, by queue.

        Only of the dead-letter queues that `depths` found not empty: the capture queue's messages
        are not ours to receive, and its consumer tells how old they are.

        Raises
        ------
        SourceError
            When the service does not answer.
        """


class HistoryStore(Protocol):
    """Keeps the page's history across restarts; when it cannot, it says so in the log."""

    def slots(self, since_ms: int) -> Iterator[Slot]:
        """Yield the slots from a time on, in order."""

    def analyses(self, limit: int) -> Iterator[tuple[Version, Analysis]]:
        """Yield the newest ``limit`` analyses of each version, the older ones first."""

    def add_slot(self, slot: Slot, keep_since_ms: int) -> None:
        """Keep a slot, and none of before a time."""

    def add_analysis(self, version: Version, analysis: Analysis, limit: int) -> None:
        """Keep an analysis, in place of one of the same time; of a version the newest ``limit``."""
