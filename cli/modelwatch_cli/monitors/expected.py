"""What a monitor says of changes that are expected: its JSON Schema, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from modelwatch.domain.episodes.notes import (
    MOST_EXPECTED_FEATURES,
    MOST_NOTE_CHARACTERS,
    PlannedChange,
    check_change,
    check_text,
)
from modelwatch.errors import InvalidInputError
from modelwatch_cli.monitors.features import no_part
from modelwatch_cli.times import option_time

MOST_CHANGES = 50

_PARTS: Mapping[str, Mapping[str, Any]] = {
    "from": {"type": "string", "description": "its start: a day, or a time; without a zone in UTC"},
    "until": {"type": "string", "description": "its end, 92 days after the start at most"},
    "days": {
        "type": "array",
        "items": {"type": "string"},
        "description": "single days in UTC, such as holidays, in place of from and until",
    },
    "reason": {"type": "string", "maxLength": MOST_NOTE_CHARACTERS},
    "features": {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": MOST_EXPECTED_FEATURES,
        "description": "which change, and prediction for the output; by default all",
    },
}
_NEEDED = ("from", "until", "reason")

SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "description": "changes that are expected: drift that they explain does not alert",
    "maxItems": MOST_CHANGES,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["reason"],
        "anyOf": [{"required": ["from", "until"]}, {"required": ["days"]}],
        "properties": _PARTS,
    },
}

COMMENTS = (
    "# [[expected]]  # a change that is expected: drift that it explains does not alert",
    "# from = 2026-12-01",
    "# until = 2026-12-27",
    '# reason = "winter sale"',
    '# features = ["price"]  # by default all',
    "# [[expected]]",
    "# days = [2026-12-25, 2027-01-01]  # single days",
    '# reason = "holidays"',
    "",
)
"""How `init` shows it."""


def read_expected(given: Sequence[Mapping[str, Any]]) -> tuple[PlannedChange, ...]:
    """Return the changes of a file without faults, by their start."""
    changes = [change for each in given for change in _changes(each)]
    return tuple(sorted(changes, key=lambda each: (each.start, each.end)))


def expected_problems(given: Any) -> Iterator[tuple[str, str]]:
    """Yield the place of each thing that is wrong, and what it is."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        yield "expected", "is a list of tables: write [[expected]]"
        return
    days = [each["days"] for each in given if isinstance(each.get("days"), list)]
    count = len(given) - len(days) + sum(map(len, days))
    if count > MOST_CHANGES:
        yield "expected", f"has {count} changes; at most {MOST_CHANGES} are allowed"
    for number, each in enumerate(given, 1):
        place = f"expected.{number}"
        for part in each.keys() - _PARTS.keys():
            yield f"{place}.{part[:60]}", no_part(part, _PARTS)
        needed = ("reason",) if "days" in each else _NEEDED
        if missing := [part for part in needed if part not in each]:
            yield place, f"needs {', '.join(missing)}"
            continue
        if "days" in each and each.keys() & {"from", "until"}:
            yield f"{place}.days", "stand in place of from and until: write one of both"
            continue
        try:
            for change in _changes(each):
                check_change(change, ("from", "until", "features"))
        except InvalidInputError as error:
            yield f"{place}.{error.field}", error.problem


def _changes(given: Mapping[str, Any]) -> Sequence[PlannedChange]:
    """Return one of them, or one for each of its days; raises InvalidInputError."""
    if "days" not in given:
        return [_change(given)]
    days, rest = given["days"], {part: each for part, each in given.items() if part != "days"}
    if not isinstance(days, list) or not days:
        raise InvalidInputError("days", "is a list of days: write days = [2026-12-25, 2027-01-01]")
    return [
        _change({**rest, "from": day, "until": day + timedelta(days=1)}) for day in map(_day, days)
    ]


def _day(given: Any) -> date:
    if type(given) is date:
        return given
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError):
        raise InvalidInputError("days", f"{given} is no day: write 2026-12-25, say") from None


def _change(given: Mapping[str, Any]) -> PlannedChange:
    """Return one of them; raises InvalidInputError."""
    features, reason = given.get("features", []), given["reason"]
    if not isinstance(features, list) or not all(isinstance(each, str) for each in features):
        raise InvalidInputError("features", 'is a list of names: write features = ["price"]')
    if not isinstance(reason, str):
        raise InvalidInputError("reason", 'is a text: write reason = "..."')
    return PlannedChange(
        start=_time("from", given["from"]),
        end=_time("until", given["until"]),
        reason=check_text(reason, "reason"),
        features=tuple(dict.fromkeys(features)),
    )


def _time(field: str, given: Any) -> datetime:
    if not isinstance(given, str | date):
        raise InvalidInputError(field, f"is a day or a time: write {field} = 2026-12-01, say")
    try:
        return option_time(field, str(given))
    except OverflowError:
        raise InvalidInputError(field, f"{given} is too far away") from None
