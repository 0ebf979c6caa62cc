"""Values of Python, numpy, pandas and Arrow as those of a record."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from modelwatch.domain.event_ids import named_event_id
from modelwatch.domain.numbers import is_number
from modelwatch.domain.records import Value, time_faults
from modelwatch.errors import InvalidInputError

_MOST_DIGITS = 4300
"""Python writes no longer whole number as a text: that would take too long."""

_TOO_LONG = f"is a number of more than {_MOST_DIGITS:,} digits"


def feature_value(value: object, field: str) -> Value:
    """Return what a record holds for ``value``.

    NaN, NaT, NA and what numpy masks are missing. What no number holds exactly (an infinity, a
    whole number beyond 64 bits) is a text, as in an import of a table; so are times and UUIDs. A
    length of time is its seconds.

    Raises InvalidInputError when it is of another kind, such as a list; ``field`` is the field.

    Examples
    --------
    >>> from decimal import Decimal
    >>> [feature_value(each, "f") for each in (True, 3, 2**64, float("nan"), -math.inf)]
    [True, 3, '18446744073709551616', None, '-inf']
    >>> feature_value(Decimal("1.50"), "f"), feature_value(timedelta(minutes=2), "f")
    (1.5, 120.0)
    >>> feature_value(date(2026, 3, 1), "f")
    '2026-03-01'
    >>> feature_value([1], "f")
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: f: is a list; expected a number, string, boolean or None
    """
    kind = type(value)
    if kind is float:
        if math.isfinite(value):  # type: ignore[arg-type]
            return value  # type: ignore[return-value]
        return None if value != value else str(value)
    if kind is int:
        return value if is_number(value) else _long_text(value, field)  # type: ignore[arg-type, return-value]
    if value is None or kind is bool or kind is str:
        return value  # type: ignore[return-value]
    return _other_value(value, field)


def _other_value(value: object, field: str) -> Value:
    if isinstance(value, Enum):
        return feature_value(value.value, field)
    if isinstance(value, bool | int | float | str):
        # a subclass, such as one of numpy: `float(x)` of numpy's double is exact
        plain = next(kind for kind in (bool, int, float, str) if isinstance(value, kind))
        return feature_value(plain(value), field)
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None if value.is_nan() else str(value)
        if value.adjusted() >= _MOST_DIGITS:
            raise InvalidInputError(field, _TOO_LONG)
        whole = value == value.to_integral_value()
        return feature_value(int(value) if whole else float(value), field)
    if isinstance(value, date | time):
        # NaT of pandas is a datetime
        return None if value != value else value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    name = type(value).__name__
    if name in ("NAType", "MaskedConstant"):
        return None
    if name == "timedelta64":
        try:
            # one of months or years has no seconds
            return feature_value(float(value / type(value)(1, "s")), field)  # type: ignore[operator, call-arg]
        except TypeError:
            problem = f"'{value!s:.40}' has no length in seconds"
            raise InvalidInputError(field, problem) from None
    if name.startswith("datetime64"):
        text = str(value)
        return None if text == "NaT" else text
    if name == "longdouble":
        return feature_value(float(value), field)  # type: ignore[arg-type]
    for method in ("as_py", "item"):
        # a scalar of Arrow, a number or an array of numpy
        if hasattr(value, method) and getattr(value, "ndim", 0) == 0:
            return feature_value(_only(getattr(value, method)(), value), field)
    raise InvalidInputError(
        field, f"is a {name}; expected a number, string, boolean or None"
    ) from None


def _long_text(number: int, field: str) -> str:
    try:
        return str(number)
    except ValueError:
        raise InvalidInputError(field, _TOO_LONG) from None


def _only(plain: object, value: object) -> object:
    """Return ``plain``, unless it is what it was made from: that would have no end."""
    return None if type(plain) is type(value) else plain


def values_by_name(held: Any) -> dict[Any, Any] | None:
    """Return the values that a mapping, a Series, a dataclass or a model of pydantic holds.

    None when ``held`` is none of these.
    """
    if isinstance(held, Mapping):
        return dict(held)
    if hasattr(held, "items") and hasattr(held, "index"):
        return dict(held.items())
    if is_dataclass(held) and not isinstance(held, type):
        return {each.name: getattr(held, each.name) for each in fields(held)}
    # one of pydantic is a sequence of names and values
    return dict(held) if hasattr(type(held), "model_fields") else None


def prediction_value(value: object, field: str = "prediction") -> Value:
    """Return the one prediction in ``value``: itself, or the only element of a list or array.

    Raises InvalidInputError when there is none, several, or one that is no finite number.

    Examples
    --------
    >>> prediction_value([2.5]), prediction_value("red")
    (2.5, 'red')
    >>> prediction_value(float("inf"))
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: prediction: inf is no finite number of 64 bits
    """
    while _holds_several(value):
        found = plain_list(value, field)
        if len(found) != 1:
            raise InvalidInputError(field, f"has {len(found)} values; expected one")
        value = found[0]
    plain = feature_value(value, field)
    if isinstance(plain, str) and not isinstance(value, str | Enum | date | time | uuid.UUID):
        raise InvalidInputError(field, f"{plain:.40} is no finite number of 64 bits")
    if plain is None and value is not None:
        raise InvalidInputError(field, "NaN is no finite number of 64 bits")
    return plain


def _holds_several(value: object) -> bool:
    if isinstance(value, str) or getattr(value, "ndim", 1) == 0:
        return False
    return hasattr(value, "__len__")


def probabilities_of(value: object) -> list[float] | None:
    """Return the probabilities of a row as a list; of one row in two dimensions, that row's.

    Raises InvalidInputError when they are no numbers.
    """
    if value is None:
        return None
    found = plain_list(value, "probabilities")
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    plain = [feature_value(each, "probabilities") for each in found]
    if not all(isinstance(each, float | int) and not isinstance(each, bool) for each in plain):
        raise InvalidInputError("probabilities", "are not all finite numbers")
    return plain  # type: ignore[return-value]


def plain_list(value: Any, field: str) -> list[Any]:
    """Return a list, tuple, array, Series or Arrow column as a list.

    Raises InvalidInputError when ``value`` is none of these.
    """
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M") and value.ndim == 1:
        # numpy's own lists make bare numbers of some units
        return list(value)
    for method in ("tolist", "to_pylist", "to_list"):
        if hasattr(value, method):
            found = getattr(value, method)()
            return found if isinstance(found, list) else [found]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise InvalidInputError(field, f"is a {type(value).__name__}; expected a list or an array")


def event_id_of(given: object, model_name: str) -> str:
    """Return the event id for an id of the caller's, as an import of a table makes it.

    Empty when it is missing: None, NaN or blank. Those would all be the same id.

    Raises InvalidInputError when it is of a kind that is no id, such as a list.

    Examples
    --------
    >>> event_id_of(17, "churn") == event_id_of(17.0, "churn") == event_id_of("17", "churn")
    True
    >>> event_id_of(float("nan"), "churn"), event_id_of(" ", "churn")
    ('', '')
    """
    if feature_value(given, "id") is None or not str(given).strip():
        return ""
    is_whole = isinstance(given, float) and given.is_integer()
    return named_event_id(str(int(given) if is_whole else given), model_name)  # type: ignore[call-overload]


def time_of(at: object, field: str) -> datetime:
    """Return the time ``at`` in UTC: a datetime with a zone, seconds since 1970, or ISO 8601.

    Times of numpy have no zone and are in UTC.

    Raises InvalidInputError when it is none of these, or has no zone.

    Examples
    --------
    >>> time_of(1.5, "at").isoformat(), time_of("2026-03-01T09:00:00+02:00", "at").isoformat()
    ('1970-01-01T00:00:01.500000+00:00', '2026-03-01T07:00:00+00:00')
    >>> time_of(datetime(2026, 3, 1), "at")
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: at: 2026-03-01T00:00:00 has no time zone; give one, such \
as datetime.now(UTC)
    """
    found = at
    try:
        if type(found).__name__ == "datetime64":
            found = found.astype("datetime64[us]").item()  # type: ignore[attr-defined]
            found = found.replace(tzinfo=UTC) if isinstance(found, datetime) else None
        elif isinstance(found, str):
            found = datetime.fromisoformat(found.strip())
        elif hasattr(found, "as_py"):
            found = found.as_py()
        elif hasattr(found, "item") and not isinstance(found, float):
            found = _only(found.item(), found)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return datetime.fromtimestamp(found, UTC)
    except (ValueError, OverflowError, OSError, AttributeError):
        found = None
    if not isinstance(found, datetime) or found != found:
        problem = f"'{at!s:.40}' is no time; expected a datetime, ISO 8601 or seconds since 1970"
        raise InvalidInputError(field, problem)
    if found.tzinfo is None:
        problem = f"{found.isoformat()} has no time zone; give one, such as datetime.now(UTC)"
        raise InvalidInputError(field, problem)
    return found.astimezone(UTC)


def milliseconds_of(at: object) -> int:
    """Return the time ``at`` in milliseconds since 1970; raises InvalidInputError as `time_of`."""
    found = time_of(at, "at")
    if faults := list(time_faults("at", found)):
        raise InvalidInputError.of(faults)
    return round(found.timestamp() * 1000)
