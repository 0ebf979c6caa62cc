"""Restated performance: what labels that came late say of windows of the past.

A result is written once, with the performance that labels showed then. Beside it a run of the
schedule writes what they show later, as versions of their own: when the window is as old as an
eighth, a quarter, a half and the whole of the window of performance. Which results those are
follows from the run's newest window and the one before it: nothing has to be remembered, and each
run restates a few.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from modelwatch.domain.performance.results import PerformanceResult
from modelwatch.domain.windows import Window
from modelwatch.ports.analysis import Listed, ReportStore

_AGES = (0.125, 0.25, 0.5, 1.0)
"""When a result is restated, as shares of the window of performance."""

_MOST = 8
"""Results that one run restates; the newest first."""

_MOST_LISTED = 100
"""Results that are looked at for each age, those of variants and on request among them."""

Evaluate = Callable[[Window], PerformanceResult | None]


def restate(
    reports: ReportStore,
    evaluate: Evaluate,
    version: tuple[str, str],
    window: str,
    *,
    before: datetime,
    newest: datetime,
    length: timedelta,
    now: datetime,
) -> int:
    """Restate the performance of the results that have come to an age; return of how many.

    The same run again restates nothing that it restated already.

    Parameters
    ----------
    evaluate
        Gives the performance in a window by the labels that are there now.
    version, window
        Model name and version, and the length of the results' windows, as in their names.
    before, newest
        Ends of the window that was newest until now, and of the one that is.
    length
        Of the window of performance.

    Raises
    ------
    StoreError
        When results cannot be read or written.
    """
    due: dict[str, Listed] = {}
    for age in _AGES:
        since, until = (end - age * length for end in (before, newest))
        for each in reports.newest([version], since, until, _MOST_LISTED):
            if (each.name.window, each.name.variant, each.name.ad_hoc) == (window, "", ""):
                due[str(each.name)] = each
    chosen = list(due.values())[:_MOST]
    return sum(_restated(reports, evaluate, each, length, now) for each in chosen)


def _restated(
    reports: ReportStore, evaluate: Evaluate, listed: Listed, length: timedelta, now: datetime
) -> bool:
    name = str(listed.name)
    first = known = reports.result(name).performance
    if listed.restated:
        known = reports.result(name, listed.restated).performance
    window = Window.ending(listed.name.window_end, seconds=length.total_seconds())
    if first is not None:
        window = Window(first.window_start, first.window_end)
    found = evaluate(window)
    if found is None or not _says_more(found, known):
        return False
    more = found.labelled - (first.labelled if first else 0)
    restated = msgspec.structs.replace(found, restated_at=now, more_labelled=more)
    return reports.restate(name, restated, listed.restated + 1)


def _says_more(found: PerformanceResult, known: PerformanceResult | None) -> bool:
    """Return whether labels say something else now, and no less is known than before."""
    if known is None:
        return found.labelled > 0
    return (
        found.verdict != known.verdict
        and found.labelled >= known.labelled
        and found.records >= known.records
        and found.pending_hours <= known.pending_hours
    )
