"""Rows of many files as those of one, a few at a time, against what readers join in memory."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.merged_rows import MergedRows
from modelwatch.adapters.captures.parquet import records_table, write_table
from modelwatch.adapters.captures.records import joined
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.records import Record
from wine_records import wine_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDS = [str(uuid.UUID(int=number + 1)) for number in range(30)]

values = st.one_of(
    st.none(), st.floats(0, 5), st.integers(0, 5), st.text(max_size=2), st.booleans()
)
batches = st.lists(
    st.lists(
        st.tuples(st.integers(0, 29), st.dictionaries(st.sampled_from("abc"), values, min_size=1)),
        min_size=1,
        max_size=8,
    ),
    min_size=1,
    max_size=5,
)


def record(number: int, features: dict) -> Record:
    at = NOON + timedelta(seconds=number * 7 % 30)
    return wine_record(
        event_id=IDS[number],
        captured_at=at,
        model_version="3",
        features=features,
        prediction=number,
    )


@given(
    batches=batches, group_rows=st.integers(1, 12), left_out=st.sets(st.integers(0, 29), max_size=5)
)
def test_merged_rows_are_the_distinct_rows_by_time(batches, group_rows, left_out) -> None:
    tables = [records_table([record(*each) for each in batch]) for batch in batches]
    hashes = np.sort(hash_event_ids([IDS[number] for number in left_out])) if left_out else []
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.parquet" for index in range(len(tables))]
        for path, table in zip(paths, tables, strict=True):
            path.write_bytes(write_table(table))
        rows = MergedRows(paths, np.array(hashes, np.uint64), group_rows)
        groups = list(rows.tables())
        counts = [sum(part.num_rows for part in rows.of_file(n)) for n in range(len(paths))]
    expected = joined(tables)
    expected = expected.filter(~np.isin(hash_events(expected), np.array(hashes, np.uint64)))
    assert all(0 < group.num_rows <= group_rows for group in groups)
    assert all(group.schema == rows.schema for group in groups)
    found = [row for group in groups for row in group.to_pylist()]
    assert [row["captured_at"] for row in found] == sorted(row["captured_at"] for row in found)
    by_id = {row["event_id"]: row for row in found}
    assert len(by_id) == len(found) == len(rows) == expected.num_rows
    assert by_id == {row["event_id"]: row for row in expected.to_pylist()}
    assert rows.events.tolist() == sorted(hash_event_ids(list(by_id)).tolist() if by_id else [])
    assert len(rows) + rows.repeated + rows.left_out == sum(table.num_rows for table in tables)
    assert sum(counts) == len(rows)
    for index, table in enumerate(tables):
        assert rows.is_whole(index) == (counts[index] == table.num_rows)
