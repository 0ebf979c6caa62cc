"""Merges the label objects of an hour into one, with every label that was ever sent for it.

Where labels come over days, each batch touches many hours, and an hour gets thousands of objects of
a few labels. The merged object is written before the others are deleted: between the two, readers
find labels twice, of which they take one.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.labels import LABELS, hour_of, joined
from modelwatch.adapters.captures.parquet import read_table, write_table
from modelwatch.adapters.captures.records import CONNECTIONS, PARQUET
from modelwatch.domain.compaction import CaptureHour, MergedHour
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.errors import NotFoundError

MIN_OBJECTS = 8
"""With fewer there is nothing to gain."""

_LOG = logging.getLogger(__name__)


class S3LabelCompaction(S3Store):
    """Hours of labels in ``bucket``; see `modelwatch.ports.compaction.CaptureHours`."""

    def hours(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[CaptureHour]:
        """Return the hours of labels, from ``since`` to before ``until``, with many objects."""
        listed = [each for each in self._objects.keys(LABELS) if hour_of(each[0])]
        found = []
        for folder, group in groupby(listed, lambda each: each[0].rsplit("/", 1)[0]):
            within = list(group)
            hour = hour_of(within[0][0])
            if (
                hour is not None
                and len(within) >= MIN_OBJECTS
                and (since is None or hour >= since)
                and (until is None or hour < until)
            ):
                keys = tuple(key for key, _ in within)
                found.append(CaptureHour(f"{folder}/", hour, keys, sum(size for _, size in within)))
        return found

    def merge(self, hour: CaptureHour, left_out: Hashes) -> MergedHour | None:
        """Merge the objects of an hour into one, without labels of the events ``left_out``.

        Returns
        -------
        MergedHour | None
            What it was and is; None when another run has taken objects away meanwhile.
        """
        try:
            with ThreadPoolExecutor(CONNECTIONS) as threads:
                tables = list(
                    threads.map(lambda key: read_table(self._objects.read(key)), hour.objects)
                )
        except NotFoundError as error:
            _LOG.info("another run works on %s: %s", hour.name, error)
            return None
        table = joined(tables)
        kept = table.filter(pa.array(~np.isin(hash_events(table), left_out)))
        # the same label, sent again: nothing but its place differs
        distinct = kept.group_by(kept.column_names).aggregate([]).select(kept.column_names)
        merged = MergedHour(
            name=hour.name,
            objects=len(hour.objects),
            rows=distinct.num_rows,
            repeated=kept.num_rows - distinct.num_rows,
            left_out=table.num_rows - kept.num_rows,
            bytes_before=hour.size_bytes,
            bytes_after=0,
        )
        there = {key for key, _ in self._objects.keys(hour.name)}
        if not there.issuperset(hour.objects):
            _LOG.info("another run works on %s", hour.name)
            return None
        key = ""
        if distinct.num_rows:
            key, payload = label_object(hour.name, distinct)
            self._objects.write_once(key, payload, PARQUET)
            merged = replace(merged, bytes_after=len(payload))
        self._objects.delete([each for each in hour.objects if each != key])
        return merged


def label_object(folder: str, table: pa.Table) -> tuple[str, bytes]:
    """Return the key and the bytes of an object in ``folder``: the same for the same labels."""
    ordered = table.sort_by([(name, "ascending") for name in table.column_names])
    times = pc.min_max(ordered["predicted_at"].cast(pa.int64())).as_py()
    payload = write_table(ordered)
    digest = hashlib.sha256(payload).hexdigest()[:20]
    return f"{folder}{times['min']}-{times['max']}-{digest}.parquet", payload
