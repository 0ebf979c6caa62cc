"""Counts by cell: a column's values on both sides, in the cells that a distance compares.

The cells are Evidently's (0.7.23, ``get_binned_data``), so that its numbers come out: one for each
value when the reference has at most 20 different ones, else equal steps by Sturges' rule over the
values of both sides together. A few far values make such steps so wide that all others lie in one
of them, and no distance sees what these do. So where all but a few values of both sides
(`Distribution.core`) span less than a step, the reference's deciles are further edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from modelwatch.domain.statistics.distributions import Distribution, Floats

FEW_VALUES = 20
"""Up to so many different numbers in the reference, each is a cell of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """How many values of each side fall into each cell."""

    reference: Floats
    window: Floats

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """The shares of both sides (0 to 1) that fall into each cell."""
        return self.reference / self.reference.sum(), self.window / self.window.sum()


def cells_of(reference: Distribution, window: Distribution) -> Cells:
    """Count two distributions of the same kind in common cells.

    Examples
    --------
    >>> red, white = Distribution.of_counts({"red": 3}), Distribution.of_counts({"white": 2})
    >>> cells = cells_of(red, white)
    >>> cells.reference.tolist(), cells.window.tolist()
    ([3.0, 0.0], [0.0, 2.0])
    """
    if reference.kind == "categorical":
        return _by_category(reference, window)
    if reference.distinct <= FEW_VALUES:
        return _by_value(reference, window)
    edges = sturges_edges(
        min(reference.minimum, window.minimum),
        max(reference.maximum, window.maximum),
        reference.size + window.size,
    )
    return by_edges(reference, window, edges)


def by_edges(reference: Distribution, window: Distribution, edges: Floats) -> Cells:
    """Count numbers between ``edges``, as `numpy.histogram` does: the last cell is closed.

    Steps that a few far values made too wide are divided at the reference's deciles.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> reference, window = numbers([*range(99), 1e300]), numbers(range(40, 139))
    >>> by_edges(reference, window, sturges_edges(0.0, 1e300, 199)).window[:6].tolist()
    [0.0, 0.0, 0.0, 0.0, 9.0, 10.0]
    """
    if few_decide(reference, window, edges[1] - edges[0]):
        edges = np.union1d(edges, _deciles(reference))
    return Cells(_histogram(reference, edges), _histogram(window, edges))


def few_decide(reference: Distribution, window: Distribution, step: float) -> bool:
    """Return whether all but a few values of both sides span less than ``step``."""
    cores = [side.core()[0] for side in (reference, window)]
    # Python's floats: a difference of the largest ones is infinite without a warning
    return max(float(core[-1]) for core in cores) - min(float(core[0]) for core in cores) < step


def _deciles(reference: Distribution) -> Floats:
    """Return the deciles of the values, and of the different values: most may be one value."""
    places = [tenth / 10 for tenth in range(1, 10)]
    different = np.quantile(reference.values, places, method="inverted_cdf")
    return np.union1d(reference.quantiles(places), different)


def sturges_edges(low: float, high: float, count: int) -> Floats:
    """Return the edges of `numpy.histogram_bin_edges` with ``bins="sturges"``.

    Examples
    --------
    >>> sturges_edges(0.0, 8.0, 8).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if math.isinf(high - low):
        return 2 * sturges_edges(low / 2, high / 2, count)
    width = (high - low) / (math.log2(count) + 1.0)
    if not width > 0:
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, math.ceil((high - low) / width) + 1)


def _histogram(distribution: Distribution, edges: Floats) -> Floats:
    ranks = np.concatenate([[0.0], np.cumsum(distribution.weights)])
    places = np.searchsorted(distribution.values, edges, side="left")
    places[-1] = len(distribution.values)
    return np.diff(ranks[places])


def _by_value(reference: Distribution, window: Distribution) -> Cells:
    values = np.union1d(reference.values, window.values)
    counts = np.zeros((2, len(values)))
    for row, side in zip(counts, (reference, window), strict=True):
        row[np.searchsorted(values, side.values)] = side.weights
    return Cells(counts[0], counts[1])


def _by_category(reference: Distribution, window: Distribution) -> Cells:
    """Count by category; one that a side may only have among its uncounted rows joins them.

    Joined cells never show more than apart: the distance is a lower bound then.
    """
    shared: list[tuple[float, float]] = []
    rest = [float(reference.rest), float(window.rest)]
    for category in dict.fromkeys([*reference.counts, *window.counts]):
        old, new = reference.counts.get(category, 0), window.counts.get(category, 0)
        if (not old and reference.rest) or (not new and window.rest):
            rest[0] += old
            rest[1] += new
        else:
            shared.append((old, new))
    if rest[0] or rest[1]:
        shared.append((rest[0], rest[1]))
    counts = np.array(shared, dtype=np.float64)
    return Cells(counts[:, 0], counts[:, 1])
