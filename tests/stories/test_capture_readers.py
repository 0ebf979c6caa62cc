"""Other programs read the bucket as it is: DuckDB, pyarrow and Spark, over versions that differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from pyarrow.fs import S3FileSystem

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.hour_profiles import make_hour
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.records import Record
from modelwatch_cli.buckets import ensure_buckets
from running_stack import RunningStack

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
BUCKET = "captures-for-readers"
HOUR = datetime(2026, 1, 11, 17, tzinfo=UTC)
ROWS = 10

#: features and their types, by version and hour: a whole number becomes a real one, columns come
#: and are null all through an hour
CAPTURED: dict[tuple[str, int], tuple[dict[str, Any], str]] = {
    ("1", 17): ({"amount": 2, "colour": "red"}, "ls"),
    ("1", 18): ({"amount": 2, "colour": None}, "ls"),
    ("2", 18): ({"amount": 2.5, "colour": "white", "member": True}, "dsb"),
    ("2", 19): ({"amount": None, "colour": None, "member": None}, "dsb"),
    ("2", 20): ({"amount": 2.5, "colour": "white", "member": False, "late": 1.5}, "dsbd"),
}
EXPECTED = {
    key: [
        ROWS,
        ROWS * (features["amount"] or 0),
        ROWS * (features["colour"] is not None),
        ROWS * (features.get("member") is not None),
        ROWS * ("late" in features),
    ]
    for key, (features, _) in CAPTURED.items()
}
#: what any reader can sum up of an hour; a column that is null throughout sums up to none
SUMS = (
    "count(*), coalesce(sum(feature_amount), 0), count(feature_colour), count(feature_member), "
    "count(feature_late)"
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of captures, and a copy of it in a folder."""

    arrow: S3FileSystem
    folder: Path


@pytest.fixture(scope="module")
def bucket(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    environ = stack.json("env")
    endpoint = environ["AWS_ENDPOINT_URL_S3"]
    key, secret = environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]
    client = stack.client("s3")
    ensure_buckets(client, [BUCKET])
    store = S3RecordStore(client, BUCKET)
    for (version, hour), (features, types) in CAPTURED.items():
        store.write(
            [
                Record(
                    event_id=f"018bcfe5-6800-7000-8000-{version}{hour}{number:09d}",
                    captured_at=HOUR + timedelta(hours=hour - 17, seconds=number),
                    model_name="wine model",
                    model_version=version,
                    features=features,
                    types=types,
                    prediction="good" if version == "2" else 1,
                    probabilities=[0.25, 0.75],
                )
                for number in range(ROWS)
            ]
        )
    folder = tmp_path_factory.mktemp("copy")
    for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        path = folder / entry["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(BUCKET, entry["Key"], str(path))
    yield Bucket(
        S3FileSystem(
            access_key=key, secret_key=secret, endpoint_override=endpoint, region="us-east-1"
        ),
        folder / "captures",
    )
    for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])


def arrow_dataset(bucket: Bucket) -> ds.Dataset:
    """Return all captures, read from S3, in a schema that holds those of all versions."""
    options = {"format": "parquet", "partitioning": "hive", "filesystem": bucket.arrow}
    first = ds.dataset(f"{BUCKET}/captures", **options)
    schemas = [fragment.physical_schema for fragment in first.get_fragments()]
    schema = pa.unify_schemas([first.schema, *schemas], promote_options="permissive")
    return ds.dataset(f"{BUCKET}/captures", schema=schema, **options)


def by_hour(rows: list[tuple[Any, ...]]) -> dict[tuple[str, int], list[Any]]:
    return {(str(version), int(hour)): list(sums) for version, hour, *sums in rows}


def test_duckdb_reads_the_files(bucket):
    captures = (
        f"read_parquet('{bucket.folder}/**/*.parquet', hive_partitioning = true, "
        "union_by_name = true)"
    )
    grouped = f"select model_version, hour, {SUMS} from {captures} group by all"
    assert by_hour(duckdb.sql(grouped).fetchall()) == EXPECTED
    columns = duckdb.sql(f"describe select * from {captures}").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    assert types["captured_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["probabilities"] == "DOUBLE[]"
    assert types["date"] == "DATE"
    assert [types[f"feature_{name}"] for name in ("amount", "colour", "member", "late")] == [
        "DOUBLE",
        "VARCHAR",
        "BOOLEAN",
        "DOUBLE",
    ]
    one = f"select any_value(typeof(feature_amount)) from {captures} where model_version = 1"
    assert duckdb.sql(one).fetchall() == [("DOUBLE",)]
    first, last = duckdb.sql(
        f"select min(epoch_ms(captured_at)), max(epoch_ms(captured_at)) from {captures}"
    ).fetchall()[0]
    assert first == HOUR.timestamp() * 1000
    assert last == (HOUR + timedelta(hours=3, seconds=ROWS - 1)).timestamp() * 1000


def test_pyarrow_reads_s3(bucket):
    captures = arrow_dataset(bucket)
    assert captures.schema.field("feature_amount").type == pa.float64()
    assert captures.schema.field("feature_colour").type == pa.string()
    assert captures.schema.field("captured_at").type == pa.timestamp("ms", tz="UTC")
    assert captures.count_rows() == ROWS * len(CAPTURED)
    later = captures.to_table(filter=pc.field("hour") >= 19)
    assert set(later["model_version"].to_pylist()) == {2}
    assert set(later["model_name"].to_pylist()) == {"wine model"}
    assert later["feature_late"].null_count == ROWS
    one = captures.to_table(filter=(pc.field("model_version") == 1) & (pc.field("hour") == 17))
    assert one["feature_amount"].to_pylist() == [2.0] * ROWS


def test_duckdb_reads_s3_through_pyarrow(bucket):
    captures = arrow_dataset(bucket)
    connection = duckdb.connect()
    connection.register("captures", captures)
    grouped = f"select model_version, hour, {SUMS} from captures group by all"
    assert by_hour(connection.sql(grouped).fetchall()) == EXPECTED


#: Spark has one type for a column in everything that is read at once: so one read a version
SPARK = """
import json, sys
from functools import reduce
from pathlib import Path
from pyspark.sql import SparkSession
from modelwatch.spark import read_captures

folder, sums = Path(sys.argv[1]), sys.argv[2]
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.session.timeZone", "UTC")
    .getOrCreate()
)
versions = [
    spark.read.option("mergeSchema", "true").option("basePath", str(folder)).parquet(str(version))
    for version in sorted(folder.glob("model_name=*/model_version=*"))
]
captures = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), versions)
captures.createOrReplaceTempView("captures")
grouped = spark.sql(
    f"select model_version, hour, {sums} from captures group by model_version, hour"
)
# all at once, by the package; in another zone than that of the files
spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
together = read_captures(spark, str(folder))
together.createOrReplaceTempView("together")
grouped_together = spark.sql(
    f"select model_version, hour, {sums} from together group by model_version, hour"
)
print(json.dumps({
    "together": {
        "types": dict(together.dtypes),
        "rows": [list(row) for row in grouped_together.collect()],
        "first": spark.sql("select unix_millis(min(captured_at)) from together").first()[0],
        "models": [row[0] for row in together.select("model_name").distinct().collect()],
    },
    "versions": [dict(version.dtypes) for version in versions],
    "types": dict(captures.dtypes),
    "rows": [list(row) for row in grouped.collect()],
    "first": spark.sql("select string(min(captured_at)) from captures").first()[0],
    "model": spark.sql("select any_value(model_name) from captures").first()[0],
}))
"""


#: in this process's own environment, as a cluster has it: Spark, and modelwatch for the workers
BACKFILL = """
import json, sys
from functools import partial
import numpy as np
from pyspark.sql import SparkSession
from modelwatch.adapters.captures.hour_profiles import make_with_spark, worker_compaction

(
    SparkSession.builder.master("local[4]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .getOrCreate()
)
made = {}
for workers in map(int, sys.argv[2].split(",")):
    values = {"CAPTURE_BUCKET": f"{sys.argv[1]}-{workers}"}
    hours = worker_compaction(values).hours()
    open_compaction = partial(worker_compaction, values)
    found = make_with_spark(hours, np.empty(0, np.uint64), None, open_compaction, workers)
    made[workers] = [(each.rows, each.problem) for each in found]
print(json.dumps(made))
"""
WORKERS = (1, 4, 16)
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def run_spark(script: str, arguments: list[str], folder: Path, environ: dict[str, str]) -> Any:
    """Return what a script that uses Spark prints last."""
    python = ROOT / ".envs/spark/bin/python"
    missing = (
        "java" if not shutil.which("java") else "" if python.exists() else "`make setup-spark`"
    )
    if missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing} is missing in CI")
        pytest.skip(f"{missing} is missing: captures are NOT read with Spark")
    own = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(folder)}
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            **own,
            **environ,
            "PYTHONPATH": str(packages),
            "PYSPARK_PYTHON": sys.executable,
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def fill(client: Any, bucket: str) -> None:
    """Write hours of one to three objects, of two versions."""
    ensure_buckets(client, [bucket])
    store = S3RecordStore(client, bucket)
    for hour, part in ((each, part) for each in range(4) for part in range(1 + each % 3)):
        store.write(
            [
                Record(
                    event_id=f"018bcfe5-6800-7000-8000-{hour:03d}{part:03d}{number:06d}",
                    captured_at=HOUR + timedelta(hours=hour, seconds=part * 400 + number),
                    model_name="wine",
                    model_version="12"[hour % 2],
                    features={"amount": number * 7919 % 1000 / 10, "colour": "rw"[number % 2]},
                    types="ds",
                    prediction=number % 3,
                )
                for number in range(500)
            ]
        )


def test_spark_makes_the_same_objects_as_this_process_with_any_number_of_workers(stack, tmp_path):
    """To the bit: keys and content of merged captures, and of the profiles beside them."""
    client = stack.client("s3")
    names = [f"backfill-{each}" for each in ("local", *WORKERS)]
    for name in names:
        fill(client, name)
    compaction = S3Compaction(client, names[0])
    made = [
        make_hour(compaction, hour, np.empty(0, np.uint64), None) for hour in compaction.hours()
    ]
    stored = {name: stack.json("env")[name] for name in ("AWS_ENDPOINT_URL_S3", *_CREDENTIALS)}
    found = run_spark(BACKFILL, ["backfill", ",".join(map(str, WORKERS))], tmp_path, stored)
    rows = [[each.rows, each.problem] for each in sorted(made, key=lambda each: each.name)]
    assert found == {str(workers): rows for workers in WORKERS}

    def content(name: str) -> dict[str, bytes]:
        objects = S3Objects(client, name)
        return {key: objects.read(key) for key, _ in objects.keys("")}

    first, *others = map(content, names)
    assert sum(key.startswith("captures/") for key in first) == 4
    assert sum(key.startswith("profiles/") for key in first) >= 3
    for other in others:
        assert other == first


def test_spark_reads_the_files(bucket, tmp_path):
    found = run_spark(SPARK, [str(bucket.folder), SUMS], tmp_path, {})
    assert by_hour(found["rows"]) == EXPECTED
    assert found["model"] == "wine model"
    assert found["first"] == "2026-01-12 02:00:00"
    first, second = found["versions"]
    assert (first["feature_amount"], second["feature_amount"]) == ("bigint", "double")
    assert (first["feature_colour"], second["feature_colour"]) == ("string", "string")
    assert (
        found["types"]
        | {
            "captured_at": "timestamp",
            "probabilities": "array<double>",
            "date": "date",
            "feature_amount": "double",
            "feature_member": "boolean",
            "feature_late": "double",
        }
        == found["types"]
    )
    together = found["together"]
    assert by_hour(together["rows"]) == EXPECTED
    assert (together["first"], together["models"]) == (HOUR.timestamp() * 1000, ["wine model"])
    types = {
        "feature_amount": "double",
        "feature_member": "boolean",
        "model_version": "string",
        "captured_at": "timestamp",
        "probabilities": "array<double>",
        "date": "date",
        "hour": "int",
    }
    assert together["types"] | types == together["types"]
