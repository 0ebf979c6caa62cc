"""Captures on S3 as readers see them: rows, profiles and samples, of distinct events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import msgspec
import numpy as np
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.arrow_profiles import profile_slices, profile_table
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.parquet import records_table, write_table
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.profiles import WindowProfile, decode_slices, encode_slices, merge_profiles
from modelwatch.domain.profiles.encoding import encode_profile
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.records import Record
from modelwatch.domain.segments import MOST_SEGMENTS, OTHER, parse_segments
from modelwatch.domain.windows import Window
from modelwatch.errors import StoreError
from wine_records import wine_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = Window(NOON - timedelta(hours=12), NOON + timedelta(hours=12))


def record(second: float, *, variant: str = "production", **features) -> Record:
    return wine_record(
        captured_at=NOON + timedelta(seconds=second),
        model_version="3",
        variant=variant,
        features={"a": second, "colour": "red", **features},
        prediction=int(second) % 3,
        probabilities=[0.5, 0.25, 0.25],
        latency_ms=1.5,
    )


class Captures:
    """A bucket in memory, and both of its readers."""

    def __init__(self) -> None:
        self.s3 = InMemoryS3()
        self.records = S3RecordStore(self.s3, "captures")
        self.profiles = S3ProfileStore(self.s3, "captures")

    def read(self, window: Window = DAY) -> WindowProfile:
        return self.profiles.profiles("wine", "3", window)

    def column(self, window: Window = DAY, name: str = "a"):
        return self.read(window).variants["production"].features[name]


@pytest.fixture
def captures() -> Captures:
    return Captures()


def test_profiles_stand_for_all_rows(captures: Captures) -> None:
    batches = [[record(10 * batch + second) for second in range(10)] for batch in range(6)]
    for batch in batches:
        captures.records.write(batch)
    found = captures.read()
    everything = profile_table(records_table([each for batch in batches for each in batch]))
    profile = found.variants["production"]
    assert (profile.rows, profile.estimated_rows, found.repeated) == (60, 60.0, 0)
    assert (profile.first_ms, profile.last_ms) == (everything.first_ms, everything.last_ms)
    for name, column in everything.features.items():
        merged = profile.features[name]
        assert merged.counts == column.counts
        np.testing.assert_array_equal(merged.sketch.weighted()[0], column.sketch.weighted()[0])
    assert profile.outputs.keys() == {
        "prediction",
        "prediction_label",
        "probability_0",
        "probability_1",
        "probability_2",
        "latency_ms",
    }
    assert dict(profile.outputs["prediction_label"].counts) == {"0": 20, "1": 20, "2": 20}


def test_a_window_reads_one_footer_an_object_and_no_row(captures: Captures) -> None:
    for batch in range(5):
        captures.records.write([record(10 * batch + second) for second in range(10)])
    captures.s3.calls.clear()
    captures.read()
    assert sorted(captures.s3.calls) == ["get"] * 5 + ["list"]


def test_a_batch_that_comes_again_changes_nothing(captures: Captures) -> None:
    batch = [record(second) for second in range(10)]
    captures.records.write(batch)
    before = dict(captures.s3.objects)
    captures.records.write(list(reversed(batch)))
    assert captures.s3.objects == before


def test_events_that_come_again_in_other_batches_are_counted_once(captures: Captures) -> None:
    rows = [record(second) for second in range(30)]
    captures.records.write(rows[:20])
    captures.records.write(rows[10:])
    captures.records.write(rows[5:25])
    found = captures.read()
    assert found.variants["production"].rows == 30
    assert found.repeated == 30
    values, weights = captures.column().sketch.weighted()
    np.testing.assert_array_equal(values, np.arange(30.0))
    assert weights.sum() == 30
    assert captures.records.read("wine", "3", DAY).num_rows == 30


def test_variants_are_apart(captures: Captures) -> None:
    captures.records.write(
        [record(second, variant="champion" if second % 3 else "shadow") for second in range(9)]
    )
    assert {name: each.rows for name, each in captures.read().variants.items()} == {
        "champion": 6,
        "shadow": 3,
    }


def test_a_window_is_rounded_outward_to_minutes(captures: Captures) -> None:
    captures.records.write([record(second) for second in range(0, 300, 10)])
    start, end = NOON + timedelta(seconds=70), NOON + timedelta(seconds=181)
    column = captures.column(Window(start, end))
    assert (column.minimum, column.maximum) == (60.0, 230.0)
    column = captures.column(Window(start.replace(second=0), NOON + timedelta(minutes=3)))
    assert (column.minimum, column.maximum) == (60.0, 170.0)


def test_windows_cross_hours_and_days(captures: Captures) -> None:
    for hour in range(-14, 14):
        captures.records.write([record(3600 * hour + second) for second in range(3)])
    assert captures.read().variants["production"].rows == 24 * 3


class Listed(InMemoryS3):
    """Objects in memory, and the keys that listings had."""

    listed: tuple[str, ...] = ()

    def paginate(self, **query: Any) -> Iterator[dict[str, Any]]:
        for page in super().paginate(**query):
            self.listed += tuple(each["Key"] for each in page["Contents"])
            yield page


@pytest.mark.parametrize(("first", "last"), [(0, 0), (3, 4), (9, 10), (26, 29), (0, 59)])
def test_a_listing_of_days_has_all_of_them_and_of_one_day_no_other(first: int, last: int) -> None:
    start = datetime(2026, 2, 1, tzinfo=UTC)
    days = [(start + timedelta(days=day)).date() for day in range(60)]
    keys = [f"captures/date={day}/hour={hour}/1" for day in days for hour in ("00", "23")]
    s3 = Listed(dict.fromkeys(keys, b""))
    found = S3Objects(s3, "captures").keys_of_days("captures/", days[first], days[last])
    assert [key for key, _ in found] == keys[2 * first : 2 * last + 2]
    if first == last:
        assert len(s3.listed) == 2


def test_profiles_beside_merged_objects_are_read_at_once(captures: Captures) -> None:
    for hour in (1, 2):
        for half in (0, 1800):
            captures.records.write([record(3600 * hour + half + second) for second in range(9)])
    before = captures.read().variants
    compaction = S3Compaction(captures.s3, "captures")
    for each in compaction.hours():
        compaction.merge(each, np.empty(0, np.uint64))
    both = Barrier(2)

    class Meeting(InMemoryS3):
        def get_object(self, **options: Any) -> dict[str, Any]:
            if options["Key"].endswith(".hour"):
                both.wait(timeout=30)  # broken where one is read after the other
            return super().get_object(**options)

    found = S3ProfileStore(Meeting(captures.s3.objects), "captures").profiles("wine", "3", DAY)
    encoded = [
        {name: encode_profile(each) for name, each in variants.items()}
        for variants in (before, found.variants)
    ]
    assert encoded[0] == encoded[1]


def test_profiles_of_objects_without_them_come_from_their_rows(captures: Captures) -> None:
    rows = [record(second) for second in range(10)]
    key = captures.records.write(rows)
    captures.s3.objects[key] = write_table(records_table(rows))
    assert captures.read().variants["production"].rows == 10


def test_footers_larger_than_one_guess_are_read_whole(captures: Captures) -> None:
    wide = {f"f{index}": float(index) for index in range(300)}
    generator = np.random.default_rng(1)
    captures.records.write(
        [record(i, **dict(zip(wide, generator.normal(size=300), strict=True))) for i in range(400)]
    )
    found = captures.read()
    assert len(found.variants["production"].features) == 302
    assert captures.s3.calls.count("get") == 2


def test_a_sample_is_uniform_by_hash_and_reads_only_what_holds_it(captures: Captures) -> None:
    rows = [record(second) for second in range(200)]
    for start in range(0, 200, 10):
        captures.records.write(rows[start : start + 10])
    captures.s3.calls.clear()
    sample = captures.profiles.sample("wine", "3", DAY, 5)
    smallest = np.argsort(hash_event_ids([row.event_id for row in rows]))[:5]
    assert set(sample["event_id"].to_pylist()) == {rows[index].event_id for index in smallest}
    assert captures.s3.calls.count("get") <= 20 + 5
    everything = captures.profiles.sample("wine", "3", DAY, 1000)
    assert everything.num_rows == 200
    assert captures.profiles.sample("wine", "9", DAY, 5).num_rows == 0


def test_columns_may_change_between_objects(captures: Captures) -> None:
    captures.records.write([record(1, extra=None)])
    captures.records.write([record(2, extra="x")])
    captures.records.write([record(3, extra=2.5)])
    captures.records.write([record(4)])
    table = captures.records.read("wine", "3", DAY)
    assert table["feature_extra"].to_pylist() == [None, None, 2.5, None]
    assert table["string_extra"].to_pylist() == [None, "x", None, None]
    column = captures.column(name="extra")
    assert (column.rows, column.nulls, column.strings, column.numbers) == (4, 2, 1, 1)


def test_an_outage_is_a_store_error(captures: Captures) -> None:
    captures.records.write([record(1)])
    captures.s3.fail_at = 1
    with pytest.raises(StoreError, match="cannot list"):
        captures.read()


def test_versions_are_those_of_the_window(captures: Captures) -> None:
    captures.records.write([record(1)])
    assert captures.profiles.versions(DAY) == [("wine", "3")]
    assert captures.profiles.versions(Window.ending(NOON, seconds=60)) == []


def test_slices_merge_to_the_profile_of_the_table() -> None:
    table = records_table([record(second) for second in range(0, 600, 7)])
    slices = profile_slices(table)
    assert len(slices) == 10
    merged = merge_profiles([piece.profile for piece in slices])
    whole = profile_table(table)
    assert (merged.rows, merged.first_ms, merged.last_ms) == (
        whole.rows,
        whole.first_ms,
        whole.last_ms,
    )


def watched(declared: str) -> Captures:
    captures = Captures()
    segments = parse_segments(declared)
    captures.records = S3RecordStore(captures.s3, "captures", lambda _: segments)
    captures.profiles = S3ProfileStore(captures.s3, "captures", lambda _: segments)
    return captures


def rows_by_segment(found: WindowProfile) -> dict[str, int]:
    return {key.name: profile.rows for key, profile in found.segments.items()}


def test_segments_are_profiled_apart_over_all_variants() -> None:
    captures = watched("colour; late: a >= 100")
    for start in (0, 60, 120):
        captures.records.write(
            [
                record(
                    start + second,
                    variant="shadow" if second % 2 else "production",
                    colour=("red", "white", None)[second % 3],
                )
                for second in range(60)
            ]
        )
    found = captures.read()
    assert rows_by_segment(found) == {"colour=red": 60, "colour=white": 60, "late": 80}
    assert {name: profile.rows for name, profile in found.variants.items()} == {
        "production": 90,
        "shadow": 90,
    }
    late = next(profile for key, profile in found.segments.items() if key.name == "late")
    assert (late.features["a"].minimum, late.features["a"].maximum) == (100.0, 179.0)
    second_minute = Window(NOON + timedelta(minutes=1), NOON + timedelta(minutes=2))
    assert rows_by_segment(captures.read(second_minute))["late"] == 20


def test_events_that_come_again_are_in_no_segment_twice() -> None:
    captures = watched("colour")
    rows = [record(second) for second in range(30)]
    captures.records.write(rows[:20])
    captures.records.write(rows[10:])
    assert rows_by_segment(captures.read()) == {"colour=red": 30}


def test_a_column_with_many_values_has_few_segments_over_all_batches() -> None:
    captures = watched("colour")
    for batch in range(12):
        captures.records.write(
            [
                record(60 * batch + second, colour="red" if second < 9 else f"{batch}-{second}")
                for second in range(25)
            ]
        )
    found = rows_by_segment(captures.read())
    assert len(found) == MOST_SEGMENTS + 1
    assert found["colour=red"] == 12 * 9
    assert found[f"colour={OTHER}"] == 12 * 25 - 12 * 9 - (MOST_SEGMENTS - 1)


def test_a_batch_without_a_segments_column_is_stored() -> None:
    captures = watched("absent; old: absent > 3; words: colour > 3; colour")
    captures.records.write([record(second, colour=None) for second in range(10)])
    found = captures.read()
    assert found.variants["production"].rows == 10
    assert rows_by_segment(found) == {}


def test_segments_that_are_no_longer_declared_are_left_alone() -> None:
    before = watched("colour; late: a >= 3")
    before.records.write([record(second) for second in range(10)])
    now = watched("late: a >= 5")
    now.s3.objects.update(before.s3.objects)
    assert now.read().segments == {}
    assert now.read().variants["production"].rows == 10
    # without a profile rows are cut as it is declared now
    key = next(iter(now.s3.objects))
    now.s3.objects[key] = write_table(records_table([record(second) for second in range(10)]))
    assert rows_by_segment(now.read()) == {"late": 5}


def test_no_segments_no_byte() -> None:
    rows = [record(second) for second in range(10)]
    written = encode_slices(profile_slices(records_table(rows)))
    table = records_table(rows)
    document = msgspec.msgpack.decode(written)
    assert [len(piece) for piece in document[1]] == [3]
    cut = profile_slices(table, parse_segments("late: a >= 3"))
    slices = decode_slices(encode_slices(cut))
    assert [(piece.segment.name, piece.profile.rows) for piece in slices] == [("", 10), ("late", 7)]
    assert encode_slices(slices[:1]) == written
