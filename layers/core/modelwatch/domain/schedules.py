"""Schedules in the words of EventBridge: ``rate(5 minutes)`` and ``cron(0 12 * * ? *)``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import NamedTuple

from modelwatch.errors import InvalidInputError

_RATE = re.compile(r"rate\((?P<count>[1-9]\d{0,5}) (?P<unit>minute|hour|day)(?P<plural>s?)\)")
_MOST_CHARACTERS = 256
_NUMBER = re.compile(r"[0-9]+")
_CRON = re.compile(r"cron\((.+)\)")
_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class _Field(NamedTuple):
    """A field of a cron expression: its numbers, their names, and what else it may be."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    special: str = r"(?!)"


_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of month", 1, 31, special=r"\?|L|LW|([1-9]|[12]\d|3[01])W"),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 1, 7, _DAYS, special=rf"\?|L|([1-7]|{'|'.join(_DAYS)})(L|#[1-5])"),
    _Field("year", 1970, 2199),
)


def parse_schedule(text: str, field: str = "") -> timedelta:
    """Return how often a schedule runs; once a minute, its most, for cron.

    Raises InvalidInputError when EventBridge would not take it.

    Parameters
    ----------
    field
        What an error names as its place.

    Examples
    --------
    >>> parse_schedule("rate(2 hours)"), parse_schedule("cron(0/15 8-17 ? * MON-FRI *)")
    (datetime.timedelta(seconds=7200), datetime.timedelta(seconds=60))
    """
    if len(text) > _MOST_CHARACTERS:
        problem = f"has {len(text)} characters; EventBridge takes {_MOST_CHARACTERS} at most"
        raise InvalidInputError(field, problem)
    rate = _RATE.fullmatch(text)
    if rate is not None:
        count, unit = int(rate["count"]), rate["unit"]
        if (count > 1) != bool(rate["plural"]):
            right = f"rate({count} {unit}{'s' if count > 1 else ''})"
            raise InvalidInputError(field, f"'{text}' is wrong; write {right}")
        return count * _UNITS[unit]
    cron = _CRON.fullmatch(text)
    if cron is None:
        problem = f"'{text}' is neither rate(5 minutes) nor cron(0 12 * * ? *), as EventBridge asks"
        raise InvalidInputError(field, problem)
    _check_cron(cron[1], text, field)
    return timedelta(minutes=1)


def _check_cron(inside: str, text: str, field: str) -> None:
    parts = inside.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(each.name for each in _FIELDS)
        problem = f"'{text}' has {len(parts)} fields; EventBridge asks for six: {names}"
        raise InvalidInputError(field, problem)
    for each, part in zip(_FIELDS, parts, strict=True):
        if not _is_right(each, part.upper()):
            raise InvalidInputError(
                field,
                f"'{text}': '{part}' is no {each.name} ({each.lowest} to {each.highest})",
            )
    if [parts[2], parts[4]].count("?") != 1:
        problem = f"'{text}': one of day of month and day of week is '?', and one is not"
        raise InvalidInputError(field, problem)


def _is_right(field: _Field, part: str) -> bool:
    if re.fullmatch(field.special, part):
        return True
    return all(_is_range(field, each) for each in part.split(","))


def _is_range(field: _Field, part: str) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (_NUMBER.fullmatch(step) and 0 < int(step) <= field.highest):
        return False
    if span == "*":
        return True
    first, dash, last = span.partition("-")
    ends = [_number(field, end) for end in ((first, last) if dash else (first,))]
    # FRI-MON goes around: the first may be the larger
    return all(end is not None and field.lowest <= end <= field.highest for end in ends)


def _number(field: _Field, text: str) -> int | None:
    if text in field.names:
        return field.names.index(text) + field.lowest
    return int(text) if _NUMBER.fullmatch(text) else None
