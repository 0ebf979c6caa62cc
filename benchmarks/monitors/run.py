"""What the deployed functions do in one run, in processes of its own.

Prints how far it is on stderr, and the figures as one JSON object.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import batched
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from modelwatch.domain.due import DueAnalysis
from modelwatch_cli.console import counting

sys.path.insert(0, str(Path(__file__).parents[2] / "functions" / "analyze"))

from chalicelib import wiring

_READS = ("GetObject", "HeadObject")
_MESSAGES_AT_ONCE = 10


@dataclass(slots=True)
class _Done:
    """What became of some messages, or of a run's own part."""

    requests: Counter[str] = field(default_factory=Counter)
    written: int = 0
    log_bytes: int = 0
    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    peak_mb: float = 0.0

    def add(self, other: _Done) -> None:
        self.requests += other.requests
        self.written += other.written
        self.log_bytes += other.log_bytes
        self.seconds += other.seconds
        self.failures += other.failures
        self.peak_mb = max(self.peak_mb, other.peak_mb)


class _Queue:
    """Keeps what a run sends."""

    def __init__(self) -> None:
        self.due: list[DueAnalysis] = []

    def send(self, due: Sequence[DueAnalysis]) -> None:
        self.due += due


class _Lines(io.StringIO):
    """Counts what is written."""

    count = 0

    def write(self, text: str) -> int:
        self.count += len(text)
        return len(text)


_requests: Counter[str] = Counter()
_written = 0


def _count(params: dict[str, Any], model: Any, **_: Any) -> None:
    global _written
    _requests[model.name] += 1
    if model.name == "PutObject":
        body = params["body"]
        _written += len(body) if isinstance(body, bytes) else body.getbuffer().nbytes


@cache
def _counted() -> None:
    boto3.setup_default_session()
    boto3._get_default_session().events.register("before-call.s3", _count)


@contextlib.contextmanager
def _measured() -> Iterator[_Done]:
    """Measure what this process does; its log lines are counted, and not shown."""
    _counted()
    before, written, done, lines = Counter(_requests), _written, _Done(), _Lines()
    with contextlib.redirect_stdout(lines):
        yield done
    done.requests, done.written = _requests - before, _written - written
    done.log_bytes = lines.count
    done.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _evaluate(messages: Sequence[DueAnalysis]) -> _Done:
    """Evaluate messages one after another, as one function that AWS keeps does."""
    with _measured() as done:
        for due in messages:
            began = time.perf_counter()
            done.failures += len(wiring.analyze_service().evaluate_due(due))
            done.seconds.append(time.perf_counter() - began)
    return done


def main() -> None:
    """Run and print."""
    planned = datetime.fromisoformat(os.environ["MODELWATCH_BENCH_PLANNED"])
    functions = int(os.environ["MODELWATCH_BENCH_FUNCTIONS"])
    _counted()  # before the first client is made
    service, queue = wiring.analyze_service(), _Queue()
    service._queue = queue
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(functions, mp_context=spawn) as processes:
        for which, at in (("first", planned), ("second", planned + timedelta(hours=1))):
            queue.due = []
            with _measured() as plan:
                began = time.perf_counter()
                plan.failures = len(service.analyze_due(at).failures)
                plan.seconds.append(time.perf_counter() - began)
            parts = batched(queue.due, _MESSAGES_AT_ONCE, strict=False)
            total, began = _Done(), time.perf_counter()
            with counting(f"messages of the {which} run") as advance:
                for done in processes.map(_evaluate, parts):
                    total.add(done)
                    advance(len(total.seconds), len(queue.due))
            wall_seconds = time.perf_counter() - began
    requests = plan.requests + total.requests
    reads = sum(requests[kind] for kind in _READS)
    figures = {
        "messages": len(queue.due),
        "failures": plan.failures + total.failures,
        "functions": functions,
        "plan_seconds": round(sum(plan.seconds), 2),
        "evaluate_seconds": round(sum(total.seconds), 2),
        "wall_seconds": round(wall_seconds, 2),
        "evaluate_p50_ms": round(float(np.quantile(total.seconds, 0.5)) * 1000, 1),
        "evaluate_p99_ms": round(float(np.quantile(total.seconds, 0.99)) * 1000, 1),
        "peak_mb": round(max(plan.peak_mb, total.peak_mb)),
        "planning_requests": dict(plan.requests),
        "requests": dict(requests),
        "s3_reads": reads,
        "s3_writes": requests.total() - reads,
        "stored_bytes": plan.written + total.written,
        "log_bytes": plan.log_bytes + total.log_bytes,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
