"""Which rows of an Arrow table belong to which segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelwatch.adapters.captures.feature_columns import feature_names, parts_by_name
from modelwatch.domain.segments import SegmentKey, Segments
from modelwatch.domain.segments.columns import Bools


def segment_rows(segments: Segments, table: pa.Table) -> dict[SegmentKey, Bools]:
    """Return for each segment with rows which rows of ``table`` belong to it.

    The table's features are in the columns of `modelwatch.adapters.captures.parquet`.
    It reads only those that the segments are about.
    """
    present = set(feature_names(table.column_names))
    parts = parts_by_name(table, [name for name in segments.columns if name in present])
    if all(len(found) == 1 for found in parts.values()):
        columns = {name: _values(found[0]) for name, found in parts.items()}
        return segments.rows(columns, table.num_rows)
    return _mixed_rows(segments, table.num_rows, parts)


def _mixed_rows(
    segments: Segments, rows: int, parts: Mapping[str, list[pa.ChunkedArray]]
) -> dict[SegmentKey, Bools]:
    """Look apart at the rows whose features have their values in the same columns each.

    An expression sees values of one kind, and each row is to be in the segments of its own values.
    """
    kinds = np.zeros((len(parts), rows), np.int8)
    for row, found in zip(kinds, parts.values(), strict=True):
        for number, part in enumerate(found):
            row[part.is_valid().to_numpy()] = number
    together: dict[SegmentKey, Bools] = {}
    for signature in np.unique(kinds, axis=1).T:
        mine = (kinds == signature[:, None]).all(axis=0)
        columns = {
            name: _values(found[number].filter(pa.array(mine)))
            for (name, found), number in zip(parts.items(), signature.tolist(), strict=True)
        }
        for key, members in segments.rows(columns, int(mine.sum())).items():
            together.setdefault(key, np.zeros(rows, np.bool_))[np.flatnonzero(mine)[members]] = True
    return together


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
