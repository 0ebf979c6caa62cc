"""Records as Parquet, in the columns that every reader of the bucket sees.

Fixed columns first (`FIXED_SCHEMA`), then those of each feature: see
`modelwatch.adapters.feature_columns`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch.adapters.feature_columns import FEATURE_PREFIX, feature_columns, unified
from modelwatch.domain.blocks import Block, blocks_of, places_by_head
from modelwatch.domain.labels import as_text
from modelwatch.domain.records import Record, Value
from modelwatch.errors import InvalidInputError, ProfileFormatError

ROW_GROUP_ROWS = 1_000_000

_CODEC = pa.Codec("zstd")

FIXED_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("captured_at", pa.timestamp("ms", tz="UTC")),
        ("variant", pa.string()),
        ("prediction", pa.float64()),
        ("prediction_label", pa.string()),
        ("probabilities", pa.list_(pa.float64())),
        ("latency_ms", pa.float64()),
        ("source", pa.string()),
        ("sample_rate", pa.float64()),
        ("lost_before", pa.int64()),
        ("error", pa.string()),
    ]
)


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

    Raises
    ------
    InvalidInputError
        When a double is infinite.
    """
    tables = [_block_table(block) for block in blocks]
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(unified(tables), promote_options="permissive")


def _block_table(block: Block) -> pa.Table:
    rows, head = len(block), block.head
    numbers, labels = _predictions(block.predictions)
    fixed = {
        "event_id": block.event_ids,
        "captured_at": block.captured_at_ms,
        "variant": [head.variant] * rows,
        "prediction": numbers,
        "prediction_label": labels,
        "probabilities": block.probabilities,
        "latency_ms": block.latencies_ms,
        "source": [head.source] * rows,
        "sample_rate": np.full(rows, head.sample_rate),
        "lost_before": block.lost_before,
        "error": [error or None for error in block.errors],
    }
    columns: dict[pa.Field, pa.Array] = {
        field: pa.array(fixed[field.name], field.type) for field in FIXED_SCHEMA
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
    """Return predictions as numbers, and as the texts by which classes are told apart."""
    numbers: dict[object, float | None] = {}
    texts: dict[object, str | None] = {}
    # there are few classes, and 1, 1.0 and True are one key
    keys = [(type(value), value) for value in values]
    for key in set(keys):
        value = key[1]
        numbers[key] = _number(value)
        texts[key] = None if value is None else as_text(value)
    return [numbers[key] for key in keys], [texts[key] for key in keys]


def write_table(table: pa.Table, notes: Mapping[str, bytes] | None = None) -> bytes:
    """Return ``table`` as one Parquet file, as `write_tables` writes it."""
    sink = io.BytesIO()
    write_tables(sink, table.schema, [table], notes)
    return sink.getvalue()


def write_tables(
    sink: Path | BinaryIO,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    notes: Mapping[str, bytes] | None = None,
) -> None:
    """Write ``tables`` as one Parquet file: zstd, row groups of a million rows at most.

    ``notes`` are kept in the footer by their names, compressed; `read_notes` gives them back.
    """
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        # the footer's values are texts
        writer.add_key_value_metadata(
            {name: base64.b64encode(compress(note)) for name, note in (notes or {}).items()}
        )


def read_table(payload: bytes, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file, or some of its columns."""
    return pq.read_table(io.BytesIO(payload), columns=columns)


def footer_bytes(end: bytes) -> int:
    """Return the size of a Parquet file's footer, from the last bytes of the file.

    Raises
    ------
    ProfileFormatError
        When they are not the end of a Parquet file.
    """
    if end[-4:] != b"PAR1":
        raise ProfileFormatError("not the end of a Parquet file")
    return int.from_bytes(end[-8:-4], "little") + 8


def read_notes(file: bytes | Path) -> dict[str, bytes]:
    """Return the notes in a Parquet footer, from a file or an end of it that holds its footer."""
    where = io.BytesIO(file) if isinstance(file, bytes) else file
    metadata = pq.read_metadata(where).metadata or {}
    return {
        name.decode(): decompress(base64.b64decode(value))
        for name, value in metadata.items()
        if name.startswith(b"modelwatch.")
    }


def compress(data: bytes) -> bytes:
    """Return ``data`` as one zstd frame that tells its size."""
    packed: bytes = _CODEC.compress(data, asbytes=True)
    return len(data).to_bytes(8, "little") + packed


def decompress(data: bytes) -> bytes:
    """Return what `compress` was given.

    Raises
    ------
    ProfileFormatError
        When it is something else.
    """
    size = int.from_bytes(data[:8], "little")
    try:
        unpacked: bytes = _CODEC.decompress(data[8:], size, asbytes=True)
    except (OSError, ValueError, MemoryError) as error:
        raise ProfileFormatError(f"damaged: {error}") from error
    return unpacked


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None
