"""The loop, its health and its HTTP side."""

from __future__ import annotations

import base64
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge_in_memory import InMemoryLogSource, ManualClock
from modelwatch.errors import SettingError
from modelwatch.metric_names import CATALOG
from modelwatch_bridge.counting.collector import TEXT, Page, TotalsCollector
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.declared_metrics import declared_metrics
from modelwatch_bridge.history.history import History
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.service import BridgeService, Reader
from modelwatch_bridge.serving.guard import OPEN, Guard
from modelwatch_bridge.serving.health import Health
from modelwatch_bridge.serving.server import BridgeServer
from modelwatch_bridge.serving.site import Site
from modelwatch_bridge.sources.files import FileFollower
from modelwatch_bridge.sources.follower import LogGroupFollower
from modelwatch_bridge.sources.ports import SourceError
from modelwatch_cli.waiting import wait_until
from stand_in import serving

GROUP = "/aws/lambda/modelwatch-test-predict"
Emf = Callable[..., str]
Values = Callable[[Ledger, str], dict[tuple[str, ...], float]]


class FakeQueues:
    def __init__(self) -> None:
        self.problem = ""
        self.sent_ms = 1_799_999_900_000

    def depths(self) -> dict[tuple[str, str], float]:
        if self.problem:
            raise SourceError(self.problem)
        return {("captures", "visible"): 7.0, ("captures-dead", "visible"): 1.0}

    def oldest_sent_ms(self) -> dict[str, int]:
        return {"captures-dead": self.sent_ms}


class BrokenReader:
    def poll(self) -> None:
        raise ZeroDivisionError("what no one thought of")


class Parts:
    """A service with everything that it needs."""

    def __init__(self, ledger: Ledger, readers: list[Reader], clock: ManualClock) -> None:
        collector = TotalsCollector(ledger.totals)
        self.page = Page(collector, ledger.totals)
        self.health = Health(clock, stale_ms=60_000)
        self.history = History(ledger.totals, collector, CATALOG, clock)
        self.queues = FakeQueues()
        self.service = BridgeService(
            readers=readers,
            queues=self.queues,
            ledger=ledger,
            page=self.page,
            history=self.history,
            health=self.health,
            catalog=CATALOG,
            clock=clock,
            poll_seconds=0.01,
            retire_ms=3_600_000,
            lag_seconds=lambda: 0.5,
        )


@pytest.fixture
def parts(ledger: Ledger, source: InMemoryLogSource, clock: ManualClock) -> Parts:
    return Parts(ledger, [LogGroupFollower(source, ledger, clock)], clock)


GUARD = Guard.of("127.0.0.1")


@contextmanager
def served(parts: Parts, guard: Guard = GUARD) -> Iterator[str]:
    site = Site(parts.history, parts.health, None, "test")
    server = BridgeServer(
        ("127.0.0.1", 0), parts.page, parts.health, site, guard, most_connections=4
    )
    with serving(server) as address:
        yield address


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_ready_only_after_reading_and_not_when_stale(parts, source, clock):
    with served(parts) as url:
        status, body = get(f"{url}/health")
        assert status == 503
        assert json.loads(body)["reason"] == "nothing was read yet"

        source.outcomes = [False]
        assert not parts.service.round()
        status, body = get(f"{url}/health")
        assert (status, json.loads(body)["reason"]) == (503, "throttled")

        assert parts.service.round()
        assert get(f"{url}/health")[0] == 200

        clock.advance(61)
        source.outcomes = [False]
        parts.service.round()
        status, body = get(f"{url}/health")
        assert status == 503
        assert json.loads(body)["reason"] == "no source was read for 61 s: throttled"


def test_metrics_health_index_and_nothing_else(parts, source, clock, emf):
    line = emf("capture_records_total", 2, outcome="sent")
    source.put(GROUP, LogEvent(clock(), "s", "1", line))
    parts.service.round()

    with served(parts) as url:
        status, body = get(f"{url}/metrics?name[]=x")
        assert status == 200
        assert 'capture_records_total{outcome="sent"} 2.0' in body
        assert 'queue_messages{queue="captures",state="visible"} 7.0' in body
        assert 'queue_oldest_message_seconds{queue="captures-dead"} 100.0' in body
        assert "bridge_lag_seconds 0.5" in body
        assert f"bridge_last_success_timestamp_seconds {clock() / 1000}" in body.replace(
            "1.8e+09", "1800000000.0"
        )
        assert get(f"{url}/")[0] == 200
        assert get(f"{url}/secrets")[0] == 404


def test_what_no_one_thought_of_shows_in_health_and_the_loop_goes_on(ledger, source, clock):
    source.put(GROUP, LogEvent(clock(), "s", "1", "hello"))
    parts = Parts(ledger, [BrokenReader(), LogGroupFollower(source, ledger, clock)], clock)

    assert not parts.service.round()

    assert parts.health.report()[1]["reason"] == "ZeroDivisionError: what no one thought of"
    assert "bridge_events_total 1.0" in parts.page.rendered(TEXT).decode()
    assert "bridge_read_errors_total 1.0" in parts.page.rendered(TEXT).decode()


def test_a_queue_that_cannot_be_asked_shows_no_old_depth(parts: Parts) -> None:
    parts.service.round()
    parts.queues.problem = "the queues API: no"
    parts.service.round()

    page = parts.page.rendered(TEXT).decode()
    assert "queue_messages" not in page
    assert "queue_oldest_message_seconds" not in page
    assert parts.health.failures == 1


def test_silent_versions_go_with_time(parts, source, clock, emf):
    line = emf("evidently_drift_score", 0.2, model_name="m", model_version="1")
    source.put(GROUP, LogEvent(clock(), "s", "1", line))
    parts.service.round()
    assert 'model_version="1"' in parts.page.rendered(TEXT).decode()

    clock.advance(3700)
    parts.service.round()

    assert 'model_version="1"' not in parts.page.rendered(TEXT).decode()


def test_the_loop_ends_at_once_when_asked(parts: Parts) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=parts.service.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_followed_file_counts_each_line_once(tmp_path, clock, emf, values):
    log = tmp_path / "local.log"
    line = emf("capture_records_total", 1, outcome="sent") + "\n"
    ledger = Ledger(tmp_path / "l.sqlite")
    follower = FileFollower([log, tmp_path / "missing.log"], ledger, clock)
    follower.poll()

    log.write_text(line * 3 + line[:20])
    follower.poll()
    follower.poll()
    assert values(ledger, "capture_records_total") == {("sent",): 3}

    with log.open("a") as file:
        file.write(line[20:] + "Serving on http://127.0.0.1:8000\n")
    ledger.close()
    ledger = Ledger(tmp_path / "l.sqlite")
    follower = FileFollower([log], ledger, clock)
    follower.poll()
    assert values(ledger, "capture_records_total") == {("sent",): 4}

    log.write_text(line)  # cut short and written anew
    follower.poll()
    follower.poll()
    assert values(ledger, "capture_records_total") == {("sent",): 5}
    ledger.close()


def test_declared_metrics_are_served(tmp_path: Path, emf: Emf) -> None:
    file = tmp_path / "metrics.toml"
    file.write_text(
        '[wines_rejected_total]\nkind = "counter"\nhelp = "Wines rejected."\nlabels = ["reason"]\n'
        '[wine_price]\nkind = "histogram"\nhelp = "Euro."\nbuckets = [1, 5]\n'
    )
    catalog = CATALOG | declared_metrics(file)
    ledger = Ledger(tmp_path / "l.sqlite", catalog)
    lines = [emf("wines_rejected_total", 2, reason="cork"), emf("wine_price", [3, 9])]
    ledger.record("g", "f", [LogEvent(1, "s", str(n), line) for n, line in enumerate(lines)])
    page = Page(TotalsCollector(ledger.totals, catalog), ledger.totals, catalog)
    page.refresh({})

    text = page.rendered(TEXT).decode()
    assert 'wines_rejected_total{reason="cork"} 2.0' in text
    assert 'wine_price_bucket{le="5.0"} 1.0' in text
    ledger.close()


@pytest.mark.parametrize(
    "declaration",
    [
        '[api_requests_total]\nkind = "counter"',
        '[x]\nkind = "counter"',
        '[x_total]\nkind = "gauge"',
        '[x]\nkind = "summary"',
        '[x]\nkind = "gauge"\nlabels = ["__name__"]',
        '[x]\nkind = "histogram"',
        '[x]\nkind = "histogram"\nbuckets = [2, 1]',
        '["a-b"]\nkind = "gauge"',
        "x = 3",
        "[",
    ],
)
def test_wrong_declarations_are_named(tmp_path: Path, declaration: str) -> None:
    file = tmp_path / "metrics.toml"
    file.write_text(declaration)
    with pytest.raises(SettingError, match="METRICS_FILE"):
        declared_metrics(file)


def status(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_page_that_calls_this_machine_by_another_name_reads_nothing(parts):
    with served(parts) as url:
        for host in ("evil.example", "evil.example:9108", "127.0.0.1.evil.example", "[", ""):
            assert status(f"{url}/metrics", Host=host) == 421
        for host in ("localhost:9108", "127.0.0.1", "[::1]:9108", "LOCALHOST"):
            assert status(f"{url}/metrics", Host=host) == 200
    with served(parts, Guard.of("::1", names="metrics.acme.example")) as url:
        assert status(f"{url}/metrics", Host="metrics.acme.example") == 200
        assert status(f"{url}/metrics", Host="evil.example") == 421


TOKEN = "open sesame, please"


def test_a_bridge_that_the_network_reaches_asks_for_a_token(parts):
    for settings, said in (
        (("0.0.0.0", ""), "BRIDGE_TOKEN: is needed where BRIDGE_HOST is 0.0.0.0"),
        (("127.0.0.1", "short"), "fewer than 16 characters"),
    ):
        with pytest.raises(SettingError, match=said):
            Guard.of(*settings)
    assert Guard.of("::", OPEN) == Guard()
    guard = Guard.of("::", TOKEN)
    with served(parts, guard) as url:
        password = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
        for right in (f"Bearer {TOKEN}", f"Basic {password}"):
            assert status(f"{url}/metrics", Authorization=right) == 200
        for wrong in ("", "Bearer x", "Basic x", f"Basic {TOKEN}", "Bearer"):
            assert status(f"{url}/metrics", Authorization=wrong) == 401
        assert status(f"{url}/health") == 503  # open, and not ready yet


def test_connections_beyond_the_bound_are_told_so_and_cost_no_thread(parts):
    with served(parts) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        idle = [socket.create_connection(address) for _ in range(4)]
        assert status(f"{url}/metrics") == 503
        for each in idle:
            each.close()
        assert wait_until(lambda: status(f"{url}/metrics") == 200, 30, 0.05)
