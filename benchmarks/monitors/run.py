"""What the deployed functions do in one run, in this process; prints the figures as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from modelwatch.domain.due import DueAnalysis

sys.path.insert(0, str(Path(__file__).parents[2] / "functions" / "analyze"))

from chalicelib import wiring

_READS = ("GetObject", "HeadObject")


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


def main() -> None:
    """Run and print."""
    requests: Counter[str] = Counter()
    written = 0

    def count(params: dict[str, Any], model: Any, **_: Any) -> None:
        nonlocal written
        requests[model.name] += 1
        if model.name == "PutObject":
            body = params["body"]
            written += len(body) if isinstance(body, bytes) else body.getbuffer().nbytes

    boto3.setup_default_session()
    boto3._get_default_session().events.register("before-call.s3", count)
    service, queue, lines = wiring.analyze_service(), _Queue(), _Lines()
    service._queue = queue
    planned = datetime.fromisoformat(os.environ["MODELWATCH_BENCH_PLANNED"])
    with contextlib.redirect_stdout(lines):
        for at in (planned, planned + timedelta(hours=1)):
            requests.clear()
            queue.due, lines.count, written = [], 0, 0
            began = time.perf_counter()
            failures = dict(service.analyze_due(at).failures)
            plan_seconds = time.perf_counter() - began
            planning = dict(requests)
            taken = []
            for due in queue.due:
                began = time.perf_counter()
                failures |= service.evaluate_due(due)
                taken.append(time.perf_counter() - began)
    reads = sum(requests[kind] for kind in _READS)
    figures = {
        "messages": len(queue.due),
        "failures": len(failures),
        "plan_seconds": round(plan_seconds, 2),
        "evaluate_seconds": round(sum(taken), 2),
        "evaluate_p50_ms": round(float(np.quantile(taken, 0.5)) * 1000, 1),
        "evaluate_p99_ms": round(float(np.quantile(taken, 0.99)) * 1000, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "planning_requests": planning,
        "requests": dict(requests),
        "s3_reads": reads,
        "s3_writes": requests.total() - reads,
        "stored_bytes": written,
        "log_bytes": lines.count,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
