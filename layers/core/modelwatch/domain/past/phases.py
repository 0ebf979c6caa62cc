"""Which windows just before a window is compared with: all, or those at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

Phase = Literal["none", "day", "week"]
"""All windows, those at the same time of day, or those at the same time of the week."""

AskedPhase = Literal["auto", "none", "day", "week"]
"""``auto``: what the past says."""

SaidPhase = Literal["", "none", "day", "week"]
"""Empty where there is no past."""

PERIODS: Mapping[Phase, float] = {"none": 0.0, "day": 86_400.0, "week": 604_800.0}
"""In seconds."""

WORDS: Mapping[SaidPhase, str] = {
    "": "",
    "none": ", beside all windows just before",
    "day": ", beside those at the same time of day",
    "week": "; columns that have a week are beside the same time of the week",
}
"""What they say, after a sentence on the past."""


def phases_of(length: timedelta) -> tuple[Phase, ...]:
    """Return the phases that windows of a length can have, the usual one first.

    Examples
    --------
    >>> [phases_of(timedelta(hours=hours)) for hours in (1, 24, 168)]
    [('day', 'none', 'week'), ('none', 'week'), ('none',)]
    """
    if length.total_seconds() < PERIODS["day"]:
        return "day", "none", "week"
    return ("none", "week") if length.total_seconds() < PERIODS["week"] else ("none",)
