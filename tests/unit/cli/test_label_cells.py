"""Labels from CSV, which has no types, held against predictions of every type."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.label_compaction import MIN_OBJECTS, S3LabelCompaction
from modelwatch.adapters.captures.labels import LABEL_SCHEMA, S3LabelStore, labels_table
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.parquet import write_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label, decode_label, encode_label
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.records import Value
from modelwatch.domain.windows import Window
from modelwatch_cli.capture.label_files import read_labels
from modelwatch_cli.capture.places import Folder
from modelwatch_cli.capture.sagemaker.ground_truth import store_labels
from modelwatch_cli.capture.sagemaker.importing import check, read_ground_truth
from modelwatch_cli.capture.sagemaker.payloads import Reading
from wine_records import wine_record

HOUR = datetime(2026, 1, 11, 17, tzinfo=UTC)
NOW_MS = int((HOUR + timedelta(days=1)).timestamp() * 1000)
IDS = [new_event_id(int(HOUR.timestamp() * 1000) + number) for number in range(6)]


class Bucket:
    """Predictions of an hour in memory."""

    def __init__(self, predictions: list[Value]) -> None:
        self.s3 = InMemoryS3()
        self.labels = S3LabelStore(self.s3, "bucket")
        self.records = S3RecordStore(self.s3, "bucket")
        self.records.write(
            [
                wine_record(event_id=event_id, captured_at=HOUR, prediction=prediction)
                for event_id, prediction in zip(IDS, predictions, strict=False)
            ]
        )

    def profile(self) -> PerformanceProfile:
        outcomes = S3OutcomeStore(self.s3, "bucket").outcomes("wine", "1", [HOUR])[HOUR]
        return PerformanceProfile.of(outcomes.variants[""])


CASES = [
    (["True", "False"], ["True", "False"], ["False", "True"]),
    (["1.0", "2.0"], ["1.0", "2.0"], ["1", "2"]),
    (["1e5", "2e5"], ["1e5", "2e5"], ["100000", "200000"]),
    (["007", "008"], ["007", "008"], ["7", "8"]),
    (["+1", ".5"], ["+1", ".5"], ["1", "0.5"]),
    (["1", "0"], ["1", "0"], ["0", "1"]),
    ([1, 2], ["1.0", "2.0"], ["2.0", "1.0"]),
    ([1, 2], ["01", " 2"], ["02", " 1"]),
    ([100000, 2.5], ["1e5", "2.50"], ["1e6", "2.05"]),
    ([True, False], ["TRUE", "FALSE"], ["FALSE", "TRUE"]),
    ([True, False], ["1", "0.0"], ["0", "1.0"]),
    ([1, 0], ["True", "false"], ["False", "true"]),
    (["red", "white"], ["red", "white"], ["white", "red"]),
]


@pytest.mark.parametrize("form", ["labels import", "sagemaker"])
@pytest.mark.parametrize(("predictions", "right", "wrong"), CASES)
def test_the_type_of_the_prediction_decides(tmp_path, form, predictions, right, wrong):
    for cells, accuracy in ((right, 1.0), (wrong, 0.0)):
        bucket = Bucket(predictions)
        folder = tmp_path / str(accuracy)
        folder.mkdir()
        (import_file if form == "labels import" else import_sagemaker)(bucket, folder, cells)
        profile = bucket.profile()
        assert (profile.labelled, profile.comparable) == (2, 2)
        assert profile.correct / profile.comparable == accuracy


def import_file(bucket: Bucket, folder: Path, cells: list[str]) -> None:
    """Take labels from a file through the bodies that the API and the queue carry."""
    path = folder / "labels.csv"
    rows = [f"{each},{cell}" for each, cell in zip(IDS, cells, strict=False)]
    path.write_text("event_id,label\n" + "\n".join(rows) + "\n")
    found = [decode_label(encode_label(each), NOW_MS) for each in read_labels(path, NOW_MS)]
    bucket.labels.write(found)


def import_sagemaker(bucket: Bucket, folder: Path, cells: list[str]) -> None:
    lines = [
        {
            "groundTruthData": {"data": cell, "encoding": "CSV"},
            "eventMetadata": {"eventId": event_id},
            "eventVersion": "0",
        }
        for event_id, cell in zip(IDS, cells, strict=False)
    ]
    (folder / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source, reading = Folder(folder), Reading("wine", "1")
    checked = check(source, ["x.jsonl"], reading, NOW_MS, lambda: None)
    assert checked.problems == []
    labels = read_ground_truth(source, checked, reading, NOW_MS)
    window = Window(HOUR, HOUR + timedelta(hours=1))
    done = store_labels(
        bucket.labels, bucket.records, labels, window, NOW_MS, lambda _: CaptureRules()
    )
    assert done.stored == len(cells)


@pytest.mark.parametrize(("label", "correct"), [(1.0, 0), ("1.0", 1), (1, 0)])
def test_a_label_in_json_keeps_its_type(label, correct):
    bucket = Bucket(["1.0"])
    bucket.labels.write([decode_label(encode_label(Label(event_id=IDS[0], label=label)), NOW_MS)])
    assert bucket.profile().correct == correct


@pytest.mark.parametrize("cell", ["INF", "1e999", "1" + "0" * 30])
def test_what_is_no_number_is_refused_unless_it_is_a_text(tmp_path, cell):
    path = tmp_path / "labels.csv"
    path.write_text(f"event_id,label\n{IDS[0]},{cell}\n{IDS[1]},2\n")
    problem, good = read_labels(path, NOW_MS)
    assert str(problem) == (
        f"line 2: label: '{cell}' is not a finite number of 64 bits; --text takes it as text"
    )
    assert good.label == 2
    assert [each.label for each in read_labels(path, NOW_MS, as_text=True)] == [cell, "2"]


def test_older_objects_are_read_and_merged_with_newer_ones():
    bucket = Bucket(["1", "2.0", "red"])
    old = labels_table([label_of(0, 1), label_of(1, 2.0), label_of(2, "red")])
    old = old.drop_columns(["label_cell"])
    assert old.column_names == LABEL_SCHEMA.names[:-1]
    folder = f"labels/date={HOUR:%Y-%m-%d}/hour={HOUR:%H}/"
    bucket.s3.objects[f"{folder}1-2-abc.parquet"] = write_table(old)
    assert bucket.profile().correct == 2
    for _ in range(MIN_OBJECTS):
        bucket.labels.write([label_of(1, 2.0, "2.0")])
        bucket.labels.write([label_of(0, 5, days=_ - 100)])
    assert bucket.profile().correct == 3
    compaction = S3LabelCompaction(bucket.s3, "bucket")
    (hour,) = compaction.hours()
    compaction.merge(hour, hash_event_ids([]))
    assert compaction.hours() == []
    assert bucket.profile().correct == 3


def label_of(number: int, value: float | str, cell: str | None = None, days: int = 0) -> Label:
    at = HOUR + timedelta(days=days)
    return Label(event_id=IDS[number], label=value, labelled_at=at, predicted_at=HOUR, cell=cell)
