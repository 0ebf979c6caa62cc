"""EMF lines over TCP, to the bridge or to CloudWatch's agent, for functions outside Lambda."""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from modelwatch.errors import SettingError

SETTING = "AWS_EMF_AGENT_ENDPOINT"
"""As AWS's own EMF libraries call it."""

_PATIENCE_SECONDS = 0.5
_PAUSE_SECONDS = 5.0
"""How long after a failure it is not tried again: no request pays for an agent that is away."""


class AgentStream:
    """A stream whose lines go to an agent; while there is none, to standard output.

    A connection is kept. The protocol has no acknowledgement: a line that was sent just before the
    agent died is lost.

    Raises SettingError when the endpoint is something else.

    Parameters
    ----------
    endpoint
        ``tcp://host:port``.
    clock
        Seconds, of any origin.
    """

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            parts = urlsplit(endpoint)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port or parts.scheme != "tcp":
            raise SettingError(SETTING, f"'{endpoint}' is not of the form tcp://127.0.0.1:25888")
        self._address = host, port
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._not_before: float | None = None

    def write(self, line: str) -> None:
        """Send a line, which ends with a line break."""
        with self._lock:
            if not self._send(line.encode()):
                sys.stdout.write(line)

    def flush(self) -> None:
        """Do nothing for the agent: each line is sent immediately."""
        sys.stdout.flush()

    def _send(self, data: bytes) -> bool:
        if self._not_before is not None and self._clock() < self._not_before:
            return False
        try:
            if self._connection is not None and _was_closed(self._connection):
                self._close()
            if self._connection is None:
                self._connection = socket.create_connection(self._address, _PATIENCE_SECONDS)
            self._connection.sendall(data)
        except OSError as error:
            self._close()
            self._not_before = self._clock() + _PAUSE_SECONDS
            sys.stderr.write(f"no agent at {SETTING}, metrics go to standard output: {error}\n")
            return False
        self._not_before = None
        return True

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _was_closed(connection: socket.socket) -> bool:
    """Return whether the agent hung up: it never sends, so all there can be to read is the end."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)
