"""Which phase the past of a model has, and how far its columns go by that phase."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.past.history import FEWEST_WINDOWS, Past
from modelwatch.domain.past.phases import AskedPhase, Phase, phases_of
from modelwatch.domain.past.scores import BESIDE, LEAST_MARGIN, REFERRED, SCORES, large, scores_of
from modelwatch.domain.statistics.distributions import Floats
from modelwatch.domain.windows import Window

CLEARLY = math.log(0.8)
"""Scores are clearly smaller when they are smaller by a fifth."""

_FLOORS = np.array([score.threshold for score in BESIDE])
_IS_REFERRED = np.isin(np.arange(len(SCORES)), REFERRED)


class Chosen(NamedTuple):
    """A phase, and by it of each column the critical scores and the trace of just before."""

    phase: Phase
    critical: Floats
    before: Floats


def usual(past: Past, window: Window) -> Chosen:
    """Return the usual phase of the window's length, by which no score has a smaller one."""
    length = window.end - window.start
    before = past.just_before(window.start, length)
    return Chosen(phases_of(length)[0], large(past.scores), before)


def choose(past: Past, window: Window, asked: AskedPhase = "auto") -> Chosen:
    """Return the phase that columns follow: its past scores are clearly smaller; or the usual one.

    Columns that do not are as by the usual phase, whose windows just before are more.

    Parameters
    ----------
    past
        Of `FEWEST_WINDOWS` windows at least.
    asked
        A phase that is asked for is that of all columns, once so many windows have scores by it.
    """
    known, phases = usual(past, window), phases_of(window.end - window.start)
    if past.phased.shape[2] != len(phases):
        return known  # of before there were phases
    means = _means(past.phased)
    if asked != "auto":
        wanted: Phase = asked if asked in phases else "none"
        return _by_phase(past, window, known, means, wanted) or known
    first = _by_phase(past, window, known, means, known.phase) or known
    matters = np.isfinite(known.critical) & (known.critical > _FLOORS)
    gains = np.where(matters[:, None], means - means[:, :1], 0.0).sum(axis=2)
    gains /= np.maximum(matters.sum(axis=1), 1)[:, None]
    follows = gains <= CLEARLY
    most = int(np.argmin(np.where(follows, gains, 0.0).sum(axis=0)))
    other = _by_phase(past, window, known, means, phases[most])
    if not follows[:, most].any() or other is None:
        return first
    which = follows[:, [most]]
    critical = np.where(which, other.critical, first.critical)
    return Chosen(other.phase, critical, np.where(which, other.before, first.before))


def _by_phase(
    past: Past, window: Window, known: Chosen, means: Floats, phase: Phase
) -> Chosen | None:
    """Return what a phase says of all columns; None where it is not known."""
    length = window.end - window.start
    phases = phases_of(length)
    place = phases.index(phase)
    scores = past.phased[:, :, place]
    is_usual = phase == known.phase
    before = known.before if is_usual else past.just_before(window.start, length, phase)
    fewest = np.isfinite(scores).sum(axis=0).max(initial=0)
    if fewest < FEWEST_WINDOWS or np.isnan(before).all():
        return None
    if phase == "none" and is_usual:
        return known
    beside = large(scores, BESIDE)
    critical = np.where(_IS_REFERRED | is_usual, known.critical, beside)
    if phase != "none":
        # distances that go with the season alone are as near to all windows just before
        gains = means[:, place] - means[:, phases.index("none")]
        rises = _IS_REFERRED & (gains <= CLEARLY)
        now = LEAST_MARGIN * scores_of(before, before) + beside
        critical = np.where(rises, np.fmin(critical, now), critical)
    return Chosen(phase, critical, before)


def _means(scores: NDArray[np.floating]) -> Floats:
    """Return the logarithms of mean scores by column and phase, all of the same windows.

    0 where fewer than `FEWEST_WINDOWS` have a score by all phases.
    """
    is_known = np.isfinite(scores).all(axis=2, keepdims=True)
    count = is_known.sum(axis=0)
    sums = np.where(is_known, np.abs(scores), 0.0).sum(axis=0)
    means = np.log(np.maximum(sums / np.maximum(count, 1), _FLOORS / 100))
    return np.where(count >= FEWEST_WINDOWS, means, 0.0)
