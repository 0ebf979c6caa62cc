"""Captured records on S3: immutable Parquet objects in Hive partitions.

``captures/model_name=M/model_version=V/date=YYYY-MM-DD/hour=HH/<first>-<last>-<digest>.parquet``

`first` and `last` are the earliest and latest ``captured_at`` in milliseconds, so that a window is
read without opening objects outside it; `digest` follows from the event ids, so that a batch that
is delivered again lands on the same name, where a conditional write leaves it alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.parquet import FIXED_SCHEMA, read_table, records_table, write_table
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch.errors import StoreError

_PREFIX = "captures/"
_NAME = re.compile(r"/(\d+)-(\d+)-[0-9a-f]+\.parquet$")


class S3RecordStore:
    """Records in ``bucket``; see `modelwatch.ports.RecordStore`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(self, records: Sequence[Record]) -> str:
        """Store records of one model version and hour; return the object's key."""
        ordered = sorted(records, key=lambda record: (record.captured_at, record.event_id))
        first, last = ordered[0], ordered[-1]
        digest = hashlib.sha256("".join(sorted(r.event_id for r in ordered)).encode()).hexdigest()
        key = (
            _partition(first.model_name, first.model_version, first.captured_at)
            + f"{first.captured_at_ms}-{last.captured_at_ms}-{digest[:20]}.parquet"
        )
        payload = write_table(records_table(ordered))
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=payload,
                IfNoneMatch="*",
                ContentType="application/vnd.apache.parquet",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
                raise StoreError(f"cannot write {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"cannot write {key}: {error}") from error
        return key

    def versions(self, window: Window) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, sorted."""
        return sorted(
            (model, version)
            for model in self._values(_PREFIX, "model_name")
            for version in self._values(f"{_PREFIX}model_name={_quote(model)}/", "model_version")
            if next(self._keys(model, version, window), None) is not None
        )

    def read(self, model_name: str, model_version: str, window: Window) -> pa.Table:
        """Return the distinct records of a version in ``window``, by time."""
        tables = []
        for key in self._keys(model_name, model_version, window):
            try:
                payload = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except (BotoCoreError, ClientError) as error:
                raise StoreError(f"cannot read {key}: {error}") from error
            tables.append(read_table(payload))
        if not tables:
            return FIXED_SCHEMA.empty_table()
        table = pa.concat_tables(tables, promote_options="permissive")
        times = table["captured_at"].cast(pa.int64())
        within = pc.and_(pc.greater_equal(times, window.start_ms), pc.less(times, window.end_ms))
        return _distinct(table.filter(within))

    def _keys(self, model: str, version: str, window: Window) -> Iterator[str]:
        for hour in window.hours():
            for page in self._pages(Prefix=_partition(model, version, hour)):
                for entry in page.get("Contents", ()):
                    times = _NAME.search(entry["Key"])
                    if times and (
                        int(times[1]) < window.end_ms and int(times[2]) >= window.start_ms
                    ):
                        yield entry["Key"]

    def _values(self, prefix: str, column: str) -> list[str]:
        start = f"{prefix}{column}="
        return [
            unquote(found["Prefix"].removeprefix(start).rstrip("/"))
            for page in self._pages(Prefix=start, Delimiter="/")
            for found in page.get("CommonPrefixes", ())
        ]

    def _pages(self, **query: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, **query
            )
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot list {self._bucket}: {error}") from error


def _partition(model_name: str, model_version: str, time: datetime) -> str:
    return (
        f"{_PREFIX}model_name={_quote(model_name)}/model_version={_quote(model_version)}/"
        f"date={time:%Y-%m-%d}/hour={time:%H}/"
    )


def _quote(value: str) -> str:
    # Hive escapes what a path cannot hold as %XX
    return quote(value, safe=" -._()+,")


def _distinct(table: pa.Table) -> pa.Table:
    first: dict[str, int] = {}
    for index, event_id in enumerate(table["event_id"].to_pylist()):
        first.setdefault(event_id, index)
    if len(first) < table.num_rows:
        table = table.take(list(first.values()))
    return table.sort_by("captured_at")
