"""Columns whose truth is known: families of values, drawn as distributions of any size at once.

A family is a fine grid of values with their probabilities: up to 2,000 rows are drawn one by one,
more as the counts on that grid (one multinomial draw), which is the same sample in its order. In
the tails every value that a sample of a million may hold has a grid point of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import stats

from modelwatch.domain.statistics.distributions import Distribution

Change = Callable[[np.ndarray], np.ndarray]
_TAIL = np.geomspace(1e-7, 1e-2, 150)
_EDGES = np.concatenate([[0.0], _TAIL, np.linspace(1e-2, 1 - 1e-2, 1200)[1:-1], (1 - _TAIL)[::-1]])
SHARES = np.diff(np.append(_EDGES, 1.0))
MIDDLES = _EDGES + SHARES / 2


@dataclass(frozen=True)
class Family:
    """Values and their probabilities; texts when ``categorical``."""

    name: str
    values: np.ndarray
    shares: np.ndarray
    categorical: bool = False

    def draw(self, generator: np.random.Generator, size: int) -> Distribution:
        """Draw ``size`` values."""
        drawn = generator.multinomial(size, self.shares)
        if self.categorical:
            return Distribution.of_counts(dict(zip(map(str, self.values), drawn, strict=True)))
        held = drawn > 0
        values, weights = self.values[held], drawn[held].astype(float)
        order = np.argsort(values, kind="stable")
        values, first = np.unique(values[order], return_index=True)
        weights = np.add.reduceat(weights[order], first)
        mean = weights @ values / size
        return Distribution(
            kind="numerical", size=size, values=values, weights=weights,
            minimum=float(values[0]), maximum=float(values[-1]), distinct=len(values),
            deviation=float(np.sqrt(weights @ (values - mean) ** 2 / size)),
        )  # fmt: skip

    def rows(self, generator: np.random.Generator, size: int) -> np.ndarray:
        """Draw ``size`` values in the order of their arrival."""
        return generator.choice(self.values, size, p=self.shares)

    def changed(self, change: Change) -> Family:
        """Return the family with every value changed."""
        return replace(self, values=change(self.values))

    def mixed(self, share: float, change: Change) -> Family:
        """Return the family with that share of its values changed."""
        return replace(
            self,
            values=np.concatenate([self.values, change(self.values)]),
            shares=np.concatenate([self.shares * (1 - share), self.shares * share]),
        )


def _continuous(name: str, quantiles: Callable[[np.ndarray], np.ndarray]) -> Family:
    return Family(name, quantiles(MIDDLES), SHARES)


def _categories(name: str, *shares: float) -> Family:
    return Family(name, np.array(list("abcdefghij")[: len(shares)]), np.array(shares), True)


NORMAL = _continuous("normal", stats.norm.ppf)
LOGNORMAL = _continuous("log-normal", lambda q: np.exp(stats.norm.ppf(q)))
T3 = _continuous("t, 3 degrees", lambda q: stats.t.ppf(q, 3))
POISSON = Family("Poisson(2)", np.arange(30.0), stats.poisson.pmf(np.arange(30), 2))
ROUNDED = _continuous("rounded to 0.5", lambda q: np.round(2 * stats.norm.ppf(q)) / 2)
ZEROS = Family(
    "90 % zeros",
    np.concatenate([[0.0], stats.expon.ppf(MIDDLES)]),
    np.concatenate([[0.9], 0.1 * SHARES]),
)
FOUR = _categories("4 categories", 0.4, 0.3, 0.2, 0.1)
TEN = _categories("10 categories", *[0.1] * 10)
SKEWED = _categories("5, some rare", 0.9, 0.06, 0.03, 0.008, 0.002)
RARE_FLAG = _categories("2, one of 2 %", 0.98, 0.02)

_FAMILIES = (
    NORMAL, LOGNORMAL, T3, POISSON, FOUR, ROUNDED, ZEROS, SKEWED, NORMAL, LOGNORMAL, T3, TEN,
    RARE_FLAG,
)  # fmt: skip
"""Thirteen features, as many as the wines have; the first five are a model of five."""


def normalised(family: Family) -> Family:
    """Return the family with shares that sum up to 1 as exactly as multinomial draws want."""
    return replace(family, shares=family.shares / family.shares.sum())


MIX = tuple(normalised(family) for family in _FAMILIES)
NORMAL, LOGNORMAL, T3, FOUR = MIX[0], MIX[1], MIX[2], MIX[4]


@dataclass(frozen=True)
class Shift:
    """A change of known size: the window is drawn from ``after``, the reference from ``before``."""

    name: str
    before: Family
    after: Family


def _moved(share: float) -> Family:
    return replace(FOUR, shares=FOUR.shares + share * np.array([-1.0, 0.0, 0.0, 1.0]))


def _unseen(share: float) -> Family:
    values = np.append(FOUR.values, "new")
    return replace(FOUR, values=values, shares=np.append(FOUR.shares * (1 - share), share))


SHIFTS = (
    *(
        Shift(f"normal: mean +{size} sd", NORMAL, NORMAL.changed(partial(np.add, size)))
        for size in (0.1, 0.2, 0.3, 0.5)
    ),
    *(
        Shift(f"normal: scale x {size:.2g}", NORMAL, NORMAL.changed(partial(np.multiply, size)))
        for size in (1.2, 1.5, 1 / 1.5)
    ),
    Shift("normal: 5 % of rows +4 sd", NORMAL, NORMAL.mixed(0.05, lambda x: x + 4)),
    Shift("log-normal: x 1.3", LOGNORMAL, LOGNORMAL.changed(lambda x: 1.3 * x)),
    Shift("t3: mean +0.3 sd", T3, T3.changed(lambda x: x + 0.3 * np.sqrt(3))),
    Shift("t3: scale x 1.5", T3, T3.changed(lambda x: x * 1.5)),
    *(Shift(f"categories: {share:.0%} move", FOUR, _moved(share)) for share in (0.05, 0.1, 0.2)),
    Shift("categories: 3 % unseen", FOUR, _unseen(0.03)),
)
