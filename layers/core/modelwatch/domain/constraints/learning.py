"""Constraints learned from a reference.

A share is allowed that is a little above the reference's. How sure the reference is of it is not
said by a margin: the rule keeps how many rows of how many broke it, and a window is held to these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypedDict

import msgspec
import numpy as np

from modelwatch.domain.binomial import upper_bound
from modelwatch.domain.constraints.document import (
    CategoryRule,
    ColumnConstraints,
    ConstantRule,
    Constraints,
    ExtraRule,
    FailedRule,
    InfiniteRule,
    Kind,
    KindRule,
    MissingRule,
    RangeRule,
    Seen,
    VaryingRule,
    WholeRule,
)
from modelwatch.domain.profiles import ColumnProfile, Profile, QuantileSketch

_DIGITS = 1e6
_MOST_DECIMALS = 12


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """How much more than the reference shows is allowed.

    Attributes
    ----------
    absolute, relative
        A share may be so much above the reference's, or by such a part of it, whichever is more:
        what is smaller is of no practical interest, however many rows prove it.
    range_tolerance
        How far a number may be beyond the reference's least and greatest, as a part of the
        distance between them.
    most_unseen
        Texts with a larger share of new ones than this are names or numbers of things, and no
        categories.
    confidence
        That the share of the most frequent value is no larger than what is learned of it, for
        each column.
    """

    absolute: float = 0.001
    relative: float = 0.25
    range_tolerance: float = 0.05
    most_unseen: float = 0.5
    confidence: float = 0.9999

    def allowed(self, seen: Seen) -> float:
        """Return the share that is allowed after ``seen``, rounded up to six digits.

        Examples
        --------
        >>> Margins().allowed(Seen(broken=0, rows=500)), Margins().allowed(Seen(broken=1, rows=5))
        (0.001, 0.25)
        """
        share = seen.broken / seen.rows if seen.rows else 1.0
        slack = max(self.absolute, self.relative * share)
        return min(math.ceil(round((share + slack) * _DIGITS, 3)) / _DIGITS, 1.0)


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
    >>> learned.columns["colour"].missing
    MissingRule(allowed_share=0.001, reference=Seen(broken=0, rows=1000))
    >>> learned.columns["colour"].categories.known
    {'red': 0.6, 'white': 0.4}
    """
    facts = [_facts(column) for column in profile.features.values()]
    # all at once they cost little
    largest = upper_bound(
        [min(each.most, each.values) for each in facts],
        [each.values for each in facts],
        margins.confidence,
    )
    largest = np.minimum(np.ceil(largest * _DIGITS) / _DIGITS, 1.0)
    return Constraints(
        columns={
            name: _learn_column(each, share, margins)
            for name, each, share in zip(profile.features, facts, largest.tolist(), strict=True)
        },
        extra_columns=ExtraRule(**_bounded(0, profile.rows, margins)),
        failed_predictions=FailedRule(**_bounded(profile.failures, profile.rows, margins)),
        reference_rows=profile.rows,
    )


class _Terms(TypedDict):
    allowed_share: float
    reference: Seen


def _bounded(broken: int, rows: int, margins: Margins) -> _Terms:
    seen = Seen(broken=broken, rows=rows)
    return {"allowed_share": margins.allowed(seen), "reference": seen}


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

    @property
    def values(self) -> int:
        return self.column.rows - self.column.nulls


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


def _learn_column(facts: _Facts, largest_share: float, margins: Margins) -> ColumnConstraints:
    column, values = facts.column, facts.values
    if facts.kind == "empty":
        return ColumnConstraints(kind=KindRule(kind="empty", **_bounded(0, column.rows, margins)))
    constant = whole = limits = categories = infinite = varying = None
    if facts.kind == "numbers":
        infinite = InfiniteRule(**_bounded(column.infinities, column.numbers, margins))
    if facts.constant is not None and values > 1:
        constant = ConstantRule(value=facts.constant, **_bounded(0, values, margins))
    elif facts.kind == "numbers":
        if facts.whole:
            # all that is known is of the numbers that the sketch holds
            whole = WholeRule(**_bounded(0, facts.whole, margins))
        if column.sketch.n:
            limits = _range(column, margins, bool(facts.whole))
    else:
        categories = _categories(column, margins)
    if constant is None and values > 1 and largest_share < 1:
        varying = VaryingRule(largest_share=largest_share)
    return ColumnConstraints(
        kind=KindRule(kind=facts.kind, **_bounded(values - facts.alike, values, margins)),
        missing=MissingRule(**_bounded(column.nulls, column.rows, margins)),
        infinite=infinite,
        whole=whole,
        range=limits,
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


def _range(column: ColumnProfile, margins: Margins, whole: bool) -> RangeRule:
    low, high = column.sketch.minimum, column.sketch.maximum
    tolerance = margins.range_tolerance * (high / 2 - low / 2) * 2
    minimum, maximum = low - tolerance, high + tolerance
    if low >= 0:
        minimum = max(minimum, 0.0)
    if not (math.isfinite(minimum) and math.isfinite(maximum)):
        minimum, maximum = low, high
    # as many decimals as people read; whole numbers have none
    decimals = 0 if whole else _decimals(high / 2 - low / 2)
    if minimum < low:
        minimum = _rounded(minimum, decimals, math.floor)
    if maximum > high:
        maximum = _rounded(maximum, decimals, math.ceil)
    return RangeRule(
        # the reference's own extremes are exact, and never beyond the bounds
        minimum=min(minimum, low),
        maximum=max(maximum, high),
        non_negative=low >= 0,
        # that new draws are beyond the extremes of old ones is as likely as if one of these
        # was: Wilks 1941, see `fisher_tail`
        **_bounded(1, column.sketch.n, margins),
    )


def _decimals(distance: float) -> int:
    return 3 - math.floor(math.log10(distance)) if distance else _MOST_DECIMALS + 1


def _rounded(number: float, decimals: int, outward: Callable[[float], int]) -> float:
    """Round to so many decimals, where that is as exact as the number itself."""
    if not 0 <= decimals <= _MOST_DECIMALS or abs(number) > 2**52 / 10**decimals:
        return number
    scale = 10.0**decimals
    return outward(number * scale) / scale


def _categories(column: ColumnProfile, margins: Margins) -> CategoryRule | None:
    if column.rest or column.undercount:
        return None  # the reference's own categories are not all known
    rows = sum(column.counts.values())
    # Good and Turing: the share of what was never seen is about that of what was seen once; its
    # variance has the pairs in it, too (Esty, Ann. Statist. 11 (1983) 905)
    once = sum(1 for count in column.counts.values() if count == 1)
    twice = sum(1 for count in column.counts.values() if count == 2)
    unseen = min(once + math.isqrt(2 * twice), rows)
    if unseen > margins.most_unseen * rows:
        return None
    known = {text: round(count / rows, 6) for text, count in column.counts.items()}
    return CategoryRule(known=known, **_bounded(unseen, rows, margins))
