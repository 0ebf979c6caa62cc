"""What a change of monitors would have done to the windows of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from modelwatch.adapters.results.analysis_settings import VERDICT_SETTINGS, monitored
from modelwatch.services.backtest import Alarm, Backtester, Series
from modelwatch_cli.console import count_of

if TYPE_CHECKING:
    from modelwatch.domain.monitors import Monitor, MonitorChange
    from modelwatch.domain.verdict.rules import AnalysisRules
    from modelwatch.ports.analysis import ReportStore
    from modelwatch_cli.settings import Settings


class ModelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one model's change would have done.

    Attributes
    ----------
    series
        Its windows by length and version, with the verdicts that were given and the others.
    sentences
        The same in words.
    notes
        What cannot be known from the past.
    """

    model_name: str
    series: list[Series]
    sentences: list[str]
    notes: list[str]


class Planner:
    """Evaluates past windows of models by the rules that a change would give them.

    Parameters
    ----------
    settings
        The deployment's.
    reports
        Where results are, and what they were made of.
    wanted
        The monitors after the change; a model without one has the deployment's settings.
    """

    def __init__(
        self, settings: Settings, reports: ReportStore, wanted: Mapping[str, Monitor]
    ) -> None:
        self._settings = settings
        self._reports = reports
        self._wanted = wanted

    def windows(
        self, changes: Sequence[MonitorChange], since: datetime, until: datetime
    ) -> dict[str, list[str]]:
        """Return the names of the results in that time, by each model with other rules."""
        models = dict.fromkeys(each.model_name for each in changes if _is_shown(each.field))
        return {name: self._tester(name).names(name, since, until) for name in models}

    def plan(
        self,
        model_name: str,
        names: Sequence[str],
        changes: Sequence[MonitorChange],
        on_window: Callable[[], object] = lambda: None,
    ) -> ModelPlan:
        """Return what the change of a model would have done to the results ``names``."""
        series = self._tester(model_name).run(names, on_window)
        own = {each.field for each in changes if each.model_name == model_name}
        lengths = {each.name for each in self._rules(model_name).plans}
        return ModelPlan(
            model_name=model_name,
            series=series,
            sentences=[each for one in series for each in sentences(one)],
            notes=[*_notes(own, lengths, series)],
        )

    def _tester(self, model_name: str) -> Backtester:
        return Backtester(self._reports, self._rules(model_name))

    def _rules(self, model_name: str) -> AnalysisRules:
        return monitored(self._settings, self._wanted.get(model_name)).rules


def sentences(series: Series) -> Iterator[str]:
    """Yield how many alarms become how many, and what becomes of each."""
    variant = f" as {series.variant}" if series.variant else ""
    given, other = series.given_alarms, series.other_alarms
    windows = count_of(len(series.windows), "window")
    title = f"version {series.model_version}{variant}, {series.window}, {windows}"
    if series.windows and series.not_evaluated == len(series.windows):
        yield f"{title}: none can be evaluated again"
        return
    yield (
        f"{title}: {given} alarm{'' if given == 1 else 's'} "
        + (f"become{'s' if given == 1 else ''} {other}" if given != other else "as before")
    )
    for alarm in series.alarms:
        yield f"  {_fate(alarm)}"


def _fate(alarm: Alarm) -> str:
    if alarm.given is None:
        assert alarm.other is not None
        return f"a new alarm at {alarm.other.begins:%Y-%m-%d %H:%M}"
    found = f"the drift of {alarm.given.begins:%Y-%m-%d %H:%M}"
    if alarm.other is None:
        return f"{found} is not found"
    delay = alarm.other.begins - alarm.given.begins
    if not delay:
        return f"{found} is still found, at the same time"
    side = "later" if delay > timedelta() else "earlier"
    return f"{found} is still found, {words(abs(delay))} {side}"


def words(length: timedelta) -> str:
    """Return a length of time in words, in the largest unit that has two of it, or one exactly.

    >>> words(timedelta(hours=2)), words(timedelta(minutes=90)), words(timedelta(days=1))
    ('2 hours', '90 minutes', '1 day')
    """
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = round(seconds / size)
        if seconds >= 2 * size or seconds == size:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def _notes(fields: set[str], lengths: set[str], series: Sequence[Series]) -> Iterator[str]:
    if series and (new := sorted(lengths - {each.window for each in series})):
        yield f"the past has no results of windows of {', '.join(new)}: they are not shown"
    if "baseline" in fields:
        yield "windows are compared with the reference that they had, not with the new baseline"
    if any(field.startswith("capture.") for field in fields):
        yield (
            "what is captured changes for new records alone; a window that has older ones, too, is "
            "compared with a reference by the new rules"
        )
    problems = [each.problem for one in series for each in one.windows if each.problem]
    if problems:
        count = count_of(len(problems), "window")
        yield f"{count} cannot be evaluated again; first reason: {problems[0]}"
    if not series:
        yield "there are no results of windows in that time"


def _is_shown(field: str) -> bool:
    """Return whether a changed field can change a verdict; an empty one is a whole monitor."""
    if field in ("", "baseline") or field.startswith(("features.", "capture.")):
        return True
    return field.removeprefix("rules.").upper() in VERDICT_SETTINGS
