"""The rows of past windows: one document by model version and length of window, bounded in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.past.growth import FEWEST_SINGLE, Growth, growth_of, is_single
from modelwatch.domain.past.phases import PERIODS, Phase, phases_of
from modelwatch.domain.past.relations import (
    NO_RELATIONS,
    Pair,
    Relations,
    as_arrays,
    explained,
    large_breaks,
)
from modelwatch.domain.past.scores import BESIDE, SCORES, TRACE, large, scores_of
from modelwatch.domain.past.traffic import NO_TOTALS, TOTALS, jumps_of, large_jumps
from modelwatch.domain.statistics.distributions import Floats
from modelwatch.domain.window_plans import MINUTE, WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.errors import ProfileFormatError

FORMAT = 1

KEPT_DAYS = 365
"""So many days with windows are kept: a year has all its seasons."""

FEWEST_WINDOWS = 20
"""Fewest windows that make a past; the setting says how many days it takes."""

JOINS_AFTER = timedelta(days=7)
"""How long after its end a window joins the past. A lasting change keeps its alarm that long."""

RECENT = timedelta(days=28)
""""Just before" a window looks back this far. Older windows are kept as one a day."""

GROSS = 2.0
"""A score that is so many times its critical score never joins the past."""

_DAY = 86_400.0
_HOUR = timedelta(hours=1)


type _Single = NDArray[np.float32]


def past_windows(length: timedelta, since: datetime, until: datetime) -> tuple[Window, ...]:
    """Return the windows of the past that ended after ``since``, and not after ``until``.

    They follow each other without a gap, from Monday to Sunday, midnight to midnight or hour to
    hour in UTC; of windows shorter than an hour, one ends with each hour.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> days = past_windows(timedelta(days=1), noon - timedelta(days=2), noon)
    >>> [f"{day.start:%d}" for day in days]
    ['28', '01']
    """
    step = max(_HOUR, -(-length // MINUTE) * MINUTE)
    limit = timedelta(days=KEPT_DAYS + 1) // step
    return WindowPlan(length, step).due(until, since, limit=limit).windows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """Past windows of one length, compared with one reference.

    Attributes
    ----------
    names
        The columns: of the features, and of the outputs with a NUL before the name.
    ends
        When each window ended, in seconds since 1970, ascending.
    rows
        How many rows it had.
    traces, scores
        By window and column, as `scores.trace_of` and `scores.scores_of` give them. Windows that
        are older than `RECENT` are one of their day, with the largest scores and no traces.
    phased
        By window, column and phase of `phases_of`, the scores of `scores.BESIDE`.
    totals, jumps
        The same of all rows of a window, as `traffic.totals_of` and `traffic.jumps_of` give them.
    pairs
        The relations that are watched, of two columns each.
    correlations, breaks
        By window and pair the rank correlation, and by how much more than chance explains it
        differs from before.
    """

    names: tuple[str, ...] = ()
    ends: Floats = field(default_factory=lambda: np.empty(0))
    rows: Floats = field(default_factory=lambda: np.empty(0))
    traces: Floats = field(default_factory=lambda: np.empty((0, 0, TRACE)))
    scores: Floats = field(default_factory=lambda: np.empty((0, 0, len(SCORES))))
    totals: Floats = field(default_factory=lambda: np.empty((0, TOTALS)))
    jumps: Floats = field(default_factory=lambda: np.empty((0, TOTALS)))
    phased: _Single = field(
        default_factory=lambda: np.empty((0, 0, 0, len(BESIDE)), dtype=np.float32)
    )
    pairs: tuple[Pair, ...] = ()
    correlations: Floats = field(default_factory=lambda: np.empty((0, 0)))
    breaks: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def growth(self) -> dict[str, Growth]:
        """Return which columns only grew, or only fell, in the newest four weeks or 8 windows."""
        newest = self._newest()
        found = {
            name: growth_of(self.ends[newest], self.traces[newest, place])
            for place, name in enumerate(self.names)
        }
        return {name: way for name, way in found.items() if way}

    def single(self) -> tuple[str, ...]:
        """Return which columns had one value in each of these windows, and not always the same."""
        newest = self.traces[self._newest()]
        return tuple(name for at, name in enumerate(self.names) if is_single(newest[:, at]))

    def _newest(self) -> slice:
        first = int(np.searchsorted(self.ends, self.ends[-1] - RECENT.total_seconds()))
        return slice(max(0, min(first, len(self.ends) - FEWEST_SINGLE)), None)

    def until(self, moment: datetime) -> Past:
        """Return the windows that ended by then."""
        return self._some(self.ends <= moment.timestamp())

    @property
    def days(self) -> int:
        """On how many days windows ended."""
        return len(np.unique(_days(self.ends)))

    def days_within(self, window: Window) -> int:
        """On how many days windows ended that overlap ``window``."""
        days = np.unique(_days(self.ends))
        first, last = (moment.timestamp() // _DAY for moment in (window.start, window.end))
        return int(np.count_nonzero((days >= first) & (days <= last)))

    def just_before(self, start: datetime, length: timedelta, phase: Phase | None = None) -> Floats:
        """Return the medians of the traces of the windows just before ``start``, by column.

        Of a phase those at the same time of day or week, an hour more or less; of the usual one of
        the length when None is given. NaN where there is none, or only one of the phase ``week``.
        """
        phase = phase or phases_of(length)[0]
        near, fewest = self._near(start, length, PERIODS[phase]), 1
        if phase == "week":
            # of last week only the hour before has joined: of a Monday's first hour it is Sunday's
            near &= self.ends <= (start - JOINS_AFTER - _HOUR).timestamp()
            fewest = 2
        if near.sum() < fewest:
            return np.full((len(self.names), TRACE), np.nan)
        return _median(self.traces[near])

    def totals_before(self, start: datetime, length: timedelta) -> Floats:
        """Return the medians of the totals at the same time of the weeks just before ``start``."""
        near = self._near(start, length, 7 * _DAY)
        return _median(self.totals[near]) if near.any() else NO_TOTALS

    def correlations_before(self, start: datetime, length: timedelta) -> tuple[Floats, Floats]:
        """Return the medians of the rank correlations just before, chosen as those of traces.

        With how many windows they are of; NaN and 0: there is none.
        """
        near = self.correlations[self._near(start, length, _DAY)]
        if not len(near):
            return np.full(len(self.pairs), np.nan), np.zeros(len(self.pairs))
        return _median(near), np.isfinite(near).sum(axis=0).astype(float)

    def _near(self, start: datetime, length: timedelta, period: float) -> NDArray[np.bool_]:
        """Return which windows are just before, at the same time of so many seconds."""
        now = start.timestamp()
        near = self.ends <= now - JOINS_AFTER.total_seconds()
        near &= self.ends > now - RECENT.total_seconds()
        if length.total_seconds() < period:
            apart = np.abs((self.ends - (start + length).timestamp()) % period)
            near &= np.minimum(apart, period - apart) <= 3600
        return near

    def add(
        self,
        start: datetime,
        length: timedelta,
        rows: int,
        traces: Mapping[str, Floats],
        totals: Floats = NO_TOTALS,
        relations: Relations = NO_RELATIONS,
    ) -> Past:
        """Return the past with one more window, the newest; what is too old is left out."""
        names, phases = self.names or tuple(traces), phases_of(length)
        nothing = np.full(TRACE, np.nan)
        new = np.array([traces.get(name, nothing) for name in names]).reshape(len(names), TRACE)
        known = replace(
            self,
            names=names,
            traces=self.traces.reshape(len(self.ends), len(names), TRACE),
            scores=self.scores.reshape(len(self.ends), len(names), len(SCORES)),
            phased=self._by_phase(len(names), len(phases)),
            correlations=self.correlations.reshape(len(self.ends), len(self.pairs)),
            breaks=self.breaks.reshape(len(self.ends), len(self.pairs)),
        )
        joined = known.until(start - JOINS_AFTER)
        befores = [joined.just_before(start, length, phase) for phase in phases]
        scores = scores_of(new, befores[0])
        phased = np.stack([scores_of(new, each, BESIDE) for each in befores], axis=1)
        if len(joined.ends) >= FEWEST_WINDOWS:
            scores = np.where(scores > GROSS * large(joined.scores), np.nan, scores)
            phased = np.where(phased > GROSS * large(joined.phased, BESIDE), np.nan, phased)
        jumps = jumps_of(totals, joined.totals_before(start, length))
        jumps = np.where(jumps > GROSS * large_jumps(joined.jumps), np.nan, jumps)
        correlations, known_rows = as_arrays(relations, self.pairs)
        before, _ = joined.correlations_before(start, length)
        breaks = np.maximum(np.abs(correlations - before) - explained(before, known_rows), 0.0)
        breaks = np.where(breaks > GROSS * large_breaks(joined.breaks), np.nan, breaks)
        newest = known._folded(start - RECENT, KEPT_DAYS // max(length.days, 1))
        return replace(
            newest,
            ends=np.append(newest.ends, (start + length).timestamp()),
            rows=np.append(newest.rows, rows),
            traces=np.concatenate([newest.traces, new[None]]),
            scores=np.concatenate([newest.scores, scores[None]]),
            phased=np.concatenate([newest.phased, phased[None].astype(np.float32)]),
            totals=np.concatenate([newest.totals, totals[None]]),
            jumps=np.concatenate([newest.jumps, jumps[None]]),
            correlations=np.concatenate([newest.correlations, correlations[None]]),
            breaks=np.concatenate([newest.breaks, breaks[None]]),
        )

    def _by_phase(self, names: int, phases: int) -> _Single:
        """Return the scores by phase; NaN where windows were learned before there were phases."""
        shape = (len(self.ends), names, phases, len(BESIDE))
        return self.phased if self.phased.shape == shape else np.full(shape, np.nan, np.float32)

    def _folded(self, moment: datetime, most: int) -> Past:
        """Return the past with one window for each of the ``most`` newest days before ``moment``.

        However long ago: training rows may be older than a year.
        """
        last = moment.timestamp() // _DAY
        old = np.unique(_days(self.ends))
        old = old[old < last]
        known = self._some(_days(self.ends) >= old[-most]) if len(old) > most else self
        days = _days(known.ends)
        # the last window of a day stands for all of it, once the day is old
        stands = (days >= last) | np.append(days[1:] != days[:-1], True)[: len(days)]
        if stands.all():
            return known
        starts = np.flatnonzero(np.append(True, stands[:-1]))
        traces = np.where((days < last)[:, None, None], np.nan, known.traces)
        return replace(
            known._some(stands),
            rows=np.minimum.reduceat(known.rows, starts),
            traces=traces[stands],
            scores=np.fmax.reduceat(known.scores, starts, axis=0),
            phased=np.fmax.reduceat(known.phased, starts, axis=0),
            jumps=np.fmax.reduceat(known.jumps, starts, axis=0),
            breaks=np.fmax.reduceat(known.breaks, starts, axis=0),
        )

    def _some(self, which: NDArray[np.bool_]) -> Past:
        return replace(
            self,
            ends=self.ends[which],
            rows=self.rows[which],
            traces=self.traces[which],
            scores=self.scores[which],
            phased=self.phased[which],
            totals=self.totals[which],
            jumps=self.jumps[which],
            correlations=self.correlations[which],
            breaks=self.breaks[which],
        )


def _days(ends: Floats) -> Floats:
    """Return the days since 1970 on which windows ended; midnight is the end of the day before."""
    return (ends - 1) // _DAY


def _median(traces: Floats) -> Floats:
    """Return the medians by column and number, of those that are not NaN; NaN without any."""
    ordered = np.sort(traces, axis=0)
    known = np.isfinite(ordered).sum(axis=0)
    places = np.maximum((np.stack([known - 1, known]) // 2), 0)
    found = np.take_along_axis(ordered, np.minimum(places, len(ordered) - 1), axis=0)
    return np.asarray(found.mean(axis=0))


class PastDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The past of one length of window, as it is stored.

    Attributes
    ----------
    reference, methods, pairs
        What scores depend on: with others the past is learned anew.
    seen
        Up to when windows were looked at.
    captured
        The days up to then that had captures: with more of them the past is learned anew.
    """

    reference: str
    methods: tuple[str, str]
    seen: datetime
    captured: tuple[date, ...] = ()
    names: tuple[str, ...] = ()
    ends: bytes = b""
    rows: bytes = b""
    traces: bytes = b""
    scores: bytes = b""
    totals: bytes = b""
    jumps: bytes = b""
    phased: bytes = b""
    pairs: tuple[Pair, ...] = ()
    correlations: bytes = b""
    breaks: bytes = b""
    format: int = FORMAT

    def past(self) -> Past:
        """Return its windows."""
        ends, rows = (np.frombuffer(each, "<f8") for each in (self.ends, self.rows))
        traces, scores = (
            np.frombuffer(each, "<f4").astype(np.float64) for each in (self.traces, self.scores)
        )
        totals, jumps = (
            np.frombuffer(each, "<f8").reshape(-1, TOTALS) for each in (self.totals, self.jumps)
        )
        if len(totals) != len(ends):
            # learned before rows were counted
            totals = jumps = np.full((len(ends), TOTALS), np.nan)
        correlations, breaks = (
            np.frombuffer(each, "<f8").reshape(len(ends), len(self.pairs))
            for each in (self.correlations, self.breaks)
        )
        shape = (len(ends), len(self.names))
        phased = np.frombuffer(self.phased, "<f4")
        # none in what was learned before there were phases
        phases = phased.size // max(len(ends) * len(self.names) * len(BESIDE), 1)
        return Past(
            names=self.names,
            ends=ends,
            rows=rows,
            traces=traces.reshape(*shape, TRACE),
            scores=scores.reshape(*shape, len(SCORES)),
            phased=phased.reshape(*shape, phases, len(BESIDE)),
            totals=totals,
            jumps=jumps,
            pairs=self.pairs,
            correlations=correlations,
            breaks=breaks,
        )

    def holding(self, past: Past, seen: datetime, captured: Sequence[date]) -> PastDocument:
        """Return the document with other windows, and up to when they were looked at."""
        return msgspec.structs.replace(
            self,
            seen=seen,
            captured=tuple(captured),
            names=past.names,
            ends=past.ends.astype("<f8").tobytes(),
            rows=past.rows.astype("<f8").tobytes(),
            traces=past.traces.astype("<f4").tobytes(),
            scores=past.scores.astype("<f4").tobytes(),
            phased=past.phased.astype("<f4").tobytes(),
            totals=past.totals.astype("<f8").tobytes(),
            jumps=past.jumps.astype("<f8").tobytes(),
            correlations=past.correlations.astype("<f8").tobytes(),
            breaks=past.breaks.astype("<f8").tobytes(),
        )


encode_past = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PastDocument).decode


def decode_past(payload: bytes) -> PastDocument:
    """Read what `encode_past` wrote; raises ProfileFormatError when it is something else."""
    try:
        document = _decode(payload)
        document.past()
    except (*UNREADABLE, ValueError) as error:
        raise ProfileFormatError(f"the past is damaged: {error}") from error
    if document.format != FORMAT:
        raise ProfileFormatError(f"the past has format {document.format}; this code reads {FORMAT}")
    return document
