"""What a backfill reads once: it sees its own writes, and makes the same of far fewer requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.labels import Label
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.errors import NotFoundError, StoreError
from modelwatch.services.backfill import backfill, past_windows
from modelwatch_cli.backfill.read_once import ReadOnce
from modelwatch_cli.backfill.windows import past_analysis
from modelwatch_cli.settings import Settings
from wine_records import numbered_id, wine_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_what_is_read_once_is_asked_once() -> None:
    s3 = InMemoryS3({"a/1": b"one", "a/2": b"two", "b/1": b"three"})
    objects = S3Objects(ReadOnce(s3), "bucket")
    for _ in range(3):
        assert objects.read("a/1") == b"one"
        assert objects.read_end("a/1", 2) == b"ne"
        assert [key for key, _ in objects.keys("a/")] == ["a/1", "a/2"]
    assert Counter(s3.calls) == {"get": 2, "list": 1}


def test_own_changes_are_seen() -> None:
    s3 = InMemoryS3({"a/1": b"one", "b/1": b"three"})
    objects = S3Objects(ReadOnce(s3), "bucket")

    def seen() -> dict[str, bytes]:
        return {key: objects.read(key) for key, _ in objects.keys("a/")}

    assert seen() == {"a/1": b"one"}
    objects.write("a/1", b"1", "text/plain")
    assert objects.write_once("a/2", b"2", "text/plain")
    assert objects.read_end("a/2", 1) == b"2"
    assert seen() == {"a/1": b"1", "a/2": b"2"}
    objects.write("a/2", b"3", "text/plain")
    assert objects.read_end("a/2", 1) == b"3"
    objects.delete(["a/1"])
    assert seen() == {"a/2": b"3"}


def test_what_others_change_is_asked_for_again_where_it_is_in_the_way() -> None:
    s3 = InMemoryS3({"a/1": b"one", "a/2": b"two"})
    objects = S3Objects(ReadOnce(s3), "bucket")
    assert len(list(objects.keys("a/"))) == 2
    _, tag = objects.read_tagged("a/1")
    # another one's merge, and its change of the same object
    del s3.objects["a/2"]
    s3.objects["a/1"] = b"theirs"
    with pytest.raises(NotFoundError):
        objects.read("a/2")
    assert [key for key, _ in objects.keys("a/")] == ["a/1"]
    assert not objects.replace("a/1", b"ours", "text/plain", tag)
    found, tag = objects.read_tagged("a/1")
    assert found == b"theirs"
    assert objects.replace("a/1", b"ours", "text/plain", tag)


def test_a_listing_that_failed_is_not_taken_for_whole() -> None:
    s3 = InMemoryS3({"a/1": b"one"}, fail_at=1, fails_once=True)
    objects = S3Objects(ReadOnce(s3), "bucket")
    with pytest.raises(StoreError):
        list(objects.keys("a/"))
    assert [key for key, _ in objects.keys("a/")] == ["a/1"]


def test_a_listing_that_was_left_goes_on_where_it_was() -> None:
    class Pages(InMemoryS3):
        def paginate(self, **_query: Any) -> Any:
            for page in range(3):
                self.calls.append("page")
                yield {"Contents": [{"Key": f"a/{page}", "Size": 1}]}

    s3 = Pages()
    objects = S3Objects(ReadOnce(s3), "bucket")
    assert next(objects.keys("a/")) == ("a/0", 1)
    assert next(objects.keys("a/")) == ("a/0", 1)
    assert s3.calls == ["page"]
    assert len(list(objects.keys("a/"))) == len(list(objects.keys("a/"))) == 3
    assert s3.calls == ["page"] * 3


def test_no_more_is_kept_than_allowed() -> None:
    s3 = InMemoryS3({str(number): b"12345" for number in range(4)})
    objects = S3Objects(ReadOnce(s3, most_bytes=10), "bucket")
    for number in (0, 1, 2, 2, 1, 0):
        objects.read(str(number))
    assert len(s3.calls) == 4


def test_the_results_are_the_same_for_less_than_half_of_the_reads(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    hours = {NOON + hour * HOUR for hour in range(4)}
    for hour in sorted(hours):
        rows = [
            wine_record(
                event_id=numbered_id(hour.hour * 100 + second),
                captured_at=hour + timedelta(seconds=second),
            )
            for second in range(5)
        ]
        S3RecordStore(s3, "captures").write(rows)
        S3LabelStore(s3, "captures").write(
            [
                Label(event_id=row.event_id, label=1, predicted_at=hour, labelled_at=hour + HOUR)
                for row in rows
            ]
        )
    settings = Settings(
        {
            "CAPTURE_BUCKET": "captures",
            "REPORT_BUCKET": "captures",
            "MODEL_REGISTRY": tmp_path.as_uri(),
            "ANALYSIS_WINDOWS": "PT1H, PT4H/PT1H",
        }
    )

    def evaluated(asks: Callable[[InMemoryS3], Any]) -> tuple[list[AnalysisResult], set[str], int]:
        bucket = InMemoryS3(dict(s3.objects))
        analysis = past_analysis(settings, asks(bucket))
        windows = past_windows(
            analysis.reports,
            analysis.monitors.current().of("wine"),
            {("wine", "1"): hours},
            NOON,
            NOON + 4 * HOUR,
        )
        done = backfill(analysis.evaluator.evaluate, windows.due)
        assert not done.failures
        results = [msgspec.structs.replace(each, duration_seconds=0) for each in done.results]
        reads = [call for call in bucket.calls if call != "put"]
        return results, set(bucket.objects), len(reads)

    results, keys, reads = evaluated(lambda bucket: bucket)
    assert len(results) == 8
    found = [each.performance for each in results if each.window == "PT1H"]
    assert [each.labelled for each in found if each] == [5, 10, 15, 20]
    again, their_keys, fewer = evaluated(ReadOnce)
    assert (again, their_keys) == (results, keys)
    assert fewer < reads / 2
