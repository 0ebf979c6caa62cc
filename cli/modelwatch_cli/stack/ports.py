"""Which process listens on which port of this machine, and whether it responds."""

from __future__ import annotations

import os
import socket
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

HOST = "127.0.0.1"
ANY_STATUS = range(100, 600)
_LISTEN = "0A"


def is_free(port: int) -> bool:
    """Return whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket() as probe:
        # as servers do, so that closing connections do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(host: str, port: int, timeout_seconds: float = 1.0) -> bool:
    """Return whether a process accepts connections there."""
    try:
        socket.create_connection((host, port), timeout_seconds).close()
    except OSError:
        return False
    return True


def responds(url: str, statuses: Container[int] = (200,), timeout_seconds: float = 5.0) -> bool:
    """Return whether ``GET url`` returns one of ``statuses`` in time.

    The request ignores a proxy of the environment: the server is on this machine.
    """
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=timeout_seconds
    )
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        # to its end: otherwise the server logs an aborted connection
        response.read()
        return response.status in statuses
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def holder(port: int) -> tuple[int, str] | None:
    """Return the id and command of the process that listens on ``port``.

    None when it is unknown: the process is another user's, or the system has no /proc.
    """
    sockets = {
        f"socket:[{inode}]" for listening, inode in _listening_sockets() if listening == port
    }
    for process in Path("/proc").glob("[0-9]*"):
        if sockets & _open_files(process):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            return int(process.name), command
    return None


def _open_files(process: Path) -> set[str]:
    """Return the open files of a process; none if it is another user's or gone."""
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            # one may close between being listed and being looked at
            with suppress(FileNotFoundError):
                found.add(os.readlink(descriptor))
    except OSError:
        return set()
    return found


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
