"""Hours of captures whose profiles are missing, and who makes them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.hour_profiles import (
    MadeHour,
    compaction_of,
    made_by,
    make_here,
    make_with_spark,
    worker_compaction,
)
from modelwatch.adapters.captures.layout import model_prefix
from modelwatch.adapters.erasure.erased import S3Erasures
from modelwatch.domain.compaction import CaptureHour
from modelwatch.domain.keys import parse_version
from modelwatch_cli.settings import Settings

_AT_ONCE = 8

WORKER_SETTINGS = (
    "AWS_DEFAULT_REGION",
    "AWS_ACCOUNT_ID",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "CAPTURE_BUCKET",
    "ANALYSIS_SEGMENTS",
)
"""What Spark's workers are given; credentials are theirs: a role, or variables of their own."""


class Hours(NamedTuple):
    """Hours of a model's captures: by (name, version), all closed ones, and those that are due."""

    captured: dict[tuple[str, str], set[datetime]]
    closed: list[CaptureHour]
    due: list[CaptureHour]


def find_hours(
    settings: Settings,
    model_name: str,
    model_version: str,
    since: datetime,
    until: datetime,
    again: bool,
    on_hour: Callable[[], object] = lambda: None,
) -> Hours:
    """Return the hours that begin from ``since`` to before ``until``, and which have no profiles.

    The segments of ``settings`` are those of the model.

    Raises StoreError when S3 cannot be read.
    """
    compaction = compaction_of(settings)
    mark = _mark(settings, again) or ""
    now = datetime.now(UTC)
    found = [
        (version, hour)
        for hour in compaction.hours(since, until, model_prefix(model_name))
        if (version := parse_version(hour.name)) and model_version in ("", version[1])
    ]
    lag = settings.compaction_lag_seconds
    closed = [hour for _, hour in found if hour.closed_at(lag) <= now]

    def is_due(hour: CaptureHour) -> bool:
        needed = compaction.needs_profiles(hour, mark)
        on_hour()
        return needed

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        due = [
            hour for hour, needed in zip(closed, threads.map(is_due, closed), strict=True) if needed
        ]
    captured: defaultdict[tuple[str, str], set[datetime]] = defaultdict(set)
    for version, hour in found:
        captured[version].add(hour.hour)
    return Hours(captured, closed, due)


def make_profiles(
    settings: Settings, hours: Sequence[CaptureHour], again: bool, engine: str, workers: int = 0
) -> Generator[MadeHour]:
    """Yield what became of each hour, made by ``engine``: local or spark.

    Close this after the last that you need; see `make_here`.

    Raises ModelwatchError when Spark is not there, or fails.
    """
    s3 = s3_client(settings)
    erased = S3Erasures(s3, settings.capture_bucket).events(time.time_ns() // 1_000_000)
    mark = _mark(settings, again)
    if engine == "spark":
        given = {name: settings.text(name) for name in WORKER_SETTINGS}
        values = {name: value for name, value in given.items() if value}
        yield from make_with_spark(hours, erased, mark, partial(worker_compaction, values), workers)
        return
    yield from make_here(compaction_of(settings), hours, erased, mark)


def _mark(settings: Settings, again: bool) -> str | None:
    return made_by(settings.analysis_segments) if again else None
