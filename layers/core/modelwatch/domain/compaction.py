"""Hours of captures: when they are closed, what they hold, what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class CaptureHour:
    """The objects that hold the captures of one model version and hour.

    Attributes
    ----------
    name
        Where they are: ``model_name=M/model_version=V/date=YYYY-MM-DD/hour=HH/``.
    hour
        When it begins, in UTC.
    objects
        Keys of the objects, sorted.
    size_bytes
        Of all of them.
    """

    name: str
    hour: datetime
    objects: tuple[str, ...]
    size_bytes: int

    def closed_at(self, lag_seconds: float) -> datetime:
        """Return when it counts as closed: so long after its end.

        Examples
        --------
        >>> noon = datetime(2026, 1, 1, 12)
        >>> CaptureHour("", noon, (), 0).closed_at(900)
        datetime.datetime(2026, 1, 1, 13, 15)
        """
        return self.hour + timedelta(hours=1, seconds=lag_seconds)


@dataclass(frozen=True, slots=True)
class MergedHour:
    """What the objects of an hour were merged into.

    Attributes
    ----------
    name
        As in `CaptureHour`.
    objects
        How many objects there were.
    rows
        Distinct records, all of them in one object now; 0: there is none.
    repeated
        Records that were there again.
    left_out
        Records that were erased.
    bytes_before, bytes_after
        Size of the objects.
    """

    name: str
    objects: int
    rows: int
    repeated: int
    left_out: int
    bytes_before: int
    bytes_after: int
