"""Profiles of captured rows, and how they merge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelwatch.domain.profiles.columns import ColumnProfile, merge_columns
from modelwatch.domain.profiles.folding import folded
from modelwatch.domain.profiles.sample import RowSample, merge_samples
from modelwatch.domain.segments.keys import EVERYTHING, SegmentKey

MINUTE_MS = 60_000

FAILURES = "error"
"""Output that says why rows have no prediction; there is none where all of them have one."""


_NO_COLUMN = ColumnProfile(rows=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is kept of rows of one model version, in place of the rows.

    Attributes
    ----------
    rows
        Number of rows.
    estimated_rows
        Number of predictions that they stand for: the sum of ``1 / sample_rate``.
    lost
        Records that their senders could not send, as far as they could count later.
    first_ms, last_ms
        Earliest and latest ``captured_at``, in milliseconds since 1970; 0 without rows.
    features
        Column by feature name.
    outputs
        ``prediction`` (numbers), ``prediction_label`` (texts: of classes), ``probability_0`` and
        so on by class, ``latency_ms``, ``error``: of rows without a prediction, why.
    sample
        Some of the rows; None where they were not sampled.
    """

    rows: int = 0
    estimated_rows: float = 0.0
    lost: int = 0
    first_ms: int = 0
    last_ms: int = 0
    features: Mapping[str, ColumnProfile] = field(default_factory=dict)
    outputs: Mapping[str, ColumnProfile] = field(default_factory=dict)
    sample: RowSample | None = None

    @property
    def predictions(self) -> Mapping[str, ColumnProfile]:
        """What the model predicted, to be compared with another profile's.

        Left out are outputs that say something about the function, and the labels of a regression,
        of which only some rows look like a class.
        """
        apart = {"latency_ms", FAILURES}
        numbers = self.outputs.get("prediction", _NO_COLUMN).numbers
        if self.outputs.get("prediction_label", _NO_COLUMN).strings < numbers:
            apart.add("prediction_label")
        return {name: column for name, column in self.outputs.items() if name not in apart}

    @property
    def failures(self) -> int:
        """Rows for which the model gave no prediction that can be used."""
        found = self.outputs.get(FAILURES)
        return found.rows - found.nulls if found else 0


@dataclass(frozen=True, slots=True)
class Slice:
    """The profile of one variant's rows in one UTC minute, or longer where they were merged.

    ``minute_ms`` is when the minute begins, in milliseconds since 1970. Of a ``segment`` it is the
    rows that belong to it; they are among all rows as well, and may be in several.
    """

    variant: str
    minute_ms: int
    profile: Profile
    segment: SegmentKey = EVERYTHING


@dataclass(frozen=True, slots=True)
class WindowProfile:
    """The profiles of a model version in a window, by variant.

    ``objects`` are the names of the objects that they come from, and ``repeated`` is how many
    records were there again and are not counted twice. ``segments`` are of all variants together;
    of each the rows that were captured since it is declared.
    """

    variants: Mapping[str, Profile]
    objects: tuple[str, ...] = ()
    repeated: int = 0
    segments: Mapping[SegmentKey, Profile] = field(default_factory=dict)


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all rows together; equal to profiling them at once within the error.

    The same profiles in the same order give the same result to the bit. No profiles give an empty
    one; a column that some of them lack is missing in their rows.
    """
    profiles = [profile for profile in profiles if profile.rows]
    if not profiles:
        return Profile()
    rows = sum(profile.rows for profile in profiles)
    return Profile(
        rows=rows,
        estimated_rows=math.fsum(profile.estimated_rows for profile in profiles),
        lost=sum(profile.lost for profile in profiles),
        first_ms=min(profile.first_ms for profile in profiles),
        last_ms=max(profile.last_ms for profile in profiles),
        features=_merge_named([profile.features for profile in profiles], rows),
        outputs=_merge_named([profile.outputs for profile in profiles], rows),
        sample=merge_samples([profile.sample for profile in profiles]),
    )


def merge_slices(slices: Sequence[Slice]) -> list[Slice]:
    """Merge slices of the same segment, variant and minute; sorted by those, all rows first."""
    groups: dict[tuple[SegmentKey, str, int], list[Profile]] = {}
    for piece in slices:
        key = (piece.segment, piece.variant, piece.minute_ms)
        groups.setdefault(key, []).append(piece.profile)
    return [
        Slice(variant, minute_ms, merge_profiles(profiles), segment)
        for (segment, variant, minute_ms), profiles in sorted(
            groups.items(), key=lambda each: each[0]
        )
    ]


def merge_segments(parts: Iterable[tuple[SegmentKey, Profile]]) -> dict[SegmentKey, Profile]:
    """Merge profiles of segments; of a column with too many values, the rarer ones together."""
    parts = list(parts)
    counted_as = folded((key, profile.rows) for key, profile in parts)
    groups: dict[SegmentKey, list[Profile]] = {}
    for key, profile in parts:
        groups.setdefault(counted_as[key], []).append(profile)
    return {key: merge_profiles(profiles) for key, profiles in sorted(groups.items())}


def _merge_named(
    parts: Sequence[Mapping[str, ColumnProfile]], rows: int
) -> dict[str, ColumnProfile]:
    columns: dict[str, list[ColumnProfile]] = {}
    for part in parts:
        for name, column in part.items():
            columns.setdefault(name, []).append(column)
    return {name: merge_columns(found, rows) for name, found in columns.items()}
