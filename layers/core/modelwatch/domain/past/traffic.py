"""What is unusual of a window's rows as a whole: how many they are, and whether values repeat."""

from __future__ import annotations

import math

import numpy as np

from modelwatch.domain.binomial import upper_tail
from modelwatch.domain.numbers import rounded
from modelwatch.domain.past.scores import FEWEST, margin_of
from modelwatch.domain.profiles import Profile
from modelwatch.domain.statistics.distributions import Floats

TOTALS = 2
"""Numbers that are kept of a window: predictions, and the share of repeated values."""

NO_TOTALS = np.full(TOTALS, np.nan)

NAMES = ("rows", "repeats")
"""Of the scores, as in results."""

THRESHOLDS = (math.log(1.5), 0.2)
"""The practical ones: half as many rows again, or a fifth more repeated values."""


def totals_of(profile: Profile) -> Floats:
    """Return what is kept of a window's rows.

    Of the feature with the most different values (of those without a value in each row: of the
    values that are there), the share that repeats another one: rows that come twice have a half.
    """
    shares = [
        1 - min(1.0, column.distinct / (column.rows - column.nulls))
        for column in profile.features.values()
        if column.rows > column.nulls
    ]
    return np.array([profile.estimated_rows, min(shares, default=np.nan)])


def jumps_of(totals: Floats, before: Floats) -> Floats:
    """Return the scores of totals beside those at the same time of the weeks before."""
    times = abs(math.log(max(totals[0], 1.0) / max(before[0], 1.0)))
    return np.array([times if math.isfinite(before[0]) else np.nan, totals[1] - before[1]])


def large_jumps(past: Floats) -> Floats:
    """Return what is larger than the scores of past windows go; inf where too few have one."""
    count = np.isfinite(past).sum(axis=0)
    largest = np.where(np.isfinite(past), past, 0.0).max(axis=0, initial=0.0)
    critical = np.maximum(largest * margin_of(np.maximum(count, 1)), THRESHOLDS)
    return np.where(count >= FEWEST, critical, np.inf)


def is_chance(name: str, profile: Profile, before: Floats, level: float) -> bool:
    """Return whether a number of rows is one of independent requests, at a level.

    By the exact test of two Poisson counts (Przyborowski and Wilenski, *Homogeneity of results in
    testing samples from Poisson series*, Biometrika 31 (1940) 313), on rows as they are sampled.
    """
    if name != "rows":
        return False
    expected = round(before[0] * profile.rows / max(profile.estimated_rows, 1.0))
    more = max(profile.rows, expected)
    return 2 * float(upper_tail(more, profile.rows + expected, 0.5)) > level


def words_of_jump(name: str, totals: Floats, before: Floats) -> str:
    """Return what a jump says."""
    if name == "rows":
        times = totals[0] / max(before[0], 1.0)
        return f"{rounded(times, 2)} times the rows of this time in the weeks before"
    return f"{totals[1]:.0%} of the values repeat in every feature, {before[1]:.0%} before"
