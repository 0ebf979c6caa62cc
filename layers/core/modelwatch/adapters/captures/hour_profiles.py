"""The profiles of hours of captures, made hour by hour: in this process, or by Spark's workers.

An hour is the smallest piece of work, and is made by the same code wherever it runs: which engine,
and how many workers, makes no difference to a bit of what is stored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched

import msgspec
import numpy as np
import pyarrow as pa

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.domain.compaction import CaptureHour
from modelwatch.domain.profiles import FORMAT
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.segments import read_segments
from modelwatch.errors import ModelwatchError, StoreError
from modelwatch.settings import Settings

_HOURS_AT_ONCE = 4
"""Most of an hour's time is that of its requests; few, as the rows of each are in memory."""

_HOURS_OF_A_WORKER = 32
"""So many hours a worker has between two reports of progress."""

_encode = msgspec.json.Encoder().encode
_decode_hour = msgspec.json.Decoder(CaptureHour).decode


class MadeHour(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an hour.

    Attributes
    ----------
    name
        As in `CaptureHour`.
    rows
        Distinct records in it.
    problem
        Why its profiles are as they were; empty: they are made.
    """

    name: str
    rows: int = 0
    problem: str = ""


_decode_made = msgspec.json.Decoder(MadeHour).decode


def made_by(segments: str) -> str:
    """Return what marks profiles that were made again with these segments, by this format."""
    return hashlib.sha256(f"{FORMAT} {segments}".encode()).hexdigest()[:16]


def make_hour(
    compaction: S3Compaction, hour: CaptureHour, erased: Hashes, remade_by: str | None
) -> MadeHour:
    """Make the profiles of an hour, and one object of its objects; see `S3Compaction.merge`."""
    if remade_by is None and len(hour.objects) == 1:
        remade_by = ""  # there is nothing to merge: its profiles are missing or outdated
    try:
        merged = compaction.merge(hour, erased, remade_by)
    except StoreError as error:
        return MadeHour(name=hour.name, problem=str(error))
    if merged is None:
        return MadeHour(name=hour.name, problem="another run works on it")
    return MadeHour(name=hour.name, rows=merged.rows)


def make_here(
    compaction: S3Compaction, hours: Sequence[CaptureHour], erased: Hashes, remade_by: str | None
) -> Iterator[MadeHour]:
    """Yield what became of each hour, made by threads of this process.

    Who closes this before the end waits for the hours that are begun, and no other begins.
    """
    make = partial(make_hour, compaction, erased=erased, remade_by=remade_by)
    with ThreadPoolExecutor(_HOURS_AT_ONCE) as threads:
        yield from threads.map(make, hours)


def make_with_spark(
    hours: Sequence[CaptureHour],
    erased: Hashes,
    remade_by: str | None,
    open_compaction: Callable[[], S3Compaction],
    workers: int = 0,
) -> Iterator[MadeHour]:
    """Yield what became of each hour, made by Spark's workers.

    Raises ModelwatchError when Spark is not there, or a worker fails.

    Parameters
    ----------
    open_compaction
        Is called in each worker: it must be importable there.
    workers
        How many hours are made at the same time; 0: as many as Spark has cores.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise ModelwatchError(
            "pyspark is not installed here; install it (pip install pyspark), or run this command "
            "by spark-submit"
        ) from None
    spark = SparkSession.builder.appName("modelwatch backfill").getOrCreate()
    count = workers or spark.sparkContext.defaultParallelism
    work = partial(
        _make_hours, erased=erased.tobytes(), remade_by=remade_by, open_compaction=open_compaction
    )
    for some in batched(hours, count * _HOURS_OF_A_WORKER, strict=False):
        rows = [(_encode(hour).decode(),) for hour in some]
        table = spark.createDataFrame(rows, "hour string").repartition(count)
        try:
            made = table.mapInArrow(work, "made string").collect()
        except PySparkException as error:
            raise ModelwatchError(f"Spark's workers failed: {str(error)[:2000]}") from error
        yield from sorted((_decode_made(row.made) for row in made), key=lambda each: each.name)


def _make_hours(
    batches: Iterator[pa.RecordBatch],
    erased: bytes,
    remade_by: str | None,
    open_compaction: Callable[[], S3Compaction],
) -> Iterator[pa.RecordBatch]:
    compaction, hashes = open_compaction(), np.frombuffer(erased, np.uint64)
    for batch in batches:
        for text in batch.column("hour").to_pylist():
            made = make_hour(compaction, _decode_hour(text), hashes, remade_by)
            yield pa.RecordBatch.from_pydict({"made": [_encode(made).decode()]})


def worker_compaction(values: Mapping[str, str]) -> S3Compaction:
    """Return the captures of a bucket, as a worker opens them with these settings' variables."""
    os.environ.update(values)  # boto3 reads some of them itself
    return compaction_of(Settings())


def compaction_of(settings: Settings) -> S3Compaction:
    """Return the captures of a bucket; ``ANALYSIS_SEGMENTS`` are those of the model that is meant.

    Raises SettingError when they cannot be read.
    """
    segments = read_segments(settings.analysis_segments)
    return S3Compaction(s3_client(settings), settings.capture_bucket, lambda _: segments)
