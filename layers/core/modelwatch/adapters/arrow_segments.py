"""Which rows of an Arrow table belong to which segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelwatch.adapters.parquet import FEATURE_PREFIX
from modelwatch.domain.segments import SegmentKey, Segments
from modelwatch.domain.segments.columns import Bools


def segment_rows(segments: Segments, table: pa.Table) -> dict[SegmentKey, Bools]:
    """Return for each segment with rows which rows of ``table`` belong to it.

    The table's features are in the columns of `modelwatch.adapters.parquet`; only those that the
    segments are about are looked at.
    """
    present = set(table.column_names)
    columns = {
        name: _values(table[FEATURE_PREFIX + name])
        for name in segments.columns
        if FEATURE_PREFIX + name in present
    }
    return segments.rows(columns, table.num_rows)


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.cast(kind.value_type))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        numbers: NDArray[Any] = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers
    if not (pa.types.is_null(kind) or pa.types.is_boolean(kind)):
        column = column.cast(pa.string())
    return np.array(column.to_pylist(), dtype=object)
