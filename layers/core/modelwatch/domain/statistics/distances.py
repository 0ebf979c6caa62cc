"""How far a window is from its reference, by Evidently's names and definitions.

Every score equals that of Evidently 0.7.23 on the same rows; on sketches it is within their error.
Where a few far values would hide what all others do, it is higher (`cells`, `wasserstein`).
Evidently's own docstrings do not tell apart which of its scores are distances (a high one means
drift) and which are p-values (a low one does); `METHODS` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelwatch.domain.statistics.cells import by_edges, cells_of, sturges_edges
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.statistics.kolmogorov import two_sample_sf
from modelwatch.domain.statistics.special import chi_square_sf

SMALLEST_DEVIATION = 0.001
"""Evidently divides a Wasserstein distance by no less."""

FEW_DECIDE = 3.0
"""A few values decide when without them the deviation is this many times smaller."""

FARTHEST = 10.0
"""Then no value counts as farther from the median than so many deviations."""

PERMUTATIONS = 1000
"""How many permutations give the p-value of ``TVD``."""

Score = Callable[[Distribution, Distribution], float]


@dataclass(frozen=True, slots=True)
class Method:
    """One of Evidently's methods.

    ``low_is_drift`` tells p-values from distances, ``threshold`` is Evidently's default, and
    ``family`` says by which test the score is held against chance (see `significance`).
    """

    name: str
    kinds: tuple[str, ...]
    score: Score
    family: Literal["transport", "ranks", "cells"]
    threshold: float = 0.1
    low_is_drift: bool = False

    def reaches(self, score: float, threshold: float) -> bool:
        """Whether ``score`` is as far as ``threshold``, or farther."""
        return score <= threshold if self.low_is_drift else score >= threshold


def wasserstein(reference: Distribution, window: Distribution) -> float:
    """Return the first Wasserstein distance in standard deviations of the reference.

    The area between the two cumulative distribution functions; by a deviation of 0.001 at least.
    Where a few far values make the reference's deviation, it is no smaller than the distance in
    deviations of the other values, with far ones at `FARTHEST` of these.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> wasserstein(numbers([0.0, 2.0]), numbers([1.0, 3.0]))
    1.0
    """
    norm = max(reference.deviation, SMALLEST_DEVIATION)
    score = _area(reference, window, norm)
    core = max(core_deviation(reference), SMALLEST_DEVIATION)
    if norm < FEW_DECIDE * core:
        return score
    middle = float(reference.quantiles([0.5])[0])
    limits = (middle - FARTHEST * core, middle + FARTHEST * core)
    return max(score, _area(reference.within(*limits), window.within(*limits), core))


def _area(reference: Distribution, window: Distribution, norm: float) -> float:
    gaps, differences = cdf_differences(reference, window)
    with np.errstate(over="ignore"):
        return float(np.sum(gaps / norm * np.abs(differences)))


def core_deviation(distribution: Distribution) -> float:
    """Return the standard deviation of the numbers but a few (`Distribution.core`)."""
    values, weights = distribution.core()
    scale = max(float(np.abs(values).max()), 1e-300)
    values = values / scale
    mean = np.average(values, weights=weights)
    return scale * math.sqrt(float(np.average((values - mean) ** 2, weights=weights)))


def cdf_differences(reference: Distribution, window: Distribution) -> tuple[Floats, Floats]:
    """Return the gaps between the different values of both sides, and by how much the
    cumulative shares of the two differ in each gap (the window's less the reference's).
    """
    values = np.union1d(reference.values, window.values)
    old = cumulative(reference, values)[:-1] / reference.size
    new = cumulative(window, values)[:-1] / window.size
    with np.errstate(over="ignore"):
        gaps = np.diff(values)
    return np.minimum(gaps, np.finfo(np.float64).max), new - old


def cumulative(distribution: Distribution, values: Floats) -> Floats:
    """Return how many of the distribution's numbers are at or below each of ``values``."""
    ranks = np.concatenate([[0.0], np.cumsum(distribution.weights)])
    return ranks[np.searchsorted(distribution.values, values, side="right")]


def jensenshannon(reference: Distribution, window: Distribution) -> float:
    """Return the Jensen-Shannon distance over cells: root of the divergence in nats, at most 0.83.

    Lin, *Divergence measures based on the Shannon entropy* (1991).

    Examples
    --------
    >>> counts = Distribution.of_counts
    >>> round(jensenshannon(counts({"red": 3}), counts({"white": 2})) ** 2, 6)  # log 2
    0.693147
    """
    old, new = cells_of(reference, window).shares
    return math.sqrt(max(jensen_shannon_divergence(old, new), 0.0))


def jensen_shannon_divergence(old: Floats, new: Floats) -> float:
    """Return the Jensen-Shannon divergence of two lists of shares, in nats."""
    middle = (old + new) / 2
    return float(_relative_entropy(old, middle) + _relative_entropy(new, middle)) / 2


def psi(reference: Distribution, window: Distribution) -> float:
    """Return the population stability index over cells; empty cells are filled as by Evidently.

    Examples
    --------
    >>> psi(Distribution.of_counts({"red": 3}), Distribution.of_counts({"red": 9}))
    0.0
    """
    old, new = map(_filled, cells_of(reference, window).shares)
    return float(np.sum((old - new) * np.log(old / new)))


def kl_div(reference: Distribution, window: Distribution) -> float:
    """Return the Kullback-Leibler divergence of the reference from the window, over cells.

    In nats; empty cells are filled as by Evidently.
    """
    old, new = map(_filled, cells_of(reference, window).shares)
    return _relative_entropy(old / old.sum(), new / new.sum())


def hellinger(reference: Distribution, window: Distribution) -> float:
    """Return the Hellinger distance, 0 to 1: of categories, or of numbers over cells.

    Here Evidently's cells are by Sturges' rule over the different values.
    """
    if reference.kind == "categorical":
        cells = cells_of(reference, window)
    else:
        low, high = min(reference.minimum, window.minimum), max(reference.maximum, window.maximum)
        edges = sturges_edges(low, high, _distinct_together(reference, window))
        cells = by_edges(reference, window, edges)
    old, new = cells.shares
    return math.sqrt(1.0 - min(1.0, float(np.sum(np.sqrt(old * new)))))


def ks(reference: Distribution, window: Distribution) -> float:
    """Return the p-value of the two-sample Kolmogorov-Smirnov test."""
    return two_sample_sf(ks_statistic(reference, window), reference.size, window.size)


def ks_statistic(reference: Distribution, window: Distribution) -> float:
    """Return the largest difference between the two cumulative distribution functions.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> ks_statistic(numbers([1.0, 2.0]), numbers([2.0, 3.0]))
    0.5
    """
    _, differences = cdf_differences(reference, window)
    return float(np.abs(differences).max()) if len(differences) else 0.0


def chisquare(reference: Distribution, window: Distribution) -> float:
    """Return the p-value of the chi-square test of the window against the reference's shares.

    As by Evidently it takes the reference's shares for the truth: a category that the reference
    lacks makes it 0.
    """
    cells = cells_of(reference, window)
    expected = cells.reference * (window.size / reference.size)
    if np.any((expected == 0) & (cells.window > 0)):
        return 0.0
    statistic = float(np.sum((cells.window - expected) ** 2 / expected))
    return chi_square_sf(statistic, len(expected) - 1)


def z(reference: Distribution, window: Distribution) -> float:
    """Return the p-value of the two-sided z-test for the share of the first category.

    The first of both sides in the order of the texts, against all others.
    """
    categories = sorted({*reference.counts, *window.counts})
    if len(categories) < 2 and not reference.rest and not window.rest:
        return 1.0
    first = categories[0] if categories else ""
    old, new = reference.size, window.size
    shares = [1.0 - side.counts.get(first, 0) / side.size for side in (reference, window)]
    together = (shares[0] * old + shares[1] * new) / (old + new)
    spread = math.sqrt(together * (1.0 - together) * (1.0 / old + 1.0 / new))
    if not spread:
        return 1.0
    return math.erfc(abs(shares[0] - shares[1]) / spread / math.sqrt(2.0))


def tvd(reference: Distribution, window: Distribution) -> float:
    """Return the p-value of a permutation test of the total variation distance.

    As by Evidently the share of 1,000 random splits of all values that are at least as far apart;
    its and ours are different splits.
    """
    cells = cells_of(reference, window)
    together = cells.reference + cells.window
    splits = (
        np.random.default_rng(0)
        .multivariate_hypergeometric(
            together.astype(np.int64), window.size, size=PERMUTATIONS, method="marginals"
        )
        .astype(np.float64)
    )
    distances = _total_variation(together - splits, splits)
    observed = _total_variation(cells.reference[None], cells.window[None])
    return float(np.mean(distances >= observed - 1e-12))


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("wasserstein", ("numerical",), wasserstein, "transport"),
        Method("jensenshannon", ("numerical", "categorical"), jensenshannon, "cells"),
        Method("psi", ("numerical", "categorical"), psi, "cells"),
        Method("kl_div", ("numerical", "categorical"), kl_div, "cells"),
        Method("hellinger", ("numerical", "categorical"), hellinger, "cells"),
        Method("ks", ("numerical",), ks, "ranks", 0.05, low_is_drift=True),
        Method("chisquare", ("categorical",), chisquare, "cells", 0.05, low_is_drift=True),
        Method("z", ("categorical",), z, "cells", 0.05, low_is_drift=True),
        Method("TVD", ("categorical",), tvd, "cells", 0.1, low_is_drift=True),
    )
}
"""Every method that is offered, by Evidently's name."""


def _relative_entropy(old: Floats, new: Floats) -> float:
    present = old > 0
    return float(np.sum(old[present] * np.log(old[present] / new[present])))


def _filled(shares: Floats) -> Floats:
    smallest = float(shares[shares > 0].min())
    return np.where(shares == 0, smallest / 10**6 if smallest <= 0.0001 else 0.0001, shares)


def _total_variation(old: Floats, new: Floats) -> Floats:
    shares = old / old.sum(axis=1, keepdims=True) - new / new.sum(axis=1, keepdims=True)
    return np.asarray(0.5 * np.abs(shares).sum(axis=1), dtype=np.float64)


def _distinct_together(reference: Distribution, window: Distribution) -> int:
    """Return how many different numbers both sides have: guessed where not all were kept."""
    held = len(np.union1d(reference.values, window.values))
    if reference.distinct == len(reference.values) and window.distinct == len(window.values):
        return held
    continuous = min(reference.distinct / reference.size, window.distinct / window.size) > 0.5
    distinct = (reference.distinct, window.distinct)
    return max(held, sum(distinct) if continuous else max(distinct))
