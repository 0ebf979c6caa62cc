"""Records as Parquet, in the columns that every reader of the bucket sees.

Fixed columns first (`FIXED_SCHEMA`), then one ``feature_<name>`` column a feature: numbers as
doubles, strings as strings, truth values as booleans. A feature that is null in a whole batch is
written as doubles.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch.domain.records import Record, Value

FEATURE_PREFIX = "feature_"

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
    ]
)


def records_table(records: Sequence[Record]) -> pa.Table:
    """Return ``records`` as a table, one row each, in their order.

    A numeric prediction is in ``prediction``; any prediction is, as text, in
    ``prediction_label``.
    """
    fixed = {
        "event_id": [record.event_id for record in records],
        "captured_at": [record.captured_at_ms for record in records],
        "variant": [record.variant for record in records],
        "prediction": [_number(record.prediction) for record in records],
        "prediction_label": [_label(record.prediction) for record in records],
        "probabilities": [record.probabilities for record in records],
        "latency_ms": [record.latency_ms for record in records],
        "source": [record.source for record in records],
        "sample_rate": [record.sample_rate for record in records],
    }
    columns = {
        name: pa.array(values, FIXED_SCHEMA.field(name).type) for name, values in fixed.items()
    }
    names = dict.fromkeys(name for record in records for name in record.features)
    for name in names:
        columns[FEATURE_PREFIX + name] = _feature([record.features.get(name) for record in records])
    return pa.table(columns)


def write_table(table: pa.Table) -> bytes:
    """Return ``table`` as one Parquet file: zstd, one row group."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=max(table.num_rows, 1))
    return sink.getvalue()


def read_table(payload: bytes) -> pa.Table:
    """Read one Parquet file."""
    return pq.read_table(io.BytesIO(payload))


def _feature(values: list[Value]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
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
