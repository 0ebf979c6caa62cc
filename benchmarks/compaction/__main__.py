"""Compaction of one hour: `python -m benchmarks.compaction [--rows N] [--objects N] [--late N]`.

Batches of records with 13 features are written to an S3 of files in a scratch folder, as capture
writes them, and merged; then late batches come, and it is merged again. A table is printed, and as
the last line one JSON object with every figure. What the network costs is not in the seconds; the
requests are counted, and are what AWS charges for.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import shutil
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window

FEATURES = 13
HOUR = datetime(2026, 3, 1, 12, tzinfo=UTC)
USD = {"put": 5e-6, "list": 5e-6, "get": 4e-7, "delete": 0.0}
"""S3 Standard, us-east-1, a request; as of 2026-11."""

NOTHING = np.empty(0, np.uint64)


class FileS3:
    """What the adapters ask of boto3's S3 client, on files; requests are counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: Counter[str] = Counter()

    def put_object(self, **request: Any) -> dict[str, Any]:
        self.requests["put"] += 1
        path = self.folder / request["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        body = request["Body"]
        with path.open("wb") as file:
            if isinstance(body, bytes):
                file.write(body)
            else:
                shutil.copyfileobj(body, file)
        return {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.requests["get"] += 1
        body = (self.folder / request["Key"]).open("rb")
        if "Range" in request:
            wanted = int(request["Range"].removeprefix("bytes=-"))
            body.seek(max(0, (self.folder / request["Key"]).stat().st_size - wanted))
        return {"Body": body}

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        self.requests["delete"] += 1
        for entry in request["Delete"]["Objects"]:
            (self.folder / entry["Key"]).unlink(missing_ok=True)
        return {}

    def get_paginator(self, _name: str) -> FileS3:
        return self

    def paginate(self, **request: Any) -> Any:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        found = [(path.relative_to(self.folder).as_posix(), path.stat().st_size) for path in files]
        entries = [
            {"Key": key, "Size": size}
            for key, size in sorted(found)
            if key.startswith(request["Prefix"])
        ]
        for start in range(0, len(entries) or 1, 1000):
            self.requests["list"] += 1
            yield {"Contents": entries[start : start + 1000]}


class PeakMemory:
    """The most memory that this process takes while it is entered, in MB."""

    def __enter__(self) -> PeakMemory:
        gc.collect()
        self._before = self._peak = _resident_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def mb(self) -> float:
        return (self._peak - self._before) / 1e6

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._peak = max(self._peak, _resident_bytes())


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def write_batches(store: S3RecordStore, rows: int, objects: int, generator: Any) -> None:
    """Write ``rows`` records of an hour in ``objects`` batches, as they come by time."""
    per_object = rows // objects
    names = [f"feature_{index}" for index in range(FEATURES)]
    for batch in range(objects):
        values = generator.normal(size=(per_object, FEATURES)).round(3)
        start = 3600 / objects * batch
        seconds = np.sort(generator.uniform(start, start + 3600 / objects, per_object))
        records = [
            Record(
                event_id=new_event_id(int((HOUR.timestamp() + second) * 1000)),
                captured_at=HOUR + timedelta(milliseconds=int(second * 1000)),
                model_name="wine",
                model_version="3",
                variant="production",
                features=dict(zip(names, row, strict=True)),
                prediction=index % 3,
                probabilities=[0.2, 0.3, 0.5],
                latency_ms=0.5,
                types="d" * FEATURES,
            )
            for index, (second, row) in enumerate(
                zip(seconds.tolist(), values.tolist(), strict=True)
            )
        ]
        store.write(records)


def merge(s3: FileS3, name: str) -> dict[str, Any]:
    """Merge the hour; return the figures."""
    compaction = S3Compaction(s3, "bucket")
    (hour,) = compaction.hours()
    s3.requests.clear()
    with PeakMemory() as memory:
        began, cpu = time.perf_counter(), time.process_time()
        merged = compaction.merge(hour, NOTHING)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    assert merged is not None
    return {
        "run": name,
        "objects": merged.objects,
        "rows": merged.rows,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "rows_per_second": round(merged.rows / seconds),
        "peak_mb": round(memory.mb),
        "bytes_per_row_before": round(merged.bytes_before / merged.rows, 1),
        "bytes_per_row_after": round(merged.bytes_after / merged.rows, 1),
        "requests": dict(s3.requests),
        "usd": round(sum(USD[kind] * count for kind, count in s3.requests.items()), 7),
    }


def read(s3: FileS3, name: str) -> dict[str, Any]:
    """Read the profiles of the hour; return the figures."""
    s3.requests.clear()
    began = time.perf_counter()
    window = Window(HOUR, HOUR + timedelta(hours=1))
    S3ProfileStore(s3, "bucket").profiles("wine", "3", window)
    return {
        "run": name,
        "seconds": round(time.perf_counter() - began, 3),
        "requests": dict(s3.requests),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=1_000)
    parser.add_argument("--late", type=int, default=10, help="batches that come after the merge")
    options = parser.parse_args()
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="modelwatch-compaction-benchmark-") as folder:
        s3 = FileS3(Path(folder))
        store = S3RecordStore(s3, "bucket")
        write_batches(store, options.rows, options.objects, generator)
        before = read(s3, "profiles of batches")
        first = merge(s3, "first merge")
        after = read(s3, "profiles of the merged hour")
        write_batches(store, options.late * 100, options.late, generator)
        second = merge(s3, "late batches")
    for figures in (first, second):
        print(
            f"{figures['run']:14} {figures['rows']:>10,} rows  {figures['objects']:>6,} objects  "
            f"{figures['seconds']:>7} s ({figures['cpu_seconds']} s of CPU)  "
            f"{figures['rows_per_second']:>9,} rows/s  "
            f"{figures['peak_mb']:>6} MB  {figures['bytes_per_row_before']:>6} -> "
            f"{figures['bytes_per_row_after']} bytes/row  {figures['requests']}  "
            f"{figures['usd']:.6f} USD"
        )
    for figures in (before, after):
        print(f"{figures['run']:30} {figures['seconds']:>7} s  {figures['requests']}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"runs": [first, second, before, after], "process_peak_mb": round(peak_mb)}))


if __name__ == "__main__":
    main()
