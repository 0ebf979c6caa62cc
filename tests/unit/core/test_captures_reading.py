"""`modelwatch.captures` and `reference` on moto's S3: which rows, and what is said of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import numpy as np
import pyarrow as pa
import pytest
from moto import mock_aws

import modelwatch
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.event_ids import derived_event_id, new_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.profiles import Profile
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.evidence import CodeVersion
from modelwatch.domain.verdict.results import ResultName
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.window_plans import parse_plans
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, NotFoundError, StoreError
from modelwatch.services.replay import evidence_of
from modelwatch.settings import Settings
from wine_records import NOON, wine_record, wine_result

HOUR = timedelta(hours=1)
RULES = AnalysisRules(plans=parse_plans("PT1H"))
SINCE = {"since": NOON - 3 * HOUR, "until": NOON + 3 * HOUR}


class Captured:
    """A bucket with captures and labels, and what reads it back.

    It has a name of its own: another mock of this process may keep what earlier tests wrote.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.bucket = f"captures-{uuid4().hex}"
        client.create_bucket(Bucket=self.bucket)
        self.store = S3RecordStore(client, self.bucket)
        self.labels = S3LabelStore(client, self.bucket)

    def write(self, *records: Record) -> list[Record]:
        groups: dict[tuple[str, datetime], list[Record]] = {}
        for each in records:
            hour = each.captured_at.replace(minute=0, second=0, microsecond=0)
            groups.setdefault((each.model_version, hour), []).append(each)
        for group in groups.values():
            self.store.write(group)
        return list(records)

    def label(self, record: Record, value: Any, seconds: float = 60, **given: Any) -> None:
        at = record.captured_at + timedelta(seconds=seconds)
        fields = {"predicted_at": record.captured_at, "labelled_at": at, **given}
        self.labels.write([Label(event_id=record.event_id.lower(), label=value, **fields)])

    def merge(self) -> None:
        compaction = S3Compaction(self.client, self.bucket)
        for hour in compaction.hours():
            assert compaction.merge(hour, np.empty(0, np.uint64)) is not None

    def read(self, model: str = "wine", **given: Any) -> modelwatch.Captures:
        settings = Settings({"CAPTURE_BUCKET": self.bucket})
        return modelwatch.captures(model, **{**SINCE, "settings": settings, **given})


@pytest.fixture
def captured() -> Iterator[Captured]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        yield Captured(client)


def record(seconds: float, **given: Any) -> Record:
    return wine_record(captured_at=NOON + timedelta(seconds=seconds), **given)


def smallest(records: list[Record], most: int) -> set[str]:
    order = np.argsort(hash_event_ids([each.event_id for each in records]))[:most]
    return {records[index].event_id for index in order}


def test_the_sample_favours_no_hour_no_version_and_no_object(captured: Captured) -> None:
    busy = [record(second / 2) for second in range(1200)]
    quiet = [record(-3600 - second, model_version="2") for second in range(50)]
    rows = captured.write(*busy, *quiet)
    captured.merge()
    rows += captured.write(*(record(3700 + second) for second in range(40)))
    # the hour has more of the smallest than are in its stored sample
    for limit in (1, 100, 1000, 1150, 1289, 5000):
        found = captured.read(limit=limit)
        chosen = smallest(rows, limit)
        assert set(found.to_arrow()["event_id"].to_pylist()) == chosen, limit
        assert (len(found), found.captured) == (min(limit, 1290), 1290)
    times = captured.read(limit=300).to_arrow()["captured_at"].to_pylist()
    assert times == sorted(times)


def test_what_is_left_out_is_said(captured: Captured) -> None:
    captured.write(*(record(second, sample_rate=0.25) for second in range(8)))
    captured.write(record(100, lost_before=3, model_version="2"), record(7 * 3600))
    found = captured.read(limit=5)
    assert (len(found), found.captured, found.predictions, found.lost) == (5, 9, 33.0, 3)
    assert list(found.profiles) == ["1", "2"]
    assert found.profiles["1"].features["alcohol"].numbers == 8
    assert "5 of 9 captured rows, of about 33 predictions; 3 lost; versions 1, 2" in repr(found)


def test_an_event_that_came_twice_is_one_row(captured: Captured) -> None:
    rows = [record(second) for second in range(20)]
    captured.write(*rows[:15])
    captured.write(*rows[5:])
    found = captured.read()
    assert (len(found), found.captured) == (20, 20)


def test_values_of_several_versions_stay_what_they_are(captured: Captured) -> None:
    large = 2**53 + 1
    captured.write(
        record(1, model_version="1", features={"x": 3, "größe & farbe": None}, types="ls"),
        record(2, model_version="1", features={"x": large, "größe & farbe": "rot"}, types="ls"),
        record(3, model_version="2", features={"x": 1.5, "größe & farbe": "blau"}, types="ds"),
        record(4, model_version="10", features={"x": "n/a", "neu": True}, types="db"),
    )
    table = captured.read().to_arrow()
    assert table["model_version"].to_pylist() == ["1", "1", "2", "10"]
    assert table["feature_x"].to_pylist() == [3.0, None, 1.5, None]
    assert table["long_x"].to_pylist() == [None, large, None, None]
    assert table["string_x"].to_pylist() == [None, None, None, "n/a"]
    assert table["feature_größe & farbe"].to_pylist() == [None, "rot", "blau", None]
    frame = captured.read(version="1").to_pandas()
    assert frame["feature_x"].tolist() == [3, large]
    assert str(frame["feature_x"].dtype) == "Int64"
    frame = captured.read().to_pandas()
    assert frame["long_x"].dropna().tolist() == [large]
    assert str(frame["feature_neu"].dtype) == "boolean"
    assert str(frame["captured_at"].dt.tz) == "UTC"


def test_labels_that_hold_now_are_beside_their_rows(captured: Captured) -> None:
    served, corrected, text, flag, bare, late = captured.write(
        *(record(index * 1500) for index in range(6))
    )
    derived = derived_event_id(served.event_id, "shadow")
    shadow = record(5, variant="shadow", event_id=derived, model_version="2")
    capital = record(6, event_id=new_event_id(0).upper(), model_version="2")
    captured.write(shadow, capital)
    captured.label(served, 1)
    captured.label(corrected, 0, seconds=10)
    captured.label(corrected, 2.5, seconds=20)
    captured.label(text, "white")
    captured.label(flag, True)
    # kept by the hour in its id, which is of 1970
    captured.label(capital, 7, predicted_at=datetime(1970, 1, 1, tzinfo=UTC))
    captured.label(record(9), 9)
    table = captured.read().to_arrow()
    by_id = {row["event_id"]: row for row in table.to_pylist()}
    known = {
        each.event_id: (by_id[each.event_id]["label"], by_id[each.event_id]["label_text"])
        for each in (served, shadow, corrected, text, flag, bare, late)
    }
    assert list(known.values()) == [
        (1.0, "1"), (1.0, "1"), (2.5, "2.5"), (None, "white"), (1.0, "true"),
        (None, None), (None, None),
    ]  # fmt: skip
    assert by_id[corrected.event_id]["labelled_at"] == corrected.captured_at + timedelta(seconds=20)
    assert by_id[bare.event_id]["labelled_at"] is None
    assert [row["label"] for key, row in by_id.items() if key.lower() == capital.event_id.lower()]


def test_windows_are_whole_minutes_in_any_time_zone(captured: Captured) -> None:
    captured.write(*(record(second) for second in range(0, 300, 20)))
    found = captured.read(since="2026-03-01T14:01:30+02:00", until="2026-03-01T12:02:30Z")
    assert (found.start, found.end) == (NOON + HOUR / 60, NOON + HOUR / 20)
    assert Counter(at.minute for at in found.to_arrow()["captured_at"].to_pylist()) == {1: 3, 2: 3}
    assert found.captured == 6
    everything = captured.read(since=None, until=None)
    assert (everything.captured, everything.start) == (15, datetime(2026, 3, 1, tzinfo=UTC))


def test_an_empty_window_has_the_fixed_columns(captured: Captured) -> None:
    captured.write(record(0))
    found = captured.read(since=NOON + HOUR)
    assert (len(found), found.captured, found.profiles) == (0, 0, {})
    assert found.to_pandas().empty
    assert {"model_name", "model_version", "captured_at", "prediction", "label"} <= set(
        found.to_arrow().column_names
    )
    assert captured.read(since=None, until=NOON - 24 * HOUR).captured == 0


def test_what_cannot_be_read_is_said(captured: Captured) -> None:
    captured.write(record(0))
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"model": "beer"}, NotFoundError, "nothing is captured of 'beer' in 'captures-"),
        ({"version": "7"}, NotFoundError, "'wine' version '7' in 'captures-"),
        ({"limit": 0}, InvalidInputError, "limit: is not above 0"),
        ({"since": "yesterday"}, InvalidInputError, "since"),
        ({"since": NOON.replace(tzinfo=None)}, InvalidInputError, "has no time zone"),
        ({"since": "2999-01-01T00:00:00Z", "until": None}, InvalidInputError, "in the future"),
        ({"since": NOON, "until": NOON}, InvalidInputError, "not before 'until'"),
        ({"settings": Settings({"CAPTURE_BUCKET": "gone"})}, StoreError, "bucket does not exist"),
    ]
    for given, error, said in cases:
        with pytest.raises(error, match=said):
            captured.read(**given)


def analyzed(captured: Captured, day: int, column: list[float] | None, **given: Any) -> None:
    """Store the result of a window that was compared with a reference of these values, or none."""
    end = datetime(2026, 1, day, tzinfo=UTC)
    version = given.setdefault("model_version", "1")
    name = str(ResultName("wine", version, end, "PT1H"))
    side = None
    if column is not None:
        profile = modelwatch.profile(pa.table({"größe": column}))
        side = Reference(title="", profile=profile, constraints=learn_constraints(profile))
    found = WindowProfiles(
        model_name="wine", model_version=version, window=Window(end - HOUR, end), profile=Profile()
    )
    evidence = evidence_of(name, found, side, RULES, CodeVersion("1"))
    result = wine_result(name=name, window_end=end, manifest=evidence.digest, **given)
    S3ReportStore(captured.client, captured.bucket).save(result, {}, evidence)


def test_the_reference_is_that_of_the_newest_window_that_had_one(captured: Captured) -> None:
    analyzed(captured, 1, [1.0, 2.0], model_version="7")
    analyzed(captured, 2, [3.0])
    analyzed(captured, 3, [4.0, 5.0, None])
    analyzed(captured, 4, None)

    def read(model: str = "wine", version: str = "") -> Profile:
        settings = Settings({"REPORT_BUCKET": captured.bucket})
        return modelwatch.reference(model, version=version, settings=settings)

    column = read().features["größe"]
    assert (column.rows, column.nulls, column.minimum) == (3, 1, 4.0)
    assert read(version="7").features["größe"].maximum == 2.0
    with pytest.raises(NotFoundError, match=r"of 'beer' in 'captures-.*': there is no result"):
        read("beer")
    analyzed(captured, 5, None, model_version="8")
    with pytest.raises(NotFoundError, match=r"'wine' version '8' .*: none of its newest results"):
        read(version="8")
