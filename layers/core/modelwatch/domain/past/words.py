"""What changed, in words: ``stuck at 0.7``, ``looks like x 1.8 + 32``, ``spread x 0.3``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from modelwatch.domain.numbers import rounded
from modelwatch.domain.past.scores import (
    MISSING,
    SHAPE,
    UNSEEN,
    far_apart,
    range_ratio,
    rise,
    unit_of,
)
from modelwatch.domain.statistics.distributions import NUMBERS, Distribution, Floats

_FACTORS = (10, 24, 60, 100, 1000, 3600, 2.54, 0.3048, 1.609344, 0.45359237)
CONVERSIONS: tuple[tuple[float, float], ...] = (
    (1.8, 32), (1 / 1.8, -32 / 1.8), (1, 273.15), (1, -273.15), (-1, 0),
    *((each, 0) for factor in _FACTORS for each in (factor, 1 / factor)),
)  # fmt: skip
"""Changes of unit that people make: factor and offset."""

_MOST_LEFT = 0.1
"""Another column's values explain a move when so much of it is left at most."""

_LEAST_RANGE = 0.01
"""In deviations of the reference: what is narrower is one value."""

_MOST_ROWS = 0.5
_LONGEST = 40

NOTHING: Mapping[str, Floats] = MappingProxyType({})


def words_of(
    name: str,
    reference: Distribution,
    window: Distribution,
    trace: Floats,
    before: Floats,
    critical: float,
    usual: Mapping[str, Floats] = NOTHING,
) -> str:
    """Return what a score beyond its critical one says of a column.

    Parameters
    ----------
    name
        Of the score, in `SCORES`.
    trace, before
        Of the window, and of the windows just before.
    critical
        The critical score.
    usual
        The deciles of other columns in the windows just before, as values.
    """
    match name:
        case "shift":
            return _move(reference, trace, before, critical, usual)
        case "spread":
            return f"spread x {rounded(float(range_ratio(trace, before)), 2)}"
        case "spike":
            risen = rise(reference, window)
            # what most rows of the reference have is not stuck when a few more have it
            if risen.is_stuck and risen.known < _MOST_ROWS:
                return f"stuck at {_named(risen.value)}"
            share, known = _percent(risen.share), _percent(risen.known)
            return f"{share} at {_named(risen.value)}, {known} in the reference"
        case "unseen":
            unseen = [text for text in window.counts if text not in reference.counts]
            commonest = max(unseen, key=window.counts.__getitem__, default="")
            example = f", such as {_named(commonest)}" if unseen else ""
            # those that the reference did not count may be among its rest
            least = "at least " if reference.rest else ""
            return f"{least}{_percent(trace[UNSEEN])} unseen categories{example}"
        case _:
            return f"{_percent(trace[MISSING])} missing, {_percent(before[MISSING])} before"


def deciles_of(reference: Distribution, trace: Floats) -> Floats:
    """Return the deciles of a trace as values."""
    middle = float(reference.quantiles([0.5])[0])
    return np.asarray(middle + unit_of(reference) * trace[SHAPE])


def _move(
    reference: Distribution,
    trace: Floats,
    before: Floats,
    critical: float,
    usual: Mapping[str, Floats],
) -> str:
    """Return by how much the values moved, or which column's values or what unit they have now."""
    unit = unit_of(reference)
    now, then = (deciles_of(reference, each) for each in (trace, before))
    left = {}
    for factor, offset in CONVERSIONS:
        was = np.sort((now - offset) / factor)
        # what makes all values nearly 0 is near to those that were nearly 0, and explains nothing
        is_as_wide = _as_wide(was, then, unit)
        left[factor, offset] = far_apart(was, then) / unit if is_as_wide else np.inf
    factor, offset = min(left, key=left.__getitem__)
    usual = {name: each for name, each in usual.items() if _as_wide(each, now, unit)}
    if usual:
        far = far_apart(np.stack(list(usual.values())), now) / unit
        nearest = int(np.argmin(far))
        enough = max(critical, _MOST_LEFT * far_apart(trace[SHAPE], before[SHAPE]))
        if far[nearest] <= min(enough, left[factor, offset]):
            return f"looks like the values of {list(usual)[nearest]}"
    # the windows before were that far from each other
    if left[factor, offset] <= critical:
        times = f" x {rounded(factor, 4)}" if factor != 1 or not offset else ""
        by = f" {'+' if offset > 0 else '-'} {rounded(abs(offset), 5)}" if offset else ""
        return f"looks like{times}{by}"
    return f"values moved by {rounded(float((now - then).mean()), 3, '+')}"


def _as_wide(one: Floats, other: Floats, unit: float) -> bool:
    """Return whether one range from the first to the last decile is at most twice the other."""
    wide = [float(each[-1] - each[0]) + _LEAST_RANGE * unit for each in (one, other)]
    return max(wide) <= 2 * min(wide)


def _named(value: float | str) -> str:
    """Return a value as people read it."""
    if isinstance(value, float):
        return rounded(value, 6)
    return "numbers" if value == NUMBERS else f"'{value[:_LONGEST]}'"


def _percent(share: float) -> str:
    return f"{rounded(100 * share, 2)} %"
