"""A thousand monitors in one scheduled run: `python -m benchmarks.monitors [--models N]`.

Starts a stack of its own (the embedded one: SeaweedFS is the S3, MLflow the registry), stores three
hours of captures of each model (the first is the baseline that its monitor names) and applies a
monitor each. Then processes do what the deployed functions do, with their own wiring: a run finds
what is due, and two others evaluate its messages, each one after another. The run of the second
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
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.monitors.stored import store_models
from benchmarks.serving.stack import running_stack
from rich.console import Console
from rich.table import Table

from modelwatch.adapters.aws.clients import s3_client
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
HOUR = timedelta(hours=1)
FUNCTIONS = 2
"""Processes that evaluate at the same time."""
DUE_REQUESTS = 2.1
"""Of a message: sent by ten, received and deleted alone."""


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
            "MODELWATCH_BENCH_FUNCTIONS": str(FUNCTIONS),
            "MODELWATCH_BENCH_PLANNED": (hour + timedelta(seconds=10)).isoformat(),
        }
        os.environ.update(environ)
        settings = Settings(environ)
        ensure_buckets(s3_client(settings), [settings.capture_bucket, settings.report_bucket])
        store_models(settings, options.models, options.rows, options.objects, hour)
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
    table.add_row("seconds of all evaluations together", f"{found['evaluate_seconds']:.1f}")
    table.add_row(f"seconds until {FUNCTIONS} functions are done", f"{found['wall_seconds']:.1f}")
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
