"""What the past says of one window: the critical scores of its columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import numpy as np

from modelwatch.domain.past.choice import choose, usual
from modelwatch.domain.past.growth import Growth
from modelwatch.domain.past.history import FEWEST_WINDOWS, Past
from modelwatch.domain.past.phases import AskedPhase, SaidPhase
from modelwatch.domain.past.relations import (
    THRESHOLD,
    Pair,
    RelationPast,
    Relations,
    chance_of,
    explained,
    large_breaks,
)
from modelwatch.domain.past.scores import DISTANCE, SCORES, Score, scores_of
from modelwatch.domain.past.traffic import NAMES, jumps_of, large_jumps
from modelwatch.domain.profiles import MOST_ROWS
from modelwatch.domain.statistics.distributions import Floats
from modelwatch.domain.windows import Window

OUTPUT = "\x00"
"""Stands before the name of an output."""

_PLACES = {score.name: place for place, score in enumerate(SCORES)}
_BESIDE = [place for place in range(len(SCORES)) if place != DISTANCE]
_FEW_ROWS = 0.1
_MEDIAN = math.pi / 2  # the variance of a median, by that of a mean

type Known = tuple[float | None, ...]
"""Numbers; None where one is not known."""


class ColumnPast(msgspec.Struct, frozen=True, array_like=True):
    """What the past says of a column.

    Attributes
    ----------
    critical
        The critical scores, by `SCORES`.
    before
        The trace of the windows just before.
    """

    critical: Known
    before: Known


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What the past says of a window.

    Attributes
    ----------
    windows, days
        How many windows it is from, and how many days had any.
    trained_days
        Of them, how many are days of the training rows.
    needed_days
        So many days make a past; until then only distances have critical scores from it, beside
        those of independent draws.
    rows
        A tenth of the past windows had fewer: critical scores of smaller windows are higher.
    methods
        The methods for numbers and texts whose scores are calibrated.
    columns
        By feature, and by output with `OUTPUT` before its name.
    traffic
        Of the rows as a whole, by `traffic.NAMES`; None of a part of them.
    relations
        Of the relations that are watched.
    growth
        Columns that only grow, or only fall: how far they are from the reference says nothing.
    single
        Columns that had one value in each window, and not always the same one.
    phase
        Which windows just before it is compared with; empty where there is none, and in
        results of earlier releases.
    """

    windows: int
    days: int
    needed_days: int
    rows: float = 0.0
    methods: tuple[str, str] = ("", "")
    columns: Mapping[str, ColumnPast] = {}
    trained_days: int = 0
    traffic: ColumnPast | None = None
    relations: tuple[RelationPast, ...] = ()
    phase: SaidPhase = ""
    growth: Mapping[str, Growth] = {}
    single: tuple[str, ...] = ()

    @property
    def learning(self) -> str:
        """How much of the past is learned; empty when it is done.

        Examples
        --------
        >>> Calibration(windows=5, days=5, needed_days=28).learning
        '5 of 28 days'
        """
        if self.days < self.needed_days:
            return f"{self.days} of {self.needed_days} days"
        if self.windows < FEWEST_WINDOWS:
            return f"{self.windows} of {FEWEST_WINDOWS} windows"
        return ""

    def critical_score(self, score: str, name: str, rows: int) -> float | None:
        """Return how far a column's score goes in the past; None where that is not known."""
        known = self.columns.get(name)
        critical = known.critical[_PLACES[score]] if known else None
        return None if critical is None else critical * self._caution(rows)

    def watches(self, name: str) -> bool:
        """Return whether other scores than the distance have a past: only these need a trace."""
        known = self.columns.get(name)
        if known is None or self.learning:
            return False
        return any(known.critical[place] is not None for place in _BESIDE)

    def changes(
        self, name: str, trace: Floats, rows: int
    ) -> list[tuple[Score, float, float, Floats]]:
        """Return what is critical beside the distance: its value, critical score, trace of before.

        Parameters
        ----------
        trace
            Of the column in the window.
        rows
            Of the window.
        """
        if not self.watches(name):
            return []
        known = self.columns[name]
        critical = np.array(known.critical, dtype=np.float64) * self._caution(rows)
        before = np.array(known.before, dtype=np.float64)
        scores = scores_of(trace, before)
        return [
            (SCORES[place], float(scores[place]), float(critical[place]), before)
            for place in _BESIDE
            if scores[place] > critical[place]
        ]

    @property
    def watches_rows(self) -> bool:
        """Whether the rows as a whole have a past."""
        return not self.learning and any(self.traffic.critical if self.traffic else ())

    def jumps(self, totals: Floats) -> list[tuple[str, float, float, Floats]]:
        """Return what is critical of the rows as a whole: name, value, critical score, before."""
        if self.traffic is None:
            return []
        critical, before = (
            np.array(each, dtype=np.float64)
            for each in (self.traffic.critical, self.traffic.before)
        )
        scores = jumps_of(totals, before)
        return [
            (name, float(scores[place]), float(critical[place]), before)
            for place, name in enumerate(NAMES)
            if scores[place] > critical[place]
        ]

    @property
    def watches_relations(self) -> bool:
        """Whether a relation has a past."""
        return not self.learning and any(each.is_known for each in self.relations)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The relations that are watched."""
        return tuple(each.pair for each in self.relations)

    def broken(self, relations: Relations, level: float) -> list[tuple[Pair, float, float, float]]:
        """Return the relations that broke: rank correlation, that of before, critical change.

        ``level`` is for all relations together.
        """
        known = [each for each in self.relations if each.is_known] if not self.learning else []
        found = []
        for each in known:
            if each.pair in relations and each.before is not None and each.critical is not None:
                value, rows = relations[each.pair]
                far = each.critical + float(explained(np.array(each.before), np.array(rows)))
                critical = max(THRESHOLD, far)
                # of which windows of the past, or few rows, lost a half: that says nothing
                is_steady = far <= abs(each.before) / 2
                is_far = is_steady and abs(value - each.before) > critical
                chance = chance_of(value, rows, each.before, each.rows)
                if is_far and chance <= level / len(known):
                    found.append((each.pair, value, each.before, critical))
        return found

    def of_a_segment(self) -> Calibration:
        """Return what it says of a declared segment: which columns only grow, no more."""
        return Calibration(
            windows=0, days=0, needed_days=self.needed_days, methods=self.methods,
            growth=self.growth,
        )  # fmt: skip

    def of_a_part(self) -> Calibration:
        """Return what it says of a part of the window's rows: how far distances go, no more.

        A variant may always have had other rows than all variants together.
        """
        rest = (None,) * (len(SCORES) - 1)
        columns = {
            name: ColumnPast((each.critical[DISTANCE], *rest), each.before)
            for name, each in self.columns.items()
        }
        return msgspec.structs.replace(self, columns=columns, traffic=None, relations=())

    def _caution(self, rows: int) -> float:
        """Return by how much the scores of so few rows may be larger, by chance alone."""
        return max(1.0, math.sqrt(self.rows / max(rows, 1)))


def calibrate(
    past: Past,
    window: Window,
    methods: tuple[str, str],
    needed_days: int,
    trained: Window | None = None,
    phase: AskedPhase = "auto",
) -> Calibration:
    """Return what the windows of ``past`` say of ``window``; nothing when there are none.

    ``trained`` is when its windows are of training rows; ``phase`` is the one that is asked for.
    """
    if not len(past.ends):
        return Calibration(windows=0, days=0, needed_days=needed_days, methods=methods)
    length = window.end - window.start
    days_each = max(length.days, 1)
    known = Calibration(
        windows=len(past.ends),
        days=past.days * days_each,
        needed_days=needed_days,
        rows=float(np.quantile(past.rows, _FEW_ROWS)),
        methods=methods,
        traffic=ColumnPast(
            _known(large_jumps(past.jumps)), _known(past.totals_before(window.start, length))
        ),
        trained_days=past.days_within(trained) * days_each if trained else 0,
        relations=_relations(past, window.start, length),
        growth=past.growth(),
        single=past.single(),
    )
    # of what is not learned, a phase must not say more
    chosen = usual(past, window) if known.learning else choose(past, window, phase)
    columns = {
        name: ColumnPast(_known(chosen.critical[place]), _known(chosen.before[place]))
        for place, name in enumerate(past.names)
    }
    return msgspec.structs.replace(known, phase=chosen.phase, columns=columns)


def _relations(past: Past, start: datetime, length: timedelta) -> tuple[RelationPast, ...]:
    before, windows = past.correlations_before(start, length)
    rows = min(float(np.quantile(past.rows, _FEW_ROWS)), MOST_ROWS) / _MEDIAN
    return tuple(
        map(
            RelationPast,
            past.pairs,
            _known(before),
            (windows * rows).tolist(),
            _known(large_breaks(past.breaks)),
        )
    )


def _known(numbers: Floats) -> Known:
    return tuple(each if math.isfinite(each) else None for each in numbers.tolist())
