"""Learning: what the past of a model version says of its windows, from the stored profiles."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.past.calibration import OUTPUT, Calibration, calibrate
from modelwatch.domain.past.history import JOINS_AFTER, KEPT_DAYS, Past, PastDocument, past_windows
from modelwatch.domain.past.relations import Pair, Relations, relations_of
from modelwatch.domain.past.scores import DISTANCE
from modelwatch.domain.past.traffic import NO_TOTALS, totals_of
from modelwatch.domain.profiles import ColumnProfile, Profile, merge_profiles
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.statistics.transport import SMALLEST_DEVIATION
from modelwatch.domain.verdict.columns import all_distributions, traces_of
from modelwatch.domain.verdict.evidence import encode_window, sha256
from modelwatch.domain.windows import Window
from modelwatch.ports.analysis import PastStore, ProfileStore
from modelwatch.services.analysis_requests import AnalysisTask
from modelwatch.services.references import SampledReference

HOURS_AT_ONCE = 168
"""So many hours of captures a run reads for the past, or one window that is longer."""

TRAINED_AT_ONCE = 672
"""So many windows of training rows a run learns, from one object: 28 days by the hour."""

_LOG = logging.getLogger(__name__)
_HOUR = timedelta(hours=1)
_MOMENT = timedelta(milliseconds=1)
_ROUNDING = 1e-9

type _Learned = tuple[Window, int, dict[str, Floats], Floats, Relations]
"""A window, its rows, its traces, its totals, and its watched relations."""


class Learning:
    """Learns from past windows once, a bounded part with every run, and keeps what they say.

    A run costs one listing and one small object, however long the past is. When past windows
    are due, it also reads the profiles of `HOURS_AT_ONCE` hours at most, and writes that object:
    a past of 28 days is learned in four runs. Training rows with times are a past, too: of windows
    that they have rows of, it is learned from them alone, `TRAINED_AT_ONCE` windows with a run.

    Parameters
    ----------
    profiles
        Of the captures.
    pasts
        Keeps what is learned.
    runs_at_once
        One window learns what so many runs would; infinite: all of the past.
    """

    def __init__(self, profiles: ProfileStore, pasts: PastStore, runs_at_once: float = 1) -> None:
        self._profiles = profiles
        self._pasts = pasts
        self._runs_at_once = runs_at_once

    def calibration(
        self, task: AnalysisTask, reference: SampledReference | None
    ) -> Calibration | None:
        """Return what the past says of the window of a task.

        None when the past is not used: if the rules say so, if there is no reference or a rolling
        one, which is another for each window, or if no schedule has windows of this length.

        Raises
        ------
        StoreError
            When captures or what was learned cannot be read, or not be written.
        """
        rules = task.monitored.rules
        length = parse_duration(task.title)
        is_scheduled = length in {plan.length for plan in rules.plans}
        is_asked = rules.history_days and rules.policy.mode == "calibrated" and is_scheduled
        if not is_asked or reference is None or not reference.profile.rows or reference.objects:
            return None
        joined = task.window.start - JOINS_AFTER
        oldest = joined.date() - timedelta(days=KEPT_DAYS)
        if reference.past_from is not None:
            oldest = max(oldest, reference.past_from.date())
        trained = reference.trained_at
        captured = {
            day
            for day in self._profiles.days(task.name, task.version)
            if oldest <= day <= joined.date() and not _is_of(day, trained)
        }
        first = min(captured, default=joined.date())
        if trained:
            # what the model was trained on is normal: it need not wait
            joined = max(joined, min(trained.end + length - _MOMENT, task.window.start))
            kept = max(trained.start, trained.end - timedelta(days=KEPT_DAYS))
            first = min(first, kept.date())
        elif not captured:
            return calibrate(Past(), task.window, rules.policy.methods, rules.history_days)
        past, left_days = self._past(task, length, reference, captured, first, joined)
        needed_days = rules.history_days
        if left_days:
            # until all of it is learned, it may be the wrong season
            needed_days = max(needed_days, (past.days + left_days) * max(length.days, 1))
        return calibrate(past, task.window, rules.policy.methods, needed_days, trained, rules.phase)

    def _past(
        self,
        task: AnalysisTask,
        length: timedelta,
        reference: SampledReference,
        captured: Set[date],
        first: date,
        joined: datetime,
    ) -> tuple[Past, int]:
        """Return the windows that ended by ``joined``, after learning some that are new.

        With how many more days have windows that are not learned yet.
        """
        document = self._known(task, length, reference, captured, first)
        windows = _windows(length, document.seen, joined, reference.trained_at)
        left: Sequence[Window] = ()
        if windows:
            due = [
                window
                for window in windows
                if _is_trained(window, reference) or _touches(window, captured)
            ]
            captures_at_once = max(1, HOURS_AT_ONCE * _HOUR // max(length, _HOUR))
            shares = [
                1 / (TRAINED_AT_ONCE if _is_trained(window, reference) else captures_at_once)
                for window in due
            ]
            budget = self._runs_at_once + _ROUNDING
            count = int(np.searchsorted(np.cumsum(shares), budget, side="right"))
            some, left = due[:count], due[count:]
            past = document.past()
            for learned in self._learned(task, some, reference, past.pairs):
                window, rows, traces, totals, related = learned
                past = past.add(window.start, length, rows, traces, totals, related)
            seen = (some if left else windows)[-1].end
            looked_at = sorted(day for day in captured if day <= seen.date())
            document = document.holding(past, seen, looked_at)
            self._pasts.save(task.name, task.version, length, document)
        return document.past().until(joined), len({window.start.date() for window in left})

    def _learned(
        self,
        task: AnalysisTask,
        windows: Sequence[Window],
        reference: SampledReference,
        pairs: Sequence[Pair],
    ) -> Iterator[_Learned]:
        """Yield what is kept of each window that is part of the past, in their order."""
        of_training = [window for window in windows if _is_trained(window, reference)]
        found = {each[0]: each for each in self._trained(task, of_training, reference, pairs)}
        known = all_distributions(reference.profile)
        for window in windows:
            if _is_trained(window, reference):
                yield from (found[window],) if window in found else ()
            elif profile := self._profile(task, window, reference):
                traces = traces_of(known, profile, task.monitored.rules.policy)
                related = relations_of(profile.sample, pairs)
                yield window, profile.rows, traces, totals_of(profile), related

    def _trained(
        self,
        task: AnalysisTask,
        windows: Sequence[Window],
        reference: SampledReference,
        pairs: Sequence[Pair],
    ) -> Iterator[_Learned]:
        """Yield what is kept of windows of training rows, each compared with other weeks.

        What a model predicts of rows that it was trained on is no measure of later predictions: of
        outputs only the distances are kept. Nor do they say how many requests there were.
        """
        rules = task.monitored.rules
        known: dict[str, Distribution] = {}
        known_of: Profile | None = None
        filled = reference.trained(windows) if reference.trained and windows else ()
        for window, profile, others in filled:
            if profile.rows < rules.min_rows or others.rows < rules.min_reference_rows:
                continue
            if others is not known_of:
                known, known_of = all_distributions(others), others
            traces = traces_of(known, profile, rules.policy)
            for name, trace in traces.items():
                if name.startswith(OUTPUT):
                    trace[np.arange(len(trace)) != DISTANCE] = np.nan
            related = relations_of(profile.sample, pairs)
            yield window, profile.rows, traces, NO_TOTALS, related

    def _known(
        self,
        task: AnalysisTask,
        length: timedelta,
        reference: SampledReference,
        captured: Set[date],
        first: date,
    ) -> PastDocument:
        """Return what was learned; nothing when it was against another reference, or not of all."""
        digest = sha256(encode_window(reference.profile, {}))
        methods = task.monitored.rules.policy.methods
        if any(0 < (each.deviation or 0.0) < SMALLEST_DEVIATION for each in _columns(reference)):
            # what was learned of small numbers by earlier releases is in other units
            digest += " small"
        if reference.past_from is not None:
            digest += f" from {reference.past_from.isoformat()}"
        known = digest, methods, reference.pairs
        found = self._pasts.load(task.name, task.version, length)
        if found is not None and (found.reference, found.methods, found.pairs) == known:
            late = {day for day in captured if day < found.seen.date()}.difference(found.captured)
            if not late:
                return found
            _LOG.info("%s version %s: captures of %s came late", task.name, task.version, min(late))
        seen = datetime.combine(first, time(), UTC)
        return PastDocument(reference=digest, methods=methods, pairs=reference.pairs, seen=seen)

    def _profile(
        self, task: AnalysisTask, window: Window, reference: SampledReference
    ) -> Profile | None:
        """Return the profile of a past window; None if the window is no part of the past."""
        if reference.window and window.overlaps(reference.window):
            return None  # near itself
        if reference.past_from is not None and window.start < reference.past_from:
            return None
        read = self._profiles.profiles(task.name, task.version, window)
        profile = merge_profiles(list(read.variants.values()))
        return profile if profile.rows >= task.monitored.rules.min_rows else None


def _columns(reference: SampledReference) -> Iterator[ColumnProfile]:
    yield from reference.profile.features.values()
    yield from reference.profile.predictions.values()


def _touches(window: Window, days: Set[date]) -> bool:
    return any(hour.date() in days for hour in window.hours())


def _windows(
    length: timedelta, since: datetime, until: datetime, trained: Window | None
) -> Sequence[Window]:
    """Return past windows in their order: those of training rows, however old, and of a year."""
    windows = past_windows(length, since, until)
    if trained is None:
        return windows
    of_training = past_windows(length, since, min(until, trained.end + length - _MOMENT))
    return sorted({*of_training, *windows}, key=lambda window: window.end)


def _is_trained(window: Window, reference: SampledReference) -> bool:
    trained = reference.trained_at
    return trained is not None and window.overlaps(trained)


def _is_of(day: date, window: Window | None) -> bool:
    return window is not None and window.start.date() <= day <= window.end.date()
