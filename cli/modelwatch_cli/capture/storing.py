"""Stores the new records and labels of an hour of an import; what is stored does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.feature_columns import conformed, unified_schema
from modelwatch.adapters.captures.layout import CaptureObject
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.captures.records import S3RecordStore, unmoved
from modelwatch.domain.labels import Label
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch.ports.capture import LabelStore

_LABELS_AT_ONCE = 10_000
_OF_THE_WAY = ("latency_ms", "source", "sample_rate", "lost_before")
"""Columns that say how a record came, not what was predicted."""


@dataclass(slots=True)
class Stored:
    """How many were stored now, and how many were known: from before, or from the same source.

    ``changed`` are those of the known that differ from what is stored; ``left_out`` those that the
    model's monitor does not let be captured.
    """

    stored: int = 0
    known: int = 0
    changed: int = 0
    left_out: int = 0

    def add(self, other: Stored) -> None:
        """Add the counts of another part of the source."""
        self.stored += other.stored
        self.known += other.known
        self.changed += other.changed
        self.left_out += other.left_out


class RecordsOfHour:
    """The records of a model version and hour, as they are before an import."""

    def __init__(
        self, store: S3RecordStore, model_name: str, model_version: str, hour: datetime
    ) -> None:
        self._store = store
        self._version = model_name, model_version
        self._window = Window(hour, hour + timedelta(hours=1))
        self._objects: list[tuple[CaptureObject, Hashes | None]] | None = None

    def add(self, records: Sequence[Record], done: Stored) -> set[str]:
        """Store the records that are new, and count all in ``done``; return ids of the changed.

        Each event comes in one call alone. Raises StoreError when an object cannot be read or
        written.
        """
        distinct = {record.event_id: record for record in reversed(records)}
        given = list(distinct.values())
        there = unmoved(lambda: self._stored(given))
        known: set[str] = set()
        changed: set[str] = set()
        if there is not None:
            known = set(there["event_id"].to_pylist())
            changed = changed_events(there, records_table([distinct[each] for each in known]))
        new = [record for record in given if record.event_id not in known]
        if new:
            self._store.write(new)
        done.stored += len(new)
        done.known += len(records) - len(new)
        done.changed += len(changed)
        return changed

    def _stored(self, records: Sequence[Record]) -> pa.Table | None:
        """Return the rows that are stored under these ids; None if there are none."""
        try:
            if self._objects is None:
                found = self._store.objects(*self._version, self._window)
                self._objects = [(each, self._store.events(each.key)) for each in found]
            if not self._objects:
                return None
            ids = pa.table({"event_id": [record.event_id for record in records]})
            events = hash_events(ids)
            tables = []
            for each, held in self._objects:
                if held is None or np.isin(held, events).any():
                    table = self._store.rows(each.key)
                    tables.append(table.filter(pc.is_in(table["event_id"], ids["event_id"])))
        except BaseException:
            self._objects = None  # a merge took one away: list again
            raise
        if not any(table.num_rows for table in tables):
            return None
        schema = unified_schema([table.schema for table in tables])
        return conformed(tables, schema)


def changed_events(stored: pa.Table, given: pa.Table) -> set[str]:
    """Return the ids of the rows of ``given`` that are stored with another content."""
    schema = unified_schema([stored.schema, given.schema])
    stored, given = conformed([stored], schema), conformed([given], schema)
    stored = stored.take(pc.index_in(given["event_id"], stored["event_id"]))
    differs = np.zeros(given.num_rows, bool)
    for name in schema.names:
        if name in _OF_THE_WAY or stored[name].equals(given[name]):
            continue
        pairs = zip(stored[name].to_pylist(), given[name].to_pylist(), strict=True)
        differs |= np.array([one != other for one, other in pairs])
    return set(given["event_id"].filter(pa.array(differs)).to_pylist())


class LabelsOfHour:
    """The labels of predictions of an hour, as they are before an import."""

    def __init__(self, store: LabelStore, hour: datetime) -> None:
        self._store = store
        self._hour = hour
        self._known: dict[tuple[str, datetime], tuple[str, str | None]] | None = None

    def add(self, labels: Sequence[Label], done: Stored) -> set[str]:
        """Store the labels that are new, and count all in ``done``; return ids of the changed.

        A label is changed when another one is stored that was found out at the same time: no one
        could say which of them holds. Raises StoreError when an object cannot be read or written.
        """
        if not labels:
            return set()
        if self._known is None:
            there = self._store.read(self._store.objects(self._hour.date()).get(self._hour, []))
            ids, times, texts, cells = (
                there[name].to_pylist()
                for name in ("event_id", "labelled_at", "label_text", "label_cell")
            )
            self._known = dict(
                zip(zip(ids, times, strict=True), zip(texts, cells, strict=True), strict=True)
            )
        new: dict[tuple[str, datetime], Label] = {}
        changed = set()
        for label in labels:
            assert label.labelled_at is not None
            key = label.event_id, label.labelled_at
            if key not in self._known:
                new.setdefault(key, label)
            elif self._known[key] != (label.text, label.cell):
                changed.add(label.event_id)
        for some in batched(new.values(), _LABELS_AT_ONCE, strict=False):
            self._store.write(some)
        done.stored += len(new)
        done.known += len(labels) - len(new)
        done.changed += len(changed)
        return changed
