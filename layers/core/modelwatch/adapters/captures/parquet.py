"""Records as Parquet, in the columns that every reader of the bucket sees.

Fixed columns first (`FIXED_SCHEMA`), then those of each feature: see
`modelwatch.adapters.captures.feature_columns`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch.adapters.captures.feature_columns import (
    BESIDE,
    FEATURE_PREFIX,
    feature_columns,
    unified,
)
from modelwatch.domain.blocks import Block, blocks_of, places_by_head
from modelwatch.domain.labels import as_text
from modelwatch.domain.records import FIELDS, ROW_FIELDS, Record, Value
from modelwatch.errors import InvalidInputError, ProfileFormatError

ROW_GROUP_ROWS = 1_000_000

_CODEC = pa.Codec("zstd")

_NOTES = "modelwatch.notes"
"""Names the notes between the rows and the footer, with their sizes in bytes."""

_END_GUESS_BYTES = 128 * 1024
"""The footer and notes of most objects."""

_DICTIONARY_ROWS = 10_000
"""In so many rows, doubles come again."""

_MANY_ROWS = 100_000
"""So many rows are read column by column, where not all of them are wanted."""

_DOUBLES = ("probabilities", "double_")

_ARROW_TYPES = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("ms", tz="UTC"),
    list[float] | None: pa.list_(pa.float64()),
    Value: pa.float64(),
}

_COLUMNS = {
    each.name: _ARROW_TYPES[each.value_type] for each in FIELDS.values() if each.form.has_column
}


_OPTIONAL_TEXTS = [each.name for each in ROW_FIELDS if each.default == ""]
"""Where a record has none, its column is null."""


def _fixed_columns() -> Iterator[tuple[str, pa.DataType]]:
    for name, kind in _COLUMNS.items():
        yield name, kind
        if name == "prediction":
            yield "prediction_label", pa.string()


FIXED_SCHEMA = pa.schema(list(_fixed_columns()))

_PARQUET_TYPES = {*FIXED_SCHEMA.types, *BESIDE}
"""Types that Parquet itself describes: they read back the same without a copy of Arrow's schema."""


def records_table(records: Sequence[Record]) -> pa.Table:
    """Return ``records`` as a table, one row each, in their order; see `blocks_table`."""
    if not records:
        return FIXED_SCHEMA.empty_table()
    table = blocks_table(blocks_of(records))
    return table.take(np.argsort(np.concatenate(places_by_head(records))))


def blocks_table(blocks: Sequence[Block]) -> pa.Table:
    """Return the records of ``blocks`` as a table, one row each, in their order.

    A numeric prediction is in ``prediction``; any prediction is, as text, in
    ``prediction_label``; why there is none is in ``error``, which is null where there is one.

    Raises InvalidInputError when a double is infinite.
    """
    tables = [_block_table(block) for block in blocks]
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(unified(tables), promote_options="permissive")


def _block_table(block: Block) -> pa.Table:
    rows, head = len(block), block.head
    numbers, labels = _predictions(block.rows["prediction"])
    fixed = block.rows | {
        "prediction": numbers,
        "prediction_label": labels,
        **{name: [text or None for text in block.rows[name]] for name in _OPTIONAL_TEXTS},
    }
    columns: dict[pa.Field, pa.Array] = {
        field: pa.array(fixed[field.name], field.type)
        if field.name in fixed
        else pa.repeat(pa.scalar(getattr(head, field.name), field.type), rows)
        for field in FIXED_SCHEMA
    }
    doubles = iter(_doubles(block))
    for name, letter, column in zip(
        head.names, head.types or " " * len(head.names), block.columns, strict=True
    ):
        if column is None:
            columns[pa.field(FEATURE_PREFIX + name, pa.float64())] = next(doubles)
        else:
            columns |= feature_columns(name, letter, column)
    return pa.table(list(columns.values()), pa.schema(list(columns)))


def _doubles(block: Block) -> Iterator[pa.Array]:
    """Yield the columns of the features that are in the block's bytes."""
    width = block.columns.count(None)
    if not width:
        return
    matrix = np.frombuffer(block.doubles, "<f8").reshape(-1, width)
    matrix = np.ascontiguousarray(matrix.T, np.float64)
    if np.isinf(matrix).any():
        raise InvalidInputError("features", "holds an infinite number")
    for column, has_gaps in zip(matrix, np.isnan(matrix).any(axis=1).tolist(), strict=True):
        yield pa.array(column, from_pandas=has_gaps)


def _predictions(values: Sequence[Value]) -> tuple[list[float | None], list[str | None]]:
    """Return predictions as numbers, and as the texts that distinguish classes."""
    # there are few classes, and 1, 1.0 and True are one key
    keys = list(zip(map(type, values), values, strict=True))
    distinct = set(keys)
    numbers = {key: _number(key[1]) for key in distinct}
    texts = {key: None if key[1] is None else as_text(key[1]) for key in distinct}
    return list(map(numbers.__getitem__, keys)), list(map(texts.__getitem__, keys))


def write_table(table: pa.Table, notes: Mapping[str, bytes] | None = None) -> bytes:
    """Return ``table`` as one Parquet file, as `write_tables` writes it.

    ``notes`` lie, compressed, between the rows and the footer, where readers of Parquet do not
    look; `read_notes` gives them back. In the footer they would be texts, a third longer.
    """
    sink = pa.BufferOutputStream()
    packed = {name: compress(note) for name, note in (notes or {}).items()}
    sizes = {name: len(note) for name, note in packed.items()}
    with _writer(sink, table.schema, table.num_rows) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        if packed:
            writer.add_key_value_metadata({_NOTES: json.dumps(sizes)})
    file = memoryview(sink.getvalue())
    rows = len(file) - _footer_bytes(file)
    return b"".join([file[:rows], *packed.values(), file[rows:]])


def write_tables(
    sink: Path, schema: pa.Schema, tables: Iterable[pa.Table], notes: Mapping[str, bytes]
) -> None:
    """Write ``tables`` as one Parquet file: zstd, row groups of a million rows at most.

    ``notes`` are kept in the footer by their names, compressed; `read_notes` gives them back.
    """
    with _writer(sink, schema) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        # the footer's values are texts
        writer.add_key_value_metadata(
            {name: base64.b64encode(compress(note)) for name, note in notes.items()}
        )


def _writer(
    sink: Path | pa.BufferOutputStream, schema: pa.Schema, rows: int = ROW_GROUP_ROWS
) -> Any:
    """Return a writer whose encodings suit so many rows.

    Of few, nearly all doubles differ, and they are read whole: only their times have statistics.
    """
    is_small = rows < _DICTIONARY_ROWS
    encodings = {"event_id": "DELTA_BYTE_ARRAY", "captured_at": "DELTA_BINARY_PACKED"}
    repeated = [
        field.name
        for field in schema
        if (
            field.name not in encodings
            and not (is_small and field.name.startswith((*_DOUBLES, FEATURE_PREFIX)))
        )
        or (field.name.startswith(FEATURE_PREFIX) and not pa.types.is_floating(field.type))
    ]
    return pq.ParquetWriter(
        sink,
        # a table that was read has its file's notes in its schema; they are not this file's
        schema.remove_metadata(),
        compression="zstd",
        use_dictionary=[
            f"{name}.list.element" if name == "probabilities" else name for name in repeated
        ],
        column_encoding={name: way for name, way in encodings.items() if name in schema.names},
        write_statistics=["captured_at"] if is_small else True,
        store_schema=any(field.metadata or field.type not in _PARQUET_TYPES for field in schema),
    )


def read_table(payload: bytes, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file, or some of its columns."""
    # not pq.read_table: its threads may still let go of `payload` when the interpreter ends, and
    # abort the process then (apache/arrow issue 34314); it also imports pyarrow.dataset
    with pq.ParquetFile(pa.BufferReader(payload)) as file:
        table = file.read(columns)
    return table.select(columns) if columns else table


def read_rows(payload: bytes, features: Sequence[str], places: Any) -> pa.Table:
    """Return some rows of one Parquet file: the numbers predicted, and what is there of features.

    Columns are read one after another where there are many rows, so that few are in memory.
    """
    wanted = {prefix + name for name in features for prefix in (FEATURE_PREFIX, *BESIDE.values())}
    with pq.ParquetFile(pa.BufferReader(payload)) as file:
        names = [name for name in file.schema_arrow.names if name in wanted or name == "prediction"]
        parts = [names] if file.metadata.num_rows < _MANY_ROWS else [[name] for name in names]
        tables = [file.read(some).take(places) for some in parts]
    columns = {name: table[name] for table in tables for name in table.column_names}
    return pa.table(columns)


def read_notes(file: bytes | Path | Callable[[int], bytes]) -> dict[str, bytes]:
    """Return the notes in a Parquet file.

    Raises ProfileFormatError when it is no Parquet file.

    Parameters
    ----------
    file
        The file; or a function that returns so many of its last bytes, or all where it has fewer:
        it is called as seldom as goes, and never for the rows.
    """
    read_end = _reader_of_end(file)
    end = _with_footer(read_end)
    metadata = pq.read_metadata(io.BytesIO(end)).metadata or {}
    notes = {
        name.decode(): decompress(base64.b64decode(value))
        for name, value in metadata.items()
        if name.startswith(b"modelwatch.") and name != _NOTES.encode()
    }
    sizes: dict[str, int] = json.loads(metadata.get(_NOTES.encode(), b"{}"))
    size = _footer_bytes(end) + sum(sizes.values())
    if size > len(end):
        end = _longer_end(read_end, size)
    start = len(end) - size
    for name, length in sizes.items():
        notes[name] = decompress(end[start : start + length])
        start += length
    return notes


def read_schema(file: bytes | Path | Callable[[int], bytes]) -> pa.Schema:
    """Return the columns of a Parquet file; see `read_notes`."""
    end = _with_footer(_reader_of_end(file))
    return pq.read_schema(io.BytesIO(end))


def _with_footer(read_end: Callable[[int], bytes]) -> bytes:
    end = read_end(_END_GUESS_BYTES)
    size = _footer_bytes(end)
    return end if size <= len(end) else _longer_end(read_end, size)


def _reader_of_end(file: bytes | Path | Callable[[int], bytes]) -> Callable[[int], bytes]:
    if isinstance(file, bytes):
        return lambda _: file
    return partial(_end_of, file) if isinstance(file, Path) else file


def _longer_end(read_end: Callable[[int], bytes], size: int) -> bytes:
    end = read_end(size)
    if len(end) < size:
        raise ProfileFormatError("the file is shorter than its footer says")
    return end


def _end_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(size, path.stat().st_size), io.SEEK_END)
        return file.read()


def _footer_bytes(end: bytes | memoryview) -> int:
    if end[-4:] != b"PAR1":
        raise ProfileFormatError("not the end of a Parquet file")
    return int.from_bytes(end[-8:-4], "little") + 8


def compress(data: bytes) -> bytes:
    """Return ``data`` as one zstd frame, after its size."""
    packed: bytes = _CODEC.compress(data, asbytes=True)
    return len(data).to_bytes(8, "little") + packed


def decompress(data: bytes) -> bytes:
    """Return what `compress` was given.

    Raises ProfileFormatError when it is something else.
    """
    size = int.from_bytes(data[:8], "little")
    try:
        unpacked: bytes = _CODEC.decompress(data[8:], size, asbytes=True)
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise ProfileFormatError(f"damaged: {error}") from error
    return unpacked


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None
