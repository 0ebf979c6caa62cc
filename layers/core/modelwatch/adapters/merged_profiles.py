"""The profiles beside a merged object: of the whole hour, and of its minutes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelwatch.domain.profiles import Profile, Slice, merge_profiles, merge_slices

_HELD = 16
"""So many profiles of a minute are held before they are merged: that bounds the memory."""


class MergedProfiles:
    """Slices of an hour, merged as they come."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], list[Profile]] = {}

    def add(self, slices: Iterable[Slice]) -> None:
        """Take slices of single minutes."""
        for piece in slices:
            held = self._found.setdefault((piece.variant, piece.minute_ms), [])
            held.append(piece.profile)
            if len(held) == _HELD:
                held[:] = [merge_profiles(held)]

    def minutes(self) -> list[Slice]:
        """Return one slice for each variant and minute."""
        return merge_slices(
            [
                Slice(variant, minute_ms, profile)
                for (variant, minute_ms), profiles in self._found.items()
                for profile in profiles
            ]
        )

    def hour(self, hour: datetime) -> list[Slice]:
        """Return one slice for each variant, of the hour that begins at ``hour``."""
        starts_ms = int(hour.timestamp()) * 1000
        return merge_slices(
            [Slice(piece.variant, starts_ms, piece.profile) for piece in self.minutes()]
        )
