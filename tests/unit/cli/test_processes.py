"""Processes and ports, with real ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwatch_cli.stack import ports, processes
from modelwatch_cli.stack.processes import Process
from modelwatch_cli.stack.records import Record, Records

Spawn = Callable[..., subprocess.Popen[bytes]]

STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)"
)
SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start Python with the given code, marked with the test's own mark."""
    children: list[subprocess.Popen[bytes]] = []

    def start(code: str, mark: str = str(tmp_path)) -> subprocess.Popen[bytes]:
        child = processes.spawn(
            [sys.executable, "-c", code], {"PATH": os.defpath}, tmp_path, tmp_path / "log", mark
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()


def _known(child: subprocess.Popen[bytes]) -> Process:
    return Process(child.pid, processes.start_of(child.pid) or "")


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_is_alive_until_it_ends(spawn: Spawn) -> None:
    child = spawn(SLEEP)
    process = _known(child)
    assert process.is_alive()
    child.kill()
    # a zombie, which no one has waited for, is not alive
    _until(lambda: not process.is_alive())


def test_a_recycled_id_is_another_process(spawn: Spawn) -> None:
    child = spawn(SLEEP)
    former = Process(child.pid, "at another time")
    assert not former.is_alive()
    processes.stop([former], grace_seconds=0)
    assert child.poll() is None


def test_a_part_has_a_session_of_its_own(spawn: Spawn) -> None:
    child = spawn(SLEEP)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_output_is_added_to_the_log(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    spawn("import sys; print('out', flush=True); print('err', file=sys.stderr)").wait()
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n"


def test_stop_ends_even_what_ignores_it(spawn: Spawn, tmp_path: Path) -> None:
    child = spawn(f"{STUBBORN}; {SLEEP}")
    _until(lambda: "ready" in (tmp_path / "log").read_text())
    processes.stop([_known(child)], grace_seconds=0.2)
    assert child.wait(60) == -9


def test_children_of_a_part_are_found_when_it_is_gone(spawn: Spawn, tmp_path: Path) -> None:
    parent = spawn(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])")
    parent.wait()
    orphans = processes.marked_processes(str(tmp_path))
    assert len(orphans) == 1
    assert processes.marked_processes(f"{tmp_path}/other") == []
    processes.stop(orphans, grace_seconds=5)
    assert processes.marked_processes(str(tmp_path)) == []


def test_memory_is_measured(spawn: Spawn) -> None:
    assert processes.memory_bytes(os.getpid()) > 1_000_000
    child = spawn(SLEEP)
    child.kill()
    child.wait()
    assert processes.memory_bytes(child.pid) == 0


def test_a_port_that_somebody_has_is_not_free_and_its_holder_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.is_listening("127.0.0.1", port)
        holder = ports.holder(port)
        assert holder is not None
        assert holder[0] == os.getpid()
    assert ports.is_free(port)
    assert not ports.is_listening("127.0.0.1", port)
    assert ports.holder(port) is None


def test_a_port_that_is_taken_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_records_are_kept_and_a_broken_one_is_none(tmp_path: Path) -> None:
    records = Records(tmp_path / "run")
    assert records.read_all() == {}
    record = Record("s3", 7, "then", 1.5, {"S3_PORT": "8333"}, "http://127.0.0.1:8333", ["weed"])
    records.write(record)
    (tmp_path / "run" / "mlflow.json").write_text('{"name": "mlf')
    assert records.read_all() == {"s3": record}
    records.remove("s3")
    records.remove("s3")
    assert records.read("s3") is None
