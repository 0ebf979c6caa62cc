"""The meaning and the type of each column of a table."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from modelwatch.domain.names import check_feature_names
from modelwatch.domain.numbers import exact_double, is_number
from modelwatch.domain.records import Value
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.tables.mapping import UNITS, TableMapping, TimeUnit
from modelwatch_cli.capture.tables.reading import Cell

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
"""Texts of a CSV file that stand for a missing value, in lower case."""

_LOOKS = re.compile(
    rf"""\s*(?:
      (?P<missing>{"|".join(map(re.escape, sorted(MISSING)))})
    | (?P<b>true|false)
    | (?P<code>[+-]?0\d+)
    | (?P<l>[+-]?\d{{1,19}})
    | (?P<d>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)
    )\s*""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
"""The form of a cell's text, by the name of the group."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECONDS_FROM = 1e11
"""Without a unit, a larger number is in milliseconds since 1970, a smaller one in seconds."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The columns of a table by meaning.

    Attributes
    ----------
    prediction, timestamp
        Names of these columns.
    features
        Names of the features' columns, in their order.
    label, event_id
        Names of these columns; empty if the table has none.
    probabilities
        Columns of the probabilities, in the order of the model's classes; may be empty.
    """

    prediction: str
    timestamp: str
    features: tuple[str, ...]
    label: str = ""
    event_id: str = ""
    probabilities: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        return list(self.words())

    def words(self) -> dict[str, str]:
        """Return what each column is, in words."""
        named = {
            self.timestamp: "time",
            self.prediction: "prediction",
            **dict.fromkeys(self.probabilities, "probability"),
            self.label: "label",
            self.event_id: "id",
            **dict.fromkeys(self.features, "feature"),
        }
        return {name: what for name, what in named.items() if name}


def meaning_of(columns: Sequence[str], mapping: TableMapping) -> Meaning:
    """Return the meaning of ``columns``; without ``features`` these are all remaining columns.

    Raises InvalidInputError when a column is missing, has two meanings, or its name is not valid
    for a feature; the field is the option.
    """
    named = [
        ("--prediction", [mapping.prediction]),
        ("--timestamp", [mapping.timestamp]),
        ("--features", list(mapping.features)),
        ("--label", [mapping.label] if mapping.label else []),
        ("--id", [mapping.id] if mapping.id else []),
        ("--probabilities", list(mapping.probabilities)),
        ("--ignore", list(mapping.ignore)),
    ]
    used: dict[str, str] = {}
    for option, names in named:
        for name in names:
            if name not in columns:
                problem = f"there is no column '{name}'; the columns are {', '.join(columns)}"
                raise InvalidInputError(option, problem)
            if name in used:
                raise InvalidInputError(option, f"'{name}' is given by {used[name]} already")
            used[name] = option
    # pandas writes its index as a first column without a name
    rest = mapping.features or tuple(name for name in columns if name and name not in used)
    if not rest:
        raise InvalidInputError("--features", "there is no column left for the features")
    check_feature_names(rest, "--features")
    return Meaning(
        mapping.prediction,
        mapping.timestamp,
        rest,
        mapping.label,
        mapping.id,
        mapping.probabilities,
    )


@dataclass(slots=True)
class ColumnKinds:
    """Counts the kinds of a column's values, and gives the column's type at the end.

    A type follows from the whole column, so it does not depend on batches.
    """

    is_text: bool
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, values: Iterable[Cell]) -> None:
        """Count values, as read."""
        if self.is_text:
            self.counts.update("missing" if cell is None else _kind(str(cell)) for cell in values)
            return
        types: Counter[type] = Counter(map(type, values))
        for kind, count in types.items():
            self.counts[_LETTERS.get(kind, "s")] += count

    @property
    def letter(self) -> str:
        """Type as in `Record.types`: that of most values, and text for codes (``007``).

        Examples
        --------
        >>> kinds = ColumnKinds(is_text=True)
        >>> kinds.add(["1", "2.5", "n/a", "unknown"])
        >>> kinds.letter
        'd'
        """
        counts = self.counts
        if counts["code"]:
            return "s"
        numbers = counts["l"] + counts["d"]
        if numbers >= max(counts["s"], counts["b"]):
            return "d" if counts["d"] or not counts["l"] else "l"
        return "s" if counts["s"] >= counts["b"] else "b"

    @property
    def is_mixed(self) -> bool:
        """Whether some of the values are not of the column's type."""
        numbers = self.counts["l"] + self.counts["d"]
        return (
            sum(map(bool, (numbers, self.counts["s"] + self.counts["code"], self.counts["b"]))) > 1
        )


_LETTERS = {bool: "b", int: "l", float: "d", type(None): "missing"}


def _kind(text: str) -> str:
    looks = _LOOKS.fullmatch(text)
    if looks is None:
        return "s"
    kind = str(looks.lastgroup)
    # a value that no number holds is a text, and so is a whole number that would be rounded
    if kind == "l" and not is_number(int(text)):
        kind = "d"
    return "s" if kind == "d" and not _is_kept(text) else kind


def _is_kept(text: str) -> bool:
    """Return whether the number in ``text`` is finite and, if it is written as whole, exact."""
    number = float(text)
    if not math.isfinite(number):
        return False
    return not text.strip().lstrip("+-").isdigit() or exact_double(int(text)) is not None


def is_beyond_numbers(cell: Cell) -> bool:
    """Return whether ``cell`` is a number, or the text of one, that no record holds as a number.

    Examples
    --------
    >>> [is_beyond_numbers(cell) for cell in ("-inf", "1e999", "9" * 19, 2**64 + 1, math.inf)]
    [True, True, True, True, True]
    >>> [is_beyond_numbers(cell) for cell in ("infra", "12", 2**62, 1.5, True, None)]
    [False, False, False, False, False, False]
    """
    if isinstance(cell, int):
        return not is_number(cell) and exact_double(cell) is None
    if isinstance(cell, float):
        return math.isinf(cell)
    if not isinstance(cell, str):
        return False
    try:
        return math.isinf(float(cell)) or (_kind(cell) == "s" and is_beyond_numbers(int(cell)))
    except ValueError:
        return False


_DECIMAL_COMMA = re.compile(
    r"\s*[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:e[+-]?\d+)?\s*", re.I | re.A
)


def refuse_decimal_comma(text: str, name: str) -> None:
    """Refuse a number with a decimal comma: it would become a text in a column of numbers.

    Raises InvalidInputError when ``text`` is one; ``name`` is the field.

    Examples
    --------
    >>> for text in ("42.5", "1,2,3", "a,5"):
    ...     refuse_decimal_comma(text, "age")
    >>> refuse_decimal_comma("-1.234,50", "age")
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: age: '-1.234,50' has a decimal comma; write numbers with \
a point
    """
    if _DECIMAL_COMMA.fullmatch(text):
        problem = f"'{text[:60]}' has a decimal comma; write numbers with a point"
        raise InvalidInputError(name, problem)


def read_text(text: str) -> Value:
    """Return the value of a cell of a CSV file; a number that is not finite is a text.

    Examples
    --------
    >>> [read_text(text) for text in (" 3", "2.50", "NA", "true", "inf", "007", "red")]
    [3, 2.5, None, True, 'inf', '007', 'red']
    """
    kind = _kind(text)
    if kind == "missing":
        return None
    if kind == "b":
        return text.strip().lower() == "true"
    if kind == "l":
        return int(text)
    return float(text) if kind == "d" else text


def value_of(cell: Cell, letter: str, is_text: bool) -> Value:
    """Return ``cell`` converted to a column of type ``letter``, or unchanged.

    Examples
    --------
    >>> value_of("3", "d", True), value_of("3", "s", True), value_of("n.d.", "d", True)
    (3.0, '3', 'n.d.')
    """
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else str(cell)
    if isinstance(cell, str) and is_text:
        value = read_text(cell)
        if letter == "s" and value is not None:
            value = cell
    else:
        value = cell
    if letter == "d" and isinstance(value, int) and not isinstance(value, bool):
        double = exact_double(value)
        return value if double is None else double
    return value


def time_of(cell: Cell, unit: TimeUnit = "", zone: tzinfo = UTC) -> tuple[datetime, bool]:
    """Return the time in ``cell`` in UTC, and whether it came without a zone: it is in ``zone``.

    Of a time that a clock shows twice it is the first.

    Raises InvalidInputError when it is none.

    Parameters
    ----------
    cell
        A time in ISO 8601, or a number since 1970.
    unit
        Of numbers; without one they are seconds, or milliseconds if they are large.
    """
    if isinstance(cell, str):
        text = cell.strip()
        cell = float(text) if _kind(text) in ("l", "d") else text
    try:
        if isinstance(cell, str):
            cell = datetime.fromisoformat(cell)
        if isinstance(cell, datetime):
            at = (cell if cell.tzinfo else cell.replace(tzinfo=zone)).astimezone(UTC)
            if cell.tzinfo or at.astimezone(zone).replace(tzinfo=None) == cell:
                return at, cell.tzinfo is None
            problem = f"'{cell}' is no time in {zone}: clocks were put forward over it"
            raise InvalidInputError("", problem)
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            if not unit:
                unit = "ms" if abs(cell) > _MILLISECONDS_FROM else "s"
            return EPOCH + timedelta(seconds=cell / UNITS[unit]), False
    except (ValueError, OverflowError, OSError):
        pass  # the error below covers all kinds
    empty = cell is None or cell == "" or cell != cell  # NaN
    shown = "nothing" if empty else f"'{str(cell)[:60]}'"
    numbers = f"a number since 1970 in {unit}" if unit else "seconds or milliseconds since 1970"
    raise InvalidInputError("", f"found {shown}, expected a time: ISO 8601, or {numbers}")


def letters_of(kinds: Mapping[str, ColumnKinds], given: Mapping[str, str]) -> dict[str, str]:
    """Return the type of each column: as ``given``, or as its values show."""
    return {name: given.get(name) or found.letter for name, found in kinds.items()}
