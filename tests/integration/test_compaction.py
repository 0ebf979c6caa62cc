"""Compaction, erasure and retention on the real stack: SeaweedFS, and the deployed function."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import numpy as np
import pytest
from botocore.exceptions import ClientError

from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.parquet import decompress, read_notes, read_table
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.erasure.rows import Events
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch.errors import QueueError
from modelwatch_cli.buckets import ensure_buckets
from modelwatch_cli.capture.forgetting import Forgetting
from modelwatch_cli.retention.rules import find_kept, set_retention, set_rules
from modelwatch_cli.settings import Settings
from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

MODEL, VERSION = "compaction_model", "1"
HOURS, POSTS, ROWS = 3, 4, 12
MARK = "somebody's own words"


def event_id(time: datetime) -> str:
    return new_event_id(int(time.timestamp() * 1000))


class Captures:
    """The deployed capture app, and what is in its bucket."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.environ = self.stack.json("env")
        self.settings = Settings(self.environ)
        self.url = self.stack.json("deploy", "capture")["urls"]["capture"]
        self.s3 = self.stack.client("s3")
        self.bucket = self.settings.capture_bucket
        self.records = S3RecordStore(self.s3, self.bucket)
        self.profiles = S3ProfileStore(self.s3, self.bucket)
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.start = now - timedelta(hours=30)
        self.window = Window(self.start, self.start + timedelta(hours=HOURS))
        self.sent: list[dict[str, Any]] = []

    def post(self, records: list[dict[str, Any]]) -> None:
        """Send records through the API and the queue, and wait until they are on S3."""
        response = httpx.post(f"{self.url}/capture/batch", json=records, timeout=60)
        assert response.status_code == 202, response.text
        self.sent += records
        ids = {record["event_id"] for record in self.sent}
        eventually(lambda: self.ids() == ids)

    def ids(self) -> set[str]:
        return set(self.records.read(MODEL, VERSION, self.window)["event_id"].to_pylist())

    def stored(self) -> list[str]:
        prefix = f"captures/model_name={MODEL}/"
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]

    def objects(self) -> Counter[str]:
        """Return how many objects each hour has."""
        return Counter(key.rpartition("/")[0] for key in self.stored())

    def compact(self) -> dict[str, Any]:
        """Run the deployed function."""
        return self.stack.run_planned("capture-compact", datetime(2026, 1, 1, tzinfo=UTC))

    def check_readers(self) -> None:
        """Rows, profiles and samples are of all that was sent, once each."""
        ids = {record["event_id"] for record in self.sent}
        assert self.ids() == ids
        found = self.profiles.profiles(MODEL, VERSION, self.window)
        column = found.variants["production"].features["amount"]
        distinct = {record["event_id"]: record["features"]["amount"] for record in self.sent}
        amounts = sorted(distinct.values())
        assert column.sketch.weighted()[0].tolist() == amounts
        sample = self.profiles.sample(MODEL, VERSION, self.window, 1000)
        assert set(sample["event_id"].to_pylist()) == ids

    def record(self, number: int, hour: int, **features: Any) -> dict[str, Any]:
        time = self.start + timedelta(hours=hour, seconds=7 * number)
        return {
            "event_id": event_id(time),
            "captured_at": time.isoformat(),
            "model_name": MODEL,
            "model_version": VERSION,
            "variant": "production",
            "features": {"amount": float(number), "words": f"words {number % 5}", **features},
            "prediction": number % 2,
        }


@pytest.fixture(scope="module")
def captures(stack: RunningStack) -> Captures:
    made = Captures(stack)
    for post in range(POSTS):
        rows = range(post * ROWS, post * ROWS + ROWS)
        made.post([made.record(number, hour) for hour in range(HOURS) for number in rows])
    return made


def test_the_function_merges_hours_and_readers_see_the_same(captures: Captures) -> None:
    before = captures.objects()
    assert len(before) == HOURS
    assert set(before.values()) == {POSTS}
    captures.check_readers()
    response = captures.compact()
    assert response["failures"] == {}
    assert response["merged"] >= HOURS
    assert set(captures.objects().values()) == {1}
    captures.check_readers()
    merged = captures.stored()
    captures.compact()
    assert captures.stored() == merged


def test_late_records_are_merged_by_the_command(captures: Captures) -> None:
    captures.post([captures.record(400 + number, 1) for number in range(5)])
    # one that was there already comes again
    captures.post([captures.sent[0]])
    eventually(lambda: sorted(captures.objects().values()) == [1, 2, 2])
    captures.check_readers()
    done = captures.stack.json("captures", "compact")
    assert done["failures"] == {}
    assert {hour["repeated"] for hour in done["merged"] if MODEL in hour["name"]} == {0, 1}
    assert set(captures.objects().values()) == {1}
    captures.check_readers()
    nothing = captures.stack.json("captures", "compact", "--until", "2020-01-01")
    assert nothing["merged"] == []


def test_duckdb_sees_the_merged_bucket_once(captures: Captures, tmp_path: Path) -> None:
    # other models' files have other columns
    for key in captures.stored():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        captures.s3.download_file(captures.bucket, key, str(path))
    (row,) = duckdb.sql(
        "select count(*), count(distinct event_id), count(distinct hour), sum(feature_amount) "
        f"from read_parquet('{tmp_path}/captures/**/*.parquet', hive_partitioning = true)"
    ).fetchall()
    distinct = {record["event_id"]: record["features"]["amount"] for record in captures.sent}
    assert row == (len(distinct), len(distinct), HOURS, sum(distinct.values()))


def test_a_prediction_is_forgotten(captures: Captures) -> None:
    whole, late = captures.record(300, 2, words=MARK), captures.record(301, 0, words=MARK)
    captures.post([whole])
    captures.compact()
    captures.post([late])
    gone = [whole["event_id"], late["event_id"]]
    S3LabelStore(captures.s3, captures.bucket).write(
        [
            Label(
                event_id=whole["event_id"],
                label=MARK,
                labelled_at=captures.start,
                predicted_at=datetime.fromisoformat(whole["captured_at"]),
            )
        ]
    )
    sqs = captures.stack.client("sqs")
    name = f"{captures.settings.capture_queue_name}-dead"
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(whole))
    assert traces(captures.s3, captures.bucket, [*gone, MARK])
    refused = captures.stack.run("forget", *gone)
    assert refused.returncode == 1
    assert "2 records of 2 predictions in 2 hours of captures" in refused.stderr
    done = captures.stack.json("forget", *gone, "--yes")
    assert (done["records"], done["label_objects"], done["letters"]) == (2, 1, 1)
    assert done["not_found"] == []
    assert traces(captures.s3, captures.bucket, [*gone, MARK]) == []
    captures.sent = [each for each in captures.sent if each["event_id"] not in gone]
    captures.check_readers()
    assert captures.stack.json("forget", *gone, "--yes")["not_found"] == sorted(gone)


def test_old_versions_are_forgotten_where_the_bucket_keeps_them(captures: Captures) -> None:
    bucket = "captures-with-versions"
    ensure_buckets(captures.s3, [bucket])
    captures.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = S3RecordStore(captures.s3, bucket)
    records = [
        Record(
            event_id=event_id(captures.start + timedelta(seconds=number)),
            captured_at=captures.start + timedelta(seconds=number),
            model_name=MODEL,
            model_version=VERSION,
            features={"words": MARK if number == 3 else "other"},
            prediction=1,
        )
        for number in range(8)
    ]
    store.write(records[:4])
    store.write(records[4:])
    compaction = S3Compaction(captures.s3, bucket)
    (hour,) = compaction.hours()
    compaction.merge(hour, np.empty(0, np.uint64))
    words = [records[3].event_id, MARK]
    forgetting = Forgetting(captures.s3, bucket, bucket, lambda _name, _total: lambda: None)
    events = Events([records[3].event_id])

    def no_queue() -> Any:
        raise QueueError("no queue")

    done = forgetting.erase(events, forgetting.find(events), no_queue, time.time_ns() // 1_000_000)
    assert done.old_versions > 0
    assert traces(captures.s3, bucket, words) == []
    listed = captures.s3.list_object_versions(Bucket=bucket)
    assert all(version["IsLatest"] for version in listed["Versions"])
    assert "DeleteMarkers" not in listed
    assert store.read(MODEL, VERSION, captures.window).num_rows == 7


def test_s3_takes_the_rules_of_a_retention(captures: Captures) -> None:
    days = {"captures/": 400, "labels/": 30, "profiles/": None}
    set_rules(captures.s3, captures.bucket, days)
    response = captures.s3.get_bucket_lifecycle_configuration(Bucket=captures.bucket)
    assert {
        (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in response["Rules"]
    } == {
        ("captures/", 400),
        ("labels/", 30),
    }
    shown = {each["prefix"]: each for each in captures.stack.json("retention")["kept"]}
    assert (shown["captures/"]["days"], shown["profiles/"]["days"]) == (400, None)
    assert "next_deleted_at" in shown["captures/"]
    set_rules(captures.s3, captures.bucket, days)
    set_rules(captures.s3, captures.bucket, dict.fromkeys(days))
    set_rules(captures.s3, captures.bucket, dict.fromkeys(days))


def traces(s3: Any, bucket: str, words: list[str]) -> list[str]:
    """Return what the objects of a bucket say of ``words``, all versions of them.

    Those of other tests' models come and go on a shared stack, and are many.
    """
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in page.get("Versions", ()):
            key = entry["Key"]
            if "/model_name=" in key and f"/model_name={MODEL}/" not in key:
                continue
            data = s3.get_object(Bucket=bucket, Key=key, VersionId=entry["VersionId"])[
                "Body"
            ].read()
            said = [data.decode("latin1")]
            if key.endswith(".parquet"):
                said.append(repr(read_table(data).to_pylist()))
                said += [note.decode("latin1") for note in read_notes(data).values()]
            elif key.endswith((".hour", ".minutes")):
                said.append(decompress(data).decode("latin1"))
            found += [f"{key}: {word}" for word in words if word in "\n".join(said)]
    return found


def test_s3_keeps_what_is_locked(captures: Captures) -> None:
    bucket = f"locked-{uuid.uuid4().hex[:12]}"
    captures.s3.create_bucket(Bucket=bucket)
    captures.s3.put_object(Bucket=bucket, Key="before", Body=b"1")
    own = {"REPORT_BUCKET": bucket, "REPORT_LOCK": "governance=1"}
    settings = Settings(captures.stack.json("env") | own)
    set_retention(settings, captures.s3)
    written = captures.s3.put_object(Bucket=bucket, Key="analyses/x", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="AccessDenied"):
        captures.s3.delete_object(Bucket=bucket, Key="analyses/x", VersionId=written["VersionId"])
    assert {each.lock for each in find_kept(captures.s3, settings) if each.bucket == bucket} == {
        "governance=1"
    }
