"""What changed, in words: ``stuck at 0.7``, ``looks like x 1.8 + 32``, ``spread x 0.3``."""

from __future__ import annotations

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
from modelwatch.domain.statistics.distributions import Distribution, Floats

_FACTORS = (10, 24, 60, 100, 1000, 3600, 2.54, 0.3048, 1.609344, 0.45359237)
CONVERSIONS: tuple[tuple[float, float], ...] = (
    (1.8, 32), (1 / 1.8, -32 / 1.8), (1, 273.15), (1, -273.15), (-1, 0),
    *((each, 0) for factor in _FACTORS for each in (factor, 1 / factor)),
)  # fmt: skip
"""Changes of unit that people make: factor and offset."""

_STUCK = 0.9
"""A value is stuck when so large a share of the values is the same one."""

_LONGEST = 40


def words_of(
    name: str,
    reference: Distribution,
    window: Distribution,
    trace: Floats,
    before: Floats,
    critical: float,
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
    """
    match name:
        case "shift":
            return _move(reference, trace, before, critical)
        case "spread":
            return f"spread x {rounded(float(range_ratio(trace, before)), 2)}"
        case "spike":
            _, value, share, known = rise(reference, window)
            if share >= _STUCK:
                return f"stuck at {rounded(value, 6)}"
            return f"{_percent(share)} at {rounded(value, 6)}, {_percent(known)} in the reference"
        case "unseen":
            unseen = [text for text in window.counts if text not in reference.counts]
            commonest = max(unseen, key=window.counts.__getitem__, default="")
            example = f", such as '{commonest[:_LONGEST]}'" if unseen else ""
            return f"{_percent(trace[UNSEEN])} unseen categories{example}"
        case _:
            return f"{_percent(trace[MISSING])} missing, {_percent(before[MISSING])} before"


def _move(reference: Distribution, trace: Floats, before: Floats, critical: float) -> str:
    """Return by how much the values moved, or the change of unit without which they did not."""
    middle, unit = float(reference.quantiles([0.5])[0]), unit_of(reference)
    now, then = (middle + unit * each[SHAPE] for each in (trace, before))
    left = {
        (factor, offset): far_apart(np.sort((now - offset) / factor), then) / unit
        for factor, offset in CONVERSIONS
    }
    factor, offset = min(left, key=left.__getitem__)
    # the windows before were that far from each other
    if left[factor, offset] <= critical:
        by = f" {'+' if offset > 0 else '-'} {rounded(abs(offset), 4)}" if offset else ""
        return f"looks like x {rounded(factor, 4)}{by}"
    return f"values moved by {rounded(float((now - then).mean()), 3, '+')}"


def _percent(share: float) -> str:
    return f"{rounded(100 * share, 2)} %"
