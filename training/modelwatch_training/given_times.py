"""The times of training rows that a model is registered with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from modelwatch.errors import InvalidInputError

_EXPECTED = (
    "expected are datetimes, one a training row (a column, an index or an array of them); those "
    "without a zone are taken as UTC"
)
_FIRST_YEAR = 1971
_HINTS = {
    "text": "`pd.to_datetime(…, utc=True)` makes times of texts",
    "number": "`pd.to_datetime(…, unit='s', utc=True)` makes times of seconds",
}


def times_of(
    timestamps: Any, rows: int, index: pd.Index | None = None, place: str = "timestamps"
) -> list[datetime]:
    """Return when training rows are of, in UTC, to the millisecond; in any order, as the rows are.

    Raises InvalidInputError when they are not one a row, one is no time, some have a zone and some
    have none, all are the same, or a series is in another order than the training rows.

    Parameters
    ----------
    rows, index
        How many training rows there are, and the index of their table, if they are one.

    Examples
    --------
    >>> times_of([datetime(2026, 3, 2), datetime(2026, 3, 3)], rows=2)[0]
    datetime.datetime(2026, 3, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(timestamps, pd.DataFrame):
        if timestamps.shape[1] != 1:
            raise InvalidInputError(place, f"has {timestamps.shape[1]} columns; {_EXPECTED}")
        timestamps = timestamps.iloc[:, 0]
    if isinstance(timestamps, pd.Series) and index is not None:
        _check_order(timestamps.index, index, place)
    try:
        values = list(pd.Series(timestamps, dtype=object))
    except (TypeError, ValueError) as error:
        kind = type(timestamps).__name__
        raise InvalidInputError(place, f"is a {kind}; {_EXPECTED}") from error
    if len(values) != rows:
        raise InvalidInputError(place, f"has {len(values)} values for {rows} training rows")
    times = [_time(value, number, place) for number, value in enumerate(values, start=1)]
    plain = [time.tzinfo is None for time in times]
    if any(plain) and not all(plain):
        number = plain.index(not plain[0]) + 1
        kinds = ("has no zone, and row 1 has one", "has a zone, and row 1 has none")
        raise InvalidInputError(place, f"row {number} {kinds[plain[0]]}: give all with a zone")
    found = [
        (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))
        for time in times
    ]
    found = [time.replace(microsecond=time.microsecond // 1000 * 1000) for time in found]
    if min(found) == max(found):
        raise InvalidInputError(
            place,
            f"are all {found[0]:%Y-%m-%d %H:%M:%S}: give when each row was captured, or none",
        )
    return found


def parsed(texts: pd.Series, place: str) -> pd.Series:
    """Return times that a file has as texts (ISO 8601), as a series of datetimes.

    Raises InvalidInputError for a text that is none. What is no text is left as it is.
    """
    if not texts.map(lambda value: isinstance(value, str)).any():
        return texts

    def one(number: int, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise InvalidInputError(
                place, f"row {number} is '{value[:40]}'; expected a time such as 2026-03-02T12:00Z"
            ) from error

    found = [one(number, value) for number, value in enumerate(texts, start=1)]
    return pd.Series(found, dtype=object)


def _check_order(given: pd.Index, rows: pd.Index, place: str) -> None:
    """Refuse what pandas would pair by its index with other rows than stand beside it."""
    if len(given) == len(rows) and not given.equals(rows) and set(given) == set(rows):
        raise InvalidInputError(
            place,
            "has the index of the training rows in another order: give the times in the order of "
            "the rows, or as an array (`.to_numpy()`) if they are",
        )


def _time(value: object, number: int, place: str) -> datetime:
    if value is None or value is pd.NaT or value != value:
        raise InvalidInputError(place, f"row {number} has no time; each row needs one")
    time = _as_datetime(value)
    if time is None:
        kind = "a text" if isinstance(value, str) else f"a {type(value).__name__}"
        hint = _HINTS.get("text" if isinstance(value, str) else "number")
        is_known = isinstance(value, str | int | float | np.number)
        raise InvalidInputError(
            place,
            f"row {number} is {kind}, '{str(value)[:40]}'; {_EXPECTED}"
            + (f"; {hint}" if is_known else ""),
        )
    if time.year < _FIRST_YEAR:
        raise InvalidInputError(place, f"row {number} is of {time.year}; {_HINTS['number']}")
    if time.replace(tzinfo=UTC) > datetime.now(UTC) + timedelta(days=1):
        raise InvalidInputError(place, f"row {number} is in the future: {time:%Y-%m-%d %H:%M}")
    return time


def _as_datetime(value: object) -> datetime | None:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, pd.Timestamp):
        found: datetime = value.to_pydatetime(warn=False)
        return found
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value if isinstance(value, datetime) else None
