"""EMF lines over a real socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bridge_in_memory import ManualClock
from modelwatch.adapters.aws.emf import EmfMetricSink
from modelwatch.adapters.aws.emf_agent import AgentStream
from modelwatch.ports.metrics import Sample
from modelwatch_bridge.counting.ledger import Ledger, LedgerError
from modelwatch_bridge.sources import tcp
from modelwatch_bridge.sources.tcp import EmfListener

Emf = Callable[..., str]
Values = Callable[[Ledger, str], dict[tuple[str, ...], float]]


@pytest.fixture
def listener(ledger: Ledger, clock: ManualClock) -> Iterator[EmfListener]:
    listener = EmfListener(0, ledger, clock)
    yield listener
    listener.close()


def polled(listener: EmfListener, ledger: Ledger, events: int) -> float:
    """Poll until so many lines were counted; return how many were."""
    deadline = time.monotonic() + 60
    while True:
        listener.poll()
        sample = ledger.totals.of("bridge_events_total").get(())
        count = 0.0 if sample is None else sample.value
        if count >= events or time.monotonic() > deadline:
            return count
        time.sleep(0.01)


def eventually_refused(listener: EmfListener) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            listener.poll()
        except LedgerError:
            return
    pytest.fail("what cannot be stored was stored")


def connect(listener: EmfListener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=60)


def test_lines_of_many_senders_are_each_counted_once(listener, ledger, emf, values):
    line = (emf("capture_records_total", 1, outcome="sent") + "\n").encode()
    senders = [connect(listener) for _ in range(5)]
    for _ in range(100):
        for sender in senders:
            sender.sendall(line[:30])
            sender.sendall(line[30:])
    for sender in senders:
        sender.close()
    assert polled(listener, ledger, 500) == 500
    assert values(ledger, "capture_records_total") == {("sent",): 500}


def test_half_a_line_is_dropped_and_a_broken_one_reported(listener, ledger, emf, values):
    line = emf("capture_records_total", 1, outcome="sent")
    with connect(listener) as sender:
        sender.sendall(f'{line}\n{{"_aws": oops}}\n\n{line}'.encode())
    assert polled(listener, ledger, 2) == 2
    assert values(ledger, "capture_records_total") == {("sent",): 1}
    assert values(ledger, "bridge_parse_errors_total") == {(): 1}


@pytest.mark.parametrize(
    "sent", [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"{" + b"x" * tcp.MAX_LINE_BYTES + b"\n"]
)
def test_what_is_no_metric_line_ends_the_connection(listener, ledger, sent, emf):
    line = emf("capture_records_total", 1, outcome="sent").encode() + b"\n"
    with connect(listener) as sender:
        try:
            sender.sendall(sent + line)
            assert sender.recv(1) == b""
        except ConnectionError:
            pass  # it was closed with much of it unread
    listener.poll()
    assert not ledger.totals.of("bridge_events_total")


def test_only_this_machine_can_connect(listener: EmfListener) -> None:
    assert listener._server.server_address[0] == "127.0.0.1"


def test_senders_wait_when_lines_come_faster_than_they_are_counted(ledger, clock, emf, monkeypatch):
    monkeypatch.setattr(tcp, "MAX_WAITING", 10)
    listener = EmfListener(0, ledger, clock)
    line = (emf("capture_records_total", 1, outcome="sent") + "\n").encode()
    with connect(listener) as sender:
        sender.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < 100_000_000:
                sent += sender.send(line * 100)
    assert sent < 100_000_000
    lines = sent // len(line)
    assert lines > 1000
    assert polled(listener, ledger, lines) == lines
    listener.close()


def test_lines_that_cannot_be_stored_are_kept(listener, ledger, emf):
    with connect(listener) as sender:
        sender.sendall((emf("capture_records_total", 1, outcome="sent") + "\n").encode() * 3)
    ledger._db.execute("PRAGMA query_only = ON")
    eventually_refused(listener)
    ledger._db.execute("PRAGMA query_only = OFF")
    assert polled(listener, ledger, 3) == 3


def test_a_function_sends_to_it_and_to_standard_output_while_it_is_away(
    ledger, clock, values, capsys
):
    listener = EmfListener(0, ledger, clock)
    now = 0.0
    stream = AgentStream(f"tcp://127.0.0.1:{listener.port}", clock=lambda: now)
    sink = EmfMetricSink(stream)
    sample = Sample("capture_records_total", 1, {"outcome": "sent"})
    sink.emit([sample, sample])
    assert polled(listener, ledger, 2) == 2
    assert capsys.readouterr().out == ""

    listener.close()
    time.sleep(0.05)  # its end is on the way
    sink.emit([sample])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["capture_records_total"] == 1
    assert "no agent at AWS_EMF_AGENT_ENDPOINT" in printed.err
    sink.emit([sample])
    assert capsys.readouterr().err == ""  # it is not tried again at once

    again = EmfListener(listener.port, ledger, clock)
    now = 6.0
    sink.emit([sample])
    assert polled(again, ledger, 3) == 3
    assert values(ledger, "capture_records_total") == {("sent",): 3}
    again.close()
