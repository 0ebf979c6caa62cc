"""Counting which predictions are on S3: each object is read once, by version."""

from datetime import UTC, datetime, timedelta

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.captured import CaptureCount, Captured, captured_ids
from modelwatch_cli.traffic.labels import Predicted
from wine_records import wine_record


def record(event_id: str, version: str, captured_at: datetime) -> Record:
    return wine_record(event_id=event_id, model_version=version, captured_at=captured_at)


def test_predictions_of_two_versions_are_counted_as_they_arrive():
    s3 = InMemoryS3()
    store = S3RecordStore(s3, "captures")
    now = datetime.now(UTC)
    ids = [new_event_id(int(now.timestamp() * 1000)) for _ in range(4)]
    wanted = {("wine", "1"): set(ids[:2]), ("wine", "2"): set(ids[2:])}
    counting = CaptureCount(store, wanted, now)
    assert counting.count() == Captured(wanted=4, found=0)
    store.write([record(ids[0], "1", now), record(new_event_id(1), "1", now)])
    assert counting.count().found == 1
    # another machine's clock may be a little ahead or behind
    store.write([record(ids[1], "1", now - timedelta(seconds=20))])
    store.write([record(each, "2", now + timedelta(seconds=20)) for each in ids[2:]])
    assert counting.count() == Captured(wanted=4, found=4)
    reads = s3.calls.count("get")
    assert counting.count().is_complete
    assert s3.calls.count("get") == reads


def test_only_what_capture_samples_is_waited_for():
    now = datetime.now(UTC)
    predicted = [
        Predicted(new_event_id(int(now.timestamp() * 1000)), 1, "", 0.0, "wine", str(number % 2))
        for number in range(400)
    ]
    wanted = captured_ids(Settings({"CAPTURE_SAMPLE_RATE": "0.25"}), predicted)
    assert set(wanted) == {("wine", "0"), ("wine", "1")}
    assert 60 < sum(map(len, wanted.values())) < 140
    everything = captured_ids(Settings({}), predicted)
    assert sum(map(len, everything.values())) == 400
