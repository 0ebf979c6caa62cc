"""Compaction: the many small objects of closed hours become one an hour."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from modelwatch.domain.compaction import CaptureHour, MergedHour
from modelwatch.errors import StoreError
from modelwatch.ports.compaction import CaptureHours, Erasures
from modelwatch.ports.metrics import Sample

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Compaction:
    """The outcome of a run.

    Attributes
    ----------
    merged
        The hours that were merged.
    failures
        What was wrong with an hour, by its name.
    waiting
        Hours that are left to the next run: there was no time, or another run was at work on them.
    """

    merged: list[MergedHour] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    waiting: int = 0

    def samples(self) -> list[Sample]:
        """Return the metrics of the run."""
        counts = {"merged": len(self.merged), "failed": len(self.failures)}
        return [
            Sample("capture_compacted_hours_total", count, {"outcome": name})
            for name, count in counts.items()
        ]


class CompactionService:
    """Merges the captures of closed hours.

    Parameters
    ----------
    lag_seconds
        So long after its end an hour counts as closed. What comes later is merged by a later run.
    budget_seconds
        So long a run goes on to the next hour; None: to the end.
    """

    def __init__(
        self,
        *,
        captures: CaptureHours,
        erasures: Erasures,
        lag_seconds: float,
        budget_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._captures = captures
        self._erasures = erasures
        self._lag_seconds = lag_seconds
        self._budget_seconds = budget_seconds
        self._clock = clock

    def due(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[CaptureHour]:
        """Return the closed hours from ``since`` to before ``until`` that are several objects.

        Also one that was merged and got late records; the oldest first.

        Raises StoreError when they cannot be listed.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        return [
            hour
            for hour in self._captures.hours(since, until)
            if len(hour.objects) > 1 and hour.closed_at(self._lag_seconds) <= now
        ]

    def compact(
        self, hours: Sequence[CaptureHour], on_hour: Callable[[], None] = lambda: None
    ) -> Compaction:
        """Merge each of ``hours``; one that fails does not concern the others.

        Calls ``on_hour`` after each. Raises StoreError when S3 does not say what was erased.
        """
        began = self._clock()
        outcome = Compaction(waiting=len(hours))
        erased = self._erasures.events(int(began * 1000))
        for hour in hours:
            if self._budget_seconds is not None and self._clock() - began > self._budget_seconds:
                break
            try:
                merged = self._captures.merge(hour, erased)
                if merged is not None:
                    outcome.merged.append(merged)
                    outcome.waiting -= 1
            except StoreError as error:
                _LOG.error("%s", error)
                outcome.failures[hour.name] = str(error)
                outcome.waiting -= 1
            on_hour()
        return outcome
