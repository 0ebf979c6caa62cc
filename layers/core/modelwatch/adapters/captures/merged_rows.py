"""The rows of many Parquet files of captures as those of one, without holding them all.

The event ids and times of all rows are held (24 bytes a row), the rows themselves only as many as
go into a row group, and besides them the row groups that one file is read by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.feature_columns import conformed, unified_schema
from modelwatch.adapters.captures.parquet import ROW_GROUP_ROWS
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.profiles.quantiles import Ints

_VALUE_BYTES = 16
"""What a value takes in memory, texts and numbers taken together."""

_GROUP_BYTES = 512 * 1024 * 1024
"""Memory of a row group at most: wide rows make groups of fewer rows."""

_KEYS = ["event_id", "captured_at"]


class MergedRows:
    """The distinct rows of files of captures, by time.

    Parameters
    ----------
    paths
        The files; of an event that is in several rows, the first one counts.

    Attributes
    ----------
    schema
        Columns of all rows: a feature has a type that holds its values in every file.
    events
        Hashes of the event ids, sorted.
    first_ms, last_ms
        Earliest and latest ``captured_at``; 0 without rows.
    repeated
        How many rows there are whose event is in an earlier one.
    left_out
        How many rows were left out.
    """

    def __init__(
        self, paths: Sequence[Path], left_out: Hashes, group_rows: int = ROW_GROUP_ROWS
    ) -> None:
        self._paths = paths
        keys = [_keys_of(path) for path in paths]
        hashes = np.concatenate([each for each, _ in keys])
        times = np.concatenate([each for _, each in keys])
        counts = np.array([len(each) for each, _ in keys])
        del keys
        self._starts = np.cumsum(counts) - counts
        self.events, first = np.unique(hashes, return_index=True)
        self.repeated = len(hashes) - len(first)
        wanted = ~np.isin(self.events, left_out)
        self.left_out = len(first) - int(wanted.sum())
        self.events = self.events[wanted]
        self._kept = np.sort(first[wanted])
        self._order = self._kept[np.argsort(times[self._kept], kind="stable")]
        self._whole = np.bincount(self._owners(self._kept), minlength=len(paths)) == counts
        self.first_ms = int(times[self._order[0]]) if len(self) else 0
        self.last_ms = int(times[self._order[-1]]) if len(self) else 0
        self.schema = unified_schema([pq.read_schema(path).remove_metadata() for path in paths])
        self._group_rows = min(group_rows, _GROUP_BYTES // (_VALUE_BYTES * len(self.schema)) or 1)

    def __len__(self) -> int:
        return len(self._order)

    def is_whole(self, index: int) -> bool:
        """Return whether all rows of the file at ``index`` are among these."""
        return bool(self._whole[index])

    def of_file(self, index: int) -> Iterator[pa.Table]:
        """Yield the rows that come from the file at ``index``, with its own columns."""
        mine = self._kept[self._owners(self._kept) == index] - self._starts[index]
        for start in range(0, len(mine), self._group_rows):
            yield pa.concat_tables(
                _read(self._paths[index], mine[start : start + self._group_rows])
            )

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows by time, as many at once as make a row group."""
        for start in range(0, len(self._order), self._group_rows):
            positions = self._order[start : start + self._group_rows]
            by_file = np.argsort(positions, kind="stable")
            owners = self._owners(positions[by_file])
            found, firsts = np.unique(owners, return_index=True)
            parts = [
                part
                for owner, mine in zip(found, np.split(positions[by_file], firsts[1:]), strict=True)
                for part in _read(self._paths[owner], mine - self._starts[owner])
            ]
            table = conformed(parts, self.schema)
            places = np.empty(len(positions), np.int64)
            places[by_file] = np.arange(len(positions))
            yield table.take(pa.array(places)).combine_chunks()

    def _owners(self, positions: Ints) -> Ints:
        """Return which file the row at each of ``positions`` is in."""
        owners: Ints = np.searchsorted(self._starts, positions, side="right") - 1
        return owners


def _keys_of(path: Path) -> tuple[Hashes, NDArray[np.int64]]:
    """Return the hash of the event id, and the time in ms, of each row of a file."""
    hashes, times = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=_KEYS)
            hashes.append(hash_events(table))
            times.append(table["captured_at"].cast(pa.int64()).to_numpy())
    return np.concatenate(hashes), np.concatenate(times)


def _read(path: Path, rows: Ints) -> list[pa.Table]:
    """Return ``rows`` (ascending numbers) of a file, from those row groups that hold any."""
    tables = []
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        for group in np.unique(np.searchsorted(ends, rows, side="right")):
            start = ends[group] - sizes[group]
            mine = rows[(rows >= start) & (rows < ends[group])] - start
            table = file.read_row_group(int(group))
            tables.append(table if len(mine) == table.num_rows else table.take(pa.array(mine)))
    return tables
