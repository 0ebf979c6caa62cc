"""Profiles of Arrow tables: of captured rows, of a version's training data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched, pairwise

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

_LISTS, _LATENCY = "probabilities", "latency_ms"


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
    return _profile_spans(table, [(0, table.num_rows)], lambda _: sample_rows, hashes)[0]


def _profile_spans(
    table: pa.Table,
    spans: Sequence[tuple[int, int]],
    sample_rows: Callable[[int], int],
    hashes: Hashes | None,
) -> list[Profile]:
    """Profile spans of rows, each as a table of its own: (first, behind the last).

    ``sample_rows`` says how many rows of so many are sampled. A minute may have one row: what is
    done once for all spans would else take most of the time.
    """
    names = set(table.column_names)
    times = table["captured_at"].cast(pa.int64()).to_numpy() if "captured_at" in names else ()
    rates = table["sample_rate"].to_numpy() if "sample_rate" in names else np.empty(0)
    rates = np.where(np.isnan(rates), 1.0, rates)
    lost = pc.fill_null(table["lost_before"], 0).to_numpy() if "lost_before" in names else ()
    features = parts_by_name(table, feature_names(table.column_names))
    outputs = list(_outputs(table))
    if hashes is None and any(sample_rows(end - start) for start, end in spans):
        hashes = _hash_rows(table)
    spanned = [
        (
            {
                name: [part.slice(start, end - start) for part in parts]
                for name, parts in features.items()
            },
            {name: [column] for name, column in _outputs_of(outputs, start, end - start)},
        )
        for start, end in spans
    ]
    # all columns of doubles at once, whatever they are of
    profiles = iter(
        _profiled([each for parts, found in spanned for each in (*parts.values(), *found.values())])
    )
    return [
        Profile(
            rows=end - start,
            estimated_rows=float(np.sum(1 / rates[start:end]))
            if len(rates)
            else float(end - start),
            lost=int(np.sum(lost[start:end])),
            first_ms=int(np.min(times[start:end])) if len(times) else 0,
            last_ms=int(np.max(times[start:end])) if len(times) else 0,
            features=dict(zip(parts, profiles, strict=False)),
            outputs=dict(zip(found, profiles, strict=False)),
            sample=_sampled(parts, hashes[start:end], rows)
            if hashes is not None and (rows := sample_rows(end - start))
            else None,
        )
        for (start, end), (parts, found) in zip(spans, spanned, strict=True)
    ]


def _sampled(features: Mapping[str, list[pa.ChunkedArray]], hashes: Hashes, rows: int) -> RowSample:
    """Return the sample of a table, of the features that hold numbers."""
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
    # a code has 32 bits, and so has a minute until the year 9000
    pairs = codes.astype(np.int64) << 32 | minutes
    if (pairs[1:] < pairs[:-1]).any():
        order = np.argsort(pairs, kind="stable")
        table, pairs, hashes = table.take(order), pairs[order], hashes[order]
        members = {key: rows[order] for key, rows in members.items()}
    found, firsts = np.unique(pairs, return_index=True)
    spans = list(pairwise([*firsts.tolist(), len(pairs)]))
    profiles = _profile_spans(table, spans, rows_of_slice, hashes)
    slices = []
    for pair, (start, end), profile in zip(found.tolist(), spans, profiles, strict=True):
        code, minute = divmod(pair, 1 << 32)
        variant = variants.dictionary[code].as_py()
        slices.append(Slice(variant, minute * MINUTE_MS, profile))
        for key, rows in members.items():
            mine = rows[start:end]
            if mine.any():
                part = table.slice(start, end - start).filter(pa.array(mine))
                profile = profile_table(part, sample_rows=0)
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
    alike: dict[int, list[int]] = {}
    for place, (first, *others) in enumerate(columns):
        if not others and first.type == pa.float64() and not first.null_count and len(first):
            alike.setdefault(len(first), []).append(place)
    found: dict[int, ColumnProfile] = {}
    for of_length in alike.values():
        for places in batched(of_length, _AT_ONCE, strict=False):
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
    """Yield the columns of outputs; some rows may have nothing of one: see `_outputs_of`."""
    names = set(table.column_names)
    if "prediction" in names:
        yield "prediction", table["prediction"]
    if "prediction_label" in names:
        yield "prediction_label", _classes(table)
    if "probabilities" in names:
        yield _LISTS, table["probabilities"]
    if "latency_ms" in names:
        yield _LATENCY, table["latency_ms"]
    if "error" in names:
        yield FAILURES, table["error"]


def _outputs_of(
    outputs: Iterable[tuple[str, pa.ChunkedArray]], start: int, rows: int
) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield the outputs that a span of rows has."""
    for name, whole in outputs:
        column = whole.slice(start, rows)
        if name == _LISTS:
            yield from _probabilities(column.combine_chunks())
        elif name == _LATENCY or column.null_count < rows:
            yield name, column


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
