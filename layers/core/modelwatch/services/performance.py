"""Performance: how well a model version predicts, by the labels that came so far."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from modelwatch.domain.performance.calibration import learn_calibration
from modelwatch.domain.performance.encoding import HourPerformance, LabelledHour
from modelwatch.domain.performance.expected import ExpectedLosses
from modelwatch.domain.performance.losses import LossModel
from modelwatch.domain.performance.profile import PerformanceProfile, merge_performance
from modelwatch.domain.performance.results import (
    HourMaturity,
    PerformancePolicy,
    PerformanceResult,
    evaluate_performance,
)
from modelwatch.domain.performance.rows import CapturedHour, HourOutcomes, Outcomes, whole_order
from modelwatch.domain.windows import Window
from modelwatch.ports.performance import OutcomeStore, PerformanceStore

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

_HOUR = timedelta(hours=1)

_BYTES_AT_ONCE = 16 * 2**20
"""Hours of a day are read together up to this size: their memory adds up."""


@dataclass(slots=True)
class _Sums:
    """The hours of a window as they are known, and what is not known of them."""

    hours: dict[datetime, HourPerformance]
    renewed: set[datetime] = field(default_factory=set)
    pending: int = 0
    outdated: int = 0

    def leave(self, hours: Collection[datetime]) -> None:
        """Count hours that are not summed up for this result."""
        known = sum(hour in self.hours for hour in hours)
        self.outdated += known
        self.pending += len(hours) - known


@dataclass(frozen=True, slots=True)
class _Version:
    """Whose performance it is, and what was learned of its errors."""

    model_name: str
    model_version: str
    losses: LossModel | None


class PerformanceMonitor:
    """Evaluates a model version in a window, from sums that are kept hour by hour.

    An hour's rows are read once when the hour is over, and again only when its captures or its
    labels changed, and then not more often than every ``refresh_seconds``: a window costs a few
    listings and two small objects a day, however many predictions it had.

    Parameters
    ----------
    profiles
        Keeps the sums.
    policy
        What it takes for a result.
    lag_seconds
        How long after its end an hour counts as over.
    open_hour_bytes
        The hour that is not over is read for every result, if its captures are no larger.
    refresh_seconds
        Shortest time between two sums of an hour, even when new labels come.
    seconds
        How long one result may sum up hours, the newest first; later results do the rest.
    progress
        Called now and then with how many hours are done, and how many there are.
    """

    def __init__(
        self,
        *,
        outcomes: OutcomeStore,
        profiles: PerformanceStore,
        policy: PerformancePolicy | None = None,
        lag_seconds: float = 60,
        open_hour_bytes: int = 32 * 2**20,
        refresh_seconds: float = 900,
        seconds: float = 60,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._progress = progress
        self._outcomes = outcomes
        self._profiles = profiles
        self._policy = policy or PerformancePolicy()
        self._lag_seconds = lag_seconds
        self._open_hour_bytes = open_hour_bytes
        self._refresh_seconds = refresh_seconds
        self._seconds = seconds
        self._clock = clock

    def evaluate(
        self,
        model_name: str,
        model_version: str,
        window: Window,
        *,
        variant: str | None = None,
        classes: Sequence[str] = (),
        reference: pa.Table | None = None,
        losses: LossModel | None = None,
        policy: PerformancePolicy | None = None,
    ) -> PerformanceResult:
        """Return how well a version predicted in ``window``.

        Raises StoreError when captures, labels or sums cannot be read or written.

        Parameters
        ----------
        window
            Rounded outward to whole hours.
        variant
            Of predictions under this alias alone; None for all.
        classes
            The class of each probability as text, where known; else the reference or the
            predictions show it.
        reference
            Reference data. If it has ``probabilities`` and labels (column ``label``), of rows that
            the model was not trained on, the probabilities are calibrated on it.
        losses
            What was learned of a regression's errors when the version was registered.
        policy
            What it takes for a result, in place of the monitor's own.
        """
        window = whole_hours(window)
        known = None if reference is None else self._outcomes.reference(reference)
        classes = classes or ([] if known is None else whole_order([known]))
        calibrations = (
            {} if known is None else learn_calibration(PerformanceProfile.of(known, classes))
        )
        stored = self._outcomes.labelled({hour.date() for hour in window.hours()})
        sums = self._sums(_Version(model_name, model_version, losses), window, stored, classes)
        chosen = {hour: _merged(kept, variant) for hour, kept in sorted(sums.hours.items())}
        profile = merge_performance(chosen.values())
        labels, unknown = self._counted_labels(window, stored, sums.renewed, len(sums.hours))
        return PerformanceResult(
            model_name=model_name,
            model_version=model_version,
            variant=variant or "",
            window_start=window.start,
            window_end=window.end,
            verdict=evaluate_performance(profile, policy or self._policy, calibrations, losses),
            records=profile.records,
            labelled=profile.labelled,
            maturity=profile.labelled / profile.records if profile.records else None,
            labels=labels,
            unknown_labels=unknown,
            hours=tuple(
                HourMaturity(hour, each.records, each.labelled)
                for hour, each in chosen.items()
                if each.records
            ),
            pending_hours=sums.pending,
            outdated_hours=sums.outdated,
        )

    def _sums(
        self,
        of: _Version,
        window: Window,
        labels: Mapping[datetime, tuple[str, ...]],
        classes: Sequence[str],
    ) -> _Sums:
        """Return the hours of a window: as they are kept, or summed up anew, the newest first."""
        captured = self._outcomes.captured(of.model_name, of.model_version, window)
        sums = _Sums(self._profiles.load(of.model_name, of.model_version, window.hours()))
        labels = {**self._other_labels(sums.hours.values(), window), **labels}
        ends = self._clock() + self._seconds
        done = 0
        for _, hours in groupby(sorted(captured, reverse=True), datetime.date):
            day = list(hours)
            order = tuple(classes) or _order_of(sums.hours.values())
            stale = [
                hour
                for hour in day
                if hour not in sums.hours
                or not _is_fresh(sums.hours[hour], captured[hour], labels, order, of.losses)
            ]
            wanted = [
                hour for hour in stale if self._may_sum(captured[hour], sums.hours.get(hour), hour)
            ]
            sums.leave(set(stale) - set(wanted))
            made: dict[datetime, HourPerformance] = {}
            for batch in _batches(wanted, captured):
                # one batch is summed up however long the rest took: the next result goes on
                if sums.renewed and self._clock() >= ends:
                    sums.leave(batch)
                    continue
                made |= self._summed(of, batch, order)
                order = order or _order_of(made.values())
                sums.renewed |= made.keys()
                self._progress(done + len(made), len(captured))
            closed = {hour: each for hour, each in made.items() if self._is_over(hour)}
            self._profiles.save(of.model_name, of.model_version, closed)
            sums.hours |= made
            done += len(day)
            self._progress(done, len(captured))
        return sums

    def _may_sum(self, found: CapturedHour, kept: HourPerformance | None, hour: datetime) -> bool:
        """Return whether an hour that changed, or is new, is summed up for this result."""
        if kept is not None:
            return self._is_due(kept.made_ms)
        return self._is_over(hour) or found.size_bytes <= self._open_hour_bytes

    def _summed(
        self, of: _Version, hours: Sequence[datetime], order: Sequence[str]
    ) -> dict[datetime, HourPerformance]:
        """Sum up hours of one day. ``order``: the class of each probability, where it is known."""
        found = self._outcomes.outcomes(of.model_name, of.model_version, hours, of.losses)
        shown = (whole_order(found[hour].variants.values(), order) for hour in hours)
        order = order or next(filter(None, shown), ())
        return {hour: self._summed_hour(each, order, of.losses) for hour, each in found.items()}

    def _summed_hour(
        self, found: HourOutcomes, order: Sequence[str], losses: LossModel | None
    ) -> HourPerformance:
        order = whole_order(found.variants.values(), order)

        def expected(name: str, rows: Outcomes) -> ExpectedLosses | None:
            if losses is None:
                return None
            return ExpectedLosses.of(losses, found.samples[name], rows.numeric)

        return HourPerformance(
            {
                name: PerformanceProfile.of(rows, order, expected(name, rows))
                for name, rows in found.variants.items()
            },
            _digest(found.captures),
            _digest(found.labels),
            found.label_hours,
            int(self._clock() * 1000),
            order,
        )

    def _other_labels(
        self, kept: Iterable[HourPerformance], window: Window
    ) -> dict[datetime, tuple[str, ...]]:
        """Return the labels of hours whose days are not the window's: ids may say another time."""
        days = {each.date() for hour in kept for each in hour.label_hours}
        return self._outcomes.labelled(days - {hour.date() for hour in window.hours()})

    def _counted_labels(
        self,
        window: Window,
        labels: Mapping[datetime, tuple[str, ...]],
        renewed: set[datetime],
        hours: int,
    ) -> tuple[int, int]:
        """Return how many labels closed hours have, and how many of them are unknown.

        ``hours``: so many are summed up already.
        """
        names = {
            hour: found
            for hour, found in labels.items()
            if window.start <= hour < window.end and self._is_over(hour)
        }
        known = self._profiles.load_labelled(names)
        wanted = [
            hour
            for hour, found in names.items()
            if hour in renewed
            or hour not in known
            or (known[hour].made_from != _digest(found) and self._is_due(known[hour].made_ms))
        ]
        done = 0
        counted = self._outcomes.unknown(wanted)
        for _, day in groupby(counted, lambda each: each[0].date()):
            now_ms = int(self._clock() * 1000)
            made = {
                hour: LabelledHour(*counts, _digest(names[hour]), now_ms) for hour, counts in day
            }
            self._profiles.save_labelled(made)
            known |= made
            done += len(made)
            self._progress(hours + done, hours + len(wanted))
        return (
            sum(known[hour].labels for hour in names),
            sum(known[hour].unknown for hour in names),
        )

    def _is_due(self, made_ms: int) -> bool:
        return self._clock() - made_ms / 1000 >= self._refresh_seconds

    def _is_over(self, hour: datetime) -> bool:
        return (hour + _HOUR).timestamp() + self._lag_seconds <= self._clock()


def whole_hours(window: Window) -> Window:
    """Return the window of whole hours that ``window`` touches.

    Examples
    --------
    >>> half_past = datetime.fromisoformat("2026-01-01T12:30Z")
    >>> window = whole_hours(Window.ending(half_past, seconds=60))
    >>> window.start.hour, window.end.hour
    (12, 13)
    """
    hours = list(window.hours())
    return Window(hours[0], hours[-1] + _HOUR)


def _merged(kept: HourPerformance, variant: str | None) -> PerformanceProfile:
    if variant is not None:
        return kept.variants.get(variant, PerformanceProfile())
    return merge_performance(profile for _, profile in sorted(kept.variants.items()))


def _is_fresh(
    kept: HourPerformance,
    captured: CapturedHour,
    labels: Mapping[datetime, Sequence[str]],
    order: Sequence[str],
    losses: LossModel | None,
) -> bool:
    names = [name for hour in kept.label_hours for name in labels.get(hour, ())]
    unestimated = losses and any(profile.losses is None for profile in kept.variants.values())
    return (
        kept.captures == _digest(captured.names)
        and kept.labels == _digest(names)
        and not _is_unordered(kept, order)
        and not unestimated
    )


def _is_unordered(kept: HourPerformance, order: Sequence[str]) -> bool:
    """Whether another hour has shown meanwhile which probability is of which class."""
    has_probabilities = any(each.probabilities for each in kept.variants.values())
    return bool(order and not kept.classes and has_probabilities)


def _batches(
    hours: Sequence[datetime], captured: Mapping[datetime, CapturedHour]
) -> Iterator[list[datetime]]:
    """Yield hours, in their order, together as far as their size allows."""
    batch: list[datetime] = []
    size_bytes = 0
    for hour in hours:
        batch.append(hour)
        size_bytes += captured[hour].size_bytes
        if size_bytes >= _BYTES_AT_ONCE:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _order_of(hours: Iterable[HourPerformance]) -> tuple[str, ...]:
    return next((tuple(each.classes) for each in hours if each.classes), ())


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:20]
