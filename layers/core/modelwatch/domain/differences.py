"""What two results say differently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from modelwatch.domain.verdict.results import AnalysisResult

_CIRCUMSTANCES = {
    "duration_seconds",
    "has_report",
    "late",
    "manifest",
    "onset",
    "performance",
    "repeated",
}
"""What is not computed from profiles."""

_NOTHING = "nothing"
_NAMES = {"feature", "name"}


class Difference(msgspec.Struct, frozen=True):
    """A place in a result, such as ``features.alcohol.score``, and what both say there."""

    place: str
    given: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.place}: {self.given} was given, {self.now} now"


def differences(given: AnalysisResult, now: AnalysisResult) -> tuple[Difference, ...]:
    """Return what was computed otherwise; numbers must be equal to the last bit.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> one = AnalysisResult(name="a", model_name="m", model_version="1", window_start=noon,
    ...     window_end=noon, status="ok", reason="", rows=3, reference_rows=3, drift_share=0.1)
    >>> [str(each) for each in differences(one, msgspec.structs.replace(one, drift_share=0.2))]
    ['drift_share: 0.1 was given, 0.2 now']
    """
    return tuple(_compared("", _written(given), _written(now)))


def _written(result: AnalysisResult) -> dict[str, Any]:
    """Return the result as its JSON says it."""
    written: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(result))
    return {name: value for name, value in written.items() if name not in _CIRCUMSTANCES}


def _compared(place: str, given: Any, now: Any) -> Iterator[Difference]:
    if isinstance(given, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*given, *now]):
            inner = f"{place}.{name}" if place else name
            yield from _compared(inner, given.get(name, _NOTHING), now.get(name, _NOTHING))
    elif isinstance(given, list) and isinstance(now, list) and (given or now):
        if _are_named([*given, *now]):
            yield from _compared(place, _by_name(given), _by_name(now))
        elif given != now:
            yield Difference(place, given, now)
    elif type(given) is not type(now) or given != now:
        yield Difference(place, given, now)


def _are_named(elements: list[Any]) -> bool:
    return all(isinstance(each, dict) and _NAMES & each.keys() for each in elements)


def _by_name(elements: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return verdicts by feature or segment; violations have a check as well."""
    return {
        ".".join(str(each[key]) for key in ("feature", "name", "check") if key in each): each
        for each in elements
    }
