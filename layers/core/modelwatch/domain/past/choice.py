"""Which phase the past of a model has, and how far its columns go by that phase."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.past.history import FEWEST_WINDOWS, RECENT, Past
from modelwatch.domain.past.phases import AskedPhase, Phase, phases_of
from modelwatch.domain.past.scores import BESIDE, REFERRED, SCORES, large, scores_of
from modelwatch.domain.statistics.distributions import Floats
from modelwatch.domain.windows import Window

CLEARLY = math.log(0.8)
"""Critical scores are clearly smaller when they are smaller by a fifth."""

_FLOORS = np.array([score.threshold for score in BESIDE])
_IS_REFERRED = np.isin(np.arange(len(SCORES)), REFERRED)


class Chosen(NamedTuple):
    """A phase, and by it of each column the critical scores and the trace of just before."""

    phase: Phase
    critical: Floats
    before: Floats


class _Option(NamedTuple):
    """``gains``: by column the mean logarithm of critical scores, by those of no phase."""

    chosen: Chosen
    gains: Floats


def usual(past: Past, window: Window) -> Chosen:
    """Return the usual phase of the window's length, by which no score has a smaller one."""
    length = window.end - window.start
    before = past.just_before(window.start, length)
    return Chosen(phases_of(length)[0], large(past.scores), before)


def choose(past: Past, window: Window, asked: AskedPhase = "auto") -> Chosen:
    """Return the phase by which columns have clearly smaller critical scores, or the usual one.

    Columns without are as by the usual phase, whose windows just before are more.

    Parameters
    ----------
    past
        Of `FEWEST_WINDOWS` windows at least.
    asked
        A phase that is asked for is that of all columns, once so many windows have scores by it.
    """
    known = usual(past, window)
    options = _options(past, window, known)
    if asked != "auto":
        wanted: Phase = asked if asked in phases_of(window.end - window.start) else "none"
        return options[wanted].chosen if wanted in options else known
    first = options.pop(known.phase, None)
    if first is None:
        return known
    best, most = first.chosen, 0.0
    for option in options.values():
        gains = option.gains - first.gains
        has = gains <= CLEARLY
        if (gain := float(gains[has].sum())) < most:
            phase, *sides = option.chosen
            pairs = zip(sides, first.chosen[1:], strict=True)
            best, most = Chosen(phase, *(np.where(has[:, None], *each) for each in pairs)), gain
    return best


def _options(past: Past, window: Window, known: Chosen) -> dict[Phase, _Option]:
    """Return what each phase says that is known."""
    length = window.end - window.start
    phases, counts = phases_of(length), np.isfinite(past.phased).sum(axis=0)
    if past.phased.shape[2] != len(phases):
        return {}  # of before there were phases
    beside = large(past.phased, BESIDE)
    typical = _typical(past, known.critical, beside, counts)
    matters = np.isfinite(known.critical) & (known.critical > _FLOORS)
    options: dict[Phase, _Option] = {}
    for place, phase in enumerate(phases):
        before = past.just_before(window.start, length, phase) if place else known.before
        if counts[:, place].max(initial=0) < FEWEST_WINDOWS or np.isnan(before).all():
            continue
        critical, logs = known.critical, np.zeros_like(known.critical)
        if place:
            critical = np.where(_IS_REFERRED, critical, beside[:, place])
            is_both = np.isfinite(beside[:, [0, place]]).all(axis=1) & ~_IS_REFERRED
            logs[is_both] = np.log(beside[:, place][is_both] / beside[:, 0][is_both])
        if phase != "none":
            here, without = typical[:, place], typical[:, phases.index("none")]
            # distances that go with the season are nearer just before, by whatever phase
            has = _IS_REFERRED & (np.maximum(here, here - without) <= CLEARLY)
            now = scores_of(before, before) + beside[:, place]
            critical = np.where(has, np.fmin(critical, now), critical)
            logs = np.where(has, here, logs)
        gains = logs.sum(axis=1) / np.maximum(matters.sum(axis=1), 1)
        options[phase] = _Option(Chosen(phase, critical, before), gains)
    return options


def _typical(past: Past, critical: Floats, beside: Floats, counts: NDArray[np.int64]) -> Floats:
    """Return by phase the mean logarithm of recent windows' critical scores, by those of none.

    Of scores beside the reference; 0 of others, and where fewer than `FEWEST_WINDOWS` have one.
    """
    recent = past.ends > past.ends[-1] - RECENT.total_seconds()
    floors = _FLOORS[REFERRED]
    largest = critical[:, None, REFERRED]
    most = np.where(np.isfinite(largest), np.maximum(largest, floors), 1.0)
    before = past.scores[recent][:, :, None, REFERRED] - past.phased[recent][..., REFERRED]
    by_phase = np.minimum(before + beside[..., REFERRED], largest)
    is_known = np.isfinite(by_phase)
    logs = np.log(np.where(is_known, np.maximum(by_phase, floors) / most, 1.0))
    mean = np.zeros_like(beside)
    mean[..., REFERRED] = logs.sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    return np.where(counts >= FEWEST_WINDOWS, mean, 0.0)
