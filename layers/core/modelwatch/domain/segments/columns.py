"""Columns as expressions see them: values of one kind, some of them missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

Kind = Literal["numbers", "texts", "booleans", "nothing"]


class Truth(NamedTuple):
    """For each row whether it is true, and whether it is known to be true or false."""

    true: Bools
    known: Bools


@dataclass(frozen=True, slots=True)
class Column:
    """Values of a kind; where ``known`` is false, a row has none."""

    kind: Kind
    values: NDArray[Any]
    known: Bools

    @classmethod
    def of(cls, values: NDArray[Any]) -> Column:
        """Take an array as a column: NaN and None are missing values.

        Examples
        --------
        >>> Column.of(np.array([None, "red"], dtype=object)).known.tolist()
        [False, True]
        """
        if values.dtype.kind in "fiu":
            numbers = values.astype(np.float64)
            return cls("numbers", numbers, ~np.isnan(numbers))
        if values.dtype.kind == "b":
            return cls("booleans", values, np.ones(len(values), np.bool_))
        objects = values.astype(object)
        known: Bools = objects != None  # noqa: E711 - element by element
        present = objects[known]
        if not len(present):
            return cls("nothing", objects, known)
        if isinstance(present[0], bool | np.bool_):
            found = np.zeros(len(values), np.bool_)
            found[known] = present == True  # noqa: E712 - element by element
            return cls("booleans", found, known)
        if isinstance(present[0], int | float):
            numbers = np.full(len(values), np.nan)
            numbers[known] = present.astype(np.float64)
            return cls("numbers", numbers, ~np.isnan(numbers))
        return cls("texts", objects, known)

    @classmethod
    def missing(cls, rows: int) -> Column:
        """Return a column without values."""
        return cls("nothing", np.full(rows, None, object), np.zeros(rows, np.bool_))

    @classmethod
    def constant(cls, value: float | str | bool, rows: int) -> Column:
        """Return a column with the same value in every row."""
        kind: Kind = (
            "booleans"
            if isinstance(value, bool)
            else "texts"
            if isinstance(value, str)
            else "numbers"
        )
        values = np.full(rows, value, object if kind == "texts" else None)
        return cls(kind, values, np.ones(rows, np.bool_))

    def equals(self, value: float | str | bool) -> Truth:
        """Return where the column has ``value``; a value of another kind is never equal."""
        return self.equals_column(Column.constant(value, len(self.values)))

    def equals_column(self, other: Column) -> Truth:
        """Return where both have the same value."""
        known = self.known & other.known
        if self.kind != other.kind:
            return Truth(np.zeros(len(known), np.bool_), known)
        return Truth(np.equal(self.values, other.values).astype(np.bool_) & known, known)

    def ordered(self, other: Column, compare: Callable[[Any, Any], Any]) -> Truth:
        """Return where ``compare`` holds; of values of different kinds no one knows.

        Only numbers, and only texts, have an order among them.
        """
        known = self.known & other.known
        if self.kind != other.kind or self.kind not in ("numbers", "texts"):
            known = np.zeros(len(known), np.bool_)
        true = np.zeros(len(known), np.bool_)
        true[known] = compare(self.values[known], other.values[known])
        return Truth(true, known)
