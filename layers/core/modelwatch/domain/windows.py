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

    @property
    def start_ms(self) -> int:
        """``start`` in milliseconds since 1970."""
        return int(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """``end`` in milliseconds since 1970."""
        return int(self.end.timestamp() * 1000)

    def hours(self) -> Iterator[datetime]:
        """Yield the start of every hour that the window touches."""
        hour = self.start.replace(minute=0, second=0, microsecond=0)
        while hour < self.end:
            yield hour
            hour += timedelta(hours=1)
