"""How far a window is from its reference, by Evidently's names and definitions.

The score of each of Evidently's methods equals that of Evidently 0.7.23 on the same rows; on
sketches it is within their error.
Where a few far values would hide what all others do, it is higher (`cells`, `wasserstein`).
Evidently's own docstrings do not say which of its scores are distances (a high one means drift) and
which are p-values (a low one does); `METHODS` does.

To add a method, write its score here and add it to `METHODS` with its null distribution: settings,
verdicts, reports and the tests follow. A method that Evidently lacks is compared with nothing of
Evidently's; its report shows our score.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from modelwatch.domain.statistics.cells import by_edges, cells_of, sturges_edges
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.statistics.homogeneity import cell_chances
from modelwatch.domain.statistics.kolmogorov import ks, ks_chances
from modelwatch.domain.statistics.significance import NullDistribution
from modelwatch.domain.statistics.special import chi_square_sf
from modelwatch.domain.statistics.transport import transport_chances, wasserstein

PERMUTATIONS = 1000
"""How many permutations give the p-value of ``TVD``."""

Score = Callable[[Distribution, Distribution], float]


@dataclass(frozen=True, slots=True)
class Method:
    """All that there is to know of one method.

    Attributes
    ----------
    name
        Evidently's, where Evidently has it.
    kinds
        Of features that it takes: ``numerical``, ``categorical``.
    score
        How far a window is from its reference.
    chances
        The null distribution of the score.
    threshold
        The one that a report takes when it is given none; Evidently's default.
    low_is_drift
        Whether the score is a p-value: a low one means drift.
    """

    name: str
    kinds: tuple[str, ...]
    score: Score
    chances: NullDistribution
    threshold: float = 0.1
    low_is_drift: bool = False

    def reaches(self, score: float, threshold: float) -> bool:
        """Whether ``score`` is as far as ``threshold``, or farther."""
        return score <= threshold if self.low_is_drift else score >= threshold


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


_NUMBERS, _TEXTS = ("numerical",), ("categorical",)
_BOTH = _NUMBERS + _TEXTS

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("wasserstein", _NUMBERS, wasserstein, transport_chances),
        Method("jensenshannon", _BOTH, jensenshannon, cell_chances(lambda x: math.sqrt(x / 8))),
        Method("psi", _BOTH, psi, cell_chances(lambda x: x)),
        Method("kl_div", _BOTH, kl_div, cell_chances(lambda x: x / 2)),
        Method("hellinger", _BOTH, hellinger, cell_chances(lambda x: math.sqrt(x / 8))),
        Method("ks", _NUMBERS, ks, ks_chances, 0.05, low_is_drift=True),
        Method("chisquare", _TEXTS, chisquare, cell_chances(), 0.05, low_is_drift=True),
        Method("z", _TEXTS, z, cell_chances(), 0.05, low_is_drift=True),
        Method("TVD", _TEXTS, tvd, cell_chances(), 0.1, low_is_drift=True),
    )
}
"""Every method that is offered, by its name: a new one is one line here."""


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
