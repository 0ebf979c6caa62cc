"""One table declares a record's fields; messages, columns, SageMaker's form, docs follow it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from modelwatch.adapters.captures.parquet import (
    FIXED_SCHEMA,
    read_table,
    records_table,
    write_table,
)
from modelwatch.domain.blocks import HEAD_FIELDS, Head, blocks_of
from modelwatch.domain.packing import pack, unpack
from modelwatch.domain.records import FIELDS, Record, decode_record, encode_record
from modelwatch_cli.capture.sagemaker.exporting import records_of
from modelwatch_cli.capture.sagemaker.form import Encoding, encode_line
from modelwatch_cli.capture.sagemaker.lines import decode_line
from modelwatch_cli.capture.sagemaker.payloads import Reading

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "read-captures.md"
NOW_MS = 1_800_000_000_000

FULL = Record(
    event_id="018bcfe5-6800-7000-8000-000000000000",
    captured_at=datetime(2026, 3, 1, 12, 5, 7, 123000, tzinfo=UTC),
    model_name="wine",
    model_version="3",
    variant="champion",
    features={"alcohol": 13.5},
    prediction=2.5,
    probabilities=[0.25, 0.75],
    latency_ms=1.5,
    source="predict",
    types="d",
    sample_rate=0.5,
    lost_before=7,
)
FAILED = msgspec.structs.replace(FULL, prediction=None, probabilities=None, error="no number")


def packed(record: Record) -> Record:
    (block,) = blocks_of([record])
    found, refusals = unpack(pack(block).decode(), NOW_MS)
    assert found is not None
    assert not refusals
    return found.records()[0]


def stored(record: Record) -> Record:
    table = read_table(write_table(records_table([record])))
    (found,) = records_of(table, record.model_name, record.model_version)
    return found


def in_json(record: Record) -> Record:
    return decode_record(encode_record(record), NOW_MS, is_ours=True)


def in_sagemakers_form(record: Record) -> Record:
    (found,) = decode_line(encode_line(record, Encoding.JSON), Reading(), NOW_MS)
    assert isinstance(found, Record)
    return found


def test_every_field_has_a_value_of_its_own_here():
    """So that the cases below miss no field."""
    for name, field in FIELDS.items():
        assert any(getattr(each, name) != field.default for each in (FULL, FAILED)), name


@pytest.mark.parametrize("way", [packed, stored, in_json, in_sagemakers_form])
@pytest.mark.parametrize("record", [FULL, FAILED], ids=["full", "failed"])
def test_no_form_of_a_record_loses_a_field(way, record):
    assert way(record) == record


def test_the_head_has_the_fields_that_no_list_has():
    assert set(HEAD_FIELDS) == {name for name, field in FIELDS.items() if not field.form.packed}
    for field in msgspec.structs.fields(Head):
        if field.name != "names":
            assert field.default == FIELDS[field.name].default, field.name


def table_of_fields() -> str:
    kinds = {field.name: str(field.type) for field in FIXED_SCHEMA}
    lines = ["| field | column | packed in | SageMaker's form | since |", "|---|---|---|---|---|"]
    for name, field in FIELDS.items():
        form = field.form
        column = f"`{kinds[name].replace('item: ', '')}`" if form.has_column else "of each feature"
        if name.startswith("model_"):
            column = "of the key"
        packed_in = form.packed or "head"
        attribute = form.sagemaker or f"modelwatch.{name}"
        lines.append(f"| `{name}` | {column} | `{packed_in}` | `{attribute}` | {form.since} |")
    return "\n".join(lines)


def test_the_page_has_the_table():
    found = re.search(r"<!-- table of fields -->\n\n(.*?)\n\n<!-- end", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == table_of_fields()
