"""Profiles of Arrow tables: of captured rows, of a version's training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelwatch.adapters.captures.arrow_segments import segment_rows
from modelwatch.adapters.captures.feature_columns import feature_names, parts_by_name
from modelwatch.domain.profiles import (
    FAILURES,
    MINUTE_MS,
    MOST_ROWS,
    ColumnProfile,
    Profile,
    RowSample,
    Slice,
    merge_columns,
    number_column,
    number_columns,
    text_column,
)
from modelwatch.domain.profiles.hashes import Hashes, hash_event_ids, hash_numbers
from modelwatch.domain.profiles.sample import rows_of_slice, sample_of, sampled_rows
from modelwatch.domain.segments import NO_SEGMENTS, SegmentKey, Segments

_AT_ONCE = 64
"""Columns that are profiled together: they are copied for it."""

MOST_CLASSES = 100
"""So many probabilities are profiled, each class as a column of its own."""


def profile_table(
    table: pa.Table, sample_rows: int = MOST_ROWS, hashes: Hashes | None = None
) -> Profile:
    """Profile a table in the columns of `modelwatch.adapters.captures.parquet`.

    Columns that it lacks are left out: training data has no ``captured_at``, say.

    Parameters
    ----------
    sample_rows
        Most rows of its sample; 0: there is none.
    hashes
        Of its rows, as `_hash_rows` gives them, where they are known.
    """
    names = set(table.column_names)
    times = table["captured_at"].cast(pa.int64()).to_numpy() if "captured_at" in names else ()
    rates = table["sample_rate"].to_numpy() if "sample_rate" in names else np.empty(0)
    rates = np.where(np.isnan(rates), 1.0, rates)
    features = parts_by_name(table, feature_names(table.column_names))
    outputs = {name: [column] for name, column in _outputs(table)}
    # all columns of doubles at once, whatever they are of
    profiles = iter(_profiled([*features.values(), *outputs.values()]))
    return Profile(
        rows=table.num_rows,
        estimated_rows=float(np.sum(1 / rates)) if len(rates) else float(table.num_rows),
        lost=pc.sum(table["lost_before"]).as_py() or 0 if "lost_before" in names else 0,
        first_ms=int(np.min(times)) if len(times) else 0,
        last_ms=int(np.max(times)) if len(times) else 0,
        features=dict(zip(features, profiles, strict=False)),
        outputs=dict(zip(outputs, profiles, strict=True)),
        sample=_sampled(table, features, hashes, sample_rows) if sample_rows else None,
    )


def _sampled(
    table: pa.Table,
    features: Mapping[str, list[pa.ChunkedArray]],
    hashes: Hashes | None,
    rows: int,
) -> RowSample:
    """Return the sample of a table, of the features that hold numbers."""
    hashes = _hash_rows(table) if hashes is None else hashes
    places = sampled_rows(hashes, rows)

    def numbers() -> Iterator[tuple[str, NDArray[np.float64]]]:
        for name, parts in features.items():
            some = [part for part in parts if _is_numeric(part.type)]
            if some:
                values = [part.cast(pa.float64(), safe=False).to_numpy()[places] for part in some]
                # in each row one of them at most has a value
                yield name, values[0] if len(values) == 1 else np.fmax.reduce(values)

    return sample_of(numbers(), hashes[places], len(hashes))


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    )


def profile_segments(table: pa.Table, segments: Segments) -> Mapping[SegmentKey, Profile]:
    """Profile the rows of each segment that has any."""
    return {
        key: profile_table(table.filter(pa.array(rows)), sample_rows=0)
        for key, rows in segment_rows(segments, table).items()
    }


def profile_slices(
    table: pa.Table, segments: Segments = NO_SEGMENTS, hashes: Hashes | None = None
) -> list[Slice]:
    """Profile a table of captured rows, apart by variant and UTC minute: all, and by segment."""
    minutes = table["captured_at"].cast(pa.int64()).to_numpy() // MINUTE_MS
    variants = table["variant"].combine_chunks().dictionary_encode()
    codes = variants.indices.to_numpy(zero_copy_only=False)
    members = segment_rows(segments, table)
    hashes = _hash_rows(table) if hashes is None else hashes
    slices = []
    # a code has 32 bits, and so has a minute until the year 9000
    pairs = np.unique(codes.astype(np.int64) << 32 | minutes).tolist()
    for code, minute in [divmod(pair, 1 << 32) for pair in pairs]:
        within = (codes == code) & (minutes == minute)
        part = table if within.all() else table.filter(pa.array(within))
        variant = variants.dictionary[code].as_py()
        profile = profile_table(part, rows_of_slice(part.num_rows), hashes[within])
        slices.append(Slice(variant, minute * MINUTE_MS, profile))
        for key, rows in members.items():
            mine = within & rows
            if mine.any():
                profile = profile_table(table.filter(pa.array(mine)), sample_rows=0)
                slices.append(Slice(variant, minute * MINUTE_MS, profile, key))
    return slices


def profile_column(column: pa.ChunkedArray) -> ColumnProfile:
    """Profile a column of any type: what is neither number nor boolean is taken as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return profile_column(column.cast(kind.value_type))
    if pa.types.is_null(kind):
        return ColumnProfile(rows=len(column), nulls=len(column))
    if _is_numeric(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy()
        return number_column(values)
    texts = column.cast(pa.string())
    found = pc.value_counts(texts.drop_null())
    counts = dict(
        zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    )
    return text_column(counts, column.null_count, boolean=pa.types.is_boolean(kind))


def _profiled(columns: Sequence[list[pa.ChunkedArray]]) -> list[ColumnProfile]:
    """Profile features and outputs, each in its parts; those of nothing but doubles together."""
    alike = [
        place
        for place, (first, *others) in enumerate(columns)
        if not others and first.type == pa.float64() and not first.null_count and len(first)
    ]
    found: dict[int, ColumnProfile] = {}
    for places in batched(alike, _AT_ONCE, strict=False):
        matrix = np.stack([columns[place][0].to_numpy() for place in places])
        found |= zip(places, number_columns(matrix), strict=True)
    return [
        found[place] if place in found else _one_by_one(parts)
        for place, parts in enumerate(columns)
    ]


def _one_by_one(parts: list[pa.ChunkedArray]) -> ColumnProfile:
    """Profile a feature from its parts: in each row one of them at most has a value."""
    first, *others = map(profile_column, parts)
    if not others:
        return first
    # merged they are the rows of one below the other
    rows = first.rows
    merged = merge_columns([first, *others], rows * len(parts))
    return replace(merged, rows=rows, nulls=merged.nulls - rows * len(others))


def hash_events(table: pa.Table) -> Hashes:
    """Return the hash of each row's event id; see `modelwatch.domain.profiles.hashes`."""
    column = table["event_id"].combine_chunks()
    # all ids as one text: a million Python strings take a hundred megabytes
    together = pc.binary_join(pa.ListArray.from_arrays([0, len(column)], column), "")
    return hash_event_ids([together[0].as_py()])


def _hash_rows(table: pa.Table) -> Hashes:
    """Return the hash of each row's event; where rows have none, of their place and time."""
    if "event_id" in table.column_names:
        return hash_events(table)
    places = hash_numbers(np.arange(table.num_rows, dtype=np.float64))
    if "captured_at" not in table.column_names:
        return places
    times = table["captured_at"].cast(pa.int64()).to_numpy().astype(np.float64)
    # the same places of two parts are different rows
    return hash_numbers((places ^ hash_numbers(times)).astype(np.float64))


def _outputs(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    names = set(table.column_names)
    numbers = table["prediction"] if "prediction" in names else None
    if numbers is not None and numbers.null_count < len(numbers):
        yield "prediction", numbers
    if "prediction_label" in names:
        classes = _classes(table)
        if classes.null_count < len(classes):
            yield "prediction_label", classes
    if "probabilities" in names:
        yield from _probabilities(table["probabilities"].combine_chunks())
    if "latency_ms" in names:
        yield "latency_ms", table["latency_ms"]
    if "error" in names and table["error"].null_count < table.num_rows:
        yield FAILURES, table["error"]


def _classes(table: pa.Table) -> pa.ChunkedArray:
    """Return the labels of the predictions that may name classes.

    Those are texts, whole numbers, and what has probabilities. Each row is looked at alone, so
    that a window has the same columns however its rows came together.
    """
    numbers, labels = table["prediction"], table["prediction_label"]
    may = pc.or_(pc.is_null(numbers), pc.is_valid(table["probabilities"]))
    whole = pc.fill_null(pc.equal(numbers, pc.floor(numbers)), True)
    may = pc.or_(may, whole)
    return labels if pc.all(may).as_py() else pc.if_else(may, labels, None)


def _probabilities(lists: pa.ListArray) -> Iterator[tuple[str, pa.ChunkedArray]]:
    if lists.null_count == len(lists):
        return
    lengths = pc.list_value_length(lists)
    shortest, longest = pc.min_max(lengths).as_py().values()
    if shortest == longest and not lists.null_count:
        values = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
        columns = np.ascontiguousarray(values.T[:MOST_CLASSES])
        for index, column in enumerate(columns):
            yield f"probability_{index}", pa.chunked_array([column])
        return
    for index in range(min(longest, MOST_CLASSES)):
        longer = pc.if_else(pc.greater(lengths, index), lists, None)
        column = pc.list_element(longer, index)
        yield f"probability_{index}", pa.chunked_array([column])
