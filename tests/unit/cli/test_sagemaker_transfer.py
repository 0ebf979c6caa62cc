"""Captures carried out in SageMaker's form and brought in again, and nothing twice."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from any_records import FIRST_MS, LAST_MS, records
from examples import examples
from in_memory import copy_of
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.places import Folder, place
from modelwatch_cli.capture.sagemaker.exporting import export_captures
from modelwatch_cli.capture.sagemaker.form import Encoding, encode_line
from modelwatch_cli.capture.sagemaker.hours import captured_hours
from modelwatch_cli.capture.sagemaker.importing import Stored, check, of_file, store_records
from modelwatch_cli.capture.sagemaker.payloads import Reading
from modelwatch_cli.settings import Settings
from wine_records import wine_record

HOUR = datetime(2026, 1, 11, 17, tzinfo=UTC)
WINDOW = Window(HOUR, HOUR + timedelta(hours=1))
NOW_MS = LAST_MS
EVERYTHING = CaptureRules()
EVENT_ID = "018bcfe5-6800-7000-8000-000000000001"


def record(number: int, **features: object) -> Record:
    event_id = derived_event_id(EVENT_ID, str(number))
    at = HOUR + timedelta(seconds=number)
    return wine_record(event_id=event_id, captured_at=at, features=features)


def new_store() -> S3RecordStore:
    return S3RecordStore(InMemoryS3(), "captures")


def nothing() -> None:
    """Nobody looks at the progress."""


def export(store: S3RecordStore, folder: Path, *, csv: bool = False, **options: bool) -> None:
    """Export both versions of the model."""
    export_captures(
        store,
        Folder(folder),
        {("wine", version): captured_hours(store, "wine", version, WINDOW) for version in "12"},
        Encoding.CSV if csv else Encoding.JSON,
        options.get("header", False),
        nothing,
    )


def bring_in(
    store: S3RecordStore, folder: Path, reading: Reading, rules: CaptureRules = EVERYTHING
) -> Stored:
    """Import a folder that has no bad line."""
    source = Folder(folder)
    checked = check(source, list(source.keys(".jsonl")), reading, NOW_MS, nothing)
    assert checked.problems == []
    return store_records(store, source, checked, reading, NOW_MS, nothing, lambda _: rules)


def table_of(store: S3RecordStore, version: str) -> pa.Table:
    """Return what is stored of a version, with its columns in the order of their names."""
    table = store.read("wine", version, WINDOW)
    return table.select(sorted(table.column_names)).sort_by("event_id")


def of_whole_numbers(number: int, value: object) -> Record:
    """Return a record of a column of whole numbers that has ``value`` there."""
    return copy_of(record(number, a=value), types="l")


BEYOND = [
    of_whole_numbers(number, value)
    for number, value in enumerate([1, 2.0**63, -(2.0**63), 9.223372036854775e18, 2**63 - 1, 1.5])
]


@given(st.lists(records(), max_size=6, unique_by=lambda each: each.event_id), st.booleans())
@example(BEYOND, True)
@example(BEYOND, False)
@settings(max_examples=examples(60), deadline=None)
def test_what_was_exported_is_imported_as_it_was(given_records, csv):
    before, after = new_store(), new_store()
    span = LAST_MS - FIRST_MS
    for each in given_records:
        milliseconds = (each.captured_at_ms - FIRST_MS) * 3_599_999 // span
        before.write([copy_of(each, captured_at=HOUR + timedelta(milliseconds=milliseconds))])
    with tempfile.TemporaryDirectory() as folder:
        export(before, Path(folder), csv=csv, header=csv)
        reading = Reading(header=csv)
        first = bring_in(after, Path(folder), reading)
        again = bring_in(after, Path(folder), reading)
    assert (first.stored, first.known) == (len(given_records), 0)
    assert (again.stored, again.known) == (0, len(given_records))
    for version in "12":
        assert table_of(after, version).equals(table_of(before, version))


def test_an_export_can_be_repeated(tmp_path):
    store = new_store()
    store.write([record(1, a=1.5, b="x"), record(2, a=None, b="")])
    export(store, tmp_path)
    (path,) = tmp_path.rglob("*.jsonl")
    content = path.read_bytes()
    assert path.relative_to(tmp_path).parts[:6] == ("wine", "AllTraffic", "2026", "01", "11", "17")
    export(store, tmp_path)
    assert [path.read_bytes() for path in tmp_path.rglob("*.jsonl")] == [content]


def test_csv_without_names_is_refused_when_the_features_change(tmp_path):
    store = new_store()
    late = copy_of(record(2, a=1.5, b="x"), captured_at=HOUR - timedelta(minutes=30))
    store.write([record(1, a=1.5)])
    store.write([late])
    window = Window(HOUR - timedelta(hours=1), HOUR + timedelta(hours=1))
    hours = captured_hours(store, "wine", "1", window)
    assert hours == [Window(HOUR - timedelta(hours=1), HOUR), WINDOW]
    arguments = (store, Folder(tmp_path), {("wine", "1"): hours})
    with pytest.raises(ModelwatchError, match="from 2026-01-11 17:00 on the features are others"):
        export_captures(*arguments, Encoding.CSV, False, nothing)
    (exported,) = export_captures(*arguments, Encoding.CSV, True, nothing)
    assert (exported.records, exported.files, exported.features) == (2, 2, ("a", "b"))


def line(number: int, given_text: str) -> str:
    """Return a line as an endpoint writes it."""
    return (
        '{"captureData": {"endpointInput": {"observedContentType": "text/csv", "mode": "INPUT",'
        f' "data": "{given_text}", "encoding": "CSV"}}, "endpointOutput": {{"mode": "OUTPUT",'
        ' "data": "0.5", "encoding": "CSV"}}, "eventMetadata": {"eventId": "e-'
        f'{number}", "inferenceTime": "2026-01-11T17:00:{number:02}Z"}}, "eventVersion": "0"}}\n'
    )


def test_a_column_has_one_type_in_all_files(tmp_path):
    folder = tmp_path / "endpoint/blue/2026/01/11/17"
    folder.mkdir(parents=True)
    (folder / "00-01.jsonl").write_text(line(1, "007,1,,true") + "\n" + line(2, "8,2,,false"))
    (folder / "00-03.jsonl").write_text(line(3, "A1,2.5,,"))
    store = new_store()
    done = bring_in(store, tmp_path, Reading("wine", "1", feature_names=("a", "b", "c", "d")))
    assert (done.stored, done.known) == (3, 0)
    table = store.read("wine", "1", WINDOW)
    assert table["feature_a"].to_pylist() == ["007", "8", "A1"]
    assert table["feature_b"].to_pylist() == [1.0, 2.0, 2.5]
    assert table["feature_c"].type == pa.float64()
    assert table["feature_d"].to_pylist() == [True, False, None]
    assert set(table["variant"].to_pylist()) == {"blue"}


@pytest.mark.parametrize(
    ("cell", "text"),
    [("INF", "INF"), ("-inf", "-inf"), ("1e999", "1e999"), ("1" + "0" * 400, "1" + "0" * 400)],
)
def test_what_is_no_number_lies_beside_the_numbers_of_its_column(tmp_path, cell, text):
    (tmp_path / "1.jsonl").write_text(line(1, "1.5") + line(2, cell) + line(3, "2"))
    store = new_store()
    assert bring_in(store, tmp_path, Reading("wine", "1", feature_names=("a",))).stored == 3
    table = store.read("wine", "1", WINDOW).sort_by("captured_at")
    assert table["feature_a"].to_pylist() == [1.5, None, 2.0]
    assert table["string_a"].to_pylist() == [None, text, None]


def test_a_whole_number_that_no_double_holds_is_kept_exactly(tmp_path):
    (tmp_path / "1.jsonl").write_text(line(1, "0.5") + line(2, str(2**53 + 1)))
    store = new_store()
    bring_in(store, tmp_path, Reading("wine", "1", feature_names=("a",)))
    table = store.read("wine", "1", WINDOW).sort_by("captured_at")
    assert table["feature_a"].to_pylist() == [0.5, None]
    assert table["long_a"].to_pylist() == [None, 2**53 + 1]


def test_new_files_of_a_source_bring_their_records_alone(tmp_path):
    store, reading = new_store(), Reading("wine", "1", feature_names=("a",))
    (tmp_path / "1.jsonl").write_text(line(1, "1") + line(2, "2") + line(1, "1"))
    first = bring_in(store, tmp_path, reading)
    (tmp_path / "2.jsonl").write_text(line(3, "3"))
    second = bring_in(store, tmp_path, reading)
    assert (first.stored, first.known) == (2, 1)
    assert (second.stored, second.known) == (1, 3)
    assert len(list(store.objects("wine", "1", WINDOW))) == 2


def test_a_bad_line_is_reported_with_its_place_and_the_good_ones_stay(tmp_path):
    (tmp_path / "1.jsonl").write_text(line(1, "1") + "\n" + line(2, "1,2") + "{\n")
    source, reading = Folder(tmp_path), Reading("wine", "1", feature_names=("a",))
    checked = check(source, list(source.keys(".jsonl")), reading, NOW_MS, nothing)
    assert [str(problem) for problem in checked.problems] == [
        "1.jsonl:3: captureData.endpointInput.data: has 2 values for 1 feature names",
        "1.jsonl:4: Input data was truncated",
    ]
    assert (checked.records, checked.problem_count) == (1, 2)
    store = new_store()
    done = store_records(store, source, checked, reading, NOW_MS, nothing, lambda _: EVERYTHING)
    assert done.stored == 1


def test_own_lines_bring_their_model_and_version(tmp_path):
    (tmp_path / "1.jsonl").write_bytes(encode_line(record(1, a=1), Encoding.JSON))
    store = new_store()
    bring_in(store, tmp_path / "1.jsonl", Reading())
    assert records_table([record(1, a=1)]).equals(store.read("wine", "1", WINDOW))
    bring_in(store, tmp_path, Reading(model_version="2"))
    assert store.read("wine", "2", WINDOW).num_rows == 1


@pytest.mark.parametrize(
    ("file", "variant"),
    [
        ("end/AllTraffic/2026/01/02/03/04-05-006-name.jsonl", "AllTraffic"),
        ("prefix/end/blue/2026/01/02/03/name.jsonl", "blue"),
        ("blue/2026/name.jsonl", ""),
        ("name.jsonl", ""),
    ],
)
def test_a_key_says_the_variant(file, variant):
    assert of_file(Reading(), file).variant == variant
    assert of_file(Reading(variant="green"), file).variant == "green"


def test_places_are_folders_and_buckets(tmp_path):
    folder = place(str(tmp_path), Settings({}))
    folder.write("a/b.jsonl", b"1")
    folder.write("a/b.jsonl", b"2")
    folder.write("c.txt", b"")
    assert list(folder.keys(".jsonl")) == ["a/b.jsonl"]
    assert folder.read("a/b.jsonl") == b"2"
    with pytest.raises(InvalidInputError, match="names no bucket"):
        place("s3://", Settings({}))
    with pytest.raises(InvalidInputError, match="is no file or folder"):
        list(place(str(tmp_path / "none"), Settings({})).keys(".jsonl"))


def test_what_the_monitor_keeps_back_is_not_stored(tmp_path: Path) -> None:
    first, store = new_store(), new_store()
    first.write([record(number, colour=f"colour {number}", age=31) for number in range(40)])
    export(first, tmp_path)
    policy = read_policy('{"colour": "drop", "age": {"bucket": 10}}')
    done = bring_in(store, tmp_path, Reading(), CaptureRules(policy, 0.5))
    found = table_of(store, "1")
    assert 0 < done.stored == found.num_rows == 40 - done.left_out < 40
    assert set(found["feature_age"].to_pylist()) == {30}
    assert set(found["sample_rate"].to_pylist()) == {0.5}
    assert not [name for name in found.column_names if "colour" in name]
