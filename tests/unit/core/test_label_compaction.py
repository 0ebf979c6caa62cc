"""Many small objects of labels become one, and readers see the same labels on the way."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.label_compaction import MIN_OBJECTS, S3LabelCompaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.errors import StoreError

HOUR = datetime(2026, 11, 22, 8, tzinfo=UTC)
HOUR_MS = int(HOUR.timestamp() * 1000)
IDS = [new_event_id(HOUR_MS + number) for number in range(12)]
NOBODY = hash_event_ids([])


def label(number: int, value: int, days: int = 1) -> Label:
    return Label(
        event_id=IDS[number],
        label=value,
        labelled_at=HOUR + timedelta(days=days),
        predicted_at=HOUR,
    )


def filled(batches: list[list[Label]]) -> InMemoryS3:
    s3 = InMemoryS3()
    for batch in batches:
        S3LabelStore(s3, "bucket").write(batch)
    return s3


def seen(s3: InMemoryS3) -> list[dict]:
    store = S3LabelStore(s3, "bucket")
    names = store.objects(HOUR.date()).get(HOUR, [])
    return store.read(names).sort_by("event_id").to_pylist()


def keys(s3: InMemoryS3) -> list[str]:
    return sorted(key for key in s3.objects if key.startswith("labels/"))


BATCHES = [[label(number, 0), label((number + 1) % 12, 1, days=2)] for number in range(12)]


def test_an_hour_becomes_one_object_with_all_that_was_said():
    s3 = filled(BATCHES)
    before = seen(s3)
    compaction = S3LabelCompaction(s3, "bucket")
    (hour,) = compaction.hours()
    merged = compaction.merge(hour, NOBODY)
    assert (merged.objects, merged.rows, merged.repeated) == (12, 24, 0)
    assert len(keys(s3)) == 1
    assert seen(s3) == before
    assert compaction.hours() == []


def test_what_comes_later_joins_it():
    s3 = filled(BATCHES)
    compaction = S3LabelCompaction(s3, "bucket")
    compaction.merge(compaction.hours()[0], NOBODY)
    for number in range(MIN_OBJECTS):
        S3LabelStore(s3, "bucket").write([label(number, 7, days=9), label(number, 8, days=number)])
    before = seen(s3)
    compaction.merge(compaction.hours()[0], NOBODY)
    assert len(keys(s3)) == 1
    assert seen(s3) == before


@pytest.mark.parametrize("fail_at", range(1, 20))
def test_it_may_be_left_at_any_point(fail_at):
    s3 = filled(BATCHES)
    before = seen(s3)
    compaction = S3LabelCompaction(s3, "bucket")
    (hour,) = compaction.hours()
    s3.calls.clear()
    s3.fail_at = fail_at
    try:
        compaction.merge(hour, NOBODY)
    except StoreError:
        s3.fail_at = None
        assert seen(s3) == before
    s3.fail_at = None
    for again in compaction.hours():
        compaction.merge(again, NOBODY)
    assert seen(s3) == before
    assert len(keys(s3)) == 1


def test_a_run_that_another_one_overtook_leaves():
    s3 = filled(BATCHES)
    compaction = S3LabelCompaction(s3, "bucket")
    (hour,) = compaction.hours()
    compaction.merge(hour, NOBODY)
    after = dict(s3.objects)
    assert compaction.merge(hour, NOBODY) is None
    assert s3.objects == after


def test_erased_events_do_not_come_back():
    s3 = filled(BATCHES)
    compaction = S3LabelCompaction(s3, "bucket")
    merged = compaction.merge(compaction.hours()[0], np.sort(hash_event_ids(IDS[:3])))
    assert merged.left_out == 6
    assert {row["event_id"] for row in seen(s3)} == set(IDS[3:])
    everything = filled(BATCHES)
    compaction = S3LabelCompaction(everything, "bucket")
    compaction.merge(compaction.hours()[0], np.sort(hash_event_ids(IDS)))
    assert keys(everything) == []


@settings(max_examples=examples(25), deadline=None)
@given(
    st.lists(
        st.lists(
            st.builds(label, st.integers(0, 11), st.integers(0, 2), st.integers(0, 3)),
            min_size=1,
            max_size=4,
        ),
        min_size=MIN_OBJECTS,
        max_size=20,
    )
)
def test_readers_see_the_same_labels(batches):
    s3 = filled(batches)
    before = seen(s3)
    compaction = S3LabelCompaction(s3, "bucket")
    for hour in compaction.hours():
        compaction.merge(hour, NOBODY)
    assert seen(s3) == before
