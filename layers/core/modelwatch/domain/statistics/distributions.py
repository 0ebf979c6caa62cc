"""What the statistics read: a column's distribution on one side, however it was counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from modelwatch.domain.profiles import ColumnProfile

Floats = NDArray[np.float64]

type Pair = tuple[Distribution, Distribution]
"""A column's distribution in the reference, and in the window."""

FEW = 0.01
"""So large a share of the values, at each end, is a few of them."""

NUMBERS = "\x00numbers"
"""The category of a column of texts that stands for its rows with a number."""


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """The values of one column on one side: finite numbers, or categories.

    Attributes
    ----------
    kind
        ``empty`` when it has no value that can be compared.
    size
        How many values it is of: nulls, infinities and values of the other kind do not count.
    missing_ratio
        Share of rows without a value, 0 to 1.
    values, weights
        Different numbers, ascending, and how many values each stands for; ``weights`` sum up to
        ``size``.
    minimum, maximum
        Of all finite numbers, also of those that ``values`` only stands for; NaN without any.
    deviation
        Standard deviation of all finite numbers (dividing by their number); 0 without any.
    distinct
        How many different values there are, estimated where they were not all kept.
    counts, rest
        How often each counted category came, and in how many rows others did.
    error
        How far a share of ``size`` (of the numbers up to a value, or of a category) can be from
        the true one: the rank error of a sketch at 99 %, 0 where every value was counted.
    """

    kind: Literal["numerical", "categorical", "empty"]
    size: int = 0
    missing_ratio: float = 0.0
    values: Floats = field(default_factory=_none)
    weights: Floats = field(default_factory=_none)
    minimum: float = math.nan
    maximum: float = math.nan
    deviation: float = 0.0
    distinct: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    rest: int = 0
    error: float = 0.0

    @classmethod
    def of_numbers(cls, values: Iterable[float] | Floats) -> Distribution:
        """Count numbers one by one; NaN is a missing value, infinities are left out.

        Examples
        --------
        >>> numbers = Distribution.of_numbers([2.0, 1.0, 2.0, math.nan, math.inf])
        >>> numbers.size, numbers.values.tolist(), numbers.weights.tolist(), numbers.missing_ratio
        (3, [1.0, 2.0], [1.0, 2.0], 0.2)
        """
        given = np.asarray(values, dtype=np.float64)
        finite = given[np.isfinite(given)]
        missing = float(np.isnan(given).mean()) if len(given) else 0.0
        if not len(finite):
            return cls(kind="empty", missing_ratio=missing)
        distinct, weights = np.unique(finite, return_counts=True)
        return cls(
            kind="numerical",
            size=len(finite),
            missing_ratio=missing,
            values=distinct,
            weights=weights.astype(np.float64),
            minimum=float(distinct[0]),
            maximum=float(distinct[-1]),
            deviation=_deviation(finite),
            distinct=len(distinct),
        )

    @classmethod
    def of_counts(
        cls, counts: Mapping[str, int], *, rest: int = 0, missing: int = 0, undercount: int = 0
    ) -> Distribution:
        """Take categories with their counts.

        Parameters
        ----------
        rest
            Rows with a category that is not counted.
        undercount
            A category came at most so much more often than ``counts`` says.

        Examples
        --------
        >>> Distribution.of_counts({"red": 3, "white": 0}, missing=1).missing_ratio
        0.25
        """
        present = {text: int(count) for text, count in counts.items() if count > 0}
        size = sum(present.values()) + rest
        missing_ratio = missing / (size + missing) if missing else 0.0
        if not size:
            return cls(kind="empty", missing_ratio=missing_ratio)
        return cls(
            kind="categorical",
            size=size,
            missing_ratio=missing_ratio,
            distinct=len(present) + (1 if rest else 0),
            counts=present,
            rest=rest,
            error=undercount / size,
        )

    @classmethod
    def of_column(cls, column: ColumnProfile) -> Distribution:
        """Take a column's profile. It is of the kind that most of its values are."""
        if column.kind == "categorical":
            numbers = {NUMBERS: column.numbers} if column.numbers else {}
            return cls.of_counts(
                {**column.counts, **numbers},
                rest=column.rest,
                missing=column.nulls,
                undercount=column.undercount,
            )
        sketch = column.sketch
        if column.kind == "empty" or not sketch.n:
            return cls(kind="empty", missing_ratio=column.missing_ratio)
        held, weights = sketch.weighted()
        values, first = np.unique(held, return_index=True)
        return cls(
            kind="numerical",
            size=sketch.n,
            missing_ratio=column.missing_ratio,
            values=values,
            weights=np.add.reduceat(weights.astype(np.float64), first),
            minimum=sketch.minimum,
            maximum=sketch.maximum,
            deviation=column.deviation or 0.0,
            distinct=len(values) if sketch.exact else max(len(values), round(column.distinct)),
            error=0.0 if sketch.exact else sketch.RANK_ERROR,
        )

    def quantiles(self, shares: Sequence[float]) -> Floats:
        """Return the smallest number that so large ``shares`` (0 to 1) of the numbers reach.

        Examples
        --------
        >>> Distribution.of_numbers(range(1, 101)).quantiles([0.0, 0.5, 1.0]).tolist()
        [1.0, 50.0, 100.0]
        """
        ranks = np.cumsum(self.weights)
        # sums of shares are a little off
        places = np.searchsorted(ranks, np.array(shares) * ranks[-1] * (1 - 1e-12))
        found: Floats = self.values[np.minimum(places, len(ranks) - 1)]
        return found

    def core(self) -> tuple[Floats, Floats]:
        """Return the numbers and their weights without a few at each end (`FEW`, one at least).

        Examples
        --------
        >>> Distribution.of_numbers([-1e300, 1.0, 2.0, 2.0, 1e300]).core()[0].tolist()
        [1.0, 2.0]
        """
        ranks = np.cumsum(self.weights)
        few = max(FEW * self.size, 1.0)
        if ranks[-1] <= 2 * few:
            return self.values, self.weights
        weights = np.diff(np.clip(ranks, few, ranks[-1] - few), prepend=few)
        return self.values[weights > 0], weights[weights > 0]

    def within(self, low: float, high: float) -> Distribution:
        """Return the numbers with those beyond ``low`` or ``high`` moved there.

        ``minimum``, ``maximum``, ``deviation`` and ``distinct`` stay those of all numbers.
        """
        values, places = np.unique(np.clip(self.values, low, high), return_inverse=True)
        return replace(self, values=values, weights=np.bincount(places, self.weights))


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


def _deviation(values: Floats) -> float:
    # numbers near the largest double must not overflow on their way
    scale = float(np.abs(values).max())
    if scale > 1e150:
        return float(min(np.std(values / scale) * scale, np.finfo(np.float64).max))
    return float(np.std(values))
