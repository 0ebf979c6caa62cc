"""Backfill: windows of the past that no run analyzed, in the order of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime, timedelta

import msgspec

from modelwatch.domain.monitors import Monitored
from modelwatch.domain.verdict.results import AnalysisResult, ResultName
from modelwatch.errors import ModelwatchError
from modelwatch.ports.analysis import ReportStore
from modelwatch.services.analysis_requests import AnalysisTask
from modelwatch.services.evaluation import Evaluated


class PastWindows(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of the past: those to evaluate, and how many have a result already."""

    due: list[AnalysisTask]
    known: int


class Backfilled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of windows: results, how many had no record, and why others have no result."""

    results: list[AnalysisResult]
    empty: int
    failures: dict[str, str]


def past_windows(
    reports: ReportStore,
    monitored: Monitored,
    captured: Mapping[tuple[str, str], Set[datetime]],
    since: datetime,
    until: datetime,
) -> PastWindows:
    """Return the windows that end after ``since`` and by ``until``, of hours with captures.

    Windows without a step follow one another. A window counts as known when the schedule has a
    result that ends within its last step.

    Raises
    ------
    StoreError
        When results cannot be listed.

    Parameters
    ----------
    captured
        The hours with captures, by model name and version.
    """
    tasks: list[tuple[datetime, int, AnalysisTask]] = []
    known = 0
    for (name, version), hours in sorted(captured.items()):
        ends = _known_ends(reports, name, version, since, until)
        for index, plan in enumerate(monitored.rules.plans):
            for window in plan.ended(since, until):
                if hours.isdisjoint(window.hours()):
                    continue
                begins = window.end - plan.own_step
                if any(begins < end <= window.end for end in ends[plan.name, window.end.date()]):
                    known += 1
                    continue
                task = AnalysisTask(
                    name, version, window, plan.name, monitored,
                    main=index == 0, present=False, late=True, past=True,
                )  # fmt: skip
                tasks.append((window.end, index, task))
    return PastWindows(
        due=[task for *_, task in sorted(tasks, key=lambda each: each[:2])], known=known
    )


def backfill(
    evaluate: Callable[[AnalysisTask], Evaluated],
    tasks: Sequence[AnalysisTask],
    on_window: Callable[[], object] = lambda: None,
) -> Backfilled:
    """Evaluate windows, the oldest first; one that fails does not concern the others.

    Parameters
    ----------
    evaluate
        `Evaluator.evaluate`.
    on_window
        Is called after each.
    """
    results: list[AnalysisResult] = []
    failures: dict[str, str] = {}
    empty = 0
    for task in tasks:
        try:
            found = evaluate(task).results
        except ModelwatchError as error:
            title = f"{task.name} version {task.version}, {task.title} to {task.window.end:%F %R}"
            failures[title] = str(error)
        else:
            results += found
            empty += not found
        on_window()
    return Backfilled(results=results, empty=empty, failures=failures)


def _known_ends(
    reports: ReportStore, name: str, version: str, since: datetime, until: datetime
) -> dict[tuple[str, object], list[datetime]]:
    """Return the ends of the schedule's windows by title and day, also the day after each."""
    ends: defaultdict[tuple[str, object], list[datetime]] = defaultdict(list)
    for each in map(ResultName.parse, reports.names(name, since, until)):
        if each is not None and each.model_version == version and not (each.ad_hoc or each.variant):
            for day in (0, 1):
                ends[each.window, (each.window_end + timedelta(days=day)).date()].append(
                    each.window_end
                )
    return ends
