"""Segments: parts of a model's traffic that are watched apart, so that a drift of one is found.

They are declared in one line, separated by semicolons: a column, each value of which is a segment,
or ``name: expression``, or an expression that is its own name::

    colour; strong red: alcohol > 13 and colour == "red"; `price/l` >= 10
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.numbers import WHOLE_LIMIT
from modelwatch.domain.segments.columns import Bools, Column
from modelwatch.domain.segments.expressions import Expression
from modelwatch.domain.segments.keys import (
    EVERYTHING,
    LONGEST_NAME,
    MOST_SEGMENTS,
    OTHER,
    SegmentKey,
)
from modelwatch.errors import InvalidInputError, SettingError

__all__ = [
    "EVERYTHING",
    "MOST_SEGMENTS",
    "NO_SEGMENTS",
    "OTHER",
    "SEGMENTS_SETTING",
    "ColumnSegments",
    "NamedSegment",
    "SegmentKey",
    "Segments",
    "SegmentsOf",
    "no_segments",
    "parse_segments",
    "read_segments",
]

SEGMENTS_SETTING = "ANALYSIS_SEGMENTS"
"""Name of the setting that declares them."""

_PART = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|[^;"'`])+""")
_NAMED = re.compile(r"\s*(?P<name>[\w .+-]{1,60}?)\s*:(?P<expression>.+)", re.DOTALL)
_COLUMN = re.compile(r"\s*(?:`(?P<quoted>[^`]+)`|(?P<plain>(?!True$|False$|None$)[^\W\d]\w*))\s*")


@dataclass(frozen=True, slots=True)
class ColumnSegments:
    """One segment for each value of ``column``, called ``column=value``; missing is none."""

    column: str

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are needed."""
        return frozenset({self.column})

    def declares(self, key: SegmentKey) -> bool:
        """Return whether a segment is one of these."""
        return key.column == self.column and not key.expression

    def rows(self, columns: Mapping[str, NDArray[Any]], rows: int) -> dict[SegmentKey, Bools]:
        """Return the rows of each value; of the rarer ones of too many, together as `OTHER`."""
        if self.column not in columns or not rows:
            return {}
        column = Column.of(columns[self.column])
        present = np.flatnonzero(column.known)
        values, codes, counts = np.unique(
            column.values[present], return_inverse=True, return_counts=True
        )
        frequent = np.argsort(-counts, kind="stable")[:MOST_SEGMENTS]
        found: dict[SegmentKey, Bools] = {}
        for code in sorted(frequent.tolist()):
            key = SegmentKey(f"{self.column}={_text(values[code])}", self.column)
            mine = _at(present[codes == code], rows)
            # long values may differ behind what is shown of them
            found[key] = found[key] | mine if key in found else mine
        if len(values) > MOST_SEGMENTS:
            rest = SegmentKey("", self.column).rest
            rare = _at(present[~np.isin(codes, frequent)], rows)
            found[rest] = found[rest] | rare if rest in found else rare
        return found


@dataclass(frozen=True, slots=True)
class NamedSegment:
    """The rows for which an expression is true."""

    name: str
    expression: Expression

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are needed."""
        return self.expression.columns

    @property
    def key(self) -> SegmentKey:
        """The segment."""
        return SegmentKey(self.name, "", self.expression.text)

    def declares(self, key: SegmentKey) -> bool:
        """Return whether a segment is this one."""
        return key == self.key

    def rows(self, columns: Mapping[str, NDArray[Any]], rows: int) -> dict[SegmentKey, Bools]:
        """Return the rows; nothing when there are none."""
        true = self.expression.rows(columns, rows)
        return {self.key: true} if true.any() else {}


@dataclass(frozen=True, slots=True)
class Segments:
    """All declared segments. A row may belong to several, or to none.

    Examples
    --------
    >>> segments = parse_segments("colour; strong: alcohol > 13")
    >>> columns = {"alcohol": np.array([13.5, 12.0]), "colour": np.array(["red", "white"])}
    >>> {key.name: rows.tolist() for key, rows in segments.rows(columns, 2).items()}
    {'colour=red': [True, False], 'colour=white': [False, True], 'strong': [True, False]}
    """

    parts: Sequence[ColumnSegments | NamedSegment] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are needed."""
        return frozenset[str]().union(*(part.columns for part in self.parts))

    def declares(self, key: SegmentKey) -> bool:
        """Return whether a segment is one of these."""
        return any(part.declares(key) for part in self.parts)

    @property
    def named(self) -> list[SegmentKey]:
        """The segments by expression: those of columns come with the values."""
        return [part.key for part in self.parts if isinstance(part, NamedSegment)]

    def in_order(self, keys: Iterable[SegmentKey]) -> list[SegmentKey]:
        """Return those of ``keys`` that are declared, as they are, values of a column sorted."""
        distinct = sorted(set(keys))
        return [key for part in self.parts for key in distinct if part.declares(key)]

    def rows(self, columns: Mapping[str, NDArray[Any]], rows: int) -> dict[SegmentKey, Bools]:
        """Return for each segment with rows which of ``rows`` rows belong to it.

        Parameters
        ----------
        columns
            Arrays by feature name, of which only `columns` are looked at: numbers (NaN: missing),
            booleans, or objects (None: missing). A column may be absent.
        """
        found: dict[SegmentKey, Bools] = {}
        for part in self.parts:
            found |= part.rows(columns, rows)
        return found


NO_SEGMENTS = Segments()


def parse_segments(text: str, field: str = "") -> Segments:
    """Read declared segments; an empty text declares none.

    Raises InvalidInputError when one cannot be read, two have the same name, or there are more than
    `MOST_SEGMENTS`.
    """
    parts: dict[str, ColumnSegments | NamedSegment] = {}
    for declared in _split(text, field):
        column = _COLUMN.fullmatch(declared)
        if column:
            name = column["quoted"] or column["plain"]
            part: ColumnSegments | NamedSegment = ColumnSegments(name)
        else:
            named = _NAMED.fullmatch(declared)
            expression = Expression(named["expression"] if named else declared, field)
            name = named["name"] if named else expression.text
            if len(name) > LONGEST_NAME:
                raise InvalidInputError(
                    field, f"'{name[:80]} …' is long: give it a name, as in 'strong: alcohol > 13'"
                )
            part = NamedSegment(name, expression)
        if name in parts:
            raise InvalidInputError(field, f"'{name[:80]}' is there twice")
        parts[name] = part
    if len(parts) > MOST_SEGMENTS:
        raise InvalidInputError(
            field, f"declares {len(parts)} segments; at most {MOST_SEGMENTS} are watched"
        )
    return Segments(tuple(parts.values()))


def read_segments(text: str) -> Segments:
    """Read the segments of the setting `SEGMENTS_SETTING`.

    Raises SettingError when they cannot be read.
    """
    try:
        return parse_segments(text)
    except InvalidInputError as error:
        raise SettingError(SEGMENTS_SETTING, error.problem) from None


SegmentsOf = Callable[[str], Segments]
"""Gives the segments that are declared for a model, by its name."""


def no_segments(_model_name: str) -> Segments:
    """Return none: a `SegmentsOf`."""
    return NO_SEGMENTS


def _split(text: str, field: str) -> list[str]:
    parts = [found[0] for found in _PART.finditer(text) if found[0].strip()]
    rest = _PART.sub("", text).replace(";", "").strip()
    if rest:
        raise InvalidInputError(field, f"has a quote that is not closed: {rest[:20]}")
    return parts


def _text(value: Any) -> str:
    if isinstance(value, float):
        # every digit: 1000001 and 1000002 are two shops
        whole = value.is_integer() and abs(value) < WHOLE_LIMIT
        return str(int(value)) if whole else repr(float(value))
    text = str(value).lower() if isinstance(value, bool | np.bool_) else str(value)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _at(indices: NDArray[np.intp], rows: int) -> Bools:
    mask = np.zeros(rows, np.bool_)
    mask[indices] = True
    return mask
