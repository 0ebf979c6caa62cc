"""Slots: what is kept of the results of one length of window, by time. They merge in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.verdict.features import drift_strength
from modelwatch.domain.verdict.results import AnalysisResult

MOST_FEATURES = 20
"""So many features of a slot or span are kept, those that drifted furthest."""

HOLD_SLOTS = 8
"""A span closes so many slots after the last one that drifted, or later."""

_LONGEST_HOLD = timedelta(days=2)
_SHORTEST_SLOT = timedelta(minutes=1)


class FeatureStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a feature (or an output, such as ``prediction``) drifted.

    Attributes
    ----------
    first
        End of the first window in which it drifted.
    worst
        End of the window in which it drifted furthest.
    strength
        How far that was, in multiples of what makes it drift.
    length
        Length of that window.
    score, critical_score
        Of that window.
    """

    first: datetime
    worst: datetime
    strength: float
    length: str = ""
    score: float | None = None
    critical_score: float | None = None

    def merge(self, other: FeatureStory) -> FeatureStory:
        """Return what both say together."""
        further = max(
            self, other, key=lambda each: (each.strength, -each.worst.timestamp(), each.length)
        )
        return msgspec.structs.replace(further, first=min(self.first, other.first))


Stories = Mapping[str, FeatureStory]


class Slot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the windows that end in a short time say.

    Attributes
    ----------
    drift, last
        Ends of the first and the last one that drifts.
    quiet
        End of the first one that is ok.
    features
        Those that drifted.
    drifted
        How many features drifted in one window, also where not all are in ``features``.
    """

    drift: datetime | None = None
    last: datetime | None = None
    quiet: datetime | None = None
    features: dict[str, FeatureStory] = {}
    drifted: int = 0

    def merge(self, other: Slot) -> Slot:
        """Return what both say together."""
        return Slot(
            drift=_least(self.drift, other.drift),
            last=max(filter(None, (self.last, other.last)), default=None),
            quiet=_least(self.quiet, other.quiet),
            features=merge_stories((self.features, other.features)),
            drifted=max(self.drifted, other.drifted),
        )


class Observation(msgspec.Struct, frozen=True):
    """What is kept of one result: version, length of the window, its end, and a slot of its own."""

    version: str
    length: str
    end: datetime
    slot: Slot


def observe(result: AnalysisResult) -> Observation:
    """Return what is kept of a result of the schedule."""
    end = result.window_end
    slot = Slot(quiet=end) if result.status == "ok" else Slot()
    if result.status == "drift":
        drifted = [each for each in (*result.features, *result.outputs) if each.status == "drift"]
        stories = {
            each.feature: FeatureStory(
                first=end,
                worst=end,
                strength=round(drift_strength(each), 4),
                length=result.window,
                score=each.score,
                critical_score=each.critical_score,
            )
            for each in drifted
        }
        slot = Slot(
            drift=end,
            last=end,
            features=merge_stories([stories]),
            drifted=len(stories),
        )
    return Observation(result.model_version, result.window, end, slot)


def merge_stories(of: Iterable[Stories]) -> dict[str, FeatureStory]:
    """Return the stories of all, of the features that drifted furthest."""
    found: dict[str, FeatureStory] = {}
    for stories in of:
        for name, story in stories.items():
            found[name] = found[name].merge(story) if name in found else story
    ordered = sorted(found, key=lambda name: (-found[name].strength, name))
    return {name: found[name] for name in ordered[:MOST_FEATURES]}


def slot_length(length: str) -> timedelta:
    """Return how long the slots of windows of a length are.

    Examples
    --------
    >>> [str(slot_length(length)) for length in ("PT1M", "PT1H", "P1D", "P7D")]
    ['0:01:00', '0:15:00', '6:00:00', '6:00:00']
    """
    hold = min(2 * parse_duration(length), _LONGEST_HOLD)
    return max(_SHORTEST_SLOT, hold / HOLD_SLOTS)


def _least(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, (one, other)), default=None)
