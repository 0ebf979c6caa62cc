"""Backfill: profiles of hours, and windows of a past that no run saw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Barrier, Lock
from typing import Any

import numpy as np
import pytest

from analysis_stage import AnalysisStage
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.hour_profiles import made_by, make_here, make_hour
from modelwatch.adapters.captures.parquet import (
    compress,
    decompress,
    read_table,
    records_table,
    write_table,
)
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.compaction import MergedHour
from modelwatch.domain.profiles import decode_slices, encode_slices, head_of
from modelwatch.domain.records import Record
from modelwatch.domain.segments import NO_SEGMENTS, Segments, parse_segments
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.errors import StoreError
from modelwatch.services.backfill import Backfilled, PastWindows, backfill, past_windows
from wine_records import wine_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOTHING = np.empty(0, np.uint64)


def of_hour(hour: int, value: float = 13.0, rows: int = 30) -> list[Record]:
    """Return records of an hour of the day that begins at noon."""
    return [
        wine_record(
            captured_at=NOON + hour * HOUR + timedelta(seconds=second),
            event_id=f"018bcfe5-6800-7000-8000-{hour:06d}{second:06d}",
            features={"alcohol": value + second % 10 / 10, "colour": "red"},
        )
        for second in range(rows)
    ]


class Bucket:
    """A bucket of captures, and who makes profiles of its hours."""

    def __init__(self, segments: Segments = NO_SEGMENTS, s3: InMemoryS3 | None = None) -> None:
        self.s3 = s3 or InMemoryS3()
        self.records = S3RecordStore(self.s3, "captures")
        self.profiles = S3ProfileStore(self.s3, "captures", lambda _: segments)
        self.compaction = S3Compaction(self.s3, "captures", lambda _: segments)

    def due(self, mark: str = "") -> list[datetime]:
        hours = self.compaction.hours()
        return [each.hour for each in hours if self.compaction.needs_profiles(each, mark)]

    def make(self, mark: str | None = None) -> list[str]:
        made = [
            make_hour(self.compaction, each, NOTHING, mark)
            for each in self.compaction.hours()
            if self.compaction.needs_profiles(each, mark or "")
        ]
        return [each.problem for each in made]

    def quantiles(self) -> tuple[int, list[list[float]]]:
        found = self.profiles.profiles("wine", "1", Window(NOON, NOON + DAY)).variants[""]
        return found.rows, [each.tolist() for each in found.features["alcohol"].sketch.levels]


def test_hours_with_good_profiles_are_left_alone_and_others_are_made_once() -> None:
    bucket = Bucket()
    for hour in (0, 1, 2):
        bucket.records.write(of_hour(hour))
    assert bucket.due() == []
    bucket.records.write([wine_record(captured_at=NOON + timedelta(minutes=50))])
    # as an object was written before objects had profiles
    (bare,) = (key for key in bucket.s3.objects if "hour=13" in key)
    bucket.s3.objects[bare] = write_table(read_table(bucket.s3.objects[bare]))
    assert bucket.due() == [NOON, NOON + HOUR]
    before = bucket.quantiles()
    assert bucket.make() == ["", ""]
    assert bucket.due() == []
    assert bucket.quantiles() == before
    objects = dict(bucket.s3.objects)
    assert bucket.make() == []
    assert bucket.s3.objects == objects


@pytest.mark.parametrize(
    ("end", "what"),
    [(".hour", "gone"), (".minutes", "gone"), (".hour", "damaged"), (".hour", "of format 1")],
)
def test_a_profile_beside_a_merged_object_is_made_again(end: str, what: str) -> None:
    bucket = Bucket()
    bucket.records.write(of_hour(0)[:10])
    bucket.records.write(of_hour(0)[10:])
    bucket.make()
    good = dict(bucket.s3.objects)
    (key,) = (key for key in good if key.endswith(end))
    if what == "gone":
        del bucket.s3.objects[key]
    else:
        slices = encode_slices(decode_slices(decompress(good[key])))
        old = slices.replace(b"\x92\x03", b"\x92\x01", 1)
        bucket.s3.objects[key] = b"no" if what == "damaged" else compress(old)
    assert bucket.due() == [NOON]
    bucket.make()
    assert bucket.due() == []
    captures = [key for key in good if key.startswith("captures/")]
    assert {key: bucket.s3.objects[key] for key in captures} == {key: good[key] for key in captures}


def test_new_segments_are_made_from_the_rows_and_an_interruption_goes_on() -> None:
    s3 = InMemoryS3()
    for hour in (0, 1, 2):
        Bucket(s3=s3).records.write(of_hour(hour))
    text = "colour"
    bucket = Bucket(parse_segments(text), s3)
    window = Window(NOON, NOON + DAY)
    assert not bucket.profiles.profiles("wine", "1", window).segments
    mark = made_by(text)
    assert len(bucket.due(mark)) == 3
    first, *_ = bucket.compaction.hours()
    assert not make_hour(bucket.compaction, first, NOTHING, mark).problem
    assert bucket.due(mark) == [NOON + HOUR, NOON + 2 * HOUR]
    bucket.make(mark)
    assert bucket.due(mark) == bucket.due() == []
    found = bucket.profiles.profiles("wine", "1", window)
    assert {key.column: each.rows for key, each in found.segments.items()} == {"colour": 90}
    # other segments: all of them again, in the place where they are
    assert len(bucket.due(made_by("alcohol > 13"))) == 3
    bucket.make(made_by(text + " "))
    assert bucket.profiles.profiles("wine", "1", window).variants[""].rows == 90


class HoursAtOnce(S3Compaction):
    """Goes on when four hours are begun; counts how many there are at most."""

    def __init__(self, s3: InMemoryS3) -> None:
        super().__init__(s3, "captures")
        self.four, self.lock = Barrier(4), Lock()
        self.begun = self.most = 0

    def merge(self, *given: Any) -> MergedHour | None:
        with self.lock:
            self.begun += 1
            self.most = max(self.most, self.begun)
        self.four.wait(timeout=30)  # broken where fewer are made at once
        try:
            return super().merge(*given)
        finally:
            with self.lock:
                self.begun -= 1


def test_hours_that_are_made_at_once_are_in_order_and_as_one_by_one() -> None:
    alone, s3 = Bucket(), InMemoryS3()
    for hour in range(12):
        alone.records.write(of_hour(hour)[:10])
        alone.records.write(of_hour(hour)[10:])
    s3.objects.update(alone.s3.objects)
    alone.make()
    together = HoursAtOnce(s3)
    hours = together.hours()
    made = list(make_here(together, hours, NOTHING, None))
    assert [each.name for each in made] == [each.name for each in hours]
    assert {(each.rows, each.problem) for each in made} == {(30, "")}
    assert s3.objects == alone.s3.objects
    assert together.most == 4


def test_an_hour_that_fails_says_why_and_stays_due() -> None:
    bucket = Bucket()
    bucket.records.write(of_hour(0)[:10])
    bucket.records.write(of_hour(0)[10:])
    (hour,) = bucket.compaction.hours()
    bucket.s3.fail_at = len(bucket.s3.calls) + 4
    assert "cannot" in make_hour(bucket.compaction, hour, NOTHING, None).problem
    bucket.s3.fail_at = None
    assert bucket.due() == [NOON]
    assert bucket.make() == [""]


def test_slices_say_what_they_were_made_by_and_are_read_as_before() -> None:
    plain, marked = encode_slices([]), encode_slices([], "abc")
    assert (head_of(plain).made_by, head_of(marked).made_by) == ("", "abc")
    assert decode_slices(marked) == decode_slices(plain) == []


def a_past(hours: int, drifted: tuple[int, ...] = ()) -> AnalysisStage:
    """Return a stage with captures of so many hours, none of which was analyzed."""
    stage = AnalysisStage(
        plans=(WindowPlan(HOUR, HOUR), WindowPlan(DAY, DAY)), policy=DriftPolicy(mode="classic")
    )
    for hour in range(hours):
        for each in of_hour(hour, 20.0 if hour in drifted else 13.0):
            stage.store.write([each])
    stage.training.tables["1"] = records_table([each for h in range(3) for each in of_hour(h)])
    stage.now = NOON + 10 * DAY
    return stage


def windows_of(stage: AnalysisStage, since: datetime, until: datetime) -> PastWindows:
    hours = {("wine", "1"): {NOON + hour * HOUR for hour in range(6)}}
    return past_windows(stage.reports, stage.monitored(None), hours, since, until)


def run(stage: AnalysisStage, since: datetime, until: datetime) -> tuple[Backfilled, int]:
    found = windows_of(stage, since, until)
    return backfill(stage.evaluator.evaluate, found.due), found.known


def test_windows_of_the_past_have_the_results_of_the_schedule_once() -> None:
    stage = a_past(6, drifted=(3, 4))
    done, known = run(stage, NOON, NOON + 2 * DAY)
    assert (known, done.failures) == (0, {})
    hourly = [each for each in done.results if each.window == "PT1H"]
    assert [each.window_end for each in hourly] == [NOON + hour * HOUR for hour in range(1, 7)]
    assert [each.status for each in hourly] == ["ok", "ok", "ok", "drift", "drift", "ok"]
    assert hourly[0].name == "wine.1.20260301T130000Z.PT1H"
    assert [each.window_end.hour for each in done.results if each.window == "P1D"] == [0]
    assert all(each.late and not each.ad_hoc and not each.has_report for each in done.results)
    assert done.empty == 0
    (episode,) = stage.episodes.load("wine").episodes()
    assert episode.opened == NOON + 4 * HOUR

    again, known = run(stage, NOON, NOON + 2 * DAY)
    assert (again.results, known) == ([], len(done.results))
    assert not stage.reports.remembered, "the schedule goes on as if no one had asked"


def test_a_backfill_goes_on_where_it_was_interrupted() -> None:
    stage, whole = a_past(6), a_past(6)
    found = windows_of(stage, NOON, NOON + DAY)
    backfill(stage.evaluator.evaluate, found.due[:3])
    _, known = run(stage, NOON, NOON + DAY)
    assert known == 3
    run(whole, NOON, NOON + DAY)
    assert sorted(stage.reports.saved) == sorted(whole.reports.saved)
    for name, result in whole.reports.saved.items():
        assert stage.reports.saved[name].manifest == result.manifest


def test_a_window_that_fails_does_not_concern_the_others() -> None:
    stage = a_past(3)
    found = windows_of(stage, NOON, NOON + 3 * HOUR)
    seen = []

    def evaluate(task):
        seen.append(task)
        if len(seen) == 2:
            raise StoreError("S3 is down")
        return stage.evaluator.evaluate(task)

    done = backfill(evaluate, found.due)
    assert (len(done.results), list(done.failures.values())) == (2, ["S3 is down"])
    assert run(stage, NOON, NOON + 3 * HOUR)[1] == 2
    assert len(stage.reports.saved) == 3


def test_a_window_without_a_step_is_known_where_the_schedule_had_one_in_its_place() -> None:
    stage = a_past(3)
    stage.rules = AnalysisStage(plans=(WindowPlan(HOUR),), policy=DriftPolicy(mode="classic")).rules
    stage.now = NOON + HOUR + timedelta(minutes=30, seconds=7)
    stage.service.analyze_due(stage.now)
    done, known = run(stage, NOON, NOON + 3 * HOUR)
    assert known == 1
    assert [each.window_end for each in done.results] == [NOON + HOUR, NOON + 3 * HOUR]
