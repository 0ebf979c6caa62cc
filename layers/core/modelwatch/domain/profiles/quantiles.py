"""Quantiles of any number of values in a few hundred of them: the KLL sketch.

Karnin, Lang, Liberty, *Optimal Quantile Approximation in Streams* (FOCS 2016). The coin of each
compaction is a bit of the compacted values, so that the same input gives the same sketch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

K = 200
"""Size of the largest level: it sets the error (`QuantileSketch.RANK_ERROR`)."""

_SHRINK = 2 / 3
_SMALLEST = 8


class QuantileSketch:
    """The distribution of numbers, mergeable.

    Parameters
    ----------
    levels
        Values by level; one of level h stands for ``2**h`` values. Each level ascends.
    minimum, maximum
        Of all values, exactly; NaN when there is none.

    Attributes
    ----------
    RANK_ERROR
        How far a rank (0 to 1) may be from the true one, at 99 % confidence: that of KLL at
        K = 200, as Apache DataSketches measured it.

    Examples
    --------
    >>> sketch = QuantileSketch.from_values(np.arange(100_000.0))
    >>> sketch.n, sketch.size < 600, bool(abs(sketch.cdf(25_000.0) - 0.25) < sketch.RANK_ERROR)
    (100000, True, True)
    """

    RANK_ERROR = 0.0133

    __slots__ = ("levels", "maximum", "minimum", "n")

    def __init__(self, levels: Sequence[Floats], minimum: float, maximum: float) -> None:
        self.levels = list(levels)
        self.minimum = minimum
        self.maximum = maximum
        self.n = sum(len(level) << height for height, level in enumerate(self.levels))

    @classmethod
    def from_values(cls, values: Floats) -> QuantileSketch:
        """Sketch finite values, in any order."""
        if not len(values):
            return cls((), np.nan, np.nan)
        ordered = np.sort(np.asarray(values, np.float64))
        return cls(_compacted([ordered]), float(ordered[0]), float(ordered[-1]))

    @classmethod
    def of_each(cls, rows: Floats) -> list[QuantileSketch]:
        """Sketch each row of finite values, of which it has some, as `from_values` does."""
        ordered = np.sort(rows, axis=1)
        levels = _compacted_rows([ordered])
        return [
            cls([level[row] for level in levels], float(values[0]), float(values[-1]))
            for row, values in enumerate(ordered)
        ]

    @staticmethod
    def merge(sketches: Sequence[QuantileSketch]) -> QuantileSketch:
        """Return the sketch of all values together."""
        sketches = [sketch for sketch in sketches if sketch.n]
        if not sketches:
            return QuantileSketch((), np.nan, np.nan)
        if len(sketches) == 1:
            return sketches[0]
        levels = []
        for height in range(max(len(sketch.levels) for sketch in sketches)):
            together = np.concatenate(
                [sketch.levels[height] for sketch in sketches if height < len(sketch.levels)]
            )
            together.sort()
            levels.append(together)
        return QuantileSketch(
            _compacted(levels),
            min(sketch.minimum for sketch in sketches),
            max(sketch.maximum for sketch in sketches),
        )

    @property
    def size(self) -> int:
        """How many values it holds."""
        return sum(map(len, self.levels))

    @property
    def exact(self) -> bool:
        """Whether it holds every value that it was given."""
        return self.size == self.n

    def weighted(self) -> tuple[Floats, Ints]:
        """Return the values it holds, ascending, and how many each stands for (sum: `n`)."""
        if not self.levels:
            return np.empty(0), np.empty(0, np.int64)
        values = np.concatenate(self.levels)
        weights = np.repeat(
            np.left_shift(1, np.arange(len(self.levels))), [len(level) for level in self.levels]
        )
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def quantile(self, q: float | Floats) -> Floats:
        """Return the smallest values with a share of at least ``q`` (0 to 1) at or below them.

        NaN when the sketch is empty.
        """
        if not self.n:
            return np.full(np.shape(q), np.nan)
        values, weights = self.weighted()
        ranks = np.cumsum(weights)
        found: Floats = values[
            np.minimum(np.searchsorted(ranks, np.asarray(q) * self.n), len(values) - 1)
        ]
        return np.where(
            np.asarray(q) <= 0, self.minimum, np.where(np.asarray(q) >= 1, self.maximum, found)
        )

    def cdf(self, x: float | Floats) -> Floats:
        """Return the share (0 to 1) of values at or below ``x``; NaN when the sketch is empty."""
        if not self.n:
            return np.full(np.shape(x), np.nan)
        values, weights = self.weighted()
        ranks = np.concatenate([[0], np.cumsum(weights)])
        shares: Floats = ranks[np.searchsorted(values, x, side="right")] / self.n
        return shares


def _compacted(levels: list[Floats]) -> list[Floats]:
    """Halve levels as `_compacted_rows` does: those of one sketch."""
    return [level[0] for level in _compacted_rows([level[None, :] for level in levels])]


def _compacted_rows(levels: list[Floats]) -> list[Floats]:
    """Halve levels, lowest first, until all together hold no more than their capacities.

    Each level has a row a sketch. The sketches hold equally many values, so that only the coins
    differ between them.
    """
    levels = list(levels)
    while True:
        capacities = _capacities(len(levels))
        if sum(level.shape[1] for level in levels) <= sum(capacities):
            return levels
        # when together they hold too much, one of them does
        height = next(h for h, level in enumerate(levels) if level.shape[1] > capacities[h])
        # an odd one stays behind, so that the sketch keeps standing for every value
        odd = levels[height].shape[1] % 2
        levels[height], level = levels[height][:, :odd], levels[height][:, odd:]
        promoted = np.array([values[_coin(values) :: 2] for values in level])
        if height + 1 == len(levels):
            levels.append(promoted)
        elif levels[height + 1].shape[1]:
            levels[height + 1] = np.sort(np.hstack([levels[height + 1], promoted]), axis=1)
        else:
            levels[height + 1] = promoted


def _capacities(height: int) -> list[int]:
    return [max(_SMALLEST, int(K * _SHRINK ** (height - 1 - h))) for h in range(height)]


def _coin(values: Floats) -> int:
    return zlib.crc32(values.tobytes()) & 1
