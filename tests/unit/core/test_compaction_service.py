"""Which hours a run of compaction takes, and what becomes of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.erasure.erased import KEPT_DAYS, S3Erasures
from modelwatch.domain.compaction import CaptureHour, MergedHour
from modelwatch.errors import StoreError
from modelwatch.services.compaction import CompactionService

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERASED = np.array([3, 7], np.uint64)


def hour(hours: int, objects: int = 2) -> CaptureHour:
    names = tuple(map(str, range(objects)))
    return CaptureHour(f"{hours}/", NOON + timedelta(hours=hours), names, 1000)


@dataclass
class InMemoryHours:
    """Hours; those in `broken` fail, those in `busy` are another run's."""

    found: list[CaptureHour]
    broken: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    merged: list[str] = field(default_factory=list)

    def hours(self, since: datetime | None = None, until: datetime | None = None):
        return [
            each
            for each in self.found
            if (since is None or each.hour >= since) and (until is None or each.hour < until)
        ]

    def merge(self, hour: CaptureHour, left_out) -> MergedHour | None:
        assert left_out.tolist() == ERASED.tolist()
        if hour.name in self.broken:
            raise StoreError(f"cannot merge {hour.name}")
        if hour.name in self.busy:
            return None
        self.merged.append(hour.name)
        return MergedHour(hour.name, len(hour.objects), 10, 0, 0, 1000, 900)


class InMemoryErasures:
    def events(self, _now_ms: int):
        return ERASED


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now.timestamp()

    def __call__(self) -> float:
        return self.now


def service(hours: InMemoryHours, clock: Clock, budget_seconds: float | None = None):
    return CompactionService(
        captures=hours,
        erasures=InMemoryErasures(),
        lag_seconds=900,
        budget_seconds=budget_seconds,
        clock=clock,
    )


def test_an_hour_is_due_when_it_is_over_and_several_objects() -> None:
    hours = InMemoryHours([hour(-3, 1), hour(-2), hour(-1, 5), hour(0)])
    names = [each.name for each in service(hours, Clock(NOON)).due()]
    assert names == ["-2/"]
    at_last = service(hours, Clock(NOON + timedelta(seconds=900)))
    assert [each.name for each in at_last.due()] == ["-2/", "-1/"]
    assert [each.name for each in at_last.due(since=NOON - timedelta(hours=1))] == ["-1/"]
    assert [each.name for each in at_last.due(until=NOON - timedelta(hours=1))] == ["-2/"]


def test_an_hour_that_fails_does_not_concern_the_others() -> None:
    hours = InMemoryHours([hour(-4), hour(-3), hour(-2)], broken={"-4/"}, busy={"-3/"})
    run = service(hours, Clock(NOON))
    seen: list[int] = []
    outcome = run.compact(run.due(), lambda: seen.append(1))
    assert len(seen) == 3
    assert [each.name for each in outcome.merged] == hours.merged == ["-2/"]
    assert outcome.failures == {"-4/": "cannot merge -4/"}
    assert outcome.waiting == 1
    assert {
        sample.labels["outcome"]: sample.value
        for sample in outcome.samples()
        if sample.name == "capture_compacted_hours_total"
    } == {"merged": 1, "failed": 1}


def test_a_run_leaves_to_the_next_what_it_has_no_time_for() -> None:
    hours = InMemoryHours([hour(-4), hour(-3), hour(-2)])
    clock = Clock(NOON)
    run = service(hours, clock, budget_seconds=10)

    def passes() -> None:
        clock.now += 6

    outcome = run.compact(run.due(), passes)
    assert [each.name for each in outcome.merged] == ["-4/", "-3/"]
    assert outcome.waiting == 1


def test_erasures_are_kept_for_a_while() -> None:
    s3 = InMemoryS3()
    erasures = S3Erasures(s3, "captures")
    day_ms = 86_400_000
    assert erasures.events(0).tolist() == []
    erasures.add(np.array([9, 2, 9], np.uint64), 5 * day_ms)
    erasures.add(np.array([2, 4], np.uint64), 6 * day_ms)
    assert erasures.events((5 + KEPT_DAYS) * day_ms).tolist() == [2, 4, 9]
    assert erasures.events((5 + KEPT_DAYS) * day_ms + 1).tolist() == [2, 4]
    assert len(s3.objects) == 1
    s3.fail_at = 1
    with pytest.raises(StoreError):
        erasures.events(0)
