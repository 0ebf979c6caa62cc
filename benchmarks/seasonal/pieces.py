"""The windows of a series: hours of one week, together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.seasonal.series import DAY, HOUR, WEEK, Hour

from modelwatch.domain.windows import Window

NAMES = {HOUR: "hours", DAY: "days", WEEK: "weeks"}
"""Of their lengths, in the figures' keys."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of the year: its hours, all of one week."""

    window: Window
    week: int
    hours: Sequence[Hour]

    @property
    def is_known(self) -> bool:
        """Whether it belongs to the reference."""
        return self.week % 2 == 0


def pieces(found: Sequence[Hour], length: timedelta, fewest: int) -> list[Piece]:
    """Return the windows of one length that have enough rows, in the order of time."""
    groups: dict[tuple[int, object], list[Hour]] = {}
    for hour in found:
        key = {HOUR: hour.at, DAY: hour.at.date(), WEEK: hour.week}[length]
        groups.setdefault((hour.week, key), []).append(hour)
    some = []
    for (week, _), part in groups.items():
        start = part[0].at.replace(hour=part[0].at.hour if length == HOUR else 0)
        if sum(hour.profile.rows for hour in part) >= fewest:
            some.append(Piece(Window(start, start + length), week, part))
    return some
