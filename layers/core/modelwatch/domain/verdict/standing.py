"""How a model version stands, by the newest verdict of each length of its windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.verdict.results import LastResult, Severity

WORST_FIRST: Mapping[Severity, int] = {"drift": 0, "warning": 1, "unknown": 2, "ok": 3}


class Standing(NamedTuple):
    """The worst of the newest verdicts, and these by the length of their window, the worst first.

    A length that is analyzed no more is not among them.
    """

    severity: Severity
    windows: tuple[tuple[str, LastResult], ...]


def standing_of(last: Mapping[str, LastResult]) -> Standing | None:
    """Return how a version stands by what is remembered of it; None when that is nothing.

    A window counts while it ended no longer before the newest one than it is long: the settings may
    have other windows now. A window without any row has nothing that anyone could evaluate, such as
    an hour of the night: it is ``unknown``, and where another window has a verdict, that one holds.
    Too few rows, or rows that were lost, are something that no one knows: they count.
    """
    # a key with a blank is of a variant
    known = {key: each for key, each in last.items() if " " not in key}
    if not known:
        return None
    newest = max(each.window_end for each in known.values())
    windows = [
        (key, each)
        for key, each in known.items()
        if newest - each.window_end <= parse_duration(key)
    ]
    windows.sort(
        key=lambda pair: (_is_empty(pair[1]), WORST_FIRST[severity_of(pair[1])], _length(pair[0]))
    )
    return Standing(severity_of(windows[0][1]), tuple(windows))


def severity_of(last: LastResult) -> Severity:
    """Return the severity of a verdict, also of one that was remembered before it was kept."""
    return last.severity or last.status


def _is_empty(last: LastResult) -> bool:
    # without a severity, it was remembered before rows were
    return last.severity == "unknown" and not last.rows


def _length(window: str) -> float:
    return parse_duration(window).total_seconds()
