"""Random splits of pooled values into a window and a reference, simulated once for all columns.

When nothing changed, which of the ``n + m`` pooled values belong to the window is a random draw.
Along the pooled values in order, the window's cumulative share less the reference's is then a
bridge that depends on ``n`` and ``m`` alone: tied to 0 at both ends, and by the ranks in between
the same for every column. One matrix of simulated bridges so gives the null distribution of an area
between two cumulative distribution functions for all columns in one product: it is the permutation
test (Fisher 1935; Pitman 1937), conditional on the pooled values, whatever their distribution and
their ties.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.statistics.distributions import Floats

SPLITS = 4096
"""How many splits are simulated."""

EXACT_POOL = 512
"""Up to so many pooled values, each rank is simulated; beyond, about 350 ranks."""

LARGEST_SIDE = 1 << 16
"""Larger samples have the bridges of this size: they do not differ any more."""

_SEED = 20_250_901
_LEVELS_PER_DOUBLING = 4
_EXACT_SIDE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """``bridges``: absolute, standardised; a row a rank, a column a split.

    ``ranks`` are shares (0 to 1, exclusive) of the pooled values, ascending.
    """

    ranks: Floats
    bridges: NDArray[np.float32]

    def areas(self, ranks: Floats, *gaps: Floats) -> list[Floats]:
        """Return each of ``gaps`` (at pooled ``ranks``) shared out among the simulated ranks."""
        size = len(self.ranks)
        left = np.clip(np.searchsorted(self.ranks, ranks) - 1, 0, max(size - 2, 0))
        right = np.minimum(left + 1, size - 1)
        width = np.maximum(self.ranks[right] - self.ranks[left], 1e-12)
        part = np.clip((ranks - self.ranks[left]) / width, 0.0, 1.0)
        places = np.concatenate([left, right])
        parts = np.concatenate([1.0 - part, part])
        return [np.bincount(places, np.tile(each, 2) * parts, size) for each in gaps]


def splits_of(window: int, reference: int) -> Splits:
    """Return simulated splits of samples of these sizes, or of slightly smaller ones.

    Sizes are rounded down to a geometric ladder, so that columns with a few nulls share them;
    smaller samples have the heavier tails.

    Examples
    --------
    >>> splits = splits_of(20, 30)
    >>> splits.bridges.shape, bool(abs(np.mean(splits.bridges[24] ** 2) - 0.25) < 0.03)
    ((49, 4096), True)
    """
    return _simulated(_rung(window), _rung(reference))


def _rung(size: int) -> int:
    if size <= _EXACT_SIDE:
        return size
    step = math.floor(math.log2(size) * _LEVELS_PER_DOUBLING + 1e-9)
    return min(LARGEST_SIDE, math.floor(2 ** (step / _LEVELS_PER_DOUBLING) + 1e-6))


@lru_cache(maxsize=16)
def _simulated(window: int, reference: int) -> Splits:
    pooled = window + reference
    places = _places(pooled)
    cells = np.diff(np.concatenate([[0], places, [pooled]]))
    draws = np.random.default_rng(_SEED).multivariate_hypergeometric(
        cells, window, size=SPLITS, method="marginals"
    )
    in_window = np.cumsum(draws, axis=1)[:, :-1]
    differences = in_window / window - (places - in_window) / reference
    scale = math.sqrt(window * reference / pooled)
    bridges = np.ascontiguousarray((np.abs(differences) * scale).astype(np.float32).T)
    return Splits(places / pooled, bridges)


def _places(pooled: int) -> NDArray[np.int64]:
    """Return the ranks to simulate, 1 to ``pooled - 1``: dense in both tails."""
    if pooled <= EXACT_POOL:
        return np.arange(1, pooled)
    tail = np.round(np.geomspace(1, pooled / 2, 110)).astype(np.int64)
    even = np.round(np.linspace(0, pooled, 141)).astype(np.int64)[1:-1]
    return np.unique(np.concatenate([tail, pooled - tail, even]))
