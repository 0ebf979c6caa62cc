"""How many events the bridge counts per second, in how much memory, and how long a scrape takes.

    PYTHONPATH=.:tests/support python -m benchmarks.bridge [--seconds 20]

Each event is an EMF line as predict writes it (five metrics) or a REPORT line, committed to a real
ledger in pages as CloudWatch gives them; and once more from objects as Firehose writes them, which
are in memory and not on S3. The scrapes are of 50 models of 100 features, by another process over
HTTP, while the bridge counts and renders one analysis after the other: the worst
moment for a scrape. Prints a table, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bridge_in_memory import (  # type: ignore[import-not-found]  # typed apart
    InMemoryDeliveries,
    member,
    object_key,
)
from modelwatch.metric_names import CATALOG, NAMESPACE
from modelwatch_bridge.counting.collector import TEXT, Page, TotalsCollector
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.history.history import History
from modelwatch_bridge.history.history_file import HistoryFile
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.serving.health import Health
from modelwatch_bridge.serving.server import BridgeServer
from modelwatch_bridge.serving.site import Site
from modelwatch_bridge.sources.deliveries import DeliveryFollower

PAGE_EVENTS = 10_000
MODELS, FEATURES = 50, 100
WINDOW_MS = 300_000
_SCRAPER = """
import sys, time, urllib.request
url, accept, scrapes = sys.argv[1], sys.argv[2], int(sys.argv[3])
urllib.request.urlopen(url.replace("/metrics", "/")).read()  # the client's own first time
for _ in range(scrapes):
    request = urllib.request.Request(url, headers={"Accept": accept})
    began = time.perf_counter()
    with urllib.request.urlopen(request) as response:
        response.read()
    print(time.perf_counter() - began)
    time.sleep(0.1)
"""
GROUP = "/aws/lambda/modelwatch-bench-predict"


def _directive(name: str) -> dict[str, object]:
    return {
        "Namespace": NAMESPACE,
        "Dimensions": [CATALOG[name].labels],
        "Metrics": [{"Name": name, "Unit": "None"}],
    }


def _predict_line(number: int) -> str:
    return json.dumps(
        {
            "_aws": {
                "Timestamp": 1_800_000_000_000 + number,
                "CloudWatchMetrics": [
                    _directive("api_requests_total"),
                    _directive("api_request_latency_seconds"),
                    _directive("model_predictions_total"),
                    _directive("model_prediction_latency_seconds"),
                    _directive("model_prediction_value"),
                ],
            },
            "method": "POST",
            "endpoint": "/predict",
            "status": "200" if number % 50 else "400",
            "model_name": f"model_{number % MODELS}",
            "model_version": "3",
            "variant": "production",
            "api_requests_total": 1,
            "api_request_latency_seconds": 0.004 + number % 7 / 1000,
            "model_predictions_total": 1,
            "model_prediction_latency_seconds": 0.0002,
            "model_prediction_value": number % 3,
        }
    )


def _report_line(number: int) -> str:
    return (
        f"REPORT RequestId: 8f5e7a4c-0000-4000-8000-{number:012d}\tDuration: {number % 9}.50 ms\t"
        "Billed Duration: 10 ms\tMemory Size: 512 MB\tMax Memory Used: 80 MB\t\n"
    )


def _page(first: int, rate: int) -> list[LogEvent]:
    return [
        LogEvent(
            1_800_000_000_000 + number * 1000 // rate,
            f"2026/11/23/[$LATEST]{number % 40:032x}",
            str(number),
            _report_line(number) if number % 2 else _predict_line(number),
        )
        for number in range(first, first + PAGE_EVENTS)
    ]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _ingest(folder: Path, seconds: float) -> dict[str, float]:
    """Count pages for that long; the time spent on making them does not count."""
    ledger = Ledger(folder / "ingest.sqlite")
    collector = TotalsCollector(ledger.totals)
    page = Page(collector, ledger.totals)
    now_ms = 1_800_000_000_000
    store = HistoryFile(folder / "ingest-history.sqlite")
    history = History(ledger.totals, collector, CATALOG, lambda: now_ms, store)
    rate = 10_000
    spent = cpu = 0.0
    events = 0
    memory: list[float] = []
    while spent < seconds:
        batch = _page(events, rate)
        began, cpu_began = time.perf_counter(), time.process_time()
        new = ledger.record(GROUP, "modelwatch-bench-predict", batch)
        # the overlap: half of the page comes again with the next poll
        again = ledger.record(GROUP, "modelwatch-bench-predict", batch[PAGE_EVENTS // 2 :])
        ledger.forget_events(GROUP, batch[-1].at_ms - WINDOW_MS)
        now_ms += 1000 * PAGE_EVENTS // rate  # the history closes a slot each ten seconds
        history.observe({})
        page.refresh({})
        spent += time.perf_counter() - began
        cpu += time.process_time() - cpu_began
        assert (new, again) == (PAGE_EVENTS, 0)
        events += new
        memory.append(_resident_mb())
    assert ledger.totals.of("bridge_events_total")[()].value == events
    assert not ledger.totals.of("bridge_parse_errors_total")
    ledger.close()
    return {
        "events": events,
        "events_per_second": events / spent,
        "events_per_cpu_second": events / cpu,
        "memory_mb_after_first_tenth": memory[len(memory) // 10],
        "memory_mb_at_end": memory[-1],
    }


def _delivered(folder: Path, seconds: float) -> dict[str, float]:
    """Count objects of a page each, whose events all come twice; making them does not count."""
    ledger = Ledger(folder / "delivered.sqlite")
    now_ms = 1_800_000_000_000
    s3 = InMemoryDeliveries(lambda: now_ms)
    follower = DeliveryFollower(s3, "bench", GROUP.__eq__, ledger, lambda: now_ms, WINDOW_MS)
    rate = 10_000
    spent = cpu = 0.0
    events = object_bytes = 0
    memory: list[float] = []
    while spent < seconds:
        batch = _page(events, rate)
        now_ms = batch[-1].at_ms
        streams = [batch[at : at + 100] for at in range(0, PAGE_EVENTS, 100)]
        key = object_key(now_ms, f"{events:012d}")
        s3.objects = {key: b"".join(member(GROUP, each) for each in streams)}
        object_bytes += len(s3.objects[key])
        s3.objects[f"{key}-again"] = s3.objects[key]
        began, cpu_began = time.perf_counter(), time.process_time()
        follower.poll()
        spent += time.perf_counter() - began
        cpu += time.process_time() - cpu_began
        events += PAGE_EVENTS
        memory.append(_resident_mb())
    assert ledger.totals.of("bridge_events_total")[()].value == events
    assert not ledger.totals.of("bridge_parse_errors_total")
    ledger.close()
    return {
        "firehose_events_per_second": events / spent,
        "firehose_events_per_cpu_second": events / cpu,
        "firehose_bytes_of_an_event": object_bytes / events,
        "firehose_memory_mb_after_first_tenth": memory[len(memory) // 10],
        "firehose_memory_mb_at_end": memory[-1],
    }


def _analysis_lines(model: int, version: str) -> Iterator[str]:
    base = {"model_name": f"model_{model}", "model_version": version}
    status = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [_directive("evidently_drift_status")]}}
    yield json.dumps(status | base | {"evidently_drift_status": 1})
    gauges: tuple[tuple[str, dict[str, str]], ...] = (
        ("evidently_feature_drift_score", {"method": "wasserstein"}),
        ("evidently_feature_drift_detected", {}),
        ("evidently_missing_values_ratio", {}),
    )
    for feature in range(FEATURES):
        for name, more in gauges:
            labels = base | more | {"feature": f"feature_{feature}"}
            directives = [_directive(name)]
            document = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": directives}}
            yield json.dumps(document | labels | {name: 0.25})


def _scrapes(folder: Path, scrapes: int) -> dict[str, float]:
    ledger = Ledger(folder / "scrape.sqlite")
    collector = TotalsCollector(ledger.totals)
    page = Page(collector, ledger.totals)
    at_ms = 1_800_000_000_000
    store = HistoryFile(folder / "scrape-history.sqlite")
    history = History(ledger.totals, collector, CATALOG, lambda: at_ms, store)

    def analyse(model: int) -> None:
        nonlocal at_ms
        at_ms += 1000
        lines = enumerate(_analysis_lines(model, "3"))
        ledger.record(GROUP, "f", [LogEvent(at_ms, "s", str(n), line) for n, line in lines])

    for model in range(MODELS):
        analyse(model)
    history.observe({})
    page.refresh({})
    health = Health(lambda: 0, 1)
    site = Site(history, health, None, "bench")
    server = BridgeServer(("127.0.0.1", 0), page, health, site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
    scraper = subprocess.Popen(
        [sys.executable, "-c", _SCRAPER, url, TEXT, str(scrapes)],
        stdout=subprocess.PIPE,
        text=True,
    )
    rendering: list[float] = []
    while scraper.poll() is None:
        analyse(len(rendering) % MODELS)
        began = time.perf_counter()
        history.observe({})
        page.refresh({})
        rendering.append(time.perf_counter() - began)
    assert scraper.stdout is not None
    times = [float(line) for line in scraper.stdout]
    assert len(times) == scrapes
    body = page.rendered(TEXT)
    began = time.perf_counter()
    overview = site.respond("/api/overview", {}).body
    overview_seconds = time.perf_counter() - began
    server.shutdown()
    ledger.close()
    return {
        "series": body.count(b"\n") - body.count(b"\n#") - 1,
        "scrape_bytes": len(body),
        "scrape_ms_p50": 1000 * statistics.median(times),
        "scrape_ms_max": 1000 * max(times),
        "render_ms_p50": 1000 * statistics.median(rendering),
        "overview_ms": 1000 * overview_seconds,
        "overview_bytes": len(overview),
        "memory_mb_with_history": _resident_mb(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="how long to count events")
    parser.add_argument("--scrapes", type=int, default=100, help="how often to scrape")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = _ingest(Path(folder), arguments.seconds)
        results |= _delivered(Path(folder), arguments.seconds)
        results |= _scrapes(Path(folder), arguments.scrapes)
    table = Table("what", "measured", "wanted", title="the metrics bridge")
    wanted = {
        "events_per_second": ">= 10000",
        "firehose_events_per_second": ">= 10000",
        "scrape_ms_max": "< 50",
    }
    for name, value in results.items():
        table.add_row(name, f"{value:,.1f}", wanted.get(name, ""))
    Console().print(table)
    print(json.dumps({name: round(value, 2) for name, value in results.items()}))


if __name__ == "__main__":
    main()
