"""What capture costs: rows a second, bytes a row, requests and money a million predictions.

    make bench-capture

Rows of 13 and of 200 features go through the consumer as SQS delivers them, up to the object that
would be written; S3 itself is left out (its requests are counted, not waited for). They come packed
as predict sends those of a batch, and, beside it, packed one a message. Times are CPU seconds of
all threads, the best of some rounds, beside two yardsticks of the machine in the same run:
`json.loads` on each row as the JSON object that it was before, and one copy of the packed messages'
bytes. ``rows_per_json_loads`` says how many times its rows the consumer stores: the median of
rounds in which both take turns. Prints tables, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from benchmarks.capture.sending import sent_by
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tests.support.in_memory_s3 import InMemoryS3

from modelwatch.adapters.aws.queues import packed_bodies
from modelwatch.adapters.captures.arrow_profiles import profile_slices, profile_table
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.parquet import blocks_table, records_table, write_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.erasure.erased import S3Erasures
from modelwatch.domain.blocks import Block, joined_blocks
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.profiles import encode_slices
from modelwatch.domain.records import Record, encode_record
from modelwatch.ports.metrics import Sample
from modelwatch.services.capture import CaptureService
from modelwatch.services.compaction import CompactionService
from modelwatch.services.deliveries import Message, read_message
from modelwatch_cli.costs.prices import PRICES_OF, REGION, S3_STORAGE, Item, capture_items

FEATURES = 13
WIDE_FEATURES = 200
RATE = 500
"""Predictions a second."""

_MILLION = 1_000_000

HOUR = datetime(2026, 3, 1, 12, tzinfo=UTC)
RIVALS = Path(__file__).parents[2] / ".envs" / "rivals" / "bin" / "python"


class _Nowhere:
    """Plays the queues and the metrics: takes everything."""

    def send(self, _records: object) -> None:
        """Take records."""

    def put(self, _message_id: str, body: str, reason: str) -> None:
        """Refuse a dead letter: there is to be none."""
        raise AssertionError(f"{reason}: {body[:200]}")

    def release(self, delays_seconds: object) -> None:
        """Take messages back: there are to be none."""
        assert not delays_seconds

    def emit(self, _samples: Sequence[Sample]) -> None:
        """Take metrics."""


def _records(size: int, width: int = FEATURES) -> list[Record]:
    names = [f"feature_{number}" for number in range(width)]
    generator = np.random.default_rng(7)
    rows = generator.normal(10, 2, (size, width)).round(3)
    chances = generator.dirichlet((1, 1, 1), size).round(6)
    times = np.arange(size) * 1000 // RATE
    start_ms = int(HOUR.timestamp() * 1000)
    return [
        Record(
            event_id=new_event_id(start_ms + int(at)),
            captured_at=HOUR + timedelta(milliseconds=int(at)),
            model_name="wine_quality_model",
            model_version="3",
            variant="production",
            features=dict(zip(names, row.tolist(), strict=True)),
            prediction=int(probabilities.argmax()),
            probabilities=probabilities.tolist(),
            latency_ms=0.22,
            source="predict",
            types="d" * width,
        )
        for row, probabilities, at in zip(rows, chances, times, strict=True)
    ]


def _bytes(s3: InMemoryS3, prefix: str) -> int:
    return sum(len(body) for key, body in s3.objects.items() if key.startswith(prefix))


def _service(s3: InMemoryS3) -> CaptureService:
    nowhere = _Nowhere()
    return CaptureService(
        store=S3RecordStore(s3, "bench"),
        labels=S3LabelStore(s3, "bench"),
        queue=nowhere,
        label_queue=nowhere,
        dead_letters=nowhere,
        deliveries=nowhere,
        metrics=nowhere,
    )


def _best[T](work: Callable[[], T], times: int = 3) -> tuple[float, T]:
    """Return the least CPU seconds of all threads, and the last result."""
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        result = work()
        best = min(best, time.process_time() - began)
    return best, result


def _in_turn(*works: Callable[[], object], times: int = 7) -> NDArray[np.float64]:
    """Return the CPU seconds of each of ``works`` in each round, in which they take turns."""
    return np.array([[_best(work, 1)[0] for work in works] for _ in range(times)]).T


def _messages(records: list[Record], batch: int, at_once: int) -> list[list[Message]]:
    """Return the messages of each batch of records, with so many records packed at once."""
    numbers = count()
    return [
        [
            Message(str(next(numbers)), body)
            for start in range(first, min(first + batch, len(records)), at_once)
            for body in packed_bodies(records[start : min(start + at_once, first + batch)])
        ]
        for first in range(0, len(records), batch)
    ]


def _run(batches: list[list[Message]]) -> InMemoryS3:
    s3 = InMemoryS3()
    service = _service(s3)
    for each in batches:
        assert service.store_messages(each) == []
    return s3


def _consume(records: list[Record], batch: int) -> dict[str, float]:
    """Run the consumer over batches as they come off the queue, then its steps one by one."""
    bodies = [encode_record(record).decode() for record in records]
    batches = _messages(records, batch, batch)
    single = _messages(records, batch, 1)
    packed = b"".join(message.body.encode() for each in batches for message in each)
    copy, _ = _best(lambda: bytearray(packed))

    def yardstick() -> list[object]:
        # kept, as by a consumer until it has written them; what is dropped at once takes less time
        return [json.loads(body) for body in bodies]

    json_seconds, seconds = _in_turn(yardstick, lambda: _run(batches))
    single_ratio = np.divide(*_in_turn(yardstick, lambda: _run(single), times=3))
    s3 = _run(batches)
    now_ms = int(HOUR.timestamp() * 1000) + 7_200_000
    first = batches[0]
    read, blocks = _best(
        lambda: joined_blocks(
            [
                block
                for message in first
                for block in read_message(message, now_ms)[0]
                if isinstance(block, Block)
            ]
        )
    )
    arrow, table = _best(lambda: blocks_table(blocks))
    profile, slices = _best(lambda: profile_slices(table))
    parquet, _ = _best(lambda: write_table(table, {"profile": encode_slices(slices)}))
    steps = {"read": read, "columns": arrow, "profile": profile, "parquet": parquet}
    return {
        "rows_per_second": len(records) / seconds.min(),
        "json_loads_per_second": len(records) / json_seconds.min(),
        "rows_per_json_loads": float(np.median(json_seconds / seconds)),
        "rows_per_json_loads_one_a_message": float(np.median(single_ratio)),
        "message_bytes_per_row": len(packed) / len(records),
        "copies_per_second": len(records) / max(copy, 1e-6),
        **{f"share_{name}": 100 * each / sum(steps.values()) for name, each in steps.items()},
        "bytes_per_row": _bytes(s3, "captures/") / len(records),
        "objects": len(s3.objects),
    }


def _stored(records: list[Record]) -> dict[str, float]:
    """Bytes a row as JSON lines, and before and after an hour's objects are merged."""
    lines = b"\n".join(encode_record(record) for record in records)
    s3 = InMemoryS3()
    service = _service(s3)
    for start in range(0, len(records), 1000):
        (messages,) = _messages(records[start : start + 1000], 1000, 1000)
        assert service.store_messages(messages) == []
    before = _bytes(s3, "captures/")
    s3.calls.clear()
    compaction = CompactionService(
        captures=S3Compaction(s3, "bench"),
        erasures=S3Erasures(s3, "bench"),
        lag_seconds=0,
        budget_seconds=600,
        clock=lambda: HOUR.timestamp() + 7_200,
    )
    began = time.process_time()
    outcome = compaction.compact(compaction.due())
    seconds = time.process_time() - began
    assert sum(hour.rows for hour in outcome.merged) == len(records)
    return {
        "json_bytes_per_row": len(lines) / len(records),
        "json_gzip_bytes_per_row": len(gzip.compress(lines, 6)) / len(records),
        "batch_bytes_per_row": before / len(records),
        "merged_bytes_per_row": _bytes(s3, "captures/") / len(records),
        "merged_profile_bytes_per_row": _bytes(s3, "profiles/") / len(records),
        "merge_rows_per_second": len(records) / seconds,
        "merge_requests_per_object": len(s3.calls) / (len(records) / 1000),
    }


def _profiles(records: list[Record]) -> dict[str, float]:
    """Time to profile the features of one table, beside pandas' describe and whylogs."""
    table = records_table(records)
    features = table.select([name for name in table.column_names if name.startswith("feature_")])
    frame = features.to_pandas()
    ours, _ = _best(lambda: profile_table(features))
    pandas, _ = _best(lambda: frame.describe())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(features, path)
        script = Path(__file__).parents[1] / "rivals" / "whylogs_profile.py"
        printed = subprocess.run(
            [RIVALS, script, path], check=True, capture_output=True, text=True
        ).stdout
    whylogs = float(printed.split()[-1])
    rows = len(records)
    return {
        "profile_us_per_row": 1e6 * ours / rows,
        "describe_us_per_row": 1e6 * pandas / rows,
        "whylogs_us_per_row": 1e6 * whylogs / rows,
        "whylogs_ratio": whylogs / ours,
    }


def _bills(console: Console, results: dict[str, float]) -> dict[str, float]:
    """Print the bill of a million predictions by how densely requests come to an environment."""
    merged = results["merged_bytes_per_row"] + results["merged_profile_bytes_per_row"]
    ways = {
        "one a message": sent_by(_records, per_second=1, flush_seconds=0, requests=200),
        **{f"{rate} a second": sent_by(_records, per_second=rate) for rate in (1, 5, 20, 50)},
        "batches of 100": sent_by(_records, per_second=0.1, rows=100, requests=50),
    }
    bills = {
        way: [
            *capture_items(
                _MILLION,
                messages=sent.messages / sent.records,
                billed_sends=sent.billed / sent.records,
                message_bytes=sent.size / sent.records,
                runs=_MILLION / 1000,
                objects=_MILLION / 1000,
                rows_per_second=results["rows_per_second_1000"],
                merge_requests_per_object=results["merge_requests_per_object"],
            ),
            Item("S3: a month of them", _MILLION * merged / 1e9, S3_STORAGE),
        ]
        for way, sent in ways.items()
    }
    title = (
        f"USD at AWS for a million predictions ({REGION}, prices of {PRICES_OF}), by the "
        "requests that an environment gets"
    )
    table = Table("what", *ways, title=title)
    for items in zip(*bills.values(), strict=True):
        table.add_row(items[0].what, *(f"{item.usd:.4f}" for item in items))
    totals = {way: sum(item.usd for item in items) for way, items in bills.items()}
    table.add_row("together", *(f"{total:.4f}" for total in totals.values()))
    table.add_row(
        "records a message", *(f"{sent.records / sent.messages:.1f}" for sent in ways.values())
    )
    console.print(table)
    return {f"usd_per_million_{way.replace(' ', '_')}": total for way, total in totals.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000, help="rows of an hour")
    arguments = parser.parse_args()
    console = Console()
    records = _records(arguments.rows)
    results: dict[str, float] = {}
    table = Table(
        "what", "batches of 1,000", "of 10,000", "1,000 of 200 features", "wanted",
        title="the consumer",
    )  # fmt: skip
    small, large = (_consume(records, batch) for batch in (1_000, 10_000))
    wide = _consume(_records(min(arguments.rows, 5_000), WIDE_FEATURES), 1_000)
    for name in small:
        wanted = ">= 1.5" if name == "rows_per_json_loads" else ""
        shown = (f"{found[name]:,.2f}" for found in (small, large, wide))
        table.add_row(name, *shown, wanted)
        results |= {f"{name}_1000": small[name], f"{name}_10000": large[name]}
        results[f"{name}_wide_1000"] = wide[name]
    console.print(table)
    for title, found in (
        ("bytes on S3", _stored(records)),
        ("profiles, rows of 13 features", _profiles(records)),
    ):
        table = Table("what", "measured", title=title)
        for name, value in found.items():
            table.add_row(name, f"{value:,.2f}")
        console.print(table)
        results |= found
    results |= _bills(console, results)
    print(json.dumps({name: round(value, 4) for name, value in results.items()}))


if __name__ == "__main__":
    main()
