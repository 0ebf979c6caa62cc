"""Columns of tables of pandas, polars, Arrow and numpy, without importing any of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.faults import repeated
from modelwatch.errors import Fault, InvalidInputError
from modelwatch.sdk.logged import LoggedPrediction, Model
from modelwatch.sdk.values import event_id_of, milliseconds_of, plain_list


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


def rows_of(
    model: Model,
    table: Any,
    predictions: Any,
    ids: Any,
    at: Any,
    probabilities: Any,
    features: Sequence[str],
) -> list[LoggedPrediction | InvalidInputError]:
    """Return the predictions of a table as `Client.log_batch` takes it, in the order of its rows.

    A row whose time or id is none is what is wrong with it.

    Raises InvalidInputError when it is no such table.
    """
    columns = columns_of(table)
    meanings = {"predictions": taken(columns, predictions, "predictions")}
    if ids is not None:
        meanings["ids"] = taken(columns, ids, "ids")
    is_one_time = at is None or isinstance(at, datetime | int | float)
    if not is_one_time:
        meanings["at"] = times_of(columns, at, "at")
    if probabilities is not None:
        named = plain_list(probabilities, "probabilities")
        if named and all(isinstance(name, str) for name in named):
            classes = [(name, taken(columns, name, "probabilities")) for name in named]
            check_lengths(classes)
            named = list(zip(*(values for _name, values in classes), strict=True))
        meanings["probabilities"] = named
    names = [str(name) for name in features] or list(columns)
    if not names:
        raise InvalidInputError("features", "there is no column of one; give one feature or more")
    values = [taken(dict(columns), name, "features") for name in names]
    count = check_lengths([*meanings.items(), *zip(names, values, strict=True)])
    if is_one_time:
        now = time.time_ns() // 1_000_000 if at is None else milliseconds_of(at)
        meanings["at"] = [now] * count
    nothing = [None] * count
    found: list[LoggedPrediction | InvalidInputError] = []
    for moment, own_id, row, prediction, row_probabilities in zip(
        meanings["at"],
        meanings.get("ids", nothing),
        zip(*values, strict=True),
        meanings["predictions"],
        meanings.get("probabilities", nothing),
        strict=True,
    ):
        try:
            at_ms = moment if is_one_time else milliseconds_of(moment)
            event_id = (own_id is not None and event_id_of(own_id, model.name)) or ""
        except InvalidInputError as error:
            found.append(error)
            continue
        logged = LoggedPrediction(
            model,
            event_id or new_event_id(at_ms),
            at_ms,
            dict(zip(names, row, strict=True)),
            prediction,
            row_probabilities,
            0.0,
        )
        found.append(logged)
    return found


def as_it_is(table: Any) -> Any:
    """Return a table as it is now: what predicts may change the one that it was given.

    What is no table comes back as it came: `Client.log_batch` says what is wrong with it.
    """
    try:
        return {name: plain_list(column, name) for name, column in columns_of(table).items()}
    except Exception:  # noqa: BLE001 - who asks for predictions gets them in any case
        return table


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


def times_of(columns: dict[str, Any], given: Any, field: str) -> list[Any]:
    """Return times as `taken` does; those of a column of times without a zone are in UTC.

    Raises InvalidInputError when no column has the name.
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
        else value
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
