"""Compaction: whatever happens on the way, readers see the same distinct events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

from in_memory_s3 import FAILURES, Failure, InMemoryS3
from modelwatch.adapters.captures.arrow_profiles import profile_table
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.layout import MERGED_NOTE, CaptureObject
from modelwatch.adapters.captures.parquet import read_notes, read_table, records_table, write_table
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.compaction import MergedHour
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.records import Record
from modelwatch.domain.segments import MOST_SEGMENTS, NO_SEGMENTS, Segments, parse_segments
from modelwatch.domain.windows import Window
from modelwatch.errors import StoreError
from wine_records import wine_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = Window(NOON, NOON + timedelta(hours=1))
DAY = Window(NOON - timedelta(hours=12), NOON + timedelta(hours=12))
NOTHING = np.empty(0, np.uint64)


def record(second: float, *, version: str = "3", variant: str = "", **features) -> Record:
    return wine_record(
        captured_at=NOON + timedelta(seconds=second),
        model_version=version,
        variant=variant or ("shadow" if second % 2 else "production"),
        features={"a": second, "colour": "red", **features},
        prediction=int(second) % 3,
        probabilities=[0.5, 0.25, 0.25],
    )


class Bucket:
    """A bucket in memory, its readers, and compaction."""

    def __init__(self, segments: Segments = NO_SEGMENTS) -> None:
        self.s3 = InMemoryS3()
        self.records = S3RecordStore(self.s3, "captures", lambda _: segments)
        self.profiles = S3ProfileStore(self.s3, "captures", lambda _: segments)
        self.compaction = S3Compaction(self.s3, "captures", lambda _: segments)
        self.rows: dict[str, Record] = {}
        self.read: set[object] = set()

    def write(self, *records: Record) -> None:
        self.records.write(records)
        for each in records:
            self.rows.setdefault(each.event_id, each)

    def compact(self) -> list[MergedHour | None]:
        return [self.compaction.merge(hour, NOTHING) for hour in self.compaction.hours()]

    @property
    def captures(self) -> list[str]:
        return sorted(key for key in self.s3.objects if key.startswith("captures/"))

    @property
    def beside(self) -> list[str]:
        return sorted(key for key in self.s3.objects if key.startswith("profiles/"))

    def check_readers(self) -> None:
        """All readers see all distinct events, whole windows and parts of them.

        What a copy of this bucket showed in the same state is not read again.
        """
        state = (frozenset(self.s3.objects.items()), frozenset(self.rows))
        if state not in self.read:
            for reading in self.readings():
                reading()
            self.read.add(state)

    def readings(self) -> Iterator[Callable[[], None]]:
        """What reads the bucket, each by itself."""
        for window in (DAY, HOUR, Window(NOON + timedelta(minutes=1), NOON + timedelta(minutes=3))):
            rows = [
                each for each in self.rows.values() if window.start <= each.captured_at < window.end
            ]
            ids = sorted(each.event_id for each in rows)
            yield partial(self._check_records, window, ids)
            yield partial(self._check_profiles, window, rows)
            for size in (7, 1000) if window is HOUR else (7,):
                yield partial(self._check_sample, window, ids, size)

    def _check_records(self, window: Window, ids: list[str]) -> None:
        assert sorted(self.records.read("wine", "3", window)["event_id"].to_pylist()) == ids

    def _check_profiles(self, window: Window, rows: list[Record]) -> None:
        found = self.profiles.profiles("wine", "3", window)
        for variant in ("production", "shadow"):
            mine = [each for each in rows if each.variant == variant]
            expected = profile_table(records_table(mine))
            profile = found.variants[variant]
            assert profile.rows == len(mine)
            assert (profile.first_ms, profile.last_ms) == (expected.first_ms, expected.last_ms)
            for name, column in expected.features.items():
                seen = profile.features[name]
                assert (seen.rows, seen.nulls) == (column.rows, column.nulls)
                if name == "extra":
                    # numbers and texts: where they are in one column, numbers are texts, too
                    continue
                assert seen.counts == column.counts
                values, weights = seen.sketch.weighted()
                assert weights.sum() == column.sketch.n
                if column.sketch.exact and seen.sketch.exact:
                    np.testing.assert_array_equal(values, column.sketch.weighted()[0])

    def _check_sample(self, window: Window, ids: list[str], size: int) -> None:
        hashes = hash_event_ids(ids)
        smallest = {ids[index] for index in np.argsort(hashes)[:size]}
        sample = self.profiles.sample("wine", "3", window, size)
        assert set(sample["event_id"].to_pylist()) == smallest

    def check_compactions(self) -> None:
        """A compaction, and one more: readers see the same, and the hour is merged."""
        self.compact()
        self.check_readers()
        self.compact()
        self.check_merged()

    def check_merged(self) -> None:
        """The hour is one object with what is beside it, and no more."""
        (key,) = self.captures
        found = CaptureObject.parse(key)
        assert self.beside == sorted(
            found.sidecar_key(end) for end in (".hour", ".minutes", ".sample.parquet")
        )
        table = read_table(self.s3.objects[key])
        times = table["captured_at"].to_pylist()
        assert times == sorted(times)
        assert sorted(table["event_id"].to_pylist()) == sorted(self.rows)


def plain(bucket: Bucket) -> None:
    for batch in range(5):
        bucket.write(*[record(30 * batch + second) for second in range(20)])


def repeated(bucket: Bucket) -> None:
    rows = [record(5 * second) for second in range(40)]
    bucket.write(*rows[:20])
    bucket.write(*rows[10:30])
    bucket.write(*rows[:20:3])
    bucket.write(*rows[25:])


def late(bucket: Bucket) -> None:
    plain(bucket)
    bucket.compact()
    again = list(bucket.rows.values())[30:40]
    bucket.write(*[record(7 * second) for second in range(20)])
    bucket.write(*again)


def evolved(bucket: Bucket) -> None:
    bucket.write(*[record(second, extra=None) for second in range(10)])
    bucket.write(*[record(second + 20, extra="x") for second in range(10)])
    bucket.write(*[record(second + 70, extra=second / 4) for second in range(10)])
    bucket.write(*[record(second + 100, b=second) for second in range(10)])


def subset(bucket: Bucket) -> None:
    """One object has all events: the merged one must not take its name."""
    rows = [record(5 * second) for second in range(40)]
    bucket.write(*rows)
    bucket.write(*rows[5:30])


CASES = [plain, repeated, late, evolved, subset]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def bucket(request: pytest.FixtureRequest) -> Bucket:
    made = Bucket()
    request.param(made)
    made.s3.calls.clear()
    return made


def copy(bucket: Bucket) -> Bucket:
    other = Bucket()
    other.s3.objects = dict(bucket.s3.objects)
    other.rows = bucket.rows
    other.read = bucket.read
    return other


def test_an_hour_becomes_one_object(bucket: Bucket) -> None:
    bucket.check_readers()
    (merged,) = bucket.compact()
    assert merged is not None
    assert merged.rows == len(bucket.rows)
    bucket.check_merged()
    bucket.check_readers()


def test_a_second_run_changes_nothing(bucket: Bucket) -> None:
    bucket.compact()
    before = dict(bucket.s3.objects)
    bucket.compact()
    assert bucket.s3.objects == before


@pytest.mark.parametrize(
    ("failure", "fails_once"), [("before", False), ("after", True), ("half", True)]
)
def test_a_run_may_fail_at_every_call(bucket: Bucket, failure: Failure, fails_once: bool) -> None:
    assert len(calls_of(bucket)) >= 8
    for number, call in enumerate(calls_of(bucket), 1):
        if call not in FAILURES[failure]:
            continue
        broken = copy(bucket)
        broken.s3.fail_at, broken.s3.failure, broken.s3.fails_once = number, failure, fails_once
        with pytest.raises(StoreError):
            broken.compact()
        broken.s3.fail_at = None
        broken.check_readers()
        broken.compact()
        broken.check_merged()


def test_two_runs_may_be_at_work_at_once(bucket: Bucket) -> None:
    for number in range(1, len(calls_of(bucket)) + 1):
        shared = copy(bucket)
        shared.s3.interrupt_at = number
        shared.s3.interruption = copy_of_client(shared).compact
        shared.check_compactions()


def test_records_may_come_while_an_hour_is_merged(bucket: Bucket) -> None:
    for number in range(2, len(calls_of(bucket)) + 1):
        shared = copy(bucket)
        shared.rows = dict(bucket.rows)
        other = copy_of_client(shared)

        def come(other: Bucket = other) -> None:
            other.write(*[record(second) for second in range(3)])
            other.compact()

        shared.s3.interrupt_at, shared.s3.interruption = number, come
        shared.check_compactions()


def test_readers_read_on_while_an_hour_is_merged(bucket: Bucket) -> None:
    for which, reading in enumerate(bucket.readings()):
        bucket.s3.calls.clear()
        reading()
        for number in range(1, len(bucket.s3.calls) + 1, 3):
            shared = copy(bucket)
            shared.s3.interrupt_at = number
            shared.s3.interruption = copy_of_client(shared).compact
            list(shared.readings())[which]()
            shared.check_readers()


def calls_of(bucket: Bucket) -> list[str]:
    """The calls of S3 by which a copy of it is compacted."""
    other = copy(bucket)
    other.compact()
    return other.s3.calls


def copy_of_client(bucket: Bucket) -> Bucket:
    """Another process's view of the same bucket."""
    other = Bucket()
    other.s3.objects = bucket.s3.objects
    other.rows = bucket.rows
    return other


def test_the_requests_of_a_merge() -> None:
    bucket = Bucket()
    plain(bucket)
    hours = bucket.compaction.hours()
    bucket.s3.calls.clear()
    bucket.compaction.merge(hours[0], NOTHING)
    assert sorted(bucket.s3.calls) == ["delete"] * 2 + ["get"] * 5 + ["list"] + ["put"] * 4


def test_row_groups_hold_no_more_rows_than_asked_for() -> None:
    bucket = Bucket()
    plain(bucket)
    repeated(bucket)
    bucket.compaction = S3Compaction(bucket.s3, "captures", group_rows=32)
    bucket.compact()
    bucket.check_merged()
    bucket.check_readers()
    bucket.write(record(3), record(3000))
    bucket.compact()
    bucket.check_merged()
    bucket.check_readers()


def test_objects_of_other_versions_and_hours_are_left_alone() -> None:
    bucket = Bucket()
    plain(bucket)
    others = [record(1, version="4"), record(7200), record(-7200)]
    for each in others:
        bucket.records.write([each])
    before = set(bucket.captures)
    bucket.compact()
    kept = set(bucket.captures) & before
    assert len(kept) == 3
    assert len(bucket.captures) == 4


def test_objects_from_before_profiles_are_merged_too() -> None:
    bucket = Bucket()
    plain(bucket)
    for key in bucket.captures[:2]:
        bucket.s3.objects[key] = write_table(read_table(bucket.s3.objects[key]))
    bucket.compact()
    bucket.check_merged()
    bucket.check_readers()


def test_rows_stand_in_for_profiles_that_are_lost() -> None:
    bucket = Bucket()
    plain(bucket)
    bucket.compact()
    for key in bucket.beside:
        del bucket.s3.objects[key]
    bucket.check_readers()
    bucket.write(record(3))
    bucket.compact()
    bucket.check_merged()
    bucket.check_readers()


def test_a_batch_that_comes_again_after_the_merge_does_not_count() -> None:
    bucket = Bucket()
    plain(bucket)
    (key, *_) = bucket.captures
    payload = bucket.s3.objects[key]
    bucket.compact()
    bucket.s3.objects[key] = payload
    bucket.check_readers()
    bucket.compact()
    bucket.check_merged()


def test_what_is_damaged_is_left_alone_and_reported() -> None:
    bucket = Bucket()
    plain(bucket)
    bucket.s3.objects[bucket.captures[1]] = b"no Parquet"
    before = dict(bucket.s3.objects)
    with pytest.raises(StoreError, match="cannot merge model_name=wine/model_version=3"):
        bucket.compact()
    assert bucket.s3.objects == before


def test_a_merged_object_names_what_it_replaces() -> None:
    bucket = Bucket()
    plain(bucket)
    names = [key.rsplit("/", 1)[1] for key in bucket.captures]
    bucket.compact()
    (key,) = bucket.captures
    assert json.loads(read_notes(bucket.s3.objects[key])[MERGED_NOTE]) == names


def test_segments_survive_the_merging() -> None:
    bucket = Bucket(parse_segments("colour; late: a >= 200"))
    first = [record(second, colour=f"c{second % 7}") for second in range(0, 120, 2)]
    bucket.write(*first)
    # the last of it comes again: its rows are profiled anew
    bucket.write(*first[-5:], *[record(second, colour="c0") for second in range(150, 250, 2)])
    for batch in range(7):
        names = [f"{batch}-{second}" for second in range(20)]
        bucket.write(
            *[record(300 + 60 * batch + s, colour=name) for s, name in enumerate(names)],
            record(360 + 60 * batch, colour="c1"),
        )

    def seen(window: Window) -> dict[str, int]:
        found = bucket.profiles.profiles("wine", "3", window)
        return {key.name: profile.rows for key, profile in found.segments.items()}

    def frequent(rows: dict[str, int]) -> dict[str, int]:
        return {name: count for name, count in rows.items() if name[7:8] == "c" or name == "late"}

    part = Window(NOON + timedelta(minutes=3), NOON + timedelta(minutes=5))
    before, before_part = seen(HOUR), seen(part)
    bucket.compact()
    bucket.check_merged()
    assert frequent(seen(HOUR)) == frequent(before)
    assert frequent(before)["colour=c0"] > 50
    assert sum(seen(HOUR).values()) == sum(before.values())
    assert len(seen(HOUR)) == MOST_SEGMENTS + 2
    assert seen(part)["late"] == before_part["late"]
