"""CSV payloads that distinguish null, empty text, numbers and text; plain CSV does not.

A number, a boolean and a null have no quotes: ``1.5``, ``true`` and an empty cell. A text
that looks like one of them is quoted. Other programs see ordinary CSV (RFC 4180).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from modelwatch.domain.numbers import exact_double, exact_whole, is_number
from modelwatch.domain.records import Value
from modelwatch.errors import InvalidInputError

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|((?:[^",\r\n][^,\r\n]*)?))(,|\r\n|\n|\r|\Z)')
_ENDS = re.compile(r"\r\n|\n|\r")
_NUMBER = re.compile(
    r"(?P<whole>[+-]?\d+)|[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?",
    re.ASCII | re.IGNORECASE,
)
_LONGEST_NUMBER = 400
"""No number that a double holds needs more characters; Python's int refuses very long texts."""

_WORDS: dict[str, Value] = {
    "": None,
    "nan": None,
    "null": None,
    "na": None,
    "n/a": None,
    "true": True,
    "false": False,
}
"""The meaning of words, in any case; in a column of texts they are texts."""


class Cell(str):
    """The text of a cell without quotes."""

    __slots__ = ()
    quoted = False


class QuotedCell(Cell):
    """The text of a cell in quotes."""

    __slots__ = ()
    quoted = True


def write_row(values: Sequence[Value]) -> str:
    """Return ``values`` as a row, without an end of line.

    Examples
    --------
    >>> write_row([1.5, 2, True, None, "red", "", "1", 'a "b"'])
    '1.5,2,true,,red,"","1","a ""b\"""'
    """
    return ",".join(_written(value) for value in values)


def read_rows(text: str) -> list[list[Cell]]:
    """Return the cells of every row; a final end of line begins no further row.

    Raises InvalidInputError when there is text after a closing quote.

    Examples
    --------
    >>> read_rows('1,"a,b"\\n,\\n')
    [['1', 'a,b'], ['', '']]
    """
    text = text.removeprefix("\ufeff")
    if '"' not in text:
        lines = _ENDS.split(text)
        if len(lines) > 1 and not lines[-1]:
            lines.pop()
        return [list(map(Cell, line.split(","))) for line in lines]
    rows: list[list[Cell]] = [[]]
    position = 0
    while True:
        cell = _CELL.match(text, position)
        if cell is None:
            line = text.count("\n", 0, position) + 1
            raise InvalidInputError("", f"row {line} of the CSV has a quote in the wrong place")
        within, bare, end = cell.groups()
        rows[-1].append(Cell(bare) if within is None else QuotedCell(within.replace('""', '"')))
        position = cell.end()
        if not end:
            return rows
        if end != ",":
            if position == len(text):
                return rows
            rows.append([])


def value_of(text: str) -> Value:
    """Read a cell without quotes by its form; blanks around a number or a word do not count.

    A text that looks like a number and is none (`modelwatch.domain.numbers`) stays a text.

    Examples
    --------
    >>> [value_of(text) for text in (" 3.5", "null", "NA", "-INF", " red")]
    [3.5, None, None, '-INF', ' red']
    >>> [value_of(text) for text in ("1", "1.0", "true", "", "nan", "1_0", "1e999")]
    [1, 1.0, True, None, None, '1_0', '1e999']
    """
    bare = text.strip(" \t")
    if bare.lower() in _WORDS:
        return _WORDS[bare.lower()]
    number = _NUMBER.fullmatch(bare)
    if number is None or len(bare) > _LONGEST_NUMBER:
        return str(text)
    value = int(bare) if number["whole"] else float(bare)
    return value if is_number(value) else str(text)


def is_no_number(value: Value) -> bool:
    """Return whether ``value`` looks like a number and is none: INF, 1e999, 2**64.

    It does not change the type of its column: it is stored as a text in a column of numbers.
    """
    if not isinstance(value, str):
        return not (value is None or isinstance(value, bool) or is_number(value))
    return _NUMBER.fullmatch(value.strip(" \t")) is not None and isinstance(value_of(value), str)


def typed_value(value: Value, letter: str) -> Value:
    """Convert ``value``, a text or read already, to the type ``letter`` of its column.

    Letters are those of `Record.types`: d number, l whole number, s string, b boolean. A text that
    looks like a number and is none stays a text; a whole number that no double equals stays whole.

    Raises InvalidInputError when it is of another type.

    Examples
    --------
    >>> typed_value("1", "d"), typed_value("1", "s"), typed_value("1", "b"), typed_value(2.0, "l")
    (1.0, '1', True, 2)
    >>> typed_value("INF", "d"), typed_value("9007199254740993", "d")
    ('INF', 9007199254740993)
    """
    if letter == "s":
        return text_of(value)
    if letter in "dl" and is_no_number(value):
        return str(value)
    if isinstance(value, str):
        value = value_of(value)
    if value is None:
        return None
    if letter == "b" and value in (0, 1):
        return bool(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if letter == "d":
            double = exact_double(value)
            return value if double is None else double
        if letter == "l" and (whole := exact_whole(value)) is not None:
            return whole
    expected = {"d": "a number", "l": "a whole number", "b": "a boolean"}[letter]
    raise InvalidInputError("", f"found {value!r}, expected {expected}")


def own_value(value: Value, letter: str) -> Value:
    """Read a value of `write_row` or JSON: it may have another type than its column.

    Examples
    --------
    >>> [own_value(Cell(text), "s") for text in ("red", "5", "true", "")]
    ['red', 5, True, None]
    >>> own_value(False, "d"), own_value(1.5, "l"), own_value(QuotedCell("5"), "d")
    (False, 1.5, '5')
    """
    if isinstance(value, QuotedCell):
        return str(value)
    plain = value_of(value) if isinstance(value, Cell) else value
    if letter not in "dl" or isinstance(plain, str | bool) or plain is None:
        return plain
    try:
        return typed_value(plain, letter)
    except InvalidInputError:
        return plain


def text_of(value: Value) -> str | None:
    """Return ``value`` as the text of a string column; an empty cell without quotes is a null."""
    if isinstance(value, Cell):
        return str(value) if value or value.quoted else None
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def types_of(option: str, names: tuple[str, ...], letters: str) -> dict[str, str]:
    """Return the letter of each of the ``names`` that ``option`` gave.

    Raises InvalidInputError when there is not one letter for each.
    """
    if letters and (len(letters) != len(names) or set(letters) - set("dlsb")):
        problem = f"is not a letter of d, l, s and b for each of {len(names)} names of {option}"
        raise InvalidInputError("--feature-types", problem)
    return dict(zip(names, letters, strict=False))


def letter_of(value: Value) -> str:
    """Return the type of ``value``; empty for a null and for what `is_no_number`.

    Examples
    --------
    >>> [letter_of(value) for value in (1, 1.5, True, "a", None, "INF")]
    ['d', 'd', 'b', 's', '', '']
    """
    if value is None or is_no_number(value):
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
