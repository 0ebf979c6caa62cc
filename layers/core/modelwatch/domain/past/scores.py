"""The ways in which a column of a window can be far from what was: each is one line of `SCORES`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.statistics.transport import core_deviation, smallest_deviation

DECILES = tuple(share / 10 for share in range(1, 10))

TRACE = 4 + len(DECILES)
"""Numbers in a trace: distance, missing, spike, unseen, and the deciles."""

DISTANCE, MISSING, SPIKE, UNSEEN, SHAPE = 0, 1, 2, 3, slice(4, TRACE)
"""Their places."""

LEAST_UNSEEN = 0.01
"""The practical threshold of the share of unseen categories."""

LEAST_MARGIN, MARGIN_OF_ONE = 1.15, 0.8
"""The largest of n past scores is multiplied by LEAST_MARGIN + MARGIN_OF_ONE / sqrt(n). Without a
margin a further score would be larger with a probability of 1 / (n + 1): too likely for many
columns with many scores."""

FEWEST = 20
"""So many past windows have to have a score that not all of them have."""

DEVIATIONS = 5.0
"""Of the logarithms of rates: a past window in which all was missing must not hide the next."""

_FREQUENT = 3
_STUCK = 0.9
_NO_SPREAD = 0.01
_LEAST_RATE = 0.001


def trace_of(reference: Distribution, window: Distribution, distance: float | None) -> Floats:
    """Return what is kept of a column of a window; NaN for what it does not have.

    Parameters
    ----------
    distance
        The score of the window by the method of the policy, where that is a distance.
    """
    trace = np.full(TRACE, np.nan)
    trace[MISSING] = window.missing_ratio
    if distance is not None:
        trace[DISTANCE] = distance
    if reference.kind == window.kind != "empty":
        trace[SPIKE] = rise(reference, window).score
    if reference.kind == window.kind == "categorical":
        trace[UNSEEN] = unseen_share(reference, window)
    if reference.kind == window.kind == "numerical":
        middle = float(reference.quantiles([0.5])[0])
        trace[SHAPE] = (window.quantiles(DECILES) - middle) / unit_of(reference)
    return trace


def unseen_share(reference: Distribution, window: Distribution) -> float:
    """Return the share of categories that a reference does not have; 0 where it may have them."""
    known = sum(window.counts.get(text, 0) for text in reference.counts)
    return max(0.0, 1 - known / window.size - reference.rest / reference.size)


def unit_of(reference: Distribution) -> float:
    """Return the unit of a trace's deciles: the deviation of the numbers but a few far ones."""
    return max(core_deviation(reference), smallest_deviation(reference))


class Rise(NamedTuple):
    """A value that comes more often: its share in the window, and in the reference at most."""

    value: float | str
    share: float
    known: float

    @property
    def score(self) -> float:
        """By how much more."""
        return self.share - self.known

    @property
    def is_stuck(self) -> bool:
        """Whether hardly another value is left."""
        return self.share >= _STUCK


def rise(reference: Distribution, window: Distribution) -> Rise:
    """Return which of the window's most frequent values came more often, the most of them."""
    if window.kind == "categorical":
        # a category that was not counted came no more often than one that was
        uncounted = min([reference.rest, *reference.counts.values()])
        frequent = heapq.nlargest(_FREQUENT, window.counts.items(), key=lambda each: each[::-1])
        texts = [
            Rise(
                text,
                count / window.size,
                reference.counts.get(text, uncounted) / reference.size,
            )
            for text, count in frequent
        ]
        return max(texts, key=lambda each: each.score, default=Rise("", 0.0, 0.0))
    places = np.argsort(-window.weights, kind="stable")[:_FREQUENT]
    values, shares = window.values[places], window.weights[places] / window.size
    found = np.minimum(np.searchsorted(reference.values, values), len(reference.values) - 1)
    same = reference.values[found] == values
    known = np.where(same, reference.weights[found] / reference.size, 0.0)
    most = int(np.argmax(shares - known))
    return Rise(float(values[most]), float(shares[most]), float(known[most]))


Read = Callable[[Floats, Floats], Floats]
"""Scores of traces, and of the traces of the windows before them; the last axis is the trace's."""


@dataclass(frozen=True, slots=True)
class Score:
    """One way of being far.

    Attributes
    ----------
    name
        As in results.
    threshold
        The practical one: below, it does not matter.
    tail
        How past scores say what is large. ``largest``: none reached it, by a margin. ``rate``, of
        shares that are 0 most of the time: or mean + 5 deviations of their logarithms, if less.
    read
        Takes the score from a trace.
    is_beside
        Whether it is beside the windows just before; else it is beside the reference.
    """

    name: str
    threshold: float
    tail: Literal["largest", "rate"]
    read: Read
    is_beside: bool = False


def _rise_of(read: Read) -> Read:
    return lambda now, before: read(now, before) - read(before, before)


def far_apart(one: Floats, other: Floats) -> Floats:
    """Return the mean distance of deciles."""
    return np.asarray(np.abs(one - other).mean(axis=-1))


def range_ratio(now: Floats, before: Floats) -> Floats:
    """Return the range from the first to the last decile, by that of before."""
    wide = [each[..., TRACE - 1] - each[..., SHAPE.start] for each in (now, before)]
    return np.asarray((wide[0] + _NO_SPREAD) / (wide[1] + _NO_SPREAD))


SCORES = (
    Score("distance", 0.0, "largest", lambda now, _: now[..., DISTANCE]),
    Score(
        "shift", 0.1, "largest",
        lambda now, before: far_apart(now[..., SHAPE], before[..., SHAPE]), is_beside=True,
    ),
    Score(
        "spread", 0.2, "largest",
        lambda now, before: np.abs(np.log(range_ratio(now, before))), is_beside=True,
    ),
    Score("spike", 0.03, "rate", lambda now, _: now[..., SPIKE]),
    Score("unseen", LEAST_UNSEEN, "rate", lambda now, _: now[..., UNSEEN]),
    Score(
        "missing", 0.02, "rate",
        lambda now, before: now[..., MISSING] - before[..., MISSING], is_beside=True,
    ),
)  # fmt: skip
"""All of them; a new one is one line. ``distance`` is that of the policy, with its threshold."""


RATES = tuple(score.name for score in SCORES if score.tail == "rate")

REFERRED = [place for place, score in enumerate(SCORES) if not score.is_beside]
"""The places of what is compared with the reference. By phase, their rise above the windows just
before is."""

LEAST_RISE = 0.05
"""The practical threshold of the rise of a distance: a column that was never far may be so far."""

BESIDE = tuple(
    score
    if score.is_beside
    else replace(score, threshold=score.threshold or LEAST_RISE, read=_rise_of(score.read))
    for score in SCORES
)
"""The same scores, all of them beside the windows just before, and so of a phase."""


def scores_of(traces: Floats, before: Floats, scores: Sequence[Score] = SCORES) -> Floats:
    """Return the scores of traces, in the last axis; NaN where one has none."""
    return np.stack([score.read(traces, before) for score in scores], axis=-1)


def margin_of(count: NDArray[np.int64]) -> Floats:
    """Return what the largest of so many past scores is multiplied by."""
    return np.asarray(LEAST_MARGIN + MARGIN_OF_ONE / np.sqrt(count))


def large(past: NDArray[np.floating], scores: Sequence[Score] = SCORES) -> Floats:
    """Return what is larger than past scores go.

    Parameters
    ----------
    past
        Windows in the first axis, at least one, scores in the last; NaN is no score. Without any
        it is inf.
    """
    known = np.isfinite(past)
    windows = known.sum(axis=0)
    count = np.maximum(windows, 1)
    critical = np.where(known, past, -np.inf).max(axis=0) * margin_of(count)
    rates = [place for place, score in enumerate(scores) if score.tail == "rate"]
    is_rate, some = known[..., rates], count[..., rates]
    logs = np.log(np.where(is_rate, np.maximum(past[..., rates], _LEAST_RATE), 1.0))
    mean = logs.sum(axis=0) / some
    deviation = np.sqrt((np.where(is_rate, logs - mean, 0.0) ** 2).sum(axis=0) / some)
    rare = np.exp(mean + DEVIATIONS * deviation)
    critical[..., rates] = np.minimum(critical[..., rates], rare)
    thresholds = np.array([score.threshold for score in scores])
    # pasts of earlier releases have no spikes of texts: a few windows do not say how high they go
    needed = np.array([FEWEST if score.name == "spike" else 1 for score in scores])
    return np.where(windows >= needed, np.maximum(critical, thresholds), np.inf)
