"""Nothing is left behind, nothing blocks, and nothing listens where it should not."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

BUSY = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "300"])
def handler(event, context):
    open(event["file"], "w").write(f"{os.getpid()} {child.pid}")
    time.sleep(event["seconds"])
"""


def busy_function(account: Any, tmp_path: Path, wait_until: Any, seconds: float) -> list[int]:
    """Start a function that works for `seconds`; the ids of its process and that one's child."""
    name = account.function(BUSY, Timeout=120)
    noted = tmp_path / f"pids-{seconds}"

    def invoke() -> None:
        with suppress(Exception):
            account.invoke(name, {"file": str(noted), "seconds": seconds})

    threading.Thread(target=invoke, daemon=True).start()
    wait_until(lambda: noted.exists() and len(noted.read_text().split()) == 2)
    return [int(text) for text in noted.read_text().split()]


@pytest.fixture
def other_account(start_localstack: Callable[..., Any], account_type: Any, tmp_path: Path) -> Any:
    localstack = start_localstack()
    localstack.await_ready()
    return account_type(localstack, tmp_path)


@pytest.mark.parametrize("seconds", [0.0, 100.0], ids=["idle", "busy"])
def test_sigkill_leaves_nothing(other_account, tmp_path, wait_until, process_runs, seconds):
    pids = busy_function(other_account, tmp_path, wait_until, seconds)
    time.sleep(0.3)
    assert all(process_runs(pid) for pid in pids)
    # The whole group, as a shell or `kill -9 -PGID` would.
    os.killpg(other_account.localstack.popen.pid, signal.SIGKILL)
    other_account.localstack.popen.wait()
    wait_until(lambda: not any(process_runs(pid) for pid in pids))
    root = str(other_account.localstack.root)
    left = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    assert root not in left


def test_sigterm_stops_in_spite_of_a_busy_function(
    other_account, tmp_path, wait_until, process_runs
):
    pids = busy_function(other_account, tmp_path, wait_until, 100.0)
    other_account.localstack.popen.send_signal(signal.SIGTERM)
    # by itself, not killed
    assert other_account.localstack.popen.wait(timeout=200) == 0
    assert not any(process_runs(pid) for pid in pids)


def test_deleting_a_function_ends_its_processes(account, wait_until, process_runs):
    name = account.function("import os\ndef handler(event, context): return os.getpid()")
    pid = account.invoke(name).payload
    assert process_runs(pid)
    account.functions.delete_function(FunctionName=name)
    wait_until(lambda: not process_runs(pid))


def test_everything_listens_on_loopback_only(account: Any) -> None:
    account.invoke(account.function("def handler(event, context): return 1"))
    pid = account.localstack.popen.pid
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if found := re.match(r"socket:\[(\d+)\]", os.readlink(descriptor)):
                inodes.add(found.group(1))
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1])
    assert listening
    assert all(address.startswith("0100007F:") for address in listening)


def test_a_port_in_use_ends_the_start(start_localstack: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        localstack = start_localstack(GATEWAY_LISTEN=f"127.0.0.1:{port}")
        assert localstack.popen.wait(timeout=200) != 0
    assert f"LocalStack cannot listen on 127.0.0.1:{port}" in localstack.log
