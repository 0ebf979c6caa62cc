"""Processes of the operating system: which one runs, since when, and how to end it.

The system reuses process ids. So a process is identified by its id *and* its start time, and the
descendants of a part by the mark in their environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Names the run file of the part that a process belongs to; children inherit it.
MARK = "MODELWATCH_PART"

_PROC = Path("/proc")
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its id and its start time, in the system's own unit."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Return whether this process still runs (a zombie does not)."""
        return start_of(self.pid) == self.started


def start_of(pid: int) -> str | None:
    """Return when process ``pid`` started, only for comparison; None if it is gone.

    On Linux that is the boot and the clock ticks since, elsewhere what `ps` prints.
    """
    if (_PROC / "self/stat").exists():
        fields = _stat_fields(pid)
        # after the name: state is field 0, the start in clock ticks since boot field 19
        return None if fields is None or fields[0] in "ZX" else f"{_boot_id()}/{fields[19]}"
    found = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return found[1].strip() if len(found) == 2 and not found[0].startswith("Z") else None


def memory_bytes(pid: int) -> int:
    """Return the resident memory of ``pid``, in bytes; 0 if that cannot be found."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def spawn(
    command: Sequence[str], environ: Mapping[str, str], directory: Path, log: Path, mark: str
) -> subprocess.Popen[bytes]:
    """Start ``command`` detached, in its own session, so that Ctrl-C of a terminal does not end it.

    Parameters
    ----------
    command
        The program's path and its arguments.
    environ
        Its whole environment; nothing else is inherited.
    mark
        The mark with which `marked_processes` finds it and its children.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            env={**environ, MARK: mark},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # only the user can access data and sockets
            umask=0o077,
        )


def marked_processes(mark: str) -> list[Process]:
    """Return the processes whose environment carries ``mark``: a part's own and its children.

    Empty where the system does not show environments (there is no /proc).
    """
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue  # gone meanwhile, or another user's
        if wanted in environ.split(b"\0") and (started := start_of(int(entry.name))) is not None:
            found.append(Process(int(entry.name), started))
    return found


def stop(processes: Iterable[Process], grace_seconds: float) -> None:
    """End ``processes``: SIGTERM, then SIGKILL for those that are alive after ``grace_seconds``."""
    waiting = list(processes)
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        for process in waiting:
            _send(process, number)
        deadline = time.monotonic() + seconds
        while (waiting := _reap(waiting)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _send(process: Process, number: signal.Signals) -> None:
    if process.is_alive():
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _reap(processes: list[Process]) -> list[Process]:
    return [process for process in processes if process.is_alive()]


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # the name stands in parentheses and may hold any character, even these
    return text.rpartition(")")[2].split()


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
