"""What a source of log events is, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from modelwatch.errors import ModelwatchError
from modelwatch_bridge.lines.events import LogEvent


class SourceError(ModelwatchError):
    """A source cannot be read now: not there yet, throttled, refused. A later try may work."""


class LogSource(Protocol):
    """Groups of logs that can be read again and again, by time."""

    def groups(self) -> Sequence[str]:
        """Return the names of the groups that exist now.

        Raises SourceError when the source does not respond.
        """

    def pages(self, group: str, start_ms: int, end_ms: int | None) -> Iterator[Sequence[LogEvent]]:
        """Yield the events of ``group`` with ``start_ms <= at_ms <= end_ms``, some at a time.

        Raises SourceError when the source does not respond, possibly after some pages.

        Parameters
        ----------
        group
            One of `groups`; when it is gone by now, nothing is yielded.
        start_ms, end_ms
            Milliseconds since 1970; None for an open end.
        """
