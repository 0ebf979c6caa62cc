"""Since when a drift lasts: the hour from which on a column looks like the window, by column.

Each hour of a stretch that ends with the window is compared with the reference and with the window:
the difference of both distances is low before a change and high after it. The change point is the
split with the least squares; the uncertainty is the set of splits that a likelihood ratio does not
reject at 95 % (D. Siegmund, Confidence sets in change-point problems, Int. Stat. Rev. 56, 1988:
twice the logarithm of the ratio is at most x with a probability of (1 - exp(-x / 2)) ** 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np

from modelwatch.domain.past.scores import MISSING, SHAPE, SPIKE, UNSEEN, far_apart, trace_of
from modelwatch.domain.profiles import ColumnProfile
from modelwatch.domain.statistics.distances import jensenshannon
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.verdict.results import ColumnOnset, Onset, SegmentResult
from modelwatch.domain.windows import Window

FEWEST_HOURS = 4
"""Fewer show no change point."""

_FEWEST_VALUES = 10
_NOT_REJECTED = -2 * math.log(1 - math.sqrt(0.95))
_IS_CHANGE = 15.0
"""So much twice the logarithm of the ratio is where there is a change: hours have seasons, too."""
_DAYS = 2
"""So many have a mean for each hour of the day."""
_NAMED = 3
_CARRIES = 1.25
"""A segment carries a drift if its part of it is so many times its part of the rows."""

type Hours = Sequence[tuple[Window, Mapping[str, ColumnProfile]]]
"""The columns of each hour with rows, in the order of time."""


def onset_of(
    columns: Mapping[str, tuple[Distribution, Distribution]],
    hours: Hours,
    segments: Sequence[SegmentResult] = (),
) -> Onset | None:
    """Return since when columns drift; None when the hours do not show it of any.

    Parameters
    ----------
    columns
        The drifted ones: reference and window, those that matter most first.
    segments
        The verdicts on the window's segments.
    """
    found = [onset for name, sides in columns.items() if (onset := _column(name, *sides, hours))]
    if not found:
        return None
    found.sort(key=lambda each: each.at or datetime.min.replace(tzinfo=hours[0][0].start.tzinfo))
    segment, share = _carrier(next(iter(columns)), segments)
    sentence = _sentence(found, hours[0][0].start)
    if segment:
        sentence += f"; {share:.0%} of it in the segment {segment}"
    return Onset(columns=tuple(found), segment=segment, sentence=sentence)


def _column(
    name: str, reference: Distribution, window: Distribution, hours: Hours
) -> ColumnOnset | None:
    known = []
    for span, columns in hours:
        if name in columns:
            hour = Distribution.of_column(columns[name])
            if hour.size >= _FEWEST_VALUES or (hour.kind == "empty" and columns[name].rows):
                known.append((span, hour))
    if len(known) < FEWEST_HOURS:
        return None
    contrasts = [*_contrasts(reference, window, [hour for _, hour in known])]
    phases = [span.start.hour for span, _ in known]
    splits = [split for each in contrasts if (split := change_point(each, phases))]
    if not splits:
        # as far back as it is known, the column looks like the window
        is_old = any((each > 0).all() for each in contrasts)
        return ColumnOnset(column=name) if is_old else None
    first, low, high, _ = max(splits, key=lambda split: split[-1])
    return ColumnOnset(
        column=name,
        at=known[first][0].start,
        # the change may be within an hour that looks more like before
        earliest=known[low - 1][0].start,
        latest=known[high][0].end,
    )


def _contrasts(
    reference: Distribution, window: Distribution, hours: Sequence[Distribution]
) -> Iterator[Floats]:
    """Yield by way of being far: how much farther each hour is from the reference than the window.

    Ways in which the window is as the reference say nothing.
    """
    before, after, *now = (trace_of(reference, each, None) for each in (reference, window, *hours))
    traces = np.array(now)
    for place in (MISSING, SPIKE, UNSEEN):
        if abs(after[place] - before[place]) > 0:
            far = np.abs(traces[:, place] - before[place]) - np.abs(traces[:, place] - after[place])
            yield np.nan_to_num(far)
    if reference.kind == window.kind == "numerical":
        shapes = traces[:, SHAPE]
        far = far_apart(shapes, before[SHAPE]) - far_apart(shapes, after[SHAPE])
        yield np.nan_to_num(far)
    if reference.kind == window.kind == "categorical":
        yield np.array(
            [
                jensenshannon(reference, each) - jensenshannon(window, each)
                if each.kind == "categorical"
                else 0.0
                for each in hours
            ]
        )


def change_point(series: Floats, phases: Sequence[int] = ()) -> tuple[int, int, int, float] | None:
    """Return where a series rises for good: the first place, the range of it, and how sure it is.

    It is the step that leaves the least squares beside a mean for each phase.

    Parameters
    ----------
    phases
        Hour of the day of each place; not looked at in series of less than two days.

    Examples
    --------
    >>> change_point(np.array([0.1, 0.0, 0.1, 0.0, 1.0, 1.1, 0.9]))[:3]
    (4, 4, 4)
    >>> change_point(np.array([0.1, 0.0, 0.1, 0.0, 0.1, 0.0])) is None
    True
    """
    count = len(series)
    groups = np.asarray(phases if phases and count >= _DAYS * 24 else [0] * count)
    of_phase = (groups[:, None] == np.unique(groups)).astype(np.float64)
    means = of_phase / of_phase.sum(axis=0)
    steps = (np.arange(count)[:, None] >= np.arange(1, count)).astype(np.float64)
    steps -= of_phase @ (means.T @ steps)
    series = series - of_phase @ (means.T @ series)
    size = np.maximum((steps**2).sum(axis=0), 1e-9)
    rise = series @ steps / size
    # a difference of equal sums is no rise
    gain = np.where(rise > 1e-9, rise**2 * size, 0.0)
    best = int(np.argmax(gain))
    squares = float((series**2).sum())
    left = (squares - float(gain[best])) / (count - of_phase.shape[1] - 1)
    variance = max(left, 1e-12, 1e-6 * squares)
    ratio = float(gain[best]) / variance
    if ratio < _IS_CHANGE:
        return None
    kept = np.flatnonzero(gain >= gain[best] - _NOT_REJECTED * variance) + 1
    return best + 1, int(kept[0]), int(kept[-1]), ratio


def _carrier(column: str, segments: Sequence[SegmentResult]) -> tuple[str, float]:
    """Return the segment in which most of a column's drift is, and how much; "" without one.

    Segments are compared with those of the same column: others overlap them.
    """
    best, largest = "", 0.0
    parts = {}
    for each in segments:
        scores = [one.score for one in each.features if one.feature == column]
        if each.status != "unknown" and each.column and scores and scores[0] is not None:
            parts[each] = each.rows * scores[0]
    for each, part in parts.items():
        siblings = [other for other in parts if other.column == each.column]
        share = part / (sum(parts[other] for other in siblings) or 1.0)
        of_rows = each.rows / sum(other.rows for other in siblings)
        if each.status == "drift" and share > max(largest, _CARRIES * of_rows):
            best, largest = each.name, share
    return best, largest


def _sentence(found: Sequence[ColumnOnset], first: datetime) -> str:
    parts = []
    times = dict.fromkeys(each.at for each in found)
    for at in list(times)[:_NAMED]:
        together = [each for each in found if each.at == at]
        names = ", ".join(each.column for each in together[:_NAMED])
        if len(together) > _NAMED:
            names += f" and {len(together) - _NAMED} more"
        if at is None:
            parts.append(f"{names} before {first:%Y-%m-%d %H:%M}")
            continue
        earliest = min(each.earliest for each in together if each.earliest)
        latest = max(each.latest for each in together if each.latest)
        parts.append(
            f"{names} since about {at:%Y-%m-%d %H:%M} "
            f"({earliest:%m-%d %H:%M} to {latest:%m-%d %H:%M})"
        )
    if len(times) > _NAMED:
        parts.append("others later")
    return f"changed: {'; then '.join(parts)} UTC"
