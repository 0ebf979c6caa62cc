"""Backfill of hours, here and with Spark: `python -m benchmarks.backfill [--hours N] [--rows N]`.

Objects of records with 13 features are written as capture writes them, without profiles, to an S3
of files in a scratch folder. Then their hourly profiles are made by this process, by one and by all
workers of Spark on this machine, and beside them Spark SQL counts, averages and takes
`approx_percentile` of the same columns of the same files, grouped by hour. Profiles hold more: by
minute and variant, with frequent texts and distinct values, and the objects are merged. Starts of
Spark are not in the seconds. The last line is one JSON object with every figure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.compaction.__main__ import FileS3

from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.hour_profiles import MadeHour, make_hour, make_with_spark
from modelwatch.adapters.captures.parquet import read_table, write_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record

FEATURES = 13
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
NOTHING = np.empty(0, np.uint64)


def fill(folder: Path, hours: int, objects: int, rows: int) -> None:
    """Write ``rows`` records an hour, in ``objects`` objects without profiles."""
    store = S3RecordStore(FileS3(folder), "captures")
    draws = np.random.default_rng(7)
    for hour in range(hours):
        for _ in range(objects):
            count = rows // objects
            values = draws.normal(13, 2, (count, FEATURES)).tolist()
            began = FIRST + timedelta(hours=hour)
            store.write(
                [
                    Record(
                        event_id=new_event_id(int(began.timestamp() * 1000)),
                        captured_at=began + timedelta(milliseconds=3_600_000 * number // count),
                        model_name="wine",
                        model_version="1",
                        features={f"f{each}": value for each, value in enumerate(row)},
                        types="d" * FEATURES,
                        prediction=number % 3,
                    )
                    for number, row in enumerate(values)
                ]
            )
    for path in folder.rglob("*.parquet"):
        path.write_bytes(write_table(read_table(path.read_bytes())))


def compaction(folder: str) -> S3Compaction:
    """Return the captures in a folder; Spark's workers call it."""
    return S3Compaction(FileS3(Path(folder)), "captures")


def timed(source: Path, make: Callable[[Path], list[MadeHour]], cores: int) -> dict[str, float]:
    """Return rows a second of ``make`` on a copy of ``source``."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "s3")
        shutil.copytree(source, folder)
        began = time.perf_counter()
        made = make(folder)
        seconds = time.perf_counter() - began
    problems = [each.problem for each in made if each.problem]
    if problems:
        raise RuntimeError(problems[0])
    return measured(sum(each.rows for each in made), seconds, cores)


def measured(rows: int, seconds: float, cores: int) -> dict[str, float]:
    """Return figures of a run."""
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "cores": cores,
        "rows_per_second_and_core": round(rows / seconds / cores),
    }


def local(folder: Path) -> list[MadeHour]:
    """Make the profiles of all hours here."""
    here = compaction(str(folder))
    return [make_hour(here, hour, NOTHING, None) for hour in here.hours()]


def with_spark(workers: int, folder: Path) -> list[MadeHour]:
    """Make them by so many workers."""
    hours = compaction(str(folder)).hours()
    return list(make_with_spark(hours, NOTHING, None, partial(compaction, str(folder)), workers))


def spark_sql(spark: Any, source: Path, rows: int, cores: int) -> dict[str, float]:
    """Return figures of what Spark SQL has for the same columns of the same files."""
    percents = ", ".join(str(each / 100) for each in range(1, 100))
    columns = ", ".join(
        f"count(feature_f{each}), avg(feature_f{each}), stddev(feature_f{each}), "
        f"approx_percentile(feature_f{each}, array({percents}), 200)"
        for each in range(FEATURES)
    )
    read = spark.read.option("basePath", str(source / "captures")).parquet(str(source / "captures"))
    read.createOrReplaceTempView("captures")
    began = time.perf_counter()
    found = spark.sql(f"select date, hour, {columns} from captures group by date, hour").collect()
    seconds = time.perf_counter() - began
    if len(found) == 0:
        raise RuntimeError("Spark SQL found nothing")
    return measured(rows, seconds, cores)


def main() -> None:
    """Run all, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--objects", type=int, default=4, help="objects of an hour")
    parser.add_argument("--rows", type=int, default=20_000, help="records of an hour")
    given = parser.parse_args()
    from pyspark.sql import SparkSession

    figures: dict[str, Any] = {}
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch:
        source, warm = Path(scratch, "source"), Path(scratch, "warm")
        fill(source, given.hours, given.objects, given.rows)
        fill(warm, 2, 2, 200)
        rows = given.hours * (given.rows // given.objects) * given.objects
        figures["local"] = timed(source, local, 1)
        for count in sorted({1, cores}):
            spark = (
                SparkSession.builder.master(f"local[{count}]")
                .config("spark.ui.enabled", "false")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.sql.shuffle.partitions", str(count))
                .getOrCreate()
            )
            spark.sparkContext.setLogLevel("ERROR")
            timed(warm, partial(with_spark, count), count)
            spark_sql(spark, warm, 1, count)
            figures[f"spark_{count}"] = timed(source, partial(with_spark, count), count)
            figures[f"spark_sql_{count}"] = spark_sql(spark, source, rows, count)
            spark.stop()
    for name, found in figures.items():
        print(f"{name:>14}: {found['rows_per_second_and_core']:>9,} rows/s and core", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
