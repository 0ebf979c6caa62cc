"""Nothing of a container daemon stays, whether its run ends, fails, is interrupted or killed.

Part of `make test-compose`: a daemon needs root.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import Engine
from sandbox import run_in_sandbox

WAYS_TO_END = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the TMPDIR of a run, and see afterwards that nothing stayed, in it or elsewhere."""
    before, groups = _machine(), _control_groups()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield tmp_path
    # after SIGKILL no one is left to wait for the guardian
    _wait_until_gone(tmp_path)
    assert _machine() == before
    assert not _control_groups() - groups


def test_a_run_that_ends_leaves_nothing(folder: Path) -> None:
    assert _run(folder, "end").wait(timeout=60) == 0


def test_a_run_that_fails_leaves_nothing(folder: Path) -> None:
    assert _run(folder, "fail").wait(timeout=60) == 7


@pytest.mark.parametrize("number", WAYS_TO_END)
def test_a_run_that_is_stopped_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    runner = _run(folder, "hang")
    runner.send_signal(number)
    assert runner.wait(timeout=60) != 0


def test_the_machine_is_out_of_reach_from_inside() -> None:
    """A port that is open on the machine's loopback is not open in the sandbox."""
    probe = "import socket, sys; sys.exit(socket.socket().connect_ex(('10.0.2.2', {port})) == 0)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run_in_sandbox([sys.executable, "-c", probe.format(port=port)]) == 0


def _run(folder: Path, end: str) -> subprocess.Popen[bytes]:
    """Start this module as a program, and return it once its container runs."""
    runner = subprocess.Popen([sys.executable, __file__, end, str(folder)])
    deadline = time.monotonic() + 60
    while not list(folder.glob("modelwatch-compose-*/container-runs")):
        assert runner.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return runner


def _inside(folder: Path, end: str) -> int:
    """Run a container with a network and a port of its own, from the programs of the machine."""
    engine = Engine(folder)
    engine.wait()
    empty = folder / "empty.tar"
    subprocess.run(["tar", "--create", "--file", empty, "--files-from", "/dev/null"], check=True)
    engine.docker("import", empty, "empty")
    engine.docker("network", "create", "bridged")
    places = [path for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]
    mounts = [f"--volume={path}:{path}:ro" for path in places]
    published = "127.0.0.1:4566:4566"
    engine.docker("run", "--detach", "--network=bridged", f"--publish={published}", *mounts,
                  "empty", "/bin/sleep", "600")  # fmt: skip
    (folder / "container-runs").touch()
    if end == "hang":
        signal.pause()
    return {"end": 0, "fail": 7}[end]


def _machine() -> tuple[str, ...]:
    """Return what a daemon changes: mounts, interfaces, firewall, forwarding."""
    firewall = ["iptables-save"]
    lines = subprocess.run(firewall, capture_output=True, text=True, check=True).stdout
    return (
        "\n".join(line for line in lines.splitlines() if not line.startswith("#")),
        Path("/proc/mounts").read_text(),
        " ".join(sorted(os.listdir("/sys/class/net"))),
        Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    )


def _control_groups() -> set[Path]:
    return set(Path("/sys/fs/cgroup").glob("**/modelwatch-compose-*"))


def _processes_of(folder: Path) -> list[str]:
    found = subprocess.run(["pgrep", "-af", folder], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def _wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while left := [*folder.iterdir(), *_processes_of(folder)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1] == "inside":
        sys.exit(_inside(Path(sys.argv[3]), sys.argv[2]))
    sys.exit(run_in_sandbox([sys.executable, __file__, "inside", sys.argv[1]]))
