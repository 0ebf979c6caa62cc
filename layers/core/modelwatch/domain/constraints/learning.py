"""Constraints learned from a reference: what it shows, and a margin that follows from its size.

A share that is allowed is the upper bound that the reference leaves possible (Clopper and Pearson,
exact), so that one of a hundred rows asks for less than one of a million. The confidence holds for
all shares of a document together (Bonferroni): of a hundred references, so many as ``confidence``
says allow everything that their distribution really does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np

from modelwatch.domain.binomial import lower_bound, upper_bound
from modelwatch.domain.constraints.document import (
    CategoryRule,
    ColumnConstraints,
    ConstantRule,
    Constraints,
    ExtraRule,
    InfiniteRule,
    Kind,
    KindRule,
    MissingRule,
    RangeRule,
    VaryingRule,
    WholeRule,
)
from modelwatch.domain.profiles import ColumnProfile, Profile, QuantileSketch

_SHARES_OF_A_COLUMN = 8
_DIGITS = 1e6


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """How much more than the reference shows is allowed.

    Attributes
    ----------
    confidence
        That the shares allow what the reference's distribution does, all together.
    absolute, relative
        A share may also be so much above the reference's, and by such a part of it: what is
        smaller is of no practical interest, however many rows prove it.
    range_tolerance
        How far a number may be beyond the reference's least and greatest, as a part of the
        distance between them.
    most_unseen
        Texts with a larger share of new ones than this are names or numbers of things, and no
        categories.
    """

    confidence: float = 0.99
    absolute: float = 0.001
    relative: float = 0.25
    range_tolerance: float = 0.05
    most_unseen: float = 0.5


def learn_constraints(profile: Profile, margins: Margins = Margins()) -> Constraints:  # noqa: B008
    """Return the constraints that a reference suggests for its features.

    Of a column without values it is learned that it has none; of no rows, nothing but the names.

    Parameters
    ----------
    profile
        Profile of the reference.
    margins
        How much more than it shows is allowed.

    Examples
    --------
    >>> from modelwatch.domain.profiles import text_column
    >>> colour = text_column({"red": 600, "white": 400}, nulls=0)
    >>> learned = learn_constraints(Profile(rows=1000, features={"colour": colour}))
    >>> learned.columns["colour"].missing, list(learned.columns["colour"].categories.known)
    (MissingRule(allowed_share=0.00678), ['red', 'white'])
    """
    bounds = _Bounds(profile, margins)
    facts = {name: _facts(column) for name, column in profile.features.items()}
    # the first round only tells which bounds are needed: all at once they cost little
    for each in facts.values():
        _learn_column(each, bounds, margins)
    bounds.compute()
    return Constraints(
        columns={name: _learn_column(each, bounds, margins) for name, each in facts.items()},
        extra_columns=ExtraRule(allowed_share=bounds.upper(0, profile.rows)),
        reference_rows=profile.rows,
    )


class _Facts(NamedTuple):
    """What a column shows: its kind, and how many values are of it.

    ``whole`` is how many whole numbers were seen, 0 when any was not whole; ``most`` is the most
    rows that the most frequent value may have.
    """

    column: ColumnProfile
    kind: Kind
    alike: int
    constant: bool | float | str | None
    whole: int
    most: int


def _facts(column: ColumnProfile) -> _Facts:
    by_kind: dict[Kind, int] = {
        "numbers": column.numbers,
        "texts": column.strings,
        "truth values": column.booleans,
    }
    kind = max(by_kind, key=by_kind.__getitem__)
    alike = by_kind[kind]
    whole = _whole(column.sketch) if kind == "numbers" else 0
    return _Facts(
        column, kind if alike else "empty", alike, constant_of(column), whole, _most(column)
    )


def _learn_column(facts: _Facts, bounds: _Bounds, margins: Margins) -> ColumnConstraints:
    column = facts.column
    values = column.rows - column.nulls
    if facts.kind == "empty":
        rule = KindRule(kind="empty", allowed_share=bounds.upper(0, column.rows))
        return ColumnConstraints(kind=rule)
    kind = KindRule(kind=facts.kind, allowed_share=bounds.upper(values - facts.alike, values))
    missing = MissingRule(allowed_share=bounds.upper(column.nulls, column.rows))
    constant = whole = bounds_of_numbers = categories = infinite = varying = None
    if facts.kind == "numbers":
        infinite = InfiniteRule(allowed_share=bounds.upper(column.infinities, column.numbers))
    if facts.constant is not None and values > 1:
        constant = ConstantRule(value=facts.constant, allowed_share=bounds.upper(0, values))
    elif facts.kind == "numbers":
        if facts.whole:
            # all that is known is of the numbers that the sketch holds
            whole = WholeRule(allowed_share=bounds.upper(0, facts.whole))
        if column.sketch.n:
            bounds_of_numbers = _range(column, bounds, margins, bool(facts.whole))
    else:
        categories = _categories(column, bounds, margins)
    if constant is None and values > 1:
        largest = bounds.upper(min(facts.most, values), values)
        varying = VaryingRule(largest_share=largest) if largest < 1 else None
    return ColumnConstraints(
        kind=kind,
        missing=missing,
        infinite=infinite,
        whole=whole,
        range=bounds_of_numbers,
        categories=categories,
        constant=constant,
        varying=varying,
    )


def constant_of(column: ColumnProfile) -> bool | float | str | None:
    """Return the one value that a column has; None when it has none, or several."""
    texts = column.strings + column.booleans
    if column.numbers and not texts and not column.infinities:
        sketch = column.sketch
        return sketch.minimum if sketch.minimum == sketch.maximum else None
    if texts and not column.numbers and len(column.counts) == 1 and not column.rest:
        (text,) = column.counts
        return text == "true" if column.booleans == texts else text
    return None


def _whole(sketch: QuantileSketch) -> int:
    if not sketch.n:
        return 0
    values = np.concatenate(sketch.levels)
    return 0 if (values != np.floor(values)).any() else len(values)


def _most(column: ColumnProfile) -> int:
    texts = max(column.counts.values(), default=0) + column.undercount
    if not column.sketch.n:
        return texts
    numbers, weights = column.sketch.weighted()
    starts = np.concatenate([[0], 1 + np.flatnonzero(numbers[1:] != numbers[:-1])])
    most = int(np.add.reduceat(weights, starts).max())
    error = 0 if column.sketch.exact else math.ceil(2 * column.sketch.RANK_ERROR * column.sketch.n)
    return max(most + error, texts, column.infinities)


def _range(column: ColumnProfile, bounds: _Bounds, margins: Margins, whole: bool) -> RangeRule:
    low, high = column.sketch.minimum, column.sketch.maximum
    tolerance = margins.range_tolerance * (high / 2 - low / 2) * 2
    minimum, maximum = low - tolerance, high + tolerance
    if low >= 0:
        minimum = max(minimum, 0.0)
    if not (math.isfinite(minimum) and math.isfinite(maximum)):
        minimum, maximum = low, high
    if whole:
        minimum, maximum = np.floor(minimum).item(), np.ceil(maximum).item()
    return RangeRule(
        minimum=minimum,
        maximum=maximum,
        non_negative=low >= 0,
        # Wilks: what is beyond the extremes of n draws is bounded as by one of n
        allowed_share=bounds.upper(1, column.sketch.n),
    )


def _categories(column: ColumnProfile, bounds: _Bounds, margins: Margins) -> CategoryRule | None:
    if column.rest or column.undercount:
        return None  # the reference's own categories are not all known
    rows = sum(column.counts.values())
    # Good and Turing: the share of what was never seen is about that of what was seen once; its
    # variance has the pairs in it, too (Esty 1983)
    once = sum(1 for count in column.counts.values() if count == 1)
    twice = sum(1 for count in column.counts.values() if count == 2)
    unseen = bounds.upper(min(once + math.isqrt(2 * twice), rows), rows)
    if unseen > margins.most_unseen:
        return None
    known = {text: bounds.lower(count, rows) for text, count in column.counts.items()}
    return CategoryRule(known=known, allowed_share=unseen)


class _Bounds:
    """Bounds of shares at the confidence of one of them.

    What is asked for before `compute` is remembered, and answered with the share itself.
    """

    def __init__(self, profile: Profile, margins: Margins) -> None:
        shares = 1 + _SHARES_OF_A_COLUMN * len(profile.features)
        self._level = 1 - (1 - margins.confidence) / shares
        self._margins = margins
        self._upper: dict[tuple[int, int], float] = {(0, profile.rows): 0.0}
        self._lower: dict[tuple[int, int], float] = {}

    def upper(self, count: int, rows: int) -> float:
        """Return the share that ``count`` of ``rows`` allow, rounded up to six digits."""
        return self._upper.setdefault((count, rows), count / rows if rows else 0.0)

    def lower(self, count: int, rows: int) -> float:
        """Return the least share that ``count`` of ``rows`` leave, rounded down to six digits."""
        return self._lower.setdefault((count, rows), count / rows if rows else 0.0)

    def compute(self) -> None:
        count, rows = np.array(list(self._upper)).T
        share = count / np.maximum(rows, 1)
        slack = np.maximum(self._margins.absolute, self._margins.relative * share)
        allowed = np.maximum(upper_bound(count, rows, self._level), share + slack)
        allowed = np.minimum(np.ceil(allowed * _DIGITS) / _DIGITS, 1.0)
        self._upper = dict(zip(self._upper, allowed.tolist(), strict=True))
        if self._lower:
            count, rows = np.array(list(self._lower)).T
            least = np.floor(lower_bound(count, rows, self._level) * _DIGITS) / _DIGITS
            self._lower = dict(zip(self._lower, least.tolist(), strict=True))
