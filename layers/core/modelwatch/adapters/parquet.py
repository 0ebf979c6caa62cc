"""Records as Parquet, in the columns that every reader of the bucket sees.

Fixed columns first (`FIXED_SCHEMA`), then one ``feature_<name>`` column a feature, typed as the
model's signature says. Where nobody says it, numbers are doubles, strings strings and truth values
booleans, and a feature that is null in a whole batch is written as doubles.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch.domain.records import Record, Value
from modelwatch.errors import ProfileFormatError

FEATURE_PREFIX = "feature_"

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
    """Return ``records`` as a table, one row each, in their order.

    A numeric prediction is in ``prediction``; any prediction is, as text, in
    ``prediction_label``; why there is none is in ``error``, which is null where there is one.
    A feature's column has the type that the records tell (`Record.types`), else that of the values.
    """
    shapes: dict[tuple[str, ...], list[int]] = {}
    for index, record in enumerate(records):
        shapes.setdefault((record.types, *record.features), []).append(index)
    tables = [_shaped_table([records[index] for index in found]) for found in shapes.values()]
    if not tables:
        return FIXED_SCHEMA.empty_table()
    table = pa.concat_tables(unified(tables), promote_options="permissive")
    if len(tables) > 1:
        table = table.take(np.argsort(np.concatenate(list(shapes.values()))))
    kinds = (field.type for field in table.schema)
    known = [pa.float64() if pa.types.is_null(kind) else kind for kind in kinds]
    return table.cast(
        pa.schema([field.with_type(kind) for field, kind in zip(table.schema, known, strict=True)])
    )


def _shaped_table(records: Sequence[Record]) -> pa.Table:
    """Return records that have the same features, in the same order and of the same types."""
    fixed = {
        "event_id": [record.event_id for record in records],
        "captured_at": [record.captured_at_ms for record in records],
        "variant": [record.variant for record in records],
        "prediction": [_number(record.prediction) for record in records],
        "prediction_label": [
            None if record.prediction is None else _label(record.prediction) for record in records
        ],
        "probabilities": [record.probabilities for record in records],
        "latency_ms": [record.latency_ms for record in records],
        "source": [record.source for record in records],
        "sample_rate": [record.sample_rate for record in records],
        "lost_before": [record.lost_before for record in records],
        "error": [record.error or None for record in records],
    }
    columns = {
        name: pa.array(values, FIXED_SCHEMA.field(name).type) for name, values in fixed.items()
    }
    names = list(records[0].features)
    letters = records[0].types or " " * len(names)
    values = zip(*[record.features.values() for record in records], strict=True)
    for name, letter, column in zip(names, letters, values, strict=False):
        columns[FEATURE_PREFIX + name] = _feature(column, letter)
    return pa.table(columns)


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


def unified(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Return the tables with each feature in one type that holds the values of all of them.

    Whole numbers and doubles become doubles; numbers, truth values and texts together texts.
    """
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    wanted = {name: _widest(types) for name, types in kinds.items() if len(types) > 1}
    return [
        table.cast(
            pa.schema(
                [field.with_type(wanted.get(field.name, field.type)) for field in table.schema]
            )
        )
        for table in tables
    ]


def _widest(types: set[pa.DataType]) -> pa.DataType:
    types = {kind for kind in types if not pa.types.is_null(kind)}
    if len(types) <= 1:
        return next(iter(types), pa.null())
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in types)
    return pa.float64() if numbers else pa.string()


_COLUMN_TYPES = {"d": pa.float64(), "l": pa.int64(), "s": pa.string(), "b": pa.bool_()}


def _feature(values: Sequence[Value], letter: str) -> pa.Array:
    if letter in _COLUMN_TYPES:
        try:
            return pa.array(values, _COLUMN_TYPES[letter])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            # an application may send other values than it says: they are kept as they are
            pass
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pa.nulls(len(values))
    if kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    return pa.array([None if value is None else _label(value) for value in values], pa.string())


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _label(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.17g}" if isinstance(value, float) else str(value)
