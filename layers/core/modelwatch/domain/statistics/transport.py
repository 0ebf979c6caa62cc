"""Wasserstein's distance, the area between two cumulative distributions, and its chance.

The p-value is that of two permutation tests on the same simulated splits (`splits`): of the
distance itself, and of the same distance on normal scores of the pooled values (van der Waerden
1952), which keeps its power where heavy tails make the first one blunt. The smaller of the two
counts, times how much more often either is small than one alone: that factor, 1 to 2, is read off
the same splits.

Beyond what the splits can show, the tail is that of the Gaussian limit, in which the area is a
Lipschitz function: past one of its quantiles it falls at least as fast as a normal variable of the
values' own standard deviation (Borell 1975; Tsirelson, Ibragimov and Sudakov 1976). Where single
rows weigh much (few rows, heavy tails), the tail is stretched by their excess kurtosis, as in
Bernstein's inequality.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.domain.statistics.distributions import (
    Distribution,
    Floats,
    Pair,
    cdf_differences,
    cumulative,
)
from modelwatch.domain.statistics.special import normal_isf
from modelwatch.domain.statistics.splits import SPLITS, Splits, splits_of

SMALLEST_DEVIATION = 0.001
"""Evidently divides a Wasserstein distance by no less; here a column of numbers below 1 by no less
than so large a part of its largest one: a change of rates, or of a billionth, is one, too."""

NO_SIZE = 1e-15
"""Numbers below are what rounding leaves of 0."""

FEW_DECIDE = 3.0
"""A few values make the deviation when without them the deviation is this many times smaller."""

FARTHEST = 10.0
"""Then no value counts as farther from the median than so many deviations."""

CLIP = 0.25
"""Cumulative shares count as different from this share of the sketches' error on.

Measured on sketches that were merged as a window's are, it is about the error of the worst rank; an
area goes over all ranks, whose errors are smaller and of both signs.
"""

_BATCH = 256
_ANCHOR = 32
# a cautious estimate of how likely the anchor is: one standard error above
_ANCHOR_P = (_ANCHOR + math.sqrt(_ANCHOR)) / SPLITS
_ANCHOR_Z = float(normal_isf(np.array([_ANCHOR_P]))[0])
_KEPT = np.array([SPLITS // 2, SPLITS // 5, SPLITS // 10, SPLITS // 20, SPLITS // 50, _ANCHOR])
# areas are summed in single precision: what is equal must count as reached
_TIE = 1e-4


def wasserstein(reference: Distribution, window: Distribution) -> float:
    """Return the first Wasserstein distance in standard deviations of the reference.

    The area between the two cumulative distribution functions; by a deviation of
    `smallest_deviation` at least.
    Where a few far values make the reference's deviation, it is no smaller than the distance in
    deviations of the other values, with far ones at `FARTHEST` of these.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> wasserstein(numbers([0.0, 2.0]), numbers([1.0, 3.0]))
    1.0
    """
    least = smallest_deviation(reference)
    norm = max(reference.deviation, least)
    score = _area(reference, window, norm)
    core = max(core_deviation(reference), least)
    if norm < FEW_DECIDE * core:
        return score
    middle = float(reference.quantiles([0.5])[0])
    limits = (middle - FARTHEST * core, middle + FARTHEST * core)
    return max(score, _area(reference.within(*limits), window.within(*limits), core))


def _area(reference: Distribution, window: Distribution, norm: float) -> float:
    gaps, differences = cdf_differences(reference, window)
    with np.errstate(over="ignore"):
        return float(np.sum(gaps / norm * np.abs(differences)))


def smallest_deviation(reference: Distribution) -> float:
    """Return what the deviation of a reference counts as at least: it may have none.

    Examples
    --------
    >>> [smallest_deviation(Distribution.of_numbers([each])) for each in (-40, 0.5, 0)]
    [0.001, 0.0005, 0.001]
    """
    largest = max(abs(reference.minimum), abs(reference.maximum))
    return SMALLEST_DEVIATION * min(1.0, largest) if largest > NO_SIZE else SMALLEST_DEVIATION


def core_deviation(distribution: Distribution) -> float:
    """Return the standard deviation of the numbers but a few (`Distribution.core`)."""
    values, weights = distribution.core()
    scale = max(float(np.abs(values).max()), 1e-300)
    values = values / scale
    mean = np.average(values, weights=weights)
    return scale * math.sqrt(float(np.average((values - mean) ** 2, weights=weights)))


@dataclass(frozen=True, slots=True)
class AreaChance:
    """What chance makes of one column's distance.

    Attributes
    ----------
    p_value
        How likely a distance like this, or a larger one, is when nothing changed: at most this.
    quantiles
        Distances (of the raw values) that chance exceeds with the probabilities ``_KEPT``.
    unit, stretch
        Standard deviation of the distance's tail, and how much single rows weigh in it.
    """

    p_value: float
    quantiles: tuple[float, ...] = ()
    unit: float = 0.0
    stretch: float = 0.0

    def score_at(self, level: float) -> float:
        """Return the distance that chance exceeds with a probability of about ``level``."""
        if not self.quantiles:
            return 0.0
        if level >= _ANCHOR_P:
            logs = np.log(_KEPT / SPLITS)
            return float(np.interp(-math.log(level), -logs, self.quantiles))
        depth = _rate(_ANCHOR_Z, self.stretch) + math.log(_ANCHOR_P / max(level, 1e-300))
        beyond = depth * self.stretch + math.sqrt((depth * self.stretch) ** 2 + 2 * depth)
        return self.quantiles[-1] + self.unit * (beyond - _ANCHOR_Z)


@dataclass(slots=True)
class _Column:
    """One column, with its values and its normal scores in their standard deviations.

    ``observed`` is the area that it has, ``areas`` the gaps at the simulated ranks,
    ``to_distance`` what turns an area into the distance that is shown.
    """

    position: int
    observed: tuple[float, float]
    areas: list[Floats]
    stretches: tuple[float, float]
    to_distance: float


def transport_chances(pairs: Sequence[Pair]) -> list[AreaChance]:
    """Return what chance makes of the distance of each pair (reference, window) of numbers."""
    chances = [AreaChance(1.0)] * len(pairs)
    groups: dict[int, tuple[Splits, list[int]]] = {}
    for position, (reference, window) in enumerate(pairs):
        splits = splits_of(window.size, reference.size)
        groups.setdefault(id(splits), (splits, []))[1].append(position)
    for splits, positions in groups.values():
        for first in range(0, len(positions), _BATCH):
            batch = [
                _column(position, *pairs[position], splits)
                for position in positions[first : first + _BATCH]
            ]
            columns = [column for column in batch if column is not None]
            for column, chance in zip(columns, _chances(columns, splits), strict=True):
                chances[column.position] = chance
    return chances


def _column(
    position: int, reference: Distribution, window: Distribution, splits: Splits
) -> _Column | None:
    values = np.union1d(reference.values, window.values)
    if len(values) < 2:
        return None
    old, new = cumulative(reference, values), cumulative(window, values)
    pooled = reference.size + window.size
    ranks = (old + new) / pooled
    weights = np.diff(ranks, prepend=0.0)
    # differences of the largest doubles must not overflow
    scale = max(1.0, float(np.abs(values).max()) / 1e100)
    values = values / scale
    scores = normal_isf(1.0 - np.clip(ranks - weights / 2, 1e-12, 1.0 - 1e-12))
    effective = math.sqrt(reference.size * window.size / pooled)
    error = CLIP * math.hypot(reference.error, window.error)
    differences = np.abs(new / window.size - old / reference.size)[:-1]
    differences = np.maximum(differences - error, 0.0) * effective
    smaller = min(reference.size, window.size)
    raw, normal = _tail(values, weights, smaller), _tail(scores, weights, smaller)
    raw_gaps, score_gaps = np.diff(values) / raw[0], np.diff(scores) / normal[0]
    norm = max(reference.deviation, smallest_deviation(reference)) / scale
    return _Column(
        position,
        (float(differences @ raw_gaps), float(differences @ score_gaps)),
        splits.areas(ranks[:-1], raw_gaps, score_gaps),
        (raw[1], normal[1]),
        raw[0] / effective / norm,
    )


def _tail(values: Floats, weights: Floats, smaller: int) -> tuple[float, float]:
    """Return the values' standard deviation, and how much single ones weigh in a mean of them."""
    centred = values - weights @ values
    squares = centred * centred
    variance = max(float(weights @ squares), 1e-300)
    squares /= variance
    excess = float(weights @ (squares * squares)) - 3.0
    return math.sqrt(variance), math.sqrt(max(excess, 0.0) / smaller) / 3.0


def _chances(columns: Sequence[_Column], splits: Splits) -> Iterator[AreaChance]:
    if not columns:
        return
    areas = [
        np.array([column.areas[kind] for column in columns], np.float32) @ splits.bridges
        for kind in (0, 1)
    ]
    ordered = [np.sort(area, axis=1)[:, SPLITS - _KEPT].astype(np.float64) for area in areas]
    either = (areas[0] >= ordered[0][:, -1:]) | (areas[1] >= ordered[1][:, -1:])
    factors = np.clip(np.count_nonzero(either, axis=1) / _ANCHOR, 1.0, 2.0)
    observed = np.array([column.observed for column in columns]).T * (1.0 - _TIE)
    counts = [
        np.count_nonzero(area >= seen[:, None], axis=1)
        for area, seen in zip(areas, observed, strict=True)
    ]
    for index, column in enumerate(columns):
        p_values = [
            _p_value(
                int(counts[kind][index]),
                float(observed[kind][index] - ordered[kind][index, -1]),
                column.stretches[kind],
            )
            for kind in (0, 1)
        ]
        yield AreaChance(
            min(1.0, float(factors[index]) * min(p_values)),
            tuple((ordered[0][index] * column.to_distance).tolist()),
            column.to_distance,
            column.stretches[0],
        )


def _p_value(count: int, beyond: float, stretch: float) -> float:
    """Return the p-value of an area that ``count`` splits reach, or is ``beyond`` the anchor."""
    if beyond <= 0:
        return (count + 1) / (SPLITS + 1)
    return _ANCHOR_P * math.exp(_rate(_ANCHOR_Z, stretch) - _rate(_ANCHOR_Z + beyond, stretch))


def _rate(z: float, stretch: float) -> float:
    return z * z / 2 / (1 + stretch * z)
