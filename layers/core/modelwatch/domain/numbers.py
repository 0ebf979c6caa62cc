"""What a number is, for every border: a finite double, or a whole number of 64 bits.

Whole numbers are kept exactly. What is larger than either is refused where it comes in, with the
field's name, so that nothing behind a border meets a number that it cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

WHOLE_LIMIT: Final = 2**63
"""Whole numbers are at least ``-WHOLE_LIMIT`` and less than ``WHOLE_LIMIT``."""

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number, as msgspec checks it; JSON's floats are finite there by themselves."""

Number = float | Whole

LEAST_SAMPLE_RATE: Final = 1e-9
"""A record stands for ``1 / sample_rate`` predictions, and sums of these are finite."""

SampleRate = Annotated[float, msgspec.Meta(ge=LEAST_SAMPLE_RATE, le=1)]
"""Share of the predictions that is captured."""


def rounded(value: float, digits: int, sign: str = "") -> str:
    """Return ``value`` to so many digits, and to all of its whole part: `g` makes 1e+02 of 100.

    >>> [rounded(each, 2) for each in (99.6, 0.333, 1234.5, -1.5e6, 2.5e20)]
    ['100', '0.33', '1234', '-1500000', '2.5e+20']
    >>> rounded(3, 2, "+")
    '+3'
    """
    text = f"{value:{sign}.{digits}g}"
    return f"{value:{sign}.0f}" if "e+" in text and abs(value) < 1e15 else text


def is_number(value: object) -> bool:
    """Return whether ``value`` is an acceptable number; booleans are none.

    Examples
    --------
    >>> is_number(2**63 - 1), is_number(2**63), is_number(1e308), is_number(float("inf"))
    (True, False, True, False)
    """
    if isinstance(value, float):
        return math.isfinite(value)
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and -WHOLE_LIMIT <= value < WHOLE_LIMIT
    )


def exact_double(value: float) -> float | None:
    """Return ``value`` as a double, or None where none is equal to it.

    Examples
    --------
    >>> exact_double(3), exact_double(2**53 + 1), exact_double(10**400)
    (3.0, None, None)
    """
    try:
        double = float(value)
    except OverflowError:
        return None
    return double if double == value else None


def exact_whole(value: float) -> int | None:
    """Return ``value`` as a whole number of 64 bits, or None where none is equal to it.

    Examples
    --------
    >>> exact_whole(2.0), exact_whole(1.5), exact_whole(1e300), exact_whole(10**400)
    (2, None, None, None)
    """
    if not -WHOLE_LIMIT <= value < WHOLE_LIMIT:
        return None  # NaN, too: it is in no interval
    whole = int(value)
    return whole if whole == value else None


PROBABILITY_SLACK: Final = 1e-3
"""So far from 1 may the sum of a row's probabilities be: models compute them in 32 bits."""


def are_probabilities(row: Sequence[float]) -> bool:
    """Return whether numbers are probabilities of classes that exclude each other.

    >>> are_probabilities([0.2, 0.8]), are_probabilities([0.2, float("nan")])
    (True, False)
    """
    total = sum(row)
    # NaN is in no interval, and makes the sum one
    return (
        abs(total - 1) <= PROBABILITY_SLACK
        and min(row) >= -PROBABILITY_SLACK
        and math.isfinite(total)
    )


def probabilities_problem(row: Sequence[float]) -> str:
    """Return why the probabilities that a record came with are none; empty when they are some.

    One alone is that of the second of two classes.

    Examples
    --------
    >>> probabilities_problem([0.2, 0.8]), probabilities_problem([0.7])
    ('', '')
    >>> probabilities_problem([-1.5, 2.5])
    'are not from 0 to 1 with the sum 1; leave out scores that are no probabilities'
    """
    if are_probabilities(row) or (len(row) == 1 and 0 <= row[0] <= 1):
        return ""
    return "are not from 0 to 1 with the sum 1; leave out scores that are no probabilities"
