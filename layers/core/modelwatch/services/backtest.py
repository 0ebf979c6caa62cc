"""Backtest: the verdicts of other rules on windows of the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import batched

import msgspec

from modelwatch.domain.alarms import AlarmSpan, WindowStatus, alarm_spans
from modelwatch.domain.verdict.results import AnalysisResult, ResultName, Severity
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.errors import EvidenceError
from modelwatch.ports.analysis import ReportStore
from modelwatch.services.replay import evaluate_again

_AT_ONCE = 16
"""Windows that are read together, and are in memory together."""


class BacktestedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window, and the verdicts on it.

    Attributes
    ----------
    name
        Of the result that was given.
    given, other
        The verdict that was given, and that of the other rules; the latter is None when there can
        be none: ``problem`` says why.
    """

    name: str
    window_start: datetime
    window_end: datetime
    given: WindowStatus
    other: WindowStatus | None
    problem: str = ""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An episode of drift, and by which rules it is one.

    ``given`` and ``other`` are the episodes that overlap; None for a side without one.
    """

    given: AlarmSpan | None
    other: AlarmSpan | None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of one length of a version, or of one of its variants, in the order of time.

    Attributes
    ----------
    given, other
        How many windows have which severity; `not_evaluated` is how many have none by the
        other rules (``untold``, its old name, is written for one release more).
    alarms
        Episodes by either rules.
    """

    model_version: str
    variant: str
    window: str
    windows: tuple[BacktestedWindow, ...]
    given: Mapping[Severity, int]
    other: Mapping[Severity, int]
    not_evaluated: int
    untold: int
    alarms: tuple[Alarm, ...]

    @property
    def given_alarms(self) -> int:
        """How many alarms were given."""
        return len({alarm.given.begins for alarm in self.alarms if alarm.given})

    @property
    def other_alarms(self) -> int:
        """How many the other rules would have given."""
        return len({alarm.other.begins for alarm in self.alarms if alarm.other})


class Backtester:
    """Evaluates kept windows by other rules, each against the reference that it was compared with.

    Parameters
    ----------
    reports
        Where results are, and what they were made of.
    rules
        The other rules. They do not change which windows there are: those that are stored.
    """

    def __init__(self, reports: ReportStore, rules: AnalysisRules) -> None:
        self._reports = reports
        self._rules = rules

    def names(
        self, model_name: str, since: datetime, until: datetime, model_version: str = ""
    ) -> list[str]:
        """Return the schedule's results by their windows' ends, of one version or of all."""
        parsed = {name: _parsed(name) for name in self._reports.names(model_name, since, until)}
        return [
            name
            for name, parts in parsed.items()
            if model_version in ("", parts.model_version) and not parts.ad_hoc
        ]

    def run(
        self, names: Sequence[str], on_window: Callable[[], object] = lambda: None
    ) -> list[Series]:
        """Return the verdicts of the other rules on the windows of these results.

        Parameters
        ----------
        names
            In the order of time.
        on_window
            Is called after each.

        Raises
        ------
        StoreError
            When the store does not respond.
        """
        found: dict[tuple[str, str, str], list[BacktestedWindow]] = {}
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for some in batched(names, _AT_ONCE, strict=False):
                for given, window in threads.map(self._backtested, some):
                    key = (given.model_version, given.variant, given.window)
                    found.setdefault(key, []).append(window)
                    on_window()
        return [_series(*key, windows) for key, windows in sorted(found.items())]

    def _backtested(self, name: str) -> tuple[AnalysisResult, BacktestedWindow]:
        given = self._reports.result(name)
        other, problem = None, ""
        try:
            other = _status(evaluate_again(given, self._reports.evidence(given), self._rules))
        except EvidenceError as error:
            problem = str(error)
        window = BacktestedWindow(
            name=given.name,
            window_start=given.window_start,
            window_end=given.window_end,
            given=_status(given),
            other=other,
            problem=problem,
        )
        return given, window


def _series(
    model_version: str, variant: str, window: str, windows: Sequence[BacktestedWindow]
) -> Series:
    others = [each.other for each in windows if each.other is not None]
    not_evaluated = len(windows) - len(others)
    return Series(
        model_version=model_version,
        variant=variant,
        window=window,
        windows=tuple(windows),
        given=Counter(each.given.severity for each in windows),
        other=Counter(each.severity for each in others),
        not_evaluated=not_evaluated,
        untold=not_evaluated,
        alarms=_alarms(
            list(alarm_spans(each.given for each in windows)), list(alarm_spans(others))
        ),
    )


def _alarms(given: Sequence[AlarmSpan], other: Sequence[AlarmSpan]) -> tuple[Alarm, ...]:
    """Return pairs of episodes that overlap, and those without a partner, in the order of time."""
    pairs = [
        Alarm(given=one, other=another)
        for one in given
        for another in other
        if one.overlaps(another)
    ]
    paired = [side for pair in pairs for side in (pair.given, pair.other)]
    pairs += [Alarm(given=each, other=None) for each in given if each not in paired]
    pairs += [Alarm(given=None, other=each) for each in other if each not in paired]
    return tuple(sorted(pairs, key=_begin))


def _begin(alarm: Alarm) -> datetime:
    return min(each.begins for each in (alarm.given, alarm.other) if each is not None)


def _status(result: AnalysisResult) -> WindowStatus:
    return WindowStatus(result.window_end, result.status, result.drifted_features, result.severity)


def _parsed(name: str) -> ResultName:
    found = ResultName.parse(name)
    assert found is not None, "stores give names of results"
    return found
