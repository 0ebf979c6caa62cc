"""CSV payloads that keep apart what plain CSV mixes up: null, empty text, numbers and text.

A number, a truth value and a null are written bare, ``1.5``, ``true`` and nothing at all; a text
that would be read as one of them is quoted. Programs that know nothing of it see ordinary CSV
(RFC 4180).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from modelwatch.domain.records import Value
from modelwatch.errors import InvalidInputError

_CELL = re.compile(r'"((?:[^"]|"")*)"|([^,\r\n]*)')
_END = re.compile(r",|\r\n|\n|\r|\Z")
_WHOLE = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_MISSING = frozenset({"nan", "NaN"})
_TRUTH = {"true": True, "false": False, "True": True, "False": False}


class Cell(str):
    """The text of a cell, and whether it stood in quotes."""

    __slots__ = ("quoted",)
    quoted: bool

    @classmethod
    def of(cls, text: str, quoted: bool) -> Cell:
        """Return ``text`` as a cell."""
        cell = cls(text)
        cell.quoted = quoted
        return cell


def write_row(values: Sequence[Value]) -> str:
    """Return ``values`` as a row, without an end of line.

    Examples
    --------
    >>> write_row([1.5, 2, True, None, "red", "", "1", 'a "b"'])
    '1.5,2,true,,red,"","1","a ""b\"""'
    """
    return ",".join(_written(value) for value in values)


def read_rows(text: str) -> list[list[Cell]]:
    """Return the cells of every row; one end of line at the very end begins no further row.

    Raises
    ------
    InvalidInputError
        When something stands behind a closing quote.

    Examples
    --------
    >>> read_rows('1,"a,b"\\n,\\n')
    [['1', 'a,b'], ['', '']]
    """
    rows: list[list[Cell]] = [[]]
    position = 0
    while True:
        cell = _CELL.match(text, position)
        end = _END.match(text, cell.end()) if cell else None
        if cell is None or end is None:
            line = text.count("\n", 0, position) + 1
            raise InvalidInputError("", f"row {line} of the CSV has a quote in the wrong place")
        quoted = cell[1] is not None
        rows[-1].append(Cell.of(cell[1].replace('""', '"') if quoted else cell[2], quoted))
        position = end.end()
        if not end[0]:
            return rows
        if end[0] != ",":
            if position == len(text):
                return rows
            rows.append([])


def value_of(text: str) -> Value:
    """Read a bare cell for what it looks like.

    Examples
    --------
    >>> [value_of(text) for text in ("1", "1.0", "true", "", "nan", "1_0", "inf")]
    [1, 1.0, True, None, None, '1_0', inf]
    """
    if not text or text in _MISSING:
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text)
    return _TRUTH.get(text, str(text))


def typed_value(value: Value, letter: str) -> Value:
    """Hold ``value``, text or read already, against the type ``letter`` of its column.

    Letters are those of `Record.types`: d number, l whole number, s string, b truth value.

    Raises
    ------
    InvalidInputError
        When it is of another type.

    Examples
    --------
    >>> typed_value("1", "d"), typed_value("1", "s"), typed_value("1", "b"), typed_value(2.0, "l")
    (1.0, '1', True, 2)
    """
    if letter == "s":
        return text_of(value)
    if isinstance(value, str):
        value = value_of(value)
    if value is None:
        return None
    if letter == "b" and value in (0, 1):
        return bool(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if letter == "d":
            return float(value)
        if letter == "l" and math.isfinite(value) and value == int(value):
            return int(value)
    expected = {"d": "a number", "l": "a whole number", "b": "a truth value"}[letter]
    raise InvalidInputError("", f"found {value!r}, expected {expected}")


def text_of(value: Value) -> str | None:
    """Return ``value`` as the text of a string column; a bare, empty cell is a null."""
    if isinstance(value, Cell):
        return str(value) if value or value.quoted else None
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def letter_of(value: Value) -> str:
    """Return the type of ``value``, and nothing for a null.

    Examples
    --------
    >>> [letter_of(value) for value in (1, 1.5, True, "a", None)]
    ['d', 'd', 'b', 's', '']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "b"
    return "d" if isinstance(value, int | float) else "s"


def _written(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if not isinstance(value_of(value), str) or any(mark in value for mark in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value
