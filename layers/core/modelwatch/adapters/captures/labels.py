"""Labels on S3: immutable Parquet objects by the hour of their predictions.

``labels/date=YYYY-MM-DD/hour=HH/<first>-<last>-<digest>.parquet``

`first` and `last` are the earliest and latest ``predicted_at`` in milliseconds; `digest` follows
from all that the labels say, so that a batch that is delivered again lands on the same name, where
a conditional write leaves it alone. A corrected label is one more object: readers take the newest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.aws.objects import S3Objects, S3Store
from modelwatch.adapters.captures.parquet import read_table, write_table
from modelwatch.domain.keys import hour_place, parse_hour
from modelwatch.domain.labels import Label

LABELS = "labels/"

LABEL_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("predicted_at", pa.timestamp("ms", tz="UTC")),
        ("labelled_at", pa.timestamp("ms", tz="UTC")),
        ("label", pa.float64()),
        ("label_text", pa.string()),
        ("source", pa.string()),
        ("label_cell", pa.string()),
    ]
)
"""A label that is a number or a boolean is in ``label``; any is, as text, in ``label_text``.

``label_cell`` is `Label.cell`; objects that are older do not have it.
"""

_KEY = re.compile(r"^labels/date=[\d-]{10}/hour=\d\d/\d+-\d+-[0-9a-f]+\.parquet$")
_CONNECTIONS = 8


class S3LabelStore(S3Store):
    """Labels in ``bucket``; see `LabelWriter` and `LabelStore` of `modelwatch.ports.capture`.

    ``objects`` read them in place of the store's own.
    """

    def __init__(self, client: Any, bucket: str, objects: S3Objects | None = None) -> None:
        super().__init__(client, bucket)
        self._objects = objects or self._objects

    def write(self, labels: Sequence[Label]) -> str:
        """Store labels of one hour; return the object's key."""
        ordered = sorted(labels, key=lambda label: (label.predicted_at_ms, label.event_id))
        first, last = ordered[0], ordered[-1]
        key = (
            f"{LABELS}{hour_place(first.hour)}/{first.predicted_at_ms}-{last.predicted_at_ms}-"
            f"{_digest(ordered)}.parquet"
        )
        payload = write_table(labels_table(ordered))
        self._objects.write_once(key, payload, "application/vnd.apache.parquet")
        return key

    def objects(self, day: date, last: date | None = None) -> dict[datetime, list[str]]:
        """Return the names of objects by the hour of the predictions: of a day, or to the last."""
        found: dict[datetime, list[str]] = {}
        for key, _ in self._objects.keys_of_days(LABELS, day, last or day):
            if hour := hour_of(key):
                found.setdefault(hour, []).append(key)
        return found

    def read(self, names: Sequence[str]) -> pa.Table:
        """Return the labels that hold among those of some objects: one a prediction, by its id."""
        if not names:
            return LABEL_SCHEMA.empty_table()
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            payloads = threads.map(self._objects.read, sorted(names))
            tables = [read_table(payload) for payload in payloads]
        return _newest_rows(joined(tables))


def hour_of(key: str) -> datetime | None:
    """Return the hour whose labels an object holds, or None when it is no object of labels."""
    return parse_hour(key) if _KEY.match(key) else None


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the labels of objects, old ones, too, in the columns of `LABEL_SCHEMA`."""
    table = pa.concat_tables([LABEL_SCHEMA.empty_table(), *tables], promote_options="default")
    return table.select(LABEL_SCHEMA.names)


def labels_table(labels: Sequence[Label]) -> pa.Table:
    """Return ``labels`` as a table of `LABEL_SCHEMA`, one row each, in their order."""
    columns = {
        "event_id": [label.event_id for label in labels],
        "predicted_at": [label.predicted_at_ms for label in labels],
        "labelled_at": [label.labelled_at_ms for label in labels],
        "label": [label.number for label in labels],
        "label_text": [label.text for label in labels],
        "source": [label.source for label in labels],
        "label_cell": [label.cell for label in labels],
    }
    return pa.table(columns, schema=LABEL_SCHEMA)


def _newest_rows(table: pa.Table) -> pa.Table:
    """Keep of each event id the row that `modelwatch.domain.labels.rank` puts last."""
    ranked = table.append_column("is_text", pc.is_null(table["label"])).append_column(
        "cell", pc.fill_null(table["label_cell"], "")
    )
    ranked = ranked.sort_by(
        [
            (name, "ascending")
            for name in ("event_id", "labelled_at", "label_text", "is_text", "source", "cell")
        ]
    )
    ids = ranked["event_id"].combine_chunks()
    if len(ids) < 2:
        return table
    last = pc.not_equal(ids[:-1], ids[1:])
    return ranked.filter(pa.concat_arrays([last, pa.array([True])])).select(table.column_names)


def _digest(labels: Sequence[Label]) -> str:
    said = [
        (label.event_id, label.labelled_at_ms, repr(label.label), label.source)
        + ((label.cell,) if label.cell else ())
        for label in labels
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:20]
