"""A thousand monitors in one scheduled run: `python -m benchmarks.monitors [--models N]`.

Starts a stack of its own (the embedded one: SeaweedFS is the S3, MLflow the registry), stores three
hours of captures of each model (the first is the baseline that its monitor names) and applies a
monitor each. Then one process does what the deployed functions do, with their own wiring: a run
finds what is due, and each message of it is evaluated, one after another. The run of the second
hour is not measured, that of the third is: what is written once is there. One model in 200 drifts,
and gets a report. Prints a table, and as the last line one JSON object. `modelwatch cost`'s prices
make the bill; AWS's latencies are not in the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from benchmarks.serving.stack import running_stack
from rich.console import Console
from rich.table import Table

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.baselines import Baseline, CapturedWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.monitors import Monitor, MonitorSet
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch_cli.buckets import ensure_buckets
from modelwatch_cli.costs.estimate import ANALYZE_GB, MONTH
from modelwatch_cli.costs.prices import (
    LAMBDA_ARM_SECOND,
    LAMBDA_REQUEST,
    LOG_INGESTION,
    S3_READ,
    S3_STORAGE,
    S3_WRITE,
    SQS_FIFO_REQUEST,
    Item,
)
from modelwatch_cli.settings import Settings

ROOT = Path(__file__).parents[2]
FEATURES = 5
HOUR = timedelta(hours=1)
DRIFTS_EVERY = 200
DUE_REQUESTS = 2.1
"""Of a message: sent by ten, received and deleted alone."""


def names(models: int) -> list[str]:
    return [f"model-{number:04}" for number in range(models)]


def records(name: str, start: datetime, rows: int, seed: int, shift: float) -> list[Record]:
    """Return an hour's records of a model, in the order of time."""
    generator = np.random.default_rng(seed)
    values = (generator.normal(size=(rows, FEATURES)) + shift).round(4)
    times = [start + HOUR * number / rows for number in range(rows)]
    return [
        Record(
            event_id=new_event_id(int(at.timestamp() * 1000)),
            captured_at=at,
            model_name=name,
            model_version="1",
            features={f"feature_{place}": value for place, value in enumerate(row)},
            prediction=index % 2,
        )
        for index, (at, row) in enumerate(zip(times, values.tolist(), strict=True))
    ]


def store_captures(
    settings: Settings, models: int, rows: int, objects: int, hour: datetime
) -> None:
    """Store each model's captures of two hours, in ``objects`` each, and a baseline before them."""
    client = s3_client(settings)
    store = S3RecordStore(client, settings.capture_bucket)
    profiles = S3ProfileStore(client, settings.capture_bucket)
    baselines = S3BaselineStore(client, settings.report_bucket)

    def write(numbered: tuple[int, str]) -> None:
        number, name = numbered
        before = Window(hour - 2 * HOUR, hour - HOUR)
        store.write(records(name, before.start, rows, 3 * number, 0))
        shift = 1.5 if number % DRIFTS_EVERY == 0 else 0
        for later in (1, 2):
            made = records(name, before.start + later * HOUR, rows, 3 * number + later, shift)
            for part in range(objects):
                store.write(made[part * rows // objects : (part + 1) * rows // objects])
        profile = merge_profiles(list(profiles.profiles(name, "1", before).variants.values()))
        baseline = Baseline(
            model_name=name,
            name="first",
            origin=CapturedWindow("1", before.start, before.end),
            made_at=before.end,
            rows=profile.rows,
        )
        baselines.create(baseline, profile, learn_constraints(profile))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, enumerate(names(models))))
    monitors = {
        name: Monitor(
            stage=settings.stage,
            owner=f"team-{number % 20}",
            baseline="first",
            settings={"DRIFT_NUMERICAL_THRESHOLD": f"{0.2 + number % 10 / 100:.2f}"},
        )
        for number, name in enumerate(names(models))
    }
    S3MonitorStore(client, settings.report_bucket).append(MonitorSet(number=1, monitors=monitors))


def bill(found: Mapping[str, float], models: int) -> Iterator[Item]:
    """Yield what the analysis of a monitor costs in a month of hourly runs."""
    times = MONTH / HOUR / models
    seconds = found["plan_seconds"] + found["evaluate_seconds"]
    stored = found["stored_bytes"] * times / 1e9
    yield Item("S3: reads", found["s3_reads"] * times, S3_READ)
    yield Item("S3: writes and listings", found["s3_writes"] * times, S3_WRITE)
    yield Item("S3: a month of results", stored, S3_STORAGE)
    yield Item("Lambda: seconds", seconds * ANALYZE_GB * times, LAMBDA_ARM_SECOND)
    yield Item("Lambda: runs", (models + 1) * times, LAMBDA_REQUEST)
    yield Item("SQS: messages", models * DUE_REQUESTS * times, SQS_FIFO_REQUEST)
    yield Item("CloudWatch: log lines", found["log_bytes"] * times / 1e9, LOG_INGESTION)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=200, help="predictions of a model in the hour")
    parser.add_argument("--objects", type=int, default=4, help="objects that they are in")
    options = parser.parse_args()
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR
    with (
        tempfile.TemporaryDirectory(prefix="modelwatch-monitors-benchmark-") as folder,
        running_stack(Path(folder)) as environ,
    ):
        environ |= {
            "ANALYSIS_WINDOWS": "PT1H/PT1H",
            "ANALYSIS_SCHEDULE": "rate(1 hour)",
            "MODELWATCH_BENCH_PLANNED": (hour + timedelta(seconds=10)).isoformat(),
        }
        os.environ.update(environ)
        settings = Settings(environ)
        ensure_buckets(s3_client(settings), [settings.capture_bucket, settings.report_bucket])
        store_captures(settings, options.models, options.rows, options.objects, hour)
        program = [sys.executable, str(Path(__file__).with_name("run.py"))]
        done = subprocess.run(
            program, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == 0, found
    models = options.models
    items = list(bill(found, models))
    table = Table("of a monitor", "", title=f"{models:,} monitors in one run")
    table.add_row("seconds of the run itself, all monitors", f"{found['plan_seconds']:.1f}")
    table.add_row("seconds of all evaluations, one by one", f"{found['evaluate_seconds']:.1f}")
    table.add_row("ms of an evaluation, half of them", f"{found['evaluate_p50_ms']:.0f}")
    table.add_row("ms of an evaluation, 99 of 100", f"{found['evaluate_p99_ms']:.0f}")
    table.add_row("peak MB of the process", f"{found['peak_mb']:.0f}")
    for kind, count in found["requests"].items():
        table.add_row(f"S3: {kind}", f"{count / models:.2f}")
    for item in items:
        table.add_row(f"USD a month, {item.what}", f"{item.usd:.5f}")
    usd = sum(item.usd for item in items)
    table.add_row("USD a month, hourly runs", f"{usd:.4f}")
    Console().print(table)
    print(json.dumps({**found, "models": models, "usd_per_monitor_and_month": round(usd, 5)}))


if __name__ == "__main__":
    main()
