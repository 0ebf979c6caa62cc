"""Windows of training rows that have times: each beside the rows of other weeks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from modelwatch.adapters.captures.arrow_profiles import profile_table
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.windows import Window

MOST_PARTS = 60
"""Rows are kept apart by whole weeks: a year has 53, longer times have longer parts."""

_UNFILLED = 0.1
_WEEK_MS = 7 * 86_400_000
_A_MONDAY_MS = 4 * 86_400_000


def trained_windows(
    table: pa.Table, windows: Sequence[Window]
) -> Iterator[tuple[Window, Profile, Profile]]:
    """Yield each window that the rows fill, its profile, and that of all rows of other weeks.

    Rows fill no window that begins before them, or ends after them, by more than a tenth of it;
    and none that is shorter than their times are apart: of days alone no hour is known.

    Parameters
    ----------
    table
        In the columns of captures; ``captured_at`` has the times, in any order.
    """
    times = table["captured_at"].cast(pa.int64()).to_numpy()
    order = np.argsort(times, kind="stable")
    times, table = times[order], table.take(pa.array(order))
    apart = np.diff(np.unique(times))
    step = float(np.median(apart)) if len(apart) else np.inf

    def profile(start_ms: int, end_ms: int) -> Profile:
        first, last = np.searchsorted(times, [start_ms, end_ms]).tolist()
        return profile_table(table.slice(first, last - first))

    def is_filled(window: Window) -> bool:
        length = window.end_ms - window.start_ms
        slack = max(step, _UNFILLED * length)
        begins = times[0] <= window.start_ms + slack
        return step <= length and begins and bool(times[-1] >= window.end_ms - slack)

    filled = [window for window in windows if is_filled(window)]
    if not filled:
        return
    origin = int((times[0] - _A_MONDAY_MS) // _WEEK_MS) * _WEEK_MS + _A_MONDAY_MS
    weeks = int(times[-1] - origin) // _WEEK_MS + 1
    part_ms = -(-weeks // MOST_PARTS) * _WEEK_MS
    parts = [
        profile(start, start + part_ms) for start in range(origin, int(times[-1]) + 1, part_ms)
    ]
    rests: dict[range, Profile] = {}
    for window in filled:
        own = range((window.start_ms - origin) // part_ms, -(-(window.end_ms - origin) // part_ms))
        if own not in rests:
            others = [part for place, part in enumerate(parts) if place not in own]
            rests[own] = merge_profiles(others)
        yield window, profile(window.start_ms, window.end_ms), rests[own]
