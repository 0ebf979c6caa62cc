"""Columns of tables of pandas, polars, Arrow and numpy, without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from modelwatch.domain.faults import repeated
from modelwatch.errors import Fault, InvalidInputError
from modelwatch.sdk.values import plain_list, time_of


class TableCounts(NamedTuple):
    """What `Client.log_table` found and stored.

    Attributes
    ----------
    rows, rejected, repeated
        Rows that can be used, rows that were left out, and rows that repeat one with the same id.
    stored, known
        Predictions that were stored now, and those that were there already.
    labels
        Labels that were stored now.
    left_out
        Predictions that are not in the sample that the model's monitor asks for.
    """

    rows: int
    rejected: int
    repeated: int
    stored: int
    known: int
    labels: int
    left_out: int = 0


def columns_of(table: Any) -> dict[str, Any]:
    """Return the columns of a DataFrame, an Arrow table or a mapping of arrays, by name.

    Raises InvalidInputError when it is no table, or has a name twice.

    Examples
    --------
    >>> columns_of({"ash": [2.3, 2.4], 7: (1, 2)})
    {'ash': [2.3, 2.4], '7': (1, 2)}
    """
    if isinstance(table, Mapping):
        names: list[Any] = list(table)
        columns = list(table.values())
    elif hasattr(table, "column_names") and hasattr(table, "column"):
        names = list(table.column_names)
        columns = [table.column(index) for index in range(len(names))]
    elif hasattr(table, "columns") and hasattr(table, "shape"):
        names = list(table.columns)
        _refuse_repeated(names)
        columns = [table[name] for name in names]
    else:
        raise InvalidInputError(
            "", f"is a {type(table).__name__}; expected a DataFrame, an Arrow table or a mapping"
        )
    _refuse_repeated(names)
    return dict(zip(map(str, names), columns, strict=True))


def _refuse_repeated(names: Sequence[Any]) -> None:
    twice = repeated(map(str, names))
    if twice:
        problem = "is there twice; give it once"
        raise InvalidInputError.of([Fault(f"features.{name}", problem) for name in twice])


def taken(columns: dict[str, Any], given: Any, field: str) -> list[Any]:
    """Return the values of ``given``: a column that it names, which is taken away, or its own.

    A table of one column is that column.

    Raises InvalidInputError when no column has the name.
    """
    if not isinstance(given, str):
        if hasattr(given, "columns") and len(only := columns_of(given)) == 1:
            (given,) = only.values()
        return plain_list(given, field)
    return plain_list(_named(columns, given, field), field)


def times_of(columns: dict[str, Any], given: Any, field: str) -> list[datetime]:
    """Return times in UTC as `taken` does; a column of times without a zone is in UTC.

    Raises InvalidInputError when one is no time.
    """
    column = _named(columns, given, field) if isinstance(given, str) else given
    kind = str(getattr(column, "dtype", getattr(column, "type", "")))
    if kind.startswith("datetime64") and type(column).__module__ == "numpy":
        column = column.astype("datetime64[us]")
    values = plain_list(column, field)
    is_typed = kind.lower().startswith(("datetime", "timestamp"))
    return [
        value.replace(tzinfo=UTC)
        if is_typed and isinstance(value, datetime) and value == value and value.tzinfo is None
        else time_of(value, field)
        for value in values
    ]


def _named(columns: dict[str, Any], name: str, field: str) -> Any:
    if name not in columns:
        known = ", ".join(list(columns)[:20])
        raise InvalidInputError(field, f"there is no column '{name:.60}'; the columns are {known}")
    return columns.pop(name)


def check_lengths(lists: Sequence[tuple[str, Sequence[Any]]]) -> int:
    """Return how many values each list has; raises InvalidInputError where they differ."""
    first, values = lists[0]
    for name, others in lists:
        if len(others) != len(values):
            problem = f"has {len(others)} values where {first} has {len(values)}"
            raise InvalidInputError(name, problem)
    return len(values)
