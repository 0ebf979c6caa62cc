"""Windows of time, and the hourly partitions that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` (inclusive) to ``end`` (exclusive), both in UTC.

    Examples
    --------
    >>> window = Window.ending(datetime(2026, 1, 1, 12, tzinfo=UTC), seconds=3600)
    >>> window.start.hour, [hour.hour for hour in window.hours()]
    (11, [11])
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError("a window's ends must be in UTC")
        if self.start >= self.end:
            raise ValueError("a window must end after it starts")

    @classmethod
    def ending(cls, end: datetime, *, seconds: float) -> Window:
        """Return the window of ``seconds`` up to ``end``."""
        end = end.astimezone(UTC)
        return cls(end - timedelta(seconds=seconds), end)

    def __str__(self) -> str:
        """Return both ends for people."""
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    def outward(self) -> Window:
        """Return the window of whole minutes that holds this one: profiles are kept by the minute.

        Examples
        --------
        >>> window = Window.ending(datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC), seconds=60)
        >>> f"{window.outward().start:%H:%M:%S} to {window.outward().end:%H:%M:%S}"
        '11:59:00 to 12:01:00'
        """
        start = self.start.replace(second=0, microsecond=0)
        end = self.end.replace(second=0, microsecond=0)
        return Window(start, end if end == self.end else end + timedelta(minutes=1))

    @property
    def start_ms(self) -> int:
        """``start`` in milliseconds since 1970."""
        return int(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """``end`` in milliseconds since 1970."""
        return int(self.end.timestamp() * 1000)

    def overlaps(self, other: Window) -> bool:
        """Return whether both have a time in common."""
        return self.start < other.end and other.start < self.end

    def hours(self) -> Iterator[datetime]:
        """Yield the start of every hour that the window touches."""
        hour = self.start.replace(minute=0, second=0, microsecond=0)
        while hour < self.end:
            yield hour
            hour += timedelta(hours=1)
