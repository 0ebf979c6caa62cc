"""Tables of a user's own columns, imported: whole, once, and the same however they are ordered."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.storing import Stored
from modelwatch_cli.capture.tables.columns import Meaning, meaning_of, read_text, time_of
from modelwatch_cli.capture.tables.command import TableOptions, import_table
from modelwatch_cli.capture.tables.importing import Checked, Rejected, TableImport
from modelwatch_cli.capture.tables.mapping import UNITS, TableMapping, TimeUnit
from modelwatch_cli.capture.tables.reading import Table, open_table
from modelwatch_cli.capture.tables.sources import fetch, is_table, keys_of_table
from modelwatch_cli.capture.tables.whole import GivenTable
from modelwatch_cli.main import app
from modelwatch_cli.settings import Settings

HOUR = datetime(2026, 1, 11, 17, tzinfo=UTC)
EVERYTHING = CaptureRules()
NOW_MS = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)


def opened(path: Path) -> Table:
    return open_table(fetch(str(path), Settings({}), path, lambda _: None))


def do_import(
    s3: InMemoryS3,
    path: Path,
    types: dict[str, str] | None = None,
    rules: CaptureRules = EVERYTHING,
    **columns: Any,
) -> tuple[Checked, list[Rejected], Stored, Stored]:
    if "event_id" in columns:
        columns["id"] = columns.pop("event_id")
    mapping = TableMapping(prediction="said", timestamp="at", **columns)
    table = opened(path)
    meaning = meaning_of(table.columns, mapping)
    work = TableImport(
        table,
        meaning,
        model_name="churn",
        model_version="3",
        variant="",
        types=types or {},
        now_ms=NOW_MS,
        rules=rules,
        unit=mapping.timestamp_unit,
        zone=mapping.zone,
    )
    rejected: list[Rejected] = []
    with closing(work):
        checked = work.check(rejected.append)
        records, labels = work.store(S3RecordStore(s3, "captures"), S3LabelStore(s3, "captures"))
    return checked, rejected, records, labels


def stored(s3: InMemoryS3) -> list[dict[str, Any]]:
    window = Window(HOUR - timedelta(days=1), HOUR + timedelta(days=1))
    return list(S3RecordStore(s3, "captures").read("churn", "3", window).to_pylist())


def write(tmp_path: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


CSV = (
    "id,at,age,city,said,truth\n"
    "a,2026-01-11T17:00:01Z,31,Ulm,yes,yes\n"
    "b,2026-01-11T17:59:59+00:00, 42.5,,no,yes\n"
    "c,2026-01-11 18:00:00,NA,Köln,no,\n"
)


def test_a_csv_file_with_labels(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    path = write(tmp_path, "t.csv", CSV, "utf-8-sig")
    checked, rejected, records, labels = do_import(s3, path, label="truth", event_id="id")
    assert (checked.rows, rejected) == (3, [])
    assert checked.letters == {"": "s", "age": "d", "city": "s"}
    assert checked.without_zone == 1
    assert (records.stored, labels.stored) == (3, 2)
    rows = stored(s3)
    assert [row["feature_age"] for row in rows] == [31.0, 42.5, None]
    assert [row["feature_city"] for row in rows] == ["Ulm", None, "Köln"]
    assert [row["prediction_label"] for row in rows] == ["yes", "no", "no"]
    assert {row["source"] for row in rows} == {"import"}
    assert sum("captures/" in key for key in s3.objects) == 2, "an object an hour"


def test_an_import_again_stores_nothing_again(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    path = write(tmp_path, "t.csv", CSV)
    do_import(s3, path, label="truth", event_id="id")
    before = dict(s3.objects)
    _, _, records, labels = do_import(s3, path, label="truth", event_id="id")
    assert (records.stored, records.known, labels.stored, labels.known) == (0, 3, 0, 2)
    assert s3.objects == before


KEY = "a key of sixteen characters or more"


def test_what_the_monitor_keeps_back_is_not_stored(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    policy = read_policy('{"age": {"bucket": 10}, "city": "hash", "note": "drop"}', KEY)
    rows = "2026-01-11T17:00:01Z,31,Ulm,secret,yes\n2026-01-11T17:00:02Z,,,,no\n"
    text = f"at,age,city,note,said\n{rows}"
    _, _, records, _ = do_import(s3, write(tmp_path, "t.csv", text), rules=CaptureRules(policy))
    assert (records.stored, records.left_out) == (2, 0)
    first, second = stored(s3)
    assert (first["feature_age"], second["feature_age"]) == (30, None)
    assert first["feature_city"] == policy.change("city", "hash")("Ulm")
    assert "feature_note" not in first
    assert not any(word in body for body in s3.objects.values() for word in (b"Ulm", b"secret"))
    # the id without an id of its own is that of the row as it is stored, and tells no more
    other = InMemoryS3()
    guess = text.replace("secret", "guess").replace("31", "39")
    do_import(other, write(tmp_path, "o.csv", guess), rules=CaptureRules(policy))
    assert [row["event_id"] for row in stored(other)] == [first["event_id"], second["event_id"]]


def test_the_monitors_sample_is_that_of_ids_and_has_the_labels_of_its_rows(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    rows = "".join(f"{n},2026-01-11T17:00:00Z,{n},yes,yes\n" for n in range(200))
    path = write(tmp_path, "t.csv", f"id,at,age,said,truth\n{rows}")
    rules = CaptureRules(sample_rate=0.25)
    _, _, records, labels = do_import(s3, path, rules=rules, label="truth", event_id="id")
    found = stored(s3)
    assert 0 < len(found) == records.stored == labels.stored == 200 - records.left_out < 200
    assert all(is_sampled(row["event_id"], 0.25) for row in found)
    assert {row["sample_rate"] for row in found} == {0.25}


def test_a_monitor_that_lets_nothing_of_a_row_be_captured_leaves_its_count(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    policy = read_policy('{"*": "drop", "prediction": "drop"}')
    do_import(s3, write(tmp_path, "t.csv", CSV), rules=CaptureRules(policy), event_id="id")
    assert [row["prediction_label"] for row in stored(s3)] == [None] * 3
    assert not any(name.startswith("feature_") for row in stored(s3) for name in row)


def test_without_ids_equal_rows_are_different_predictions_and_stay_so(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    row = "2026-01-11T17:00:01Z,1,no\n"
    path = write(tmp_path, "t.csv", "at,age,said\n" + row * 3)
    do_import(s3, path)
    _, _, records, _ = do_import(s3, path)
    assert (records.stored, records.known) == (0, 3)
    assert len({row["event_id"] for row in stored(s3)}) == 3


def test_the_order_of_the_rows_changes_nothing(tmp_path: Path) -> None:
    lines = CSV.splitlines(keepends=True)
    forward, backward = InMemoryS3(), InMemoryS3()
    do_import(forward, write(tmp_path, "f.csv", CSV), label="truth")
    do_import(backward, write(tmp_path, "b.csv", lines[0] + "".join(lines[:0:-1])), label="truth")
    assert stored(forward) == stored(backward)
    assert forward.objects.keys() == backward.objects.keys()


def test_parquet_and_json_lines_are_the_same_records(tmp_path: Path) -> None:
    rows = [
        {"at": HOUR, "age": 31, "member": True, "said": 1},
        {"at": HOUR + timedelta(seconds=1), "age": None, "member": False, "said": 0},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    text = "".join(
        f"{json.dumps({**row, 'at': row['at'].isoformat()})}\n"  # type: ignore[attr-defined]
        for row in rows
    )
    from_parquet, from_json = InMemoryS3(), InMemoryS3()
    checked, *_ = do_import(from_parquet, tmp_path / "t.parquet")
    do_import(from_parquet, tmp_path / "t.parquet")
    do_import(from_json, write(tmp_path, "t.jsonl", text))
    assert checked.letters == {"": "l", "age": "l", "member": "b"}
    assert stored(from_parquet) == stored(from_json)
    assert [row["feature_member"] for row in stored(from_json)] == [True, False]


def test_the_same_table_in_another_format_or_order_of_columns_adds_nothing(tmp_path: Path) -> None:
    rows = [
        {
            "at": HOUR,
            "id": 2**53 + 1,
            "size": 0.1,
            "new": True,
            "city": "Köln, am Rhein",
            "said": 1,
        },
        {"at": HOUR, "id": 2**53 + 3, "size": -2.0, "new": None, "city": None, "said": 0},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    at = HOUR.isoformat()
    csv = (
        "said,city,new,size,id,at\n"
        f'1,"Köln, am Rhein",true,0.10,{2**53 + 1},{at}\n'
        f"0,,,-2,{2**53 + 3},{at}\n"
    )
    # without the second row, or with it alone, columns have other types
    json_line = json.dumps({**rows[1], "at": at, "size": -2}) + "\n"
    s3 = InMemoryS3()
    do_import(s3, tmp_path / "t.parquet")
    for name, text in (("t.csv", csv), ("t.jsonl", json_line)):
        _, _, records, _ = do_import(s3, write(tmp_path, name, text))
        assert records.stored == 0
        assert records.known
    assert len(stored(s3)) == 2


def test_classes_that_look_like_numbers_stay_what_the_file_has(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    text = "at,age,said,truth\n" + "".join(
        f"2026-01-11T17:00:0{number}Z,1,{said},{said}\n"
        for number, said in enumerate(["1.0", "1e5", "True", "red"])
    )
    do_import(s3, write(tmp_path, "t.csv", text), label="truth")
    assert [row["prediction_label"] for row in stored(s3)] == ["1.0", "1e5", "True", "red"]
    labels = S3LabelStore(s3, "captures")
    found = labels.read(labels.objects(HOUR.date())[HOUR])
    assert sorted(found["label_text"].to_pylist()) == ["1.0", "1e5", "True", "red"]


def test_codes_stay_text(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    text = "at,zip,said\n2026-01-11T17:00:00Z,02134,1\n2026-01-11T17:00:01Z,10001,1\n"
    checked, *_ = do_import(s3, write(tmp_path, "t.csv", text))
    assert checked.letters["zip"] == "s"
    assert [row["feature_zip"] for row in stored(s3)] == ["02134", "10001"]


def test_the_schema_of_the_model_wins(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    text = "at,grade,said\n2026-01-11T17:00:00Z,1,1\n"
    checked, *_ = do_import(s3, write(tmp_path, "t.csv", text), types={"grade": "s"})
    assert checked.letters["grade"] == "s"
    assert [row["feature_grade"] for row in stored(s3)] == ["1"]


def test_rows_that_cannot_be_used_are_named_and_the_others_stay(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    text = (
        "at,age,said\n"
        "2026-01-11T17:00:00Z,1,1\n"
        "yesterday,1,1\n"
        "2026-01-11T17:00:00Z,1\n"
        "2026-01-11T17:00:02Z,1,\n"
        "2035-01-01T00:00:00Z,1,1\n"
        ",1,1\n"
    )
    checked, rejected, records, _ = do_import(s3, write(tmp_path, "t.csv", text))
    assert (checked.rows, checked.rejected, records.stored) == (1, 5, 1)
    assert [each.row for each in rejected] == [3, 4, 5, 6, 7]
    reasons = "\n".join(each.reason for each in rejected)
    for part in (
        "at: found 'yesterday', expected a time",
        "has 2 values for 3 columns",
        "said: the prediction is missing",
        "is in the future",
        "at: found nothing",
    ):
        assert part in reasons
    assert rejected[0].values["at"] == "yesterday"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("t.xlsx", "", "expected a file that ends in one of"),
        ("t.csv", "", "has no columns"),
        ("t.csv", "a,a\n1,2\n", "more than one column with the name a"),
        ("t.parquet", "no", "is no Parquet file"),
        ("t.jsonl", "[1]\n", "is no JSON object"),
        ("t.jsonl", "", "line 1 is missing"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        opened(write(tmp_path, name, text))


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", CSV, "latin-1")
    with pytest.raises(ModelwatchError, match="line 4 is not UTF-8"):
        list(opened(path).rows())


def test_columns_that_are_not_there_or_twice_used_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"--prediction.*'x'.*the columns are a, b"):
        meaning_of(["a", "b"], TableMapping(prediction="x", timestamp="a"))
    with pytest.raises(InvalidInputError, match=r"--timestamp.*given by --prediction"):
        meaning_of(["a", "b"], TableMapping(prediction="a", timestamp="a"))
    with pytest.raises(InvalidInputError, match="no column left"):
        meaning_of(["a", "b"], TableMapping(prediction="a", timestamp="b"))
    mapping = TableMapping(prediction="a", timestamp="b", ignore=("d",))
    assert meaning_of(["a", "b", "c", "d"], mapping) == Meaning("a", "b", ("c",))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-01-11T17:00:00Z", HOUR),
        ("2026-01-11T18:00:00+01:00", HOUR),
        ("2026-01-11 17:00:00", HOUR),
        (HOUR.timestamp(), HOUR),
        (str(int(HOUR.timestamp() * 1000)), HOUR),
        (HOUR.replace(tzinfo=None), HOUR),
    ],
)
def test_times(cell: Any, expected: datetime) -> None:
    assert time_of(cell)[0] == expected


@pytest.mark.parametrize("cell", ["", None, "noon", True, "1e400", float("nan")])
def test_no_times(cell: Any) -> None:
    with pytest.raises(InvalidInputError, match="expected a time"):
        time_of(cell)


def test_numbers_too_large_stay_text() -> None:
    assert read_text("1e999") == "1e999"
    assert read_text("9" * 400) == "9" * 400


def at(second: int) -> str:
    return f"2026-01-11T17:00:{second:02d}Z"


@pytest.mark.parametrize("header", ["at,said,a\x0bb", f"at,said,{'x' * 251}"])
def test_a_column_that_no_record_can_have_is_refused_before_a_row_is_read(tmp_path, header):
    path = write(tmp_path, "t.csv", f"{header}\n{at(0)},1,2\n")
    with pytest.raises(InvalidInputError, match=r"--features: .* is no name of a feature"):
        do_import(InMemoryS3(), path)


def test_the_index_of_a_data_frame_is_no_feature(tmp_path):
    s3 = InMemoryS3()
    do_import(s3, write(tmp_path, "t.csv", f",at,a,said\n0,{at(0)},2,1\n1,{at(1)},3,1\n"))
    assert sorted(row["feature_a"] for row in stored(s3)) == [2, 3]
    assert not any("feature_" in row for row in stored(s3))


def test_lines_that_end_as_on_an_old_mac_are_named_so(tmp_path):
    path = write(tmp_path, "t.csv", f"at,a,said\r{at(0)},2,1\r")
    with pytest.raises(InvalidInputError, match="line 1: lines end with a carriage return alone"):
        do_import(InMemoryS3(), path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["t.xlsx"], True),
        (["t.feather", "notes.txt"], True),
        (["a.csv"], True),
        (["a.jsonl", "b.parquet"], True),
        (["a.jsonl"], False),
        (["a.jsonl", "notes.txt"], False),
        ([], False),
    ],
)
def test_what_is_no_file_of_sagemaker_is_read_as_a_table(tmp_path, names, expected):
    for name in names:
        write(tmp_path, name, "x")
    assert is_table(str(tmp_path), Settings({})) is expected
    if len(names) == 1 and expected:
        assert is_table(str(tmp_path / names[0]), Settings({}))


def test_whole_numbers_that_no_record_holds_are_texts_and_no_predictions(tmp_path):
    whole = ["12345678901234567891", "9223372036854775808", "9223372036854775807", "7"]
    text = "at,n,said\n" + "".join(f"{at(n)},{each},1\n" for n, each in enumerate(whole))
    lines = "".join(
        f'{{"at": "{at(n)}", "n": {each}, "said": 1}}\n' for n, each in enumerate(whole)
    )
    decimals = pa.array([Decimal(each) for each in whole])
    times = [datetime(2026, 1, 11, 17, 0, n, tzinfo=UTC) for n in range(4)]
    pq.write_table(pa.table({"at": times, "n": decimals, "said": [1] * 4}), tmp_path / "t.parquet")
    paths = [write(tmp_path, "t.csv", text), write(tmp_path, "t.jsonl", lines)]
    for path in (*paths, tmp_path / "t.parquet"):
        s3 = InMemoryS3()
        checked, *_ = do_import(s3, path)
        assert checked.rejected == 0
        rows = stored(s3)
        # 2**63 is a double; the largest whole number is kept exactly beside it
        assert rows[0]["string_n"] == "12345678901234567891"
        assert (rows[1].get("string_n"), rows[2]["long_n"]) == (None, 2**63 - 1)

    swapped = lines.replace('"n"', '"m"').replace('"said"', '"n"').replace('"m"', '"said"')
    for path in (
        write(tmp_path, "p.csv", text.replace("n,said", "said,n")),
        write(tmp_path, "p.jsonl", swapped),
    ):
        checked, rejected, records, _ = do_import(InMemoryS3(), path)
        assert (checked.rejected, records.stored) == (1, 3)
        reason = "said: '12345678901234567891' is no finite number of 64 bits"
        assert rejected[0].reason == reason


def test_an_infinite_prediction_is_refused_and_the_others_stay_numbers(tmp_path: Path) -> None:
    for said in ("inf", "-Infinity", "1e999"):
        s3 = InMemoryS3()
        path = write(tmp_path, "t.csv", f"at,n,said\n{at(0)},1,0.5\n{at(1)},1,{said}\n")
        checked, rejected, *_ = do_import(s3, path)
        assert (checked.letters[""], [row["prediction"] for row in stored(s3)]) == ("d", [0.5])
        assert rejected[0].reason == f"said: '{said}' is no finite number of 64 bits"
        assert checked.last == checked.first, "a row that is refused is not counted"


def test_a_row_without_an_id_is_refused_whatever_stands_for_it(tmp_path: Path) -> None:
    text = "".join(f"{at(n)},{each},1,1\n" for n, each in enumerate(["", "NA", " ", "null", "7"]))
    checked, *_ = do_import(
        InMemoryS3(), write(tmp_path, "t.csv", "at,id,n,said\n" + text), event_id="id"
    )
    assert (checked.rows, checked.rejected) == (1, 4)

    rows = [{"at": HOUR, "id": each, "n": 1, "said": 1} for each in (1.0, None, float("nan"), 7.0)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    s3 = InMemoryS3()
    checked, *_ = do_import(s3, tmp_path / "t.parquet", event_id="id")
    assert (checked.rows, checked.rejected) == (2, 2)
    whole = InMemoryS3()
    lines = "".join(f'{{"at": "{at(0)}", "id": {each}, "n": 1, "said": 1}}\n' for each in (1, 7))
    do_import(whole, write(tmp_path, "t.jsonl", lines), event_id="id")
    assert {row["event_id"] for row in stored(s3)} == {row["event_id"] for row in stored(whole)}


def test_a_name_that_a_later_json_line_brings_is_a_column_and_one_twice_is_refused(tmp_path):
    lines = (
        f'{{"at": "{at(0)}", "said": 1, "a": 1}}\n'
        f'{{"at": "{at(1)}", "said": 1, "a": 2, "b": "say \\"b\\""}}\n'
        f'{{"at": "{at(2)}", "said": 1, "a": 2, "a": 3}}\n'
    )
    s3 = InMemoryS3()
    _, rejected, *_ = do_import(s3, write(tmp_path, "t.jsonl", lines))
    assert [row["feature_b"] for row in stored(s3)] == [None, 'say "b"']
    assert [row.reason for row in rejected] == ["a: is there twice; give it once"]


def test_text_after_a_closing_quotation_mark_is_refused(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    path = write(tmp_path, "t.csv", f'at,a,said\n{at(0)},"x"y,1\n{at(1)},"two\nlines",1\n')
    _, rejected, *_ = do_import(s3, path)
    assert [row["feature_a"] for row in stored(s3)] == ["two\nlines"]
    assert "is no line of a CSV file" in rejected[0].reason


def test_a_time_that_no_calendar_has_is_named_and_bytes_are_refused(tmp_path: Path) -> None:
    column = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"at": column, "a": [1], "said": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ModelwatchError, match="the rows after 0 cannot be read"):
        do_import(InMemoryS3(), tmp_path / "t.parquet")
    for kind in (pa.binary(2), pa.dictionary(pa.int8(), pa.binary())):
        cells = (
            pa.array([b"ab"], pa.binary()).cast(pa.binary(2))
            if kind == pa.binary(2)
            else (pa.array([b"ab"]).dictionary_encode().cast(kind))
        )
        pq.write_table(pa.table({"at": [HOUR], "a": cells, "said": [1]}), tmp_path / "t.parquet")
        with pytest.raises(InvalidInputError, match="column a is of type"):
            do_import(InMemoryS3(), tmp_path / "t.parquet")


def test_the_table_itself_is_no_file_for_rejected_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", CSV)
    mapping = TableMapping(version="3", prediction="said", timestamp="at")
    options = TableOptions(GivenTable(str(path), "churn", "", mapping, dry_run=True), path)
    with pytest.raises(InvalidInputError, match="--rejected: is the table itself"):
        import_table(Settings({}), options, as_json=True)
    assert path.read_text() == CSV


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_what_separates_values_is_seen_in_the_header(tmp_path: Path, mark: str) -> None:
    s3 = InMemoryS3()
    text = CSV.replace(",", mark)
    checked, rejected, _, labels = do_import(
        s3, write(tmp_path, "t.csv", text), label="truth", event_id="id"
    )
    assert (checked.rows, rejected, labels.stored) == (3, [], 2)
    assert [row["feature_age"] for row in stored(s3)] == [31.0, 42.5, None]


def test_a_decimal_comma_is_refused_with_its_column(tmp_path: Path) -> None:
    text = (
        "at;age;code;said\n"
        "2026-01-11T17:00:00Z;42.5;1,5;1\n"
        "2026-01-11T17:00:01Z;42,5;x;1\n"
        "2026-01-11T17:00:02Z;1.234,5;x;1\n"
        "2026-01-11T17:00:03Z;3;x;0,5\n"
    )
    path = write(tmp_path, "t.csv", text)
    checked, rejected, *_ = do_import(InMemoryS3(), path, types={"code": "s"})
    assert checked.rows == 1
    problem = "has a decimal comma; write numbers with a point"
    assert [(row.row, row.reason) for row in rejected] == [
        (3, f"age: '42,5' {problem}"),
        (4, f"age: '1.234,5' {problem}"),
        (5, f"said: '0,5' {problem}"),
    ]
    # a column that is text may have any text
    _, rejected, *_ = do_import(InMemoryS3(), path)
    assert [row.row for row in rejected] == [2, 3, 4, 5]


REPEATED = (
    "id,at,age,said,truth\n"
    "a,2026-01-11T17:00:01Z,31,yes,yes\n"
    "b,2026-01-11T17:00:02Z,32,no,yes\n"
    "a,2026-01-11T17:00:01Z,31,yes,yes\n"  # the same again
    "a,2026-01-11T17:00:01Z,99,yes,yes\n"  # another value
    "b,2026-01-11T18:00:02Z,32,no,yes\n"  # another hour
    "b,2026-01-11T17:00:02Z,32,no,no\n"  # another label
)


def test_a_repeated_id_with_another_content_is_rejected(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    path = write(tmp_path, "t.csv", REPEATED)
    checked, rejected, records, labels = do_import(s3, path, label="truth", event_id="id")
    assert (checked.rows, checked.repeated, checked.rejected) == (2, 1, 3)
    assert [(row.row, row.reason) for row in rejected] == [
        (5, "id: the id 'a' is that of row 2, which differs"),
        (6, "id: the id 'b' is that of row 3, which differs"),
        (7, "id: the id 'b' is that of row 3, which differs"),
    ]
    assert (records.stored, records.known, labels.stored, labels.known) == (2, 0, 2, 0)
    assert [row["feature_age"] for row in stored(s3)] == [31, 32]


def test_a_class_with_the_name_of_a_missing_value_is_one_where_the_file_has_types(tmp_path):
    rows = [{"at": HOUR, "age": 1, "said": "None", "truth": "NA"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    s3 = InMemoryS3()
    checked, rejected, _, labels = do_import(s3, tmp_path / "t.parquet", label="truth")
    assert (checked.rows, rejected, labels.stored) == (1, [], 1)
    assert [row["prediction_label"] for row in stored(s3)] == ["None"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("0.75,0.75", "p0, p1: are not from 0 to 1 with the sum 1"),
        ("1.5,-0.5", "p0: found '1.5', expected a number from 0 to 1"),
    ],
)
def test_scores_that_are_no_probabilities_are_rejected(values, problem, tmp_path):
    path = write(tmp_path, "t.csv", f"at,age,said,p0,p1\n2026-01-11T17:00:01Z,1,no,{values}\n")
    _, rejected, _, _ = do_import(InMemoryS3(), path, probabilities=["p0", "p1"])
    assert problem in rejected[0].reason


def test_a_label_that_no_request_could_bring_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", f"at,age,said,truth\n2026-01-11T17:00:01Z,1,no,{'x' * 1001}\n")
    _, rejected, _, _ = do_import(InMemoryS3(), path, label="truth")
    assert rejected[0].reason == "truth: has 1001 characters; a label has at most 1000"


def write_parts(folder: Path, tables: dict[str, pa.Table]) -> Path:
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)
    return folder


def test_a_partitioned_folder_is_one_table(tmp_path: Path) -> None:
    """Columns of the folders' names, files that lack a column or have another type of it."""
    times = [HOUR + timedelta(seconds=second) for second in range(4)]
    folder = write_parts(
        tmp_path / "scores",
        {
            "date=2026-01-11/city=K%C3%B6ln/part-0.parquet": pa.table(
                {"at": times[:2], "n": [1, 2], "said": [1, 0], "id": ["a", "b"]}
            ),
            "date=2026-01-11/city=Ulm/part-1.parquet": pa.table(
                {"at": times[2:], "n": [2.5, None], "said": [1, 0], "id": ["c", "a"], "x": [1, 2]}
            ),
        },
    )
    (folder / "_SUCCESS").write_text("")
    s3 = InMemoryS3()
    checked, rejected, records, _ = do_import(s3, folder, event_id="id", ignore=("date",))
    assert (checked.rows, records.stored) == (3, 3)
    assert checked.letters == {"": "l", "n": "d", "city": "s", "x": "l"}
    found = [(row["feature_n"], row["feature_city"], row["feature_x"]) for row in stored(s3)]
    assert found == [(1.0, "Köln", None), (2.0, "Köln", None), (2.5, "Ulm", 1)]
    (twice,) = rejected
    assert twice.file.endswith("part-1.parquet")
    assert "the id 'a' is that of " in twice.reason
    assert "part-0.parquet row 1, which differs" in twice.reason


def test_a_folder_with_what_is_no_table_or_of_several_formats_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", CSV)
    write(tmp_path, "b.jsonl", "{}")
    with pytest.raises(InvalidInputError, match=r"several formats \(csv, jsonl\)"):
        opened(tmp_path)
    write(tmp_path, "c.xlsx", "")
    with pytest.raises(InvalidInputError, match=r"c\.xlsx: is no table"):
        opened(tmp_path)
    with pytest.raises(InvalidInputError, match="is no file and no folder"):
        opened(tmp_path / "missing")


def test_files_without_a_byte_are_no_part_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "")
    with pytest.raises(InvalidInputError, match="has no columns"):
        opened(tmp_path)
    write(tmp_path, "b.csv", CSV)
    write(tmp_path, "c.csv", "at,said\n")
    checked, *_ = do_import(InMemoryS3(), tmp_path)
    assert checked.rows == 3


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst"])
def test_a_packed_file_is_read_and_a_damaged_one_named(tmp_path: Path, ending: str) -> None:
    codec = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}[ending]
    path = tmp_path / f"t.csv.{ending}"
    with pa.CompressedOutputStream(str(path), codec) as out:
        out.write(CSV.encode("utf-8-sig"))
    checked, *_ = do_import(InMemoryS3(), path)
    assert checked.rows == 3
    path.write_bytes(b"no " + path.read_bytes())
    with pytest.raises(ModelwatchError, match=f"damaged, or is not packed with {codec}"):
        do_import(InMemoryS3(), path)


def test_a_nested_column_is_refused_unless_it_is_left_out(tmp_path: Path) -> None:
    table = pa.table({"at": [HOUR], "a.b": [1], "ü x": ["y"], "said": [1], "a": [{"b": [1]}]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match=r"column a is of type struct.*--ignore"):
        do_import(InMemoryS3(), tmp_path / "t.parquet")
    s3 = InMemoryS3()
    do_import(s3, tmp_path / "t.parquet", ignore=("a",))
    assert [(row["feature_a.b"], row["feature_ü x"]) for row in stored(s3)] == [(1, "y")]
    write(tmp_path, "t.jsonl", f'{{"at": "{at(0)}", "said": 1, "a": [1], "b": 2}}\n')
    _, rejected, *_ = do_import(InMemoryS3(), tmp_path / "t.jsonl")
    assert "a: is a list or an object" in rejected[0].reason
    assert do_import(InMemoryS3(), tmp_path / "t.jsonl", ignore=("a",))[0].rows == 1


def test_every_flat_type_of_arrow_is_a_feature(tmp_path: Path) -> None:
    columns = {
        "at": pa.array([1_768_150_800_000_000_123] * 2, pa.timestamp("ns", "Europe/Berlin")),
        "said": pa.array([True, False]),
        "nullable": pa.array([1, None], pa.int8()),
        "decimal": pa.array([None, 2], pa.decimal128(10, 2)),
        "category": pa.array(["a", None]).dictionary_encode(),
        "codes": pa.array([7, 8]).dictionary_encode(),
        "day": pa.array([20464, None], pa.date32()),
        "span": pa.array([1, 2], pa.duration("s")),
        "empty": pa.nulls(2),
        "half": pa.array([1.5, float("nan")], pa.float32()),
        "large": pa.array([2**63 - 1, 0], pa.uint64()),
        "text": pa.array(["x" * 100_000, ""], pa.large_string()),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    s3 = InMemoryS3()
    checked, rejected, records, _ = do_import(s3, tmp_path / "t.parquet")
    assert (rejected, records.stored) == ([], 2)
    assert checked.letters[""] == "b"
    first = min(stored(s3), key=lambda row: row["feature_large"] == 0)
    assert first["captured_at"] == HOUR
    values = {name: first[f"feature_{name}"] for name in columns if name not in ("at", "said")}
    assert values == {
        "nullable": 1, "decimal": None, "category": "a", "codes": 7, "day": "2026-01-11",
        "span": 1.0, "empty": None, "half": 1.5, "large": 2**63 - 1, "text": "x" * 100_000,
    }  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_a_tsv_file_has_tabs_whatever_else_its_header_has(tmp_path: Path, packed: bool) -> None:
    path = write(tmp_path, "t.tsv", f"at\tarea, in m², net\tsaid\n{at(0)}\t7\tyes\n")
    if packed:
        path = tmp_path / "t.tsv.gz"
        path.write_bytes(gzip.compress((tmp_path / "t.tsv").read_bytes()))
    s3 = InMemoryS3()
    do_import(s3, path)
    assert [row["feature_area, in m², net"] for row in stored(s3)] == [7]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_numbers_are_times_of_the_unit_that_is_said(tmp_path: Path, unit: TimeUnit) -> None:
    number = int(HOUR.timestamp()) * UNITS[unit]
    path = write(tmp_path, "t.csv", f"at,n,said\n{number},1,1\n")
    checked, rejected, *_ = do_import(InMemoryS3(), path, timestamp_unit=unit)
    assert (checked.first, rejected) == (HOUR, [])
    if unit in ("us", "ns"):
        _, rejected, *_ = do_import(InMemoryS3(), path)
        assert "at: " in rejected[0].reason


def test_times_without_a_zone_are_in_the_one_that_is_said(tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert time_of("2026-01-11 18:00:00", zone=berlin) == (HOUR, True)
    assert time_of("2026-01-11T17:00:00Z", zone=berlin) == (HOUR, False)
    # shown twice: the first
    assert time_of("2025-10-26 02:30:00", zone=berlin)[0].hour == 0
    with pytest.raises(InvalidInputError, match="is no time in Europe/Berlin"):
        time_of("2026-03-29 02:30:00", zone=berlin)
    with pytest.raises(InvalidInputError, match=r"--time-zone: 'Berlin' is no time zone"):
        do_import(InMemoryS3(), write(tmp_path, "t.csv", CSV), time_zone="Berlin")


def test_changed_rows_are_named_and_what_is_stored_stays(tmp_path: Path) -> None:
    s3 = InMemoryS3()
    do_import(s3, write(tmp_path, "t.csv", CSV), label="truth", event_id="id")
    before = dict(s3.objects)
    changed = CSV.replace("31,Ulm", "32,Ulm").replace("no,yes", "no,no") + f"d,{at(3)},1,Ulm,no,\n"
    mapping = TableMapping(prediction="said", timestamp="at", label="truth", id="id")
    table = opened(write(tmp_path, "t.csv", changed))
    work = TableImport(
        table, meaning_of(table.columns, mapping), model_name="churn", model_version="3",
        variant="", types={}, now_ms=NOW_MS, rules=EVERYTHING,
    )  # fmt: skip
    places: list[str] = []
    with closing(work):
        work.check()
        stores = S3RecordStore(s3, "captures"), S3LabelStore(s3, "captures")
        records, labels = work.store(*stores, changed=places.append)
    assert (records.stored, records.known, records.changed) == (1, 3, 1)
    assert (labels.stored, labels.changed) == (0, 1)
    assert places == ["row 2", "row 3"]
    assert before.items() <= s3.objects.items()


def test_what_nothing_names_is_what_its_column_is_called() -> None:
    columns = ("timestamp", "prediction", "label", "id", "n")
    assert TableMapping().by_names(columns) == TableMapping(
        timestamp="timestamp", prediction="prediction", label="label", id="id"
    )
    mapping = TableMapping(prediction="n", features=("label",), ignore=("id",)).by_names(columns)
    assert (mapping.prediction, mapping.label, mapping.id) == ("n", "", "")


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("scores", ["scores/a.csv", "scores/date=1/b.csv"]),
        ("scores/", ["scores/a.csv", "scores/date=1/b.csv"]),
        ("scores/a.csv", ["scores/a.csv"]),
        ("a.csv", []),
        ("", ["a.csv.gz", "scores-old/a.csv", "scores/a.csv", "scores/date=1/b.csv"]),
    ],
)
def test_a_prefix_of_a_bucket_is_a_file_or_a_folder(prefix: str, expected: list[str]) -> None:
    s3 = InMemoryS3()
    for key in (
        "a.csv.gz", "scores-old/a.csv", "scores/a.csv", "scores/date=1/b.csv",
        "scores/_SUCCESS", "scores/_tmp/c.csv", "scores/",
    ):  # fmt: skip
        s3.put_object(Key=key, Body=b"x")
    found = [key for key, _ in keys_of_table(S3Objects(s3, "warehouse"), prefix)]
    assert found == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--model", "other"), "is the monitor of churn"),
        (("--monitor", "wrong.toml"), "table.lable: is no part of a table"),
        ((), "--timestamp: is missing, and no column is named timestamp"),
    ],
)
def test_what_is_wrong_with_the_monitors_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_REGISTRY", f"file://{tmp_path}")
    write(tmp_path, "t.csv", "at,n,said\n")
    write(tmp_path, "churn.toml", '[table]\nversion = "3"\nprediction = "said"\n')
    write(tmp_path, "wrong.toml", '[table]\nlable = "x"\n')
    asked = ["captures", "import", "t.csv", "--monitor", "churn.toml", *options]
    outcome = CliRunner().invoke(app, asked)
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, ModelwatchError)
    assert problem in str(outcome.exception)
