"""Columns that only grow, or only fall: an id, a counter, a time. Their values say when they came.

Of such a column every window is far from the reference, for ever, and says nothing by that. So
its distance counts for nothing; with the windows just before it is compared as any other: from
them a counter grows by as much as ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import numpy as np

from modelwatch.domain.past.scores import SHAPE, SPIKE
from modelwatch.domain.statistics.distributions import Floats

Growth = Literal["grows", "falls"]

WORDS = "only {}, as ids, counters and times do: compared with the windows just before alone"
"""What a verdict says of such a column."""

FEWEST_STEPS = 4
"""So often at least the median has to rise: five windows are in order by luck in 1 of 120."""

FEWEST_SINGLE = 8
"""So many windows show whether each has one value, and not always the same one."""

_LEAST_SPAN = timedelta(days=3).total_seconds()
_IN_ORDER = 0.9
_NARROW = 1.3
"""Half of the range from the first to the last decile that a reference has, in its deviations."""


def growth_of(ends: Floats, traces: Floats) -> Growth | None:
    """Return whether a column only grew in past windows, or only fell.

    Each window lies above the one before; or the windows overlap, but they are in order, the last
    one is above the first one, and they are at most half as wide as the reference: what makes the
    reference wide is time. A sensor that drifts is as wide as the reference is, and does neither.

    Parameters
    ----------
    ends
        Of the past windows, ascending, in seconds.
    traces
        Of the column, as `scores.trace_of` gives them; without deciles where one has none.

    Examples
    --------
    >>> days, deciles = np.arange(6) * 86_400.0, np.zeros((6, 4 + 9))
    >>> deciles[:, SHAPE] = np.arange(9) / 9 + np.arange(6)[:, None]
    >>> growth_of(days, deciles), growth_of(days, deciles[::-1])
    ('grows', 'falls')
    >>> growth_of(days[:4], deciles[:4])  # too few
    """
    known = np.isfinite(traces[:, SHAPE]).all(axis=1)
    deciles = traces[known, SHAPE]
    if len(deciles) <= FEWEST_STEPS or np.ptp(ends[known]) < _LEAST_SPAN:
        return None
    if deciles[-1, 4] > deciles[0, 4]:
        return "grows" if _only_grows(deciles) else None
    return "falls" if _only_grows(-deciles[:, ::-1]) else None


def is_single(traces: Floats) -> bool:
    """Return whether a column had one value in each past window, and not always the same one.

    A day of the week in windows of a day. Of texts it is not known which one, but how much more
    often than in the reference: what comes again is a value that was alone again.

    Examples
    --------
    >>> week, same = np.zeros((14, 4 + 9)), np.zeros((14, 4 + 9))
    >>> week[:, SHAPE] = (np.arange(14) % 7)[:, None]
    >>> is_single(week), is_single(same)
    (True, False)
    """
    is_number = np.isfinite(traces[:, SHAPE]).all(axis=1)
    if np.count_nonzero(is_number) >= FEWEST_SINGLE:
        deciles = traces[is_number, SHAPE]
        return bool((deciles[:, 0] == deciles[:, 8]).all() and np.ptp(deciles[:, 4]) > 0)
    known = traces[np.isfinite(traces[:, SPIKE]), SPIKE]
    different = len(np.unique(known.astype(np.float32).round(5)))
    return len(known) >= FEWEST_SINGLE and 2 <= different <= len(known) / 2


def _only_grows(deciles: Floats) -> bool:
    low, middle, high = deciles[:, 0], deciles[:, 4], deciles[:, 8]
    steps = np.diff(middle)
    if low[-1] < high[0] or np.count_nonzero(steps > 0) < FEWEST_STEPS:
        return False
    if (low[1:] >= high[:-1]).all():
        return True
    time = np.arange(len(deciles))
    is_ordered = all(
        np.corrcoef(time, np.argsort(np.argsort(each)))[0, 1] >= _IN_ORDER
        for each in (low, middle, high)
    )
    return is_ordered and float(np.median(high - low)) <= _NARROW
