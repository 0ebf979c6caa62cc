"""How much a model depends on each feature, and which drift is therefore to be read first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from modelwatch.domain.numbers import rounded

FORMAT = 1

_IMPORTANT_PART = 0.9
"""The important features are the first ones that make so much of all importance together."""


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """How far a version's predictions move when one feature's values change places.

    Attributes
    ----------
    features
        By feature: the mean distance, over rows and repetitions, between what the model predicts
        and what it predicts once the feature is shuffled. For classifiers with probabilities it is
        the total variation distance of these (0: nothing moves, 1: all of it), for other
        classifiers the share of other predictions, for regression models the absolute difference
        in standard deviations of the predictions.
    rows, repetitions
        How many rows were shuffled, and how often.
    measure
        Which of the distances it is.
    """

    features: dict[str, float]
    rows: int
    repetitions: int
    measure: str
    format: int = FORMAT

    @property
    def shares(self) -> dict[str, float]:
        """Each feature's part of all importance, 0 to 1; empty where nothing depends on any."""
        total = sum(self.features.values())
        return {name: each / total for name, each in self.features.items()} if total > 0 else {}

    @property
    def important(self) -> frozenset[str]:
        """The fewest features that make nine tenths of all importance, and their equals.

        Examples
        --------
        >>> known = Importance(features={"ash": 0.1, "alcohol": 2.0, "hue": 0.5, "hue2": 0.5},
        ...                    rows=100, repetitions=5, measure="total variation")
        >>> sorted(known.important)
        ['alcohol', 'hue', 'hue2']
        """
        together, least = 0.0, 0.0
        for share in sorted(self.shares.values(), reverse=True):
            if together >= _IMPORTANT_PART:
                break
            together, least = together + share, share
        return frozenset(name for name, share in self.shares.items() if share >= least)


class RankedDrift(NamedTuple):
    """A feature that drifted.

    Attributes
    ----------
    feature
        Its name.
    strength
        How far it drifted, in multiples of what is allowed.
    importance
        Its part of all features' importance, 0 to 1; None where that is not known.
    """

    feature: str
    strength: float
    importance: float | None

    def __str__(self) -> str:
        far = f"{self.feature} ({rounded(self.strength, 3)} times its threshold"
        if self.importance is None:
            return f"{far})"
        return f"{far}, {self.importance:.0%} of the model's importance)"


def rank_drift(
    strengths: Mapping[str, float], importance: Importance | None = None
) -> list[RankedDrift]:
    """Order drifted features by importance times strength: the first is the one to read.

    What has no importance comes last, by strength; without any, by strength alone.

    Parameters
    ----------
    strengths
        For each feature that drifted, its score in multiples of its threshold (so of one scale,
        whatever the method), 0 or more.
    importance
        What the version was registered with, if it was.

    Examples
    --------
    >>> known = Importance(features={"ash": 0.0, "alcohol": 0.3, "hue": 0.1}, rows=100,
    ...                    repetitions=5, measure="total variation")
    >>> [str(each) for each in rank_drift({"ash": 9.0, "hue": 4.0, "alcohol": 2.0}, known)][:1]
    ["alcohol (2 times its threshold, 75% of the model's importance)"]
    >>> [each.feature for each in rank_drift({"ash": 9.0, "hue": 4.0})]
    ['ash', 'hue']
    """
    shares = importance.shares if importance else {}
    ranked = [
        RankedDrift(feature, strength, shares.get(feature))
        for feature, strength in strengths.items()
    ]
    return sorted(
        ranked,
        key=lambda each: (-(each.importance or 0.0) * each.strength, -each.strength, each.feature),
    )


def drift_headline(ranked: list[RankedDrift], most: int = 3) -> str:
    """Return the first line of a report: the drifted features to look at first.

    Examples
    --------
    >>> drift_headline([RankedDrift("alcohol", 2, 0.75), RankedDrift("hue", 4, None)], most=1)
    "alcohol (2 times its threshold, 75% of the model's importance), and 1 more"
    >>> drift_headline([])
    'no feature drifted'
    """
    if not ranked:
        return "no feature drifted"
    named = ", ".join(str(each) for each in ranked[:most])
    return f"{named}, and {len(ranked) - most} more" if len(ranked) > most else named
