"""Learning: what the past of a model version says of its windows, from the stored profiles."""

from __future__ import annotations

import logging
from collections.abc import Set
from datetime import UTC, date, datetime, time, timedelta

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.past.calibration import Calibration, calibrate
from modelwatch.domain.past.history import JOINS_AFTER, KEPT_DAYS, Past, PastDocument, past_windows
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.verdict.columns import all_distributions, traces_of
from modelwatch.domain.verdict.evidence import encode_window, sha256
from modelwatch.domain.verdict.sides import Reference
from modelwatch.domain.windows import Window
from modelwatch.ports.analysis import PastStore, ProfileStore
from modelwatch.services.analysis_requests import AnalysisTask

HOURS_AT_ONCE = 168
"""So many hours of captures a run reads for the past, or one window that is longer."""

_LOG = logging.getLogger(__name__)
_HOUR = timedelta(hours=1)


class Learning:
    """Learns from past windows once, a bounded part with every run, and keeps what they say.

    A run costs one listing and one small object, however long the past is. When past windows
    are due, it also reads the profiles of `HOURS_AT_ONCE` hours at most, and writes that object:
    a past of 28 days is learned in four runs.

    Parameters
    ----------
    profiles
        Of the captures.
    pasts
        Keeps what is learned.
    hours_at_once
        So many hours of captures are read with one window.
    """

    def __init__(
        self, profiles: ProfileStore, pasts: PastStore, hours_at_once: int = HOURS_AT_ONCE
    ) -> None:
        self._profiles = profiles
        self._pasts = pasts
        self._hours_at_once = hours_at_once

    def calibration(self, task: AnalysisTask, reference: Reference | None) -> Calibration | None:
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
        captured = {
            day
            for day in self._profiles.days(task.name, task.version)
            if oldest <= day <= joined.date()
        }
        past = self._past(task, length, reference, captured, joined) if captured else Past()
        return calibrate(past, task.window, rules.policy.methods, rules.history_days)

    def _past(
        self,
        task: AnalysisTask,
        length: timedelta,
        reference: Reference,
        captured: Set[date],
        joined: datetime,
    ) -> Past:
        """Return the windows that ended by ``joined``, after learning some that are new."""
        document = self._known(task, length, reference, captured)
        windows = past_windows(length, document.seen, joined)
        if windows:
            due = [window for window in windows if _touches(window, captured)]
            some = due[: max(1, self._hours_at_once * _HOUR // max(length, _HOUR))]
            past = document.past()
            known = all_distributions(reference.profile)
            for window in some:
                profile = self._profile(task, window, reference)
                if profile is not None:
                    traces = traces_of(known, profile, task.monitored.rules.policy)
                    past = past.add(window.start, length, profile.rows, traces)
            seen = (some if len(some) < len(due) else windows)[-1].end
            looked_at = sorted(day for day in captured if day <= seen.date())
            document = document.holding(past, seen, looked_at)
            self._pasts.save(task.name, task.version, length, document)
        return document.past().until(joined)

    def _known(
        self, task: AnalysisTask, length: timedelta, reference: Reference, captured: Set[date]
    ) -> PastDocument:
        """Return what was learned; nothing when it was against another reference, or not of all."""
        digest = sha256(encode_window(reference.profile, {}))
        methods = task.monitored.rules.policy.methods
        if reference.past_from is not None:
            digest += f" from {reference.past_from.isoformat()}"
        found = self._pasts.load(task.name, task.version, length)
        if found is not None and (found.reference, found.methods) == (digest, methods):
            late = {day for day in captured if day < found.seen.date()}.difference(found.captured)
            if not late:
                return found
            _LOG.info("%s version %s: captures of %s came late", task.name, task.version, min(late))
        first = datetime.combine(min(captured), time(), UTC)
        return PastDocument(reference=digest, methods=methods, seen=first)

    def _profile(self, task: AnalysisTask, window: Window, reference: Reference) -> Profile | None:
        """Return the profile of a past window; None if the window is no part of the past."""
        itself = reference.window
        if itself and window.start < itself.end and itself.start < window.end:
            return None  # near itself
        if reference.past_from is not None and window.start < reference.past_from:
            return None
        read = self._profiles.profiles(task.name, task.version, window)
        profile = merge_profiles(list(read.variants.values()))
        return profile if profile.rows >= task.monitored.rules.min_rows else None


def _touches(window: Window, days: Set[date]) -> bool:
    return any(hour.date() in days for hour in window.hours())
