"""The predict function in process, in what Lambda would give it: ``warm.py REQUESTS noop|send``.

Prints the seconds of each request, of each send, and the resident memory on the way, as JSON.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

from app import app
from chalicelib import wiring

requests, queue = int(sys.argv[1]), sys.argv[2]
event = json.loads(os.environ["BENCH_EVENT"])
sends: list[float] = []
real_client = wiring.sqs_client


class NoQueue:
    def send_message(self, **_: str) -> None:
        pass


class TimedQueue:
    def __init__(self, *arguments: object) -> None:
        self._client = real_client(*arguments)

    def send_message(self, **message: str) -> None:
        began = time.perf_counter()
        self._client.send_message(**message)
        sends.append(time.perf_counter() - began)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


wiring.sqs_client = TimedQueue if queue == "send" else lambda *_: NoQueue()
taken, memory = [], []
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    for number in range(100 + requests):
        began = time.perf_counter()
        response = app(event, None)
        taken.append(time.perf_counter() - began)
        assert response["statusCode"] == 200, response
        if (number + 1) % (requests // 10) == 0:
            memory.append(resident_mb())
json.dump({"seconds": taken[100:], "sends": sends[100:], "memory_mb": memory}, sys.stdout)
