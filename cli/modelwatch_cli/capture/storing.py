"""Stores the new records and labels of an hour of an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from modelwatch.domain.labels import Label
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch.ports.capture import LabelStore, RecordStore

_LABELS_AT_ONCE = 10_000


@dataclass(slots=True)
class Stored:
    """How many were stored now, and how many were known: from before, or from the same source."""

    stored: int = 0
    known: int = 0


def store_records_of_hour(
    store: RecordStore, hour: datetime, records: Sequence[Record], done: Stored
) -> None:
    """Store the records of a model version and ``hour`` that are new, and count them in ``done``.

    Raises StoreError when an object cannot be read or written.
    """
    first = records[0]
    window = Window(hour, hour + timedelta(hours=1))
    there = store.read(first.model_name, first.model_version, window)
    known = set(there["event_id"].to_pylist())
    distinct = {record.event_id: record for record in reversed(records)}
    new = [record for record in distinct.values() if record.event_id not in known]
    if new:
        store.write(new)
    done.stored += len(new)
    done.known += len(records) - len(new)


def store_labels_of_hour(
    store: LabelStore, hour: datetime, labels: Sequence[Label], done: Stored
) -> None:
    """Store the labels of predictions of ``hour`` that are new, and count them in ``done``.

    Raises StoreError when an object cannot be read or written.
    """
    there = store.read(store.objects(hour.date()).get(hour, []))
    columns = ("event_id", "labelled_at", "label_text", "label_cell")
    known = set(zip(*(there[name].to_pylist() for name in columns), strict=True))
    new = {
        key: label
        for label in labels
        if (key := (label.event_id, label.labelled_at, label.text, label.cell)) not in known
    }
    for some in batched(new.values(), _LABELS_AT_ONCE, strict=False):
        store.write(some)
    done.stored += len(new)
    done.known += len(labels) - len(new)
