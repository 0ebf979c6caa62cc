"""Segments of captured tables."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from any_records import records
from examples import examples
from modelwatch.adapters.captures.arrow_profiles import profile_slices, profile_table
from modelwatch.adapters.captures.arrow_segments import segment_rows
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.profiles import decode_slices, encode_slices
from modelwatch.domain.profiles.sample import rows_of_slice
from modelwatch.domain.segments import EVERYTHING, parse_segments

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
TABLE = pa.table(
    {
        "feature_alcohol": pa.array([13.5, None, 12.0, 14.0]),
        "feature_rank": pa.array([1, 2, None, 4], pa.int32()),
        "feature_colour": pa.array(["red", None, "white", "red"]).dictionary_encode(),
        "feature_sweet": pa.array([True, False, None, True]),
        "feature_empty": pa.nulls(4),
        "prediction": pa.array([1.0, 2.0, 3.0, 4.0]),
    }
)


def rows(declared: str) -> dict[str, list[int]]:
    found = segment_rows(parse_segments(declared), TABLE)
    return {key.name: np.flatnonzero(mask).tolist() for key, mask in found.items()}


def test_columns_of_every_type():
    assert rows("a: alcohol > 13; b: rank >= 2; c: sweet; d: empty is None; e: absent is None") == {
        "a": [0, 3],
        "b": [1, 3],
        "c": [0, 3],
        "d": [0, 1, 2, 3],
        "e": [0, 1, 2, 3],
    }


def test_values_of_columns():
    assert rows("colour; sweet; empty; absent; rank") == {
        "colour=red": [0, 3],
        "colour=white": [2],
        "sweet=false": [1],
        "sweet=true": [0, 3],
        "rank=1": [0],
        "rank=2": [1],
        "rank=4": [3],
    }


def test_only_features_are_columns():
    assert rows("p: prediction > 0") == {}


def test_a_table_without_rows():
    assert segment_rows(parse_segments("colour; a: alcohol > 13"), TABLE.slice(0, 0)) == {}


@given(batch=st.lists(records(), min_size=1, max_size=30), data=st.data())
def test_whatever_is_captured_segments_take_nothing_from_all_rows(batch, data):
    features = {name for record in batch for name in record.features}
    others = {"more", "text", "none", "all"}
    names = sorted(name for name in features - others if name and "`" not in name)
    assume(names)
    name = data.draw(st.sampled_from(names))
    table = records_table(batch)
    declared = (
        f"`{name}`; more: `{name}` > 3; text: `{name}` >= 'a' or not `{name}`; "
        f"none: `{name}` is None; all: True"
    )
    cut = profile_slices(table, parse_segments(declared))
    everything = [piece for piece in cut if piece.segment == EVERYTHING]
    assert encode_slices(everything) == encode_slices(profile_slices(table))
    rows = Counter()
    for piece in cut:
        rows[piece.segment.name] += piece.profile.rows
    assert max(rows.values()) == rows["all"] == rows[""] == table.num_rows
    valued = sum(count for named, count in rows.items() if named.startswith(f"{name}="))
    assert valued + rows["none"] == table.num_rows
    again = decode_slices(encode_slices(cut))
    assert [piece.segment for piece in again] == [piece.segment for piece in cut]


@settings(max_examples=examples(20))
@given(batch=st.lists(records(), min_size=1, max_size=12), seconds=st.integers(1, 60))
def test_each_minute_has_the_profile_that_its_rows_have_as_a_table_of_their_own(batch, seconds):
    times = [MIDNIGHT + place * timedelta(seconds=seconds) for place in range(len(batch))]
    table = records_table(
        [
            msgspec.structs.replace(record, captured_at=at)
            for record, at in zip(batch, times, strict=True)
        ]
    )
    minutes = pc.floor_temporal(table["captured_at"], unit="minute").cast(pa.int64())
    pieces = profile_slices(table)
    for piece in pieces:
        within = pc.equal(minutes, piece.minute_ms)
        alone = table.filter(pc.and_(within, pc.equal(table["variant"], piece.variant)))
        own = profile_table(alone, sample_rows=rows_of_slice(alone.num_rows))
        assert encode_slices([piece]) == encode_slices([replace(piece, profile=own)])
    assert sum(piece.profile.rows for piece in pieces) == table.num_rows
