"""What a logged prediction costs: time on the caller's thread, and records a second to an API.

The API is a process of its own, which takes every list. Run it with ``make bench-client``.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import statistics
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from modelwatch import Client

CALLS = 20_000
ROUNDS = 5


class Api(BaseHTTPRequestHandler):
    """Accepts everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def serve(ready: Connection) -> None:
    """Serve, after saying at which port."""
    server = HTTPServer(("127.0.0.1", 0), Api)
    ready.send(server.server_port)
    server.serve_forever()


def measured(url: str, features: dict[Any, Any], prediction: object) -> dict[str, float]:
    """Return microseconds a call, and records a second until the API has all of them."""
    medians, tails, rates = [], [], []
    for _ in range(ROUNDS):
        with Client(capture=url, model_name="m", model_version="1") as client:
            client.log(features, prediction)
            client.flush(60)
            gc.collect()
            times = np.empty(CALLS)
            began = time.perf_counter()
            for call in range(CALLS):
                before = time.perf_counter()
                client.log(features, prediction)
                times[call] = time.perf_counter() - before
            assert client.flush(600)
            rates.append(CALLS / (time.perf_counter() - began))
            counts = client.log_counts().predictions
            assert (counts.sent, counts.lost) == (CALLS + 1, 0), counts
            medians.append(float(np.median(times)) * 1e6)
            tails.append(float(np.quantile(times, 0.99)) * 1e6)
    return {
        "median_us": round(statistics.median(medians), 2),
        "p99_us": round(statistics.median(tails), 2),
        "records_per_second": round(statistics.median(rates)),
    }


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    context = multiprocessing.get_context("fork")
    ready, given = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(given,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ready.recv()}"
    draw = np.random.default_rng(1)
    wide = {f"f{index}": float(value) for index, value in enumerate(draw.normal(size=100))}
    cases: dict[str, tuple[dict[Any, Any], object]] = {
        "13 floats": ({f"f{index}": wide[f"f{index}"] for index in range(13)}, 1.5),
        "13 of numpy, array": (
            {f"f{index}": np.float32(index) for index in range(13)},
            np.array([1.5]),
        ),
        "100 floats": (wide, 1.5),
    }
    found = {name: measured(url, *case) for name, case in cases.items()}
    server.terminate()
    table = Table("features", "median µs", "99 % µs", "records/s, sent")
    for name, each in found.items():
        table.add_row(
            name, f"{each['median_us']}", f"{each['p99_us']}", f"{each['records_per_second']:,}"
        )
    Console().print("client.log, on the caller's thread while the other sends", table)
    print(json.dumps({"calls": CALLS, "log": found}))


if __name__ == "__main__":
    main()
