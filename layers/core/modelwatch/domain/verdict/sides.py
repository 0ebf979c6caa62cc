"""The two sides of a verdict: a window, and the reference that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from modelwatch.domain.constraints import Constraints
from modelwatch.domain.importance import Importance
from modelwatch.domain.past.relations import Pair, Relations
from modelwatch.domain.profiles import Profile
from modelwatch.domain.segments import SegmentKey
from modelwatch.domain.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowProfiles:
    """What is known of a window of one model version, or of one of its variants.

    Attributes
    ----------
    profile
        Of all its rows.
    objects
        Names of the stored objects that they come from.
    segments
        Profiles of the declared segments; None when no verdict on segments is wanted.
    relations
        Of the pairs of columns that are watched, from the profile's sample.
    """

    model_name: str
    model_version: str
    window: Window
    profile: Profile
    objects: tuple[str, ...] = ()
    segments: Mapping[SegmentKey, Profile] | None = None
    relations: Relations = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a window is compared with.

    Attributes
    ----------
    title
        What it is, in words.
    profile, constraints
        What its rows look like, and what is asked of rows because of it.
    importance
        How much the analyzed version depends on each feature; None where that is not known.
    same_version
        Whether it was captured of the analyzed version.
    window, objects
        When it was captured, and in which stored objects; None and empty for training data.
    past_from
        Windows before this are no past of its: they were normal when something else was. None:
        there is no such time.
    segments
        What its rows of each segment look like.
    pairs
        Its strongest relations between two features.
    """

    title: str
    profile: Profile
    constraints: Constraints
    importance: Importance | None = None
    same_version: bool = True
    window: Window | None = None
    objects: tuple[str, ...] = ()
    past_from: datetime | None = None
    segments: Mapping[SegmentKey, Profile] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
