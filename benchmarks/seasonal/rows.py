"""Unusual rows as a whole: how often usual ones are flagged, and what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import fmean

import numpy as np
from benchmarks.seasonal.pieces import NAMES, pieces
from benchmarks.seasonal.series import Hour, Series, merged

from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.history import JOINS_AFTER, Past
from modelwatch.domain.past.traffic import is_chance, totals_of

_LEVEL = 0.0001
_TIMES = {"": 1.0, "x2": 2.0, "x0.5": 0.5, "x3": 3.0}


def rows_figures(
    found: Sequence[Hour], series: Series, lengths: Sequence[timedelta]
) -> dict[str, float]:
    """Return figures by key, of all windows of the year, each after those before it."""
    said: dict[str, list[bool]] = {}
    for length in lengths:
        past, name = Past(), NAMES[length]
        for piece in pieces(found, length, series.fewest):
            start, profile = piece.window.start, merged(list(piece.hours))
            totals = totals_of(profile)
            known = calibrate(past.until(start - JOINS_AFTER), piece.window, ("", ""), 28)
            past = past.add(start, length, profile.rows, {}, totals)
            if not known.watches_rows:
                continue
            for title, times in _TIMES.items():
                some = replace(
                    profile,
                    rows=round(profile.rows * times),
                    estimated_rows=profile.estimated_rows * times,
                )
                jumps = known.jumps(totals * np.array([times, 1.0]))
                is_found = any(
                    jump == "rows" and not is_chance(jump, some, before, _LEVEL)
                    for jump, _, _, before in jumps
                )
                said.setdefault(_key("rows", name, title), []).append(is_found)
            # where each row is there twice, as many values are different
            for title, share in (("", totals[1]), ("twice", (1 + totals[1]) / 2)):
                jumps = known.jumps(np.array([totals[0], share]))
                is_found = any(jump == "repeats" for jump, *_ in jumps)
                said.setdefault(_key("repeats", name, title), []).append(is_found)
    return {key: round(fmean(each), 4) for key, each in said.items()}


def _key(name: str, length: str, title: str) -> str:
    return f"power__{length}__{name}_{title}" if title else f"false__{length}_{name}"
