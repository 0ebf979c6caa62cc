"""What compaction needs from outside: the hours of a bucket, and what was erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from modelwatch.domain.compaction import CaptureHour, MergedHour
    from modelwatch.domain.profiles.hashes import Hashes


class CaptureHours(Protocol):
    """Knows the hours of captures, and merges the objects of one."""

    def hours(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[CaptureHour]:
        """Return all hours that begin from ``since`` to before ``until``, the oldest first."""
        ...

    def merge(self, hour: CaptureHour, left_out: Hashes) -> MergedHour | None:
        """Merge the objects of an hour, without the events whose hashes are ``left_out``.

        Readers see the same distinct events before, after and on the way.

        Raises StoreError when objects cannot be read, written or deleted.

        Returns
        -------
        MergedHour | None
            What it was and is; None when another run has taken objects away meanwhile.
        """
        ...


class Erasures(Protocol):
    """Knows which events were erased."""

    def events(self, now_ms: int) -> Hashes:
        """Return the hashes of the events erased of late, sorted."""
        ...
