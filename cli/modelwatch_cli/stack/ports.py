"""Who listens on which port of this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

HOST = "127.0.0.1"
_LISTEN = "0A"


def is_free(port: int) -> bool:
    """Return whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket() as probe:
        # as servers do, so that connections that still close do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(host: str, port: int, timeout_seconds: float = 1.0) -> bool:
    """Return whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout_seconds).close()
    except OSError:
        return False
    return True


def holder(port: int) -> tuple[int, str] | None:
    """Return the id and command of the process that listens on ``port``.

    None when that cannot be found: it is another user's, or the system has no /proc.
    """
    inodes = {inode for listening, inode in _listening_sockets() if listening == port}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(entry) for entry in (process / "fd").iterdir()]
            if any(f"socket:[{inode}]" in links for inode in inodes):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                return int(process.name), command
        except OSError:
            continue
    return None


def _listening_sockets() -> list[tuple[int, str]]:
    """Return port and inode of every listening TCP socket."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        found += [
            (int(fields[1].rpartition(":")[2], 16), fields[9])
            for fields in map(str.split, lines)
            if fields[3] == _LISTEN
        ]
    return found
