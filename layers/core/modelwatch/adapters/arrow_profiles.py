"""Profiles of Arrow tables: of captured rows, of a version's training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.arrow_segments import segment_rows
from modelwatch.adapters.parquet import FEATURE_PREFIX
from modelwatch.domain.profiles import (
    FAILURES,
    MINUTE_MS,
    ColumnProfile,
    Profile,
    Slice,
    merge_columns,
    number_column,
    text_column,
)
from modelwatch.domain.profiles.hashes import Hashes, hash_event_ids
from modelwatch.domain.segments import NO_SEGMENTS, SegmentKey, Segments

MOST_CLASSES = 100
"""So many probabilities are profiled, each class as a column of its own."""


def profile_table(table: pa.Table) -> Profile:
    """Profile a table in the columns of `modelwatch.adapters.parquet`.

    Columns that it lacks are left out: training data has no ``captured_at``, say.
    """
    names = set(table.column_names)
    times = table["captured_at"].cast(pa.int64()) if "captured_at" in names else None
    rates = table["sample_rate"].to_numpy() if "sample_rate" in names else np.empty(0)
    rates = np.where(np.isnan(rates), 1.0, rates)
    return Profile(
        rows=table.num_rows,
        estimated_rows=float(np.sum(1 / rates)) if len(rates) else float(table.num_rows),
        lost=pc.sum(table["lost_before"]).as_py() or 0 if "lost_before" in names else 0,
        first_ms=pc.min(times).as_py() or 0 if times is not None else 0,
        last_ms=pc.max(times).as_py() or 0 if times is not None else 0,
        features={
            name.removeprefix(FEATURE_PREFIX): profile_column(table[name])
            for name in table.column_names
            if name.startswith(FEATURE_PREFIX)
        },
        outputs=dict(_outputs(table)),
    )


def profile_segments(table: pa.Table, segments: Segments) -> Mapping[SegmentKey, Profile]:
    """Profile the rows of each segment that has any."""
    return {
        key: profile_table(table.filter(pa.array(rows)))
        for key, rows in segment_rows(segments, table).items()
    }


def profile_slices(table: pa.Table, segments: Segments = NO_SEGMENTS) -> list[Slice]:
    """Profile a table of captured rows, apart by variant and UTC minute: all, and by segment."""
    minutes = table["captured_at"].cast(pa.int64()).to_numpy() // MINUTE_MS
    variants = table["variant"].combine_chunks().dictionary_encode()
    codes = variants.indices.to_numpy(zero_copy_only=False)
    members = segment_rows(segments, table)
    slices = []
    for code, minute in sorted(set(zip(codes.tolist(), minutes.tolist(), strict=True))):
        within = (codes == code) & (minutes == minute)
        part = table if within.all() else table.filter(pa.array(within))
        variant = variants.dictionary[code].as_py()
        slices.append(Slice(variant, minute * MINUTE_MS, profile_table(part)))
        for key, rows in members.items():
            mine = within & rows
            if mine.any():
                profile = profile_table(table.filter(pa.array(mine)))
                slices.append(Slice(variant, minute * MINUTE_MS, profile, key))
    return slices


def profile_column(column: pa.ChunkedArray) -> ColumnProfile:
    """Profile a column of any type: what is neither number nor truth value is taken as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return profile_column(column.cast(kind.value_type))
    if pa.types.is_null(kind):
        return ColumnProfile(rows=len(column), nulls=len(column))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy()
        return number_column(values)
    texts = column.cast(pa.string())
    found = pc.value_counts(texts.drop_null())
    counts = dict(
        zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    )
    return text_column(counts, column.null_count, boolean=pa.types.is_boolean(kind))


def hash_events(table: pa.Table) -> Hashes:
    """Return the hash of each row's event id; see `modelwatch.domain.profiles.hashes`."""
    column = table["event_id"].combine_chunks()
    # all ids as one text: a million Python strings take a hundred megabytes
    together = pc.binary_join(pa.ListArray.from_arrays([0, len(column)], column), "")
    return hash_event_ids([together[0].as_py()])


def _outputs(table: pa.Table) -> Iterator[tuple[str, ColumnProfile]]:
    names = set(table.column_names)
    numbers = table["prediction"] if "prediction" in names else None
    if numbers is not None and numbers.null_count < len(numbers):
        yield "prediction", profile_column(numbers)
    if "prediction_label" in names and _are_classes(table):
        yield "prediction_label", profile_column(table["prediction_label"])
    if "probabilities" in names:
        yield from _probabilities(table["probabilities"].combine_chunks())
    if "latency_ms" in names:
        yield "latency_ms", profile_column(table["latency_ms"])
    if "error" in names and table["error"].null_count < table.num_rows:
        yield FAILURES, profile_column(table["error"])


def _are_classes(table: pa.Table) -> bool:
    """Tell whether predictions name classes: texts, whole numbers, or with probabilities."""
    numbers = table["prediction"]
    texts = numbers.null_count - table["prediction_label"].null_count
    if texts or table["probabilities"].null_count < table.num_rows:
        return True
    values = numbers.drop_null().to_numpy()
    return bool(np.all(values == np.floor(values)))


def _probabilities(lists: pa.ListArray) -> Iterator[tuple[str, ColumnProfile]]:
    lengths = pc.min_max(pc.list_value_length(lists)).as_py()
    if lengths["min"] != lengths["max"]:
        # a model whose number of classes changes has no probability of a class to follow
        return
    values = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    if not len(values):
        return
    classes = values.reshape(len(lists) - lists.null_count, -1).T
    for index, column in enumerate(classes[:MOST_CLASSES]):
        profile = number_column(np.ascontiguousarray(column))
        yield f"probability_{index}", merge_columns([profile], len(lists))
