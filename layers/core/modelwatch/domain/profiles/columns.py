"""What is kept of one column: counts, moments, a sketch of its numbers, its frequent texts."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.profiles.distinct import Registers, distinct_estimate, registers_of
from modelwatch.domain.profiles.hashes import hash_numbers, hash_texts
from modelwatch.domain.profiles.quantiles import Floats, QuantileSketch

FREQUENT_TEXTS = 1000
"""How many texts are counted one by one."""

ColumnKind = Literal["numerical", "categorical", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One column of a profile. A column may hold numbers in some rows and texts in others.

    Attributes
    ----------
    rows
        All rows, also those that lack the column: ``nulls + numbers + booleans + strings``.
    nulls
        Rows without a value (null, NaN, or no such column).
    numbers, booleans, strings
        Rows by the type of their value; infinities count among the numbers.
    infinities
        Infinite numbers: left out of the moments and of the sketch.
    mean, square
        Mean of the finite numbers, and the sum of squares of their differences from it, in units
        of ``4**exponent``.
    sketch
        The distribution of the finite numbers.
    counts
        How often the frequent texts came (booleans as ``true`` and ``false``), by text, most
        frequent first; exact while there are no more than `FREQUENT_TEXTS`.
    rest
        Rows whose text is not counted in ``counts``.
    undercount
        A text, in ``counts`` or not, came at most so much more often than ``counts`` says.
    registers
        HyperLogLog of all values; see `modelwatch.domain.profiles.distinct`.
    exponent
        0, but for numbers so large or so small that their squares are no doubles.
    """

    rows: int
    nulls: int = 0
    numbers: int = 0
    booleans: int = 0
    strings: int = 0
    infinities: int = 0
    mean: float = 0.0
    square: float = 0.0
    sketch: QuantileSketch = field(default_factory=lambda: QuantileSketch((), math.nan, math.nan))
    counts: Mapping[str, int] = field(default_factory=dict)
    rest: int = 0
    undercount: int = 0
    registers: Registers = field(default_factory=lambda: registers_of(np.empty(0, np.uint64)))
    exponent: int = 0

    @property
    def kind(self) -> ColumnKind:
        """What most of its values are."""
        texts = self.booleans + self.strings
        if not self.numbers + texts:
            return "empty"
        return "numerical" if self.numbers >= texts else "categorical"

    @property
    def missing_ratio(self) -> float:
        """Share of rows without a value, 0 to 1; 0 when there are no rows."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def distinct(self) -> float:
        """Estimated number of different values; see `distinct.RELATIVE_ERROR`."""
        return distinct_estimate(self.registers)

    @property
    def minimum(self) -> float | None:
        """Smallest finite number; None when there is none."""
        return self.sketch.minimum if self.sketch.n else None

    @property
    def maximum(self) -> float | None:
        """Largest finite number; None when there is none."""
        return self.sketch.maximum if self.sketch.n else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the finite numbers (dividing by their number); None without any."""
        n = self.sketch.n
        if not n:
            return None
        deviation = float(np.ldexp(math.sqrt(self.square / n), self.exponent))
        return min(deviation, sys.float_info.max)


def is_plain(matrix: Floats) -> NDArray[np.bool_]:
    """Return which rows have finite numbers alone, whose squares and sum are doubles."""
    # 0 and NaN are handled apart; a row of nothing but zeros is plain
    largest = np.abs(matrix).max(axis=-1, initial=0.0)
    plain: NDArray[np.bool_] = (largest < _LARGE) & ((largest > 1 / _LARGE) | (largest == 0))
    return plain


_LARGE = 2.0**400


def number_column(values: Floats) -> ColumnProfile:
    """Profile numbers; NaN is a missing value.

    Examples
    --------
    >>> column = number_column(np.array([1.0, 3.0, np.nan, np.inf]))
    >>> column.rows, column.nulls, column.infinities, column.mean, column.deviation
    (4, 1, 1, 2.0, 1.0)
    >>> number_column(np.array([1e308, -1e308])).deviation
    1e+308
    """
    present = values[~np.isnan(values)]
    finite = present[np.isfinite(present)]
    mean, square, exponent = 0.0, 0.0, 0
    if len(finite):
        scaled = finite
        if not is_plain(finite):
            exponent = math.frexp(float(np.abs(finite).max()))[1]
            scaled = np.ldexp(finite, -exponent)
        mean = float(np.mean(scaled))
        square = float(np.sum(np.square(scaled - mean)))
        if exponent:
            mean = float(np.clip(np.ldexp(mean, exponent), finite.min(), finite.max()))
    return ColumnProfile(
        rows=len(values),
        nulls=len(values) - len(present),
        numbers=len(present),
        infinities=len(present) - len(finite),
        mean=mean,
        square=square,
        sketch=QuantileSketch.from_values(finite),
        registers=registers_of(hash_numbers(present)),
        exponent=exponent,
    )


def text_column(counts: Mapping[str, int], nulls: int, *, boolean: bool = False) -> ColumnProfile:
    """Profile texts, or booleans, from how often each came.

    Examples
    --------
    >>> column = text_column({"red": 3, "white": 1}, nulls=2)
    >>> column.rows, column.strings, column.missing_ratio, round(column.distinct)
    (6, 4, 0.3333333333333333, 2)
    """
    total = sum(counts.values())
    kept, rest, undercount = _frequent(counts)
    return ColumnProfile(
        rows=total + nulls,
        nulls=nulls,
        booleans=total if boolean else 0,
        strings=0 if boolean else total,
        counts=kept,
        rest=rest,
        undercount=undercount,
        registers=registers_of(hash_texts(counts)),
    )


def merge_columns(columns: Sequence[ColumnProfile], rows: int) -> ColumnProfile:
    """Return the profile of the rows of all ``columns`` together, of ``rows`` rows in all.

    Rows beyond those of ``columns`` are rows that lack the column.
    """
    absent = rows - sum(column.rows for column in columns)
    if len(columns) == 1 and not absent:
        return columns[0]
    mean, square, exponent = _moments(columns)
    counts: dict[str, int] = {}
    for column in columns:
        for text, count in column.counts.items():
            counts[text] = counts.get(text, 0) + count
    kept, dropped, undercount = _frequent(counts)
    return ColumnProfile(
        rows=rows,
        nulls=absent + sum(column.nulls for column in columns),
        numbers=sum(column.numbers for column in columns),
        booleans=sum(column.booleans for column in columns),
        strings=sum(column.strings for column in columns),
        infinities=sum(column.infinities for column in columns),
        mean=mean,
        square=square,
        sketch=QuantileSketch.merge([column.sketch for column in columns]),
        counts=kept,
        rest=dropped + sum(column.rest for column in columns),
        undercount=undercount + sum(column.undercount for column in columns),
        registers=np.maximum.reduce([column.registers for column in columns]),
        exponent=exponent,
    )


def _moments(columns: Sequence[ColumnProfile]) -> tuple[float, float, int]:
    """Merge means and squares: Chan, Golub, LeVeque, *Updating Formulae* (1979)."""
    columns = [column for column in columns if column.sketch.n]
    if not columns:
        return 0.0, 0.0, 0
    sizes = np.array([column.sketch.n for column in columns], np.float64)
    total = float(sizes.sum())
    means = np.array([column.mean for column in columns])
    squares: NDArray[np.float64] = np.array([column.square for column in columns])
    exponents = np.array([column.exponent for column in columns])
    mean = float(means @ (sizes / total))
    exponent = 0
    if exponents.any():
        # in units in which all of them are doubles
        largest = float(np.abs(means).max())
        units = exponents[squares > 0].tolist() + ([math.frexp(largest)[1]] if largest else [])
        exponent = max(units, default=0)
        squares = np.ldexp(squares, 2 * (exponents - exponent))
    differences = np.ldexp(means, -exponent) - math.ldexp(mean, -exponent)
    return mean, float(squares.sum() + sizes @ np.square(differences)), exponent


def _frequent(counts: Mapping[str, int]) -> tuple[dict[str, int], int, int]:
    """Return the frequent texts with their counts, the rows of the others, and their most."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    dropped = ordered[FREQUENT_TEXTS:]
    return (
        dict(ordered[:FREQUENT_TEXTS]),
        sum(count for _, count in dropped),
        dropped[0][1] if dropped else 0,
    )
