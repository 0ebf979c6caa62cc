"""The profiles beside a merged object: of the whole hour, and of its minutes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelwatch.domain.profiles import Profile, Slice, merge_profiles, merge_slices
from modelwatch.domain.profiles.folding import folded
from modelwatch.domain.segments import EVERYTHING, MOST_SEGMENTS, SegmentKey

_HELD = 16
"""So many profiles of a minute are held before they are merged: that bounds the memory."""

_HELD_VALUES = 5 * MOST_SEGMENTS
"""Most segments of a column that are kept; of a column with more, only those that are watched."""


class MergedProfiles:
    """Slices of an hour, merged as they come."""

    def __init__(self) -> None:
        self._found: dict[tuple[SegmentKey, str, int], list[Profile]] = {}
        self._values: dict[str, set[SegmentKey]] = {}

    def add(self, slices: Iterable[Slice]) -> None:
        """Take slices of single minutes."""
        for piece in slices:
            held = self._found.setdefault((piece.segment, piece.variant, piece.minute_ms), [])
            held.append(piece.profile)
            if len(held) == _HELD:
                held[:] = [merge_profiles(held)]
            if piece.segment.column:
                self._values.setdefault(piece.segment.column, set()).add(piece.segment)
        if any(len(values) > _HELD_VALUES for values in self._values.values()):
            self._fold()

    def minutes(self) -> list[Slice]:
        """Return one slice for each segment, variant and minute; of all rows first."""
        self._fold()
        return merge_slices(
            [
                Slice(variant, minute_ms, profile, segment)
                for (segment, variant, minute_ms), profiles in self._found.items()
                for profile in profiles
            ]
        )

    def hour(self, hour: datetime) -> list[Slice]:
        """Return one slice for each segment and variant, of the hour that begins at ``hour``."""
        starts_ms = int(hour.timestamp()) * 1000
        return merge_slices(
            [
                Slice(piece.variant, starts_ms, piece.profile, piece.segment)
                for piece in self.minutes()
            ]
        )

    def _fold(self) -> None:
        """Leave no column more segments than are watched, over the whole hour."""
        if not self._values:
            return
        counted_as = folded(
            (segment, sum(profile.rows for profile in profiles))
            for (segment, _, _), profiles in self._found.items()
            if segment != EVERYTHING
        )
        found, self._found, self._values = self._found, {}, {}
        for (segment, variant, minute_ms), profiles in found.items():
            key = counted_as.get(segment, segment)
            self._found.setdefault((key, variant, minute_ms), []).extend(profiles)
            if key.column:
                self._values.setdefault(key.column, set()).add(key)
        for profiles in self._found.values():
            if len(profiles) >= _HELD:
                profiles[:] = [merge_profiles(profiles)]
