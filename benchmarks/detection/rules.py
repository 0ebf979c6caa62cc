"""The two rules that are compared, on the same draws.

Evidently's defaults (0.7.23, ``_get_default_stattest``): with a reference of at most 1,000 rows the
Kolmogorov-Smirnov test for numbers, and the chi-square test (z-test for two values, of numbers or
categories; chi-square for numbers with up to five values) at p < 0.05; with more rows the
Wasserstein distance and the Jensen-Shannon distance (also for numbers with up to five values) at
0.1; the data drift when half of the columns do. Its own functions take minutes where this takes
seconds, so our distances stand in for them: `tests/unit/core/test_statistics_distances.py` holds
each to Evidently's own number, and `check` does once more here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.statistics.kolmogorov import ks_statistic, two_sample_sf
from modelwatch.domain.verdict.columns import compare, unseen_categories
from modelwatch.domain.verdict.features import benjamini_hochberg
from modelwatch.domain.verdict.rules import DriftPolicy

THRESHOLD = 0.1
FEW_REFERENCE_ROWS = 1000
Pair = tuple[Distribution, Distribution]


@dataclass(frozen=True)
class Columns:
    """What both rules see of many columns, one a place in the arrays.

    ``evidence`` is Evidently's default score, turned so that high means drift.
    """

    score: np.ndarray
    p_value: np.ndarray
    unseen: np.ndarray
    evidence: np.ndarray
    evidently: np.ndarray

    def take(self, places: np.ndarray) -> Columns:
        """Return some of the columns, in any shape."""
        return Columns(
            self.score[places],
            self.p_value[places],
            self.unseen[places],
            self.evidence[places],
            self.evidently[places],
        )


def measured(pairs: list[Pair]) -> Columns:
    """Measure pairs (reference, window) by both rules."""
    score, p_value = np.empty(len(pairs)), np.empty(len(pairs))
    for kind, method in (("numerical", "wasserstein"), ("categorical", "jensenshannon")):
        places = [place for place, pair in enumerate(pairs) if pair[0].kind == kind]
        ours = METHODS[method]
        score[places] = [ours.score(*pairs[place]) for place in places]
        p_value[places] = [
            chance.p_value for chance in ours.chances([pairs[place] for place in places])
        ]
    unseen = np.array([_chance_of_unseen(*pair) for pair in pairs])
    p_value = np.where(unseen < 1, np.minimum(1, 2 * np.minimum(p_value, unseen)), p_value)
    evidence, drifted = np.empty(len(pairs)), np.empty(len(pairs), bool)
    for place, pair in enumerate(pairs):
        evidence[place], drifted[place] = _evidently(*pair, score[place])
    return Columns(score, p_value, unseen, evidence, drifted)


def flagged(columns: Columns, alpha: float, threshold: float = THRESHOLD) -> np.ndarray:
    """Return which features of each run (a row) drift by our rule: threshold and chance."""
    is_far = (columns.score >= threshold) | (columns.unseen < 1)
    p_values = np.where(is_far, columns.p_value, 1.0)
    cuts = np.array([benjamini_hochberg(run, alpha) for run in p_values])
    return p_values <= cuts[:, None]


def _chance_of_unseen(reference: Distribution, window: Distribution) -> float:
    column = compare("a", reference, window, DriftPolicy())
    found = unseen_categories(column, 0.0)
    return found.p_value if found else 1.0


def _evidently(reference: Distribution, window: Distribution, score: float) -> tuple[float, bool]:
    few = reference.size <= FEW_REFERENCE_ROWS
    if reference.kind == "categorical":
        values = len({*reference.counts, *window.counts})
    else:
        values = min(6, len(np.union1d(reference.values, window.values)))
    if reference.kind == "numerical" and values > 5:
        if not few:
            return score, score >= THRESHOLD
        statistic = ks_statistic(reference, window)
        return statistic, statistic >= _critical(reference.size, window.size)
    if reference.kind == "numerical":
        reference, window = _as_categories(reference), _as_categories(window)
    if few:
        p_value = METHODS["chisquare" if values > 2 else "z"].score(reference, window)
        return -p_value, p_value < 0.05
    distance = METHODS["jensenshannon"].score(reference, window)
    return distance, distance >= THRESHOLD


def _as_categories(numbers: Distribution) -> Distribution:
    return Distribution.of_counts(
        {
            f"{value:g}": int(weight)
            for value, weight in zip(numbers.values, numbers.weights, strict=True)
        }
    )


@lru_cache
def _critical(first: int, second: int) -> float:
    """Return the statistic from which the Kolmogorov-Smirnov test gives p <= 0.05."""
    low, high = 0.0, 1.0
    for _ in range(22):
        middle = (low + high) / 2
        low, high = (
            (low, middle) if two_sample_sf(middle, first, second) <= 0.05 else (middle, high)
        )
    return high


def check(generator: np.random.Generator) -> float:
    """Return the largest difference between Evidently's own scores and those that stand in."""
    from evidently.legacy.calculations.stattests.registry import get_registered_stattest
    from evidently.legacy.core import ColumnType

    worst = 0.0
    for size in (50, 1000):
        rows = generator.normal(size=142), generator.normal(0.2, size=size)
        texts = generator.choice(list("abcd"), 142), generator.choice(list("abcd"), size)
        for method, kind, sides in (
            ("wasserstein", "num", rows), ("ks", "num", rows), ("jensenshannon", "cat", texts),
            ("chisquare", "cat", texts),
        ):  # fmt: skip
            test = get_registered_stattest(method, ColumnType(kind))
            old, new = map(pd.Series, sides)
            theirs = test(old, new, ColumnType(kind), None).drift_score
            if kind == "num":
                ours = METHODS[method].score(*map(Distribution.of_numbers, sides))
            else:
                counted = [
                    Distribution.of_counts(pd.Series(side).value_counts().to_dict())
                    for side in sides
                ]
                ours = METHODS[method].score(*counted)
            worst = max(worst, abs(float(theirs) - ours))
    return worst
