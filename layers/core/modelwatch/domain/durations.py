"""Durations in the words of ISO 8601, such as ``PT1H`` and ``P7D``."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

from modelwatch.errors import InvalidInputError

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_DURATION = re.compile(
    rf"P(?=.)(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_CALENDAR = re.compile(r"P[\d.,]+[YM].*", re.DOTALL)
_LONGEST_TEXT = 60
_UNITS = (604_800, 86_400, 3600, 60, 1)

LONGEST = timedelta(days=366)


def parse_duration(text: str, field: str = "") -> timedelta:
    """Read a duration of whole seconds, up to a leap year.

    Raises InvalidInputError when it is something else; years and months, too, since they have no
    one length.

    Parameters
    ----------
    text
        Weeks, days, hours, minutes and seconds; the last of them may have a fraction.
    field
        What an error names as its place.

    Examples
    --------
    >>> parse_duration("P1DT2H"), parse_duration("PT0.5H")
    (datetime.timedelta(days=1, seconds=7200), datetime.timedelta(seconds=1800))
    """
    # int() takes no more than 4300 digits, and no one means so many
    found = _DURATION.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if found is None:
        if _CALENDAR.fullmatch(text[:_LONGEST_TEXT]):
            problem = f"'{text}' has years or months, which have no one length; say it in days"
            raise InvalidInputError(field, problem)
        raise InvalidInputError(
            field, f"'{text[:60]}' is no duration; expected one such as PT1H or P7D"
        )
    given = [(number, unit) for number, unit in zip(found.groups(), _UNITS, strict=True) if number]
    if any(re.search("[.,]", number) for number, _ in given[:-1]):
        raise InvalidInputError(field, f"'{text}' has a fraction before its last number")
    seconds = sum((Fraction(n.replace(",", ".")) * unit for n, unit in given), Fraction())
    if seconds.denominator != 1:
        raise InvalidInputError(field, f"'{text}' is not a number of whole seconds")
    if not 0 < seconds <= LONGEST.total_seconds():
        raise InvalidInputError(field, f"'{text}' is not above 0 and at most {LONGEST.days} days")
    return timedelta(seconds=int(seconds))


def format_duration(duration: timedelta) -> str:
    """Return a duration of whole seconds in ISO 8601; `parse_duration` reads it back.

    Examples
    --------
    >>> format_duration(timedelta(days=7)), format_duration(timedelta(minutes=90))
    ('P7D', 'PT1H30M')
    """
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    date = f"{days}D" if days else ""
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    time = "".join(f"{number}{unit}" for number, unit in parts if number)
    return f"P{date}{'T' if time else ''}{time}" if date or time else "PT0S"
