"""Captured records on S3: immutable Parquet objects; see `modelwatch.adapters.captures.layout`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.arrow_profiles import profile_slices
from modelwatch.adapters.captures.feature_columns import unified
from modelwatch.adapters.captures.layout import (
    CAPTURES,
    IDS_NOTE,
    PROFILE_NOTE,
    CaptureObject,
    capture_key,
    model_prefix,
    version_prefix,
)
from modelwatch.adapters.captures.parquet import (
    FIXED_SCHEMA,
    blocks_table,
    read_notes,
    read_schema,
    read_table,
    write_table,
)
from modelwatch.domain.blocks import Block, blocks_of, joined_blocks
from modelwatch.domain.keys import unescape
from modelwatch.domain.profiles import encode_slices
from modelwatch.domain.profiles.hashes import Hashes, hash_event_ids
from modelwatch.domain.records import Record
from modelwatch.domain.segments import SegmentsOf, no_segments
from modelwatch.domain.windows import Window
from modelwatch.errors import NotFoundError

PARQUET = "application/vnd.apache.parquet"

CONNECTIONS = 8
"""Objects that are read at the same time."""

_TRIES = 3
_LOG = logging.getLogger(__name__)


class S3RecordStore:
    """Records in ``bucket``; see `modelwatch.ports.capture.RecordStore`.

    Parameters
    ----------
    segments_of
        Gives the parts of a model's traffic that are profiled apart when records are written.
    """

    def __init__(self, client: Any, bucket: str, segments_of: SegmentsOf = no_segments) -> None:
        self._objects = S3Objects(client, bucket)
        self._segments_of = segments_of

    def write(self, records: Sequence[Record] | Sequence[Block]) -> str:
        """Store records of one model version and hour, with their profile; return the key."""
        blocks = [each for each in records if isinstance(each, Block)]
        blocks = joined_blocks(
            blocks or blocks_of([each for each in records if isinstance(each, Record)])
        )
        table = blocks_table(blocks)
        event_ids = [event_id for block in blocks for event_id in block.event_ids]
        times = [at for block in blocks for at in block.captured_at_ms]
        keys = list(zip(times, event_ids, strict=True))
        ordered = sorted(keys)
        if ordered != keys:
            order = sorted(range(len(keys)), key=keys.__getitem__)
            table = table.take(order)
            event_ids = [event_ids[place] for place in order]
        head = blocks[0].head
        key = capture_key(
            head.model_name, head.model_version, ordered[0][0], ordered[-1][0], event_ids
        )
        hashes = hash_event_ids(event_ids)
        segments = self._segments_of(head.model_name)
        notes = {
            PROFILE_NOTE: encode_slices(profile_slices(table, segments, hashes)),
            IDS_NOTE: np.sort(hashes).astype("<u8").tobytes(),
        }
        self._objects.write_once(key, write_table(table, notes), PARQUET)
        return key

    def versions(self, window: Window | None = None) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, or ever, sorted."""

        def of(model: str) -> list[tuple[str, str]]:
            return [
                (model, version)
                for version in self.versions_of(model)
                if window is None or next(self.objects(model, version, window), None) is not None
            ]

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            return sorted(each for found in threads.map(of, self.names()) for each in found)

    def names(self) -> list[str]:
        """Return the names of all models with captures."""
        return self._values(CAPTURES, "model_name=")

    def versions_of(self, model_name: str) -> list[str]:
        """Return the versions of a model with captures."""
        return self._values(model_prefix(model_name), "model_version=")

    def days(self, model_name: str, model_version: str) -> list[date]:
        """Return the days of UTC of which a version has captures, in order."""
        prefix = version_prefix(model_name, model_version)
        return sorted(map(date.fromisoformat, self._values(prefix, "date=")))

    def objects(
        self, model_name: str, model_version: str, window: Window
    ) -> Iterator[CaptureObject]:
        """Yield the objects that may hold rows of ``window``, in the order of their keys."""
        prefix = version_prefix(model_name, model_version)
        last = (window.end - timedelta(milliseconds=1)).date()
        for key, size in self._objects.keys_of_days(prefix, window.start.date(), last):
            found = CaptureObject.parse(key, size)
            if found is not None and found.overlaps(window):
                yield found

    def read(self, model_name: str, model_version: str, window: Window) -> pa.Table:
        """Return the distinct records of a version in ``window``, by time."""

        def tables() -> list[pa.Table]:
            found = list(self.objects(model_name, model_version, window))
            with ThreadPoolExecutor(CONNECTIONS) as threads:
                return list(threads.map(lambda each: self.rows(each.key), found))

        table = joined(unmoved(tables))
        times = table["captured_at"].cast(pa.int64())
        within = pc.and_(pc.greater_equal(times, window.start_ms), pc.less(times, window.end_ms))
        return table.filter(within)

    def rows(self, key: str) -> pa.Table:
        """Return the rows of one object; raises NotFoundError when it is gone."""
        return read_table(self._objects.read(key))

    def schema(self, key: str) -> pa.Schema:
        """Return the columns of one object, whose rows are not read."""
        return read_schema(lambda size: self._objects.read_end(key, size))

    def events(self, key: str) -> Hashes | None:
        """Return the sorted hashes of an object's event ids; None if only its rows have them."""
        notes = read_notes(lambda size: self._objects.read_end(key, size))
        return np.frombuffer(notes[IDS_NOTE], "<u8") if IDS_NOTE in notes else None

    def _values(self, prefix: str, column: str) -> list[str]:
        return [
            unescape(folder.removeprefix(column))
            for folder in self._objects.folders(prefix)
            if folder.startswith(column)
        ]


def unmoved[T](read: Callable[[], T]) -> T:
    """Return what ``read`` finds; list again when a merge removes objects under it."""
    for _ in range(_TRIES - 1):
        try:
            return read()
        except NotFoundError as error:
            _LOG.info("listing again: %s", error)
    return read()


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the distinct rows of captures of one version, by time.

    Columns that changed their type take one that holds all values.
    """
    if not tables:
        return FIXED_SCHEMA.empty_table()
    table = pa.concat_tables(unified(tables), promote_options="permissive")
    first: dict[str, int] = {}
    for index, event_id in enumerate(table["event_id"].to_pylist()):
        first.setdefault(event_id, index)
    if len(first) < table.num_rows:
        table = table.take(list(first.values()))
    return table.sort_by("captured_at")
