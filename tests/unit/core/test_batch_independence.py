"""What is stored and profiled of a row does not depend on the rows that came with it."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_records import letter, values
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.arrow_profiles import profile_table
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.feature_columns import as_one, feature_names, parts_of
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore, joined
from modelwatch.adapters.erasure.erased import S3Erasures
from modelwatch.domain.blocks import Block, Head, joined_blocks
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.records import ROW_FIELDS, Record
from modelwatch.domain.windows import Window
from modelwatch.services.compaction import CompactionService
from wine_records import numbered_id, wine_record

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)
DAY = Window(NOON - timedelta(hours=12), NOON + timedelta(hours=12))


def record(number: int, features: dict, types: str = "", prediction: object = 1) -> Record:
    return wine_record(
        event_id=numbered_id(number),
        captured_at=NOON + timedelta(milliseconds=number),
        features=features,
        types=types,
        prediction=prediction,
        probabilities=[0.5] * (number % 3) or None,
    )


def row_values(table: pa.Table) -> list[dict[str, object]]:
    """Return the values of each row by feature and type, whatever columns they are in."""
    rows: list[dict[str, object]] = [{} for _ in range(table.num_rows)]
    for name in feature_names(table.column_names):
        for part in parts_of(table, name):
            for row, value in zip(rows, part.to_pylist(), strict=True):
                if value is not None:
                    assert name not in row
                    row[name] = (str(part.type), value)
    return rows


def counted(profile: Profile) -> dict[str, tuple[object, ...]]:
    """Return what a profile counts exactly."""
    return {
        f"{side} {name}": (
            column.rows,
            column.nulls,
            column.numbers,
            column.booleans,
            column.strings,
            column.minimum,
            column.maximum,
            dict(sorted(column.counts.items())),
            column.distinct,
            column.sketch.n,
        )
        for side, columns in (("in", profile.features), ("out", profile.predictions))
        for name, column in columns.items()
    }


#: each row says the types of its own values, or another app's, or none
typed_rows = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["a", "b", "c"]), values, min_size=1, max_size=3),
        st.sampled_from(["", "own", "d", "l", "s", "b"]),
        values,
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(rows=typed_rows, cuts=st.sets(st.integers(1, 11)))
def test_rows_are_the_same_however_they_are_batched(rows, cuts):
    records = [
        record(
            number,
            features,
            "".join(map(letter, features.values())) if types == "own" else types * len(features),
            prediction,
        )
        for number, (features, types, prediction) in enumerate(rows)
    ]
    whole = records_table(records)
    edges = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    batches = [records[start:end] for start, end in pairwise(edges)]
    tables = [records_table(batch) for batch in batches]
    again = joined(tables)
    assert row_values(again) == row_values(whole)
    assert set(again.column_names) == set(whole.column_names)
    assert again.select(whole.column_names).equals(whole)
    merged = merge_profiles([profile_table(table) for table in tables])
    assert counted(merged) == counted(profile_table(whole))


def sent(store: S3RecordStore, records: list[Record], batch: int) -> None:
    for start in range(0, len(records), batch):
        store.write(records[start : start + batch])


@pytest.mark.parametrize("types", ["", "d"])
@pytest.mark.parametrize("batch", [1000, 500, 7])
def test_a_text_among_numbers_changes_nothing_for_the_numbers(types, batch):
    records = [record(n, {"a": "n/a" if n == 600 else n / 7}, types) for n in range(1000)]
    s3 = InMemoryS3()
    store, profiles = S3RecordStore(s3, "bucket"), S3ProfileStore(s3, "bucket")
    sent(store, records, batch)

    def look() -> None:
        column = profiles.profiles("wine", "1", DAY).variants[""].features["a"]
        assert (column.rows, column.numbers, column.strings) == (1000, 999, 1)
        assert (column.kind, dict(column.counts)) == ("numerical", {"n/a": 1})
        table = store.read("wine", "1", DAY)
        assert table["feature_a"].to_pylist() == [None if n == 600 else n / 7 for n in range(1000)]
        assert table["string_a"].drop_null().to_pylist() == ["n/a"]
        assert as_one(table, "a", numbers=True).null_count == 1
        assert as_one(table, "a", numbers=False).null_count == 999

    look()
    compaction = CompactionService(
        captures=S3Compaction(s3, "bucket"),
        erasures=S3Erasures(s3, "bucket"),
        lag_seconds=0,
        budget_seconds=600,
        clock=lambda: NOON.timestamp() + 7_200,
    )
    compaction.compact(compaction.due())
    look()


def test_what_senders_disagree_on_is_kept_by_one_rule():
    records = [
        record(0, {"a": "red"}, "s"),
        record(1, {"a": "5"}),
        record(2, {"a": 2.5}),
        record(3, {"a": 2**53 + 1}, "l"),
        record(4, {"a": None}),
    ]
    s3 = InMemoryS3()
    store = S3RecordStore(s3, "bucket")
    sent(store, records, 1)
    table = store.read("wine", "1", DAY)
    assert table["feature_a"].to_pylist() == [None, None, None, 2**53 + 1, None]
    assert table["double_a"].to_pylist() == [None, None, 2.5, None, None]
    assert table["string_a"].to_pylist() == ["red", "5", None, None, None]


def test_blocks_with_other_columns_among_the_doubles_are_not_joined():
    head = Head(model_name="m", model_version="1", names=("a", "b"), types="dd")

    def block(number: int, columns: list[Any], double: float) -> Block:
        return Block(
            head=head,
            rows={field.name: [field.default] for field in ROW_FIELDS}
            | {
                "event_id": [f"018bcfe5-6800-7000-8000-{number:012d}"],
                "captured_at": [0],
                "prediction": [1],
            },
            columns=columns,
            doubles=struct.pack("<d", double),
        )

    blocks = [block(1, [None, ["x"]], 1.0), block(2, [["y"], None], 2.0)]
    features = [record.features for each in joined_blocks(blocks) for record in each.records()]
    assert features == [{"a": 1.0, "b": "x"}, {"a": "y", "b": 2.0}]
