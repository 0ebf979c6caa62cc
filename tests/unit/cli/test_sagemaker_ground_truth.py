"""Ground truth in SageMaker's form: given once, for predictions that were captured."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.windows import Window
from modelwatch_cli.capture.places import Folder, S3Prefix
from modelwatch_cli.capture.sagemaker.ground_truth import StoredLabels, store_labels
from modelwatch_cli.capture.sagemaker.importing import check, read_ground_truth, store_records
from modelwatch_cli.capture.sagemaker.payloads import Reading

HOUR = datetime(2026, 1, 11, 17, tzinfo=UTC)
WINDOW = Window(HOUR - timedelta(days=1), HOUR + timedelta(days=1))
NOW_MS = 1_800_000_000_000
READING = Reading("wine", "1", feature_names=("a",))
#: its time is 2026-01-11 17:59:30
TIMED = "019bae36-8fd0-7000-8000-000000000001"


def captured(inference_id: str) -> str:
    side = {"data": "1", "encoding": "CSV"}
    metadata = {
        "eventId": "e",
        "inferenceId": inference_id,
        "inferenceTime": "2026-01-11T17:05:00Z",
    }
    data = {"endpointInput": side, "endpointOutput": side}
    return json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}) + "\n"


def line_of(event_id: str, label: str) -> str:
    data = {"data": label, "encoding": "CSV"}
    line = {"groundTruthData": data, "eventMetadata": {"eventId": event_id}, "eventVersion": "0"}
    return json.dumps(line) + "\n"


class Bucket:
    """A bucket in memory, with what an import does to it."""

    def __init__(self) -> None:
        self.client = InMemoryS3()
        self.records = S3RecordStore(self.client, "captures")
        self.labels = S3LabelStore(self.client, "captures")

    def bring_in(self, folder: Path, rate: float = 1.0) -> StoredLabels:
        def rules_of(_model_name: str) -> CaptureRules:
            return CaptureRules(sample_rate=rate)

        source = Folder(folder)
        checked = check(source, list(source.keys(".jsonl")), READING, NOW_MS, lambda: None)
        store_records(self.records, source, checked, READING, NOW_MS, lambda: None, rules_of)
        labels = read_ground_truth(source, checked, READING, NOW_MS)
        return store_labels(self.labels, self.records, labels, WINDOW, NOW_MS, rules_of)

    def stored(self) -> list[tuple[object, ...]]:
        names = self.labels.objects(HOUR.date())[HOUR]
        table = self.labels.read(names).sort_by("predicted_at")
        columns = ("predicted_at", "labelled_at", "label", "label_text", "source")
        return list(zip(*[table[name].to_pylist() for name in columns], strict=True))


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def folder_of(root: Path, key: str, *lines: str) -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    return root


def test_ground_truth_becomes_the_label_of_its_prediction(bucket, tmp_path):
    folder_of(tmp_path, "wine/blue/2026/01/11/17/05-00-000-x.jsonl", captured("42"))
    folder_of(tmp_path, "truth/2026/01/12/09/x.jsonl", line_of("42", "2"), line_of(TIMED, "red"))
    done = bucket.bring_in(tmp_path)
    assert done == StoredLabels(stored=2)
    labelled_at = datetime(2026, 1, 12, 9, tzinfo=UTC)
    assert bucket.stored() == [
        (HOUR + timedelta(minutes=5), labelled_at, 2.0, "2", "sagemaker"),
        (HOUR + timedelta(minutes=59, seconds=30), labelled_at, None, "red", "sagemaker"),
    ]
    objects = dict(bucket.client.objects)
    assert bucket.bring_in(tmp_path) == StoredLabels(known=2)
    assert bucket.client.objects == objects


def test_a_file_without_a_time_says_the_same_again(bucket, tmp_path):
    folder_of(tmp_path, "all.jsonl", captured("42"), line_of("42", "2"), line_of("42", "2"))
    assert bucket.bring_in(tmp_path) == StoredLabels(stored=1, known=1)
    assert bucket.bring_in(tmp_path) == StoredLabels(known=2)
    ((predicted_at, labelled_at, *_),) = bucket.stored()
    assert predicted_at == labelled_at


def test_a_label_without_its_prediction_is_reported(bucket, tmp_path):
    folder_of(tmp_path, "all.jsonl", captured("42"), line_of("43", "2"), line_of("42", "2"))
    done = bucket.bring_in(tmp_path)
    assert (done.stored, done.unmatched) == (1, 1)
    assert "was not captured in the window" in done.problems[0]


def test_a_label_that_is_none_is_reported(bucket, tmp_path):
    folder_of(tmp_path, "all.jsonl", captured("42"), line_of("42", "1e999"))
    source = Folder(tmp_path)
    (problem,) = check(source, ["all.jsonl"], READING, NOW_MS, lambda: None).problems
    assert str(problem) == (
        "all.jsonl:2: groundTruthData.data: '1e999' is not a finite number of 64 bits"
    )
    assert bucket.bring_in(tmp_path).stored == 0


def test_a_prefix_is_read_and_written_like_a_folder():
    client = InMemoryS3({"other/x.jsonl": b"", "some/prefix/a/b.jsonl": b"1", "some/prefixes": b""})
    prefix = S3Prefix(client, "bucket", "/some/prefix/")
    prefix.write("c.jsonl", b"2")
    assert list(prefix.keys(".jsonl")) == ["a/b.jsonl", "c.jsonl"]
    assert (prefix.read("a/b.jsonl"), client.objects["some/prefix/c.jsonl"]) == (b"1", b"2")
    assert "other/x.jsonl" in S3Prefix(client, "bucket", "").keys(".jsonl")


def test_labels_of_predictions_that_the_monitor_leaves_out_are_no_problem(
    bucket: Bucket, tmp_path: Path
) -> None:
    names = [f"call {number}" for number in range(40)]
    lines = [captured(name) for name in names]
    folder_of(tmp_path, "captures/AllTraffic/2026/01/11/17/a.jsonl", *lines)
    folder_of(tmp_path, "labels/2026/01/11/17/b.jsonl", *[line_of(name, "1") for name in names])
    done = bucket.bring_in(tmp_path, 0.5)
    assert 0 < done.stored < 40
    assert (done.unmatched, done.left_out) == (0, 40 - done.stored)
