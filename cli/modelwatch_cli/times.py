"""Times in the options of commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError

_AHEAD = timedelta(minutes=5)
"""How far a record's clock may be ahead of ours."""


def option_time(option: str, text: str) -> datetime:
    """Return the time of ``option``, in UTC; without a zone it counts as UTC.

    Raises InvalidInputError when it is no time.

    Examples
    --------
    >>> option_time("--since", "2026-03-01T12:00+02:00")
    datetime.datetime(2026, 3, 1, 10, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(option, f"is not a time in ISO 8601: {error}") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def option_since(text: str, end: datetime | None) -> datetime:
    """Return the time of ``--since``: as it says, or if it is a duration, so long before ``end``.

    Raises InvalidInputError when it is neither; without ``end``, a duration ends now.

    Examples
    --------
    >>> option_since("P1D", datetime(2026, 3, 2, tzinfo=UTC)).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    if text.startswith("P"):
        return (end or datetime.now(UTC)) - parse_duration(text, "--since")
    return option_time("--since", text)


def option_window(
    since: str | None, until: str | None, length: timedelta, *, ahead: timedelta = _AHEAD
) -> Window:
    """Return the window from ``--since`` to ``--until``; by default ``length`` up to now.

    Raises InvalidInputError when one is no time, or the window ends before it begins.
    """
    end = option_time("--until", until) if until else datetime.now(UTC) + ahead
    start = option_since(since, end) if since else end - length
    try:
        return Window(start, end)
    except ValueError as error:
        raise InvalidInputError("--since", str(error)) from None


def past_span(since: str, until: str | None) -> tuple[datetime, datetime]:
    """Return the times of ``--since`` and ``--until``, which is by default now.

    Raises InvalidInputError when one is no time, or they are not in order.
    """
    end = option_time("--until", until) if until else datetime.now(UTC)
    start = option_since(since, end)
    if start >= end:
        raise InvalidInputError("--since", "is not before --until")
    return start, end
