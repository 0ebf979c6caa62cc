"""Columns that time alone makes other: dates as texts, and numbers that only grow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from msgspec.structs import replace

from modelwatch.domain.constraints import Constraints
from modelwatch.domain.constraints.document import ColumnConstraints
from modelwatch.domain.constraints.learning import constant_of
from modelwatch.domain.past.calibration import Calibration
from modelwatch.domain.past.growth import Growth
from modelwatch.domain.profiles import Profile
from modelwatch.domain.statistics.distributions import Distribution

DATES = "dates: each window has others, so they are not compared"
"""Why dates as texts have no verdict."""

_MONTH, _DAY = "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"
_DATE = re.compile(
    rf"(19|20)\d\d([-/.]?{_MONTH}[-/.]?{_DAY}([T ]\d\d:\d\d.*)?|[-/.]{_MONTH}|[- ]?[WQ]\d\d?(-\d)?)"
    rf"|\d\d?[-/.]\d\d?[-/.](19|20)\d\d( \d\d:\d\d.*)?"
)
_DIGIT = re.compile(r"\d")
_MOST_OTHERS = 0.01


def are_dates(reference: Distribution, window: Distribution) -> bool:
    """Return whether both sides are dates, months or weeks as texts, written in the same way.

    Examples
    --------
    >>> def texts(*given): return Distribution.of_counts(dict.fromkeys(given, 9))
    >>> january = texts("2026-01-30", "2026-01-31")
    >>> are_dates(january, texts("2026-02-01")), are_dates(january, texts("01.02.2026"))
    (True, False)
    """
    if not reference.kind == window.kind == "categorical":
        return False
    ways = [_way_of_dates(side.counts, side.size) for side in (reference, window)]
    return bool(ways[0]) and ways[0] == ways[1]


def without_time(
    constraints: Constraints, window: Profile, past: Calibration | None
) -> Constraints:
    """Return constraints without those that time breaks.

    The bound of a number that only grows (or falls) to that side, which dates there are, and that
    there are several values where past windows had one. What a monitor or a person asks for,
    without a reference, stays.
    """
    growth, single = (past.growth, past.single) if past else ({}, ())
    columns = {
        name: _without_time(rules, window, name, growth)
        for name, rules in constraints.columns.items()
    }
    for name in columns.keys() & set(single):
        categories, actual = columns[name].categories, window.features.get(name)
        if actual is None or constant_of(actual) is None:
            continue
        if categories and categories.reference:
            # all but this window's value have vanished, as in each window
            known = dict.fromkeys(categories.known, 0.0)
            categories = replace(categories, known=known)
        columns[name] = replace(columns[name], varying=None, categories=categories)
    return replace(constraints, columns=columns)


def _without_time(
    rules: ColumnConstraints, window: Profile, name: str, growth: Mapping[str, Growth]
) -> ColumnConstraints:
    bounds, actual, way = rules.range, window.features.get(name), _way_of_known(rules)
    if way and actual and way == _way_of_dates(actual.counts, actual.strings + actual.booleans):
        return replace(rules, categories=None, constant=None, varying=None)
    if bounds and bounds.reference and name in growth:
        side, limit = ("maximum", math.inf) if growth[name] == "grows" else ("minimum", -math.inf)
        return replace(rules, range=replace(bounds, **{side: limit}))
    return rules


def _way_of_known(rules: ColumnConstraints) -> str:
    """Return how the dates of the reference are written; empty if its texts are something else."""
    categories, constant = rules.categories, rules.constant
    if constant and constant.reference and isinstance(constant.value, str):
        return _way_of_dates({constant.value: 1}, 1)
    if categories and categories.reference:
        known = {text: round(1e6 * share) for text, share in categories.known.items()}
        return _way_of_dates(known, sum(known.values()))
    return ""


def _way_of_dates(counts: Mapping[str, int], size: int) -> str:
    """Return how dates are written, with 0 for each digit; empty if texts are something else."""
    first = max(counts, key=counts.__getitem__, default="")
    if not _DATE.fullmatch(first):
        return ""
    others = size - sum(count for text, count in counts.items() if _DATE.fullmatch(text))
    return _DIGIT.sub("0", first) if others <= _MOST_OTHERS * size else ""
