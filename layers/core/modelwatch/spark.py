"""Captures as a DataFrame of Spark: all models and versions together, whatever types they have.

Spark has one type for a column in all files of one read, and reads no whole number as a double.
Here its workers read the files by Arrow, in the columns that all of them have together: a feature
that is a whole number in one version and a double in another is a double, and what no double holds
is in ``long_<feature>``. Nothing is lost or rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch.adapters.captures.feature_columns import conformed, unified_schema
from modelwatch.adapters.captures.parquet import FIXED_SCHEMA
from modelwatch.domain.keys import parse_hour, parse_version

_TYPES = {
    pa.string(): "string",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    FIXED_SCHEMA.field("captured_at").type: "timestamp",
}
_TIMESTAMP = pa.timestamp("us", "UTC")
"""What Spark's timestamps are in Arrow."""

_PARTITIONS = "model_name string, model_version string, date date, hour int"
_BATCH_ROWS = 10_000


def read_captures(spark: Any, folder: str) -> Any:
    """Return the captures below ``folder`` as a DataFrame.

    Its columns are those of the files, and ``model_name``, ``model_version``, ``date`` and ``hour``
    (UTC) of their folders. The files are read twice: for their columns, and for their rows when the
    DataFrame is used.

    Parameters
    ----------
    spark
        The SparkSession. Its workers need this package and pyarrow.
    folder
        Any place that Spark reads: ``s3a://bucket/captures``, or of one version or day.
    """
    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*.parquet")
        .load(folder)
        .select("path", "content")
    )
    found = files.mapInArrow(_schemas, "columns binary").distinct().collect()
    schemas = sorted(bytes(row["columns"]) for row in found)
    read = [pa.ipc.read_schema(pa.py_buffer(each)) for each in schemas]
    schema = unified_schema(read or [FIXED_SCHEMA])
    columns = ", ".join(f"{_quoted(field.name)} {_spark_type(field.type)}" for field in schema)
    rows = partial(_rows, columns=schema.serialize().to_pybytes())
    return files.mapInArrow(rows, f"{columns}, {_PARTITIONS}")


def _schemas(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found = {_open(content).schema_arrow.remove_metadata() for content in batch["content"]}
        serialized = [each.serialize().to_pybytes() for each in found]
        yield pa.RecordBatch.from_pydict({"columns": pa.array(serialized, pa.binary())})


def _rows(batches: Iterator[pa.RecordBatch], columns: bytes) -> Iterator[pa.RecordBatch]:
    schema = pa.ipc.read_schema(pa.py_buffer(columns))
    place = schema.get_field_index("captured_at")
    for batch in batches:
        for path, content in zip(batch["path"].to_pylist(), batch["content"], strict=True):
            version, hour = parse_version(path), parse_hour(path)
            name, number = version or (None, None)
            file = _open(content)
            for group in range(file.num_row_groups):
                table = conformed([file.read_row_group(group)], schema)
                times = table["captured_at"].cast(_TIMESTAMP)
                table = table.set_column(place, "captured_at", times)
                for column, value, kind in (
                    ("model_name", name, pa.string()),
                    ("model_version", number, pa.string()),
                    ("date", hour and hour.date(), pa.date32()),
                    ("hour", hour and hour.hour, pa.int32()),
                ):
                    constant = pa.repeat(pa.scalar(value, kind), table.num_rows)
                    table = table.append_column(column, constant)
                yield from table.to_batches(_BATCH_ROWS)


def _spark_type(kind: pa.DataType) -> str:
    # Parquet and Arrow have different names for what a list holds
    return f"array<{_TYPES[kind.value_type]}>" if pa.types.is_list(kind) else _TYPES[kind]


def _open(content: pa.Scalar) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(content.as_buffer()))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
