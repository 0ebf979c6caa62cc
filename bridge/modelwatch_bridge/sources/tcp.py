"""EMF lines over TCP, in the protocol of CloudWatch's agent (port 25888): one JSON object per line.

Guarantee: an accepted line is counted once, or not at all if the bridge dies before its next round
of reading. The protocol has no acknowledgement, so a sender never knows, and a line that it sends
twice counts twice. If lines come faster than they are counted, senders wait. If a connection ends
in the middle of a line, that line is dropped.

It always listens only on 127.0.0.1, for any `BRIDGE_HOST`. A connection whose first line is no JSON
object is closed, so that a web page cannot make a browser post metrics here.
"""

from __future__ import annotations

import logging
import queue
import socket
import socketserver
import threading
from contextlib import suppress
from typing import Any

from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import Clock, LogEvent

LOG = logging.getLogger(__name__)

HOST = "127.0.0.1"
SOURCE = "tcp"
MAX_LINE_BYTES = 1024 * 1024
"""Longest line: the agent's own limit."""

MAX_WAITING = 20_000
"""Most lines that wait to be counted."""

_BATCH = 5_000
_IDLE_SECONDS = 0.5


class EmfListener:
    """Takes lines from connections, and brings them into the ledger when it is polled.

    Raises OSError when the port is taken.

    Parameters
    ----------
    port
        Where to listen; 0 takes a free one.
    clock
        The time that lines get: when they came, in milliseconds since 1970.
    """

    def __init__(self, port: int, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: queue.Queue[LogEvent] = queue.Queue(MAX_WAITING)
        self._batch: list[LogEvent] = []
        self._closing = threading.Event()
        self._count_lock = threading.Lock()
        self._accepted = 0
        self._server = _Server((HOST, port), self)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="emf", daemon=True).start()

    def poll(self) -> None:
        """Count what was accepted; see `Reader`.

        Raises LedgerError when lines cannot be stored; they are kept for the next time.
        """
        while True:
            while len(self._batch) < _BATCH:
                try:
                    self._batch.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            if not self._batch:
                return
            self._ledger.record(SOURCE, SOURCE, self._batch, repeatable=False)
            self._batch = []

    def close(self) -> None:
        """Accept nothing more; what was accepted can still be polled."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def accept(self, line: bytes) -> bool:
        """Take a line, waiting for room; return False when the bridge ends first."""
        with self._count_lock:
            self._accepted += 1
            event_id = f"{self._accepted:020d}"
        event = LogEvent(self._clock(), SOURCE, event_id, line.decode("utf-8", "replace"))
        while not self._closing.is_set():
            try:
                self._waiting.put(event, timeout=_IDLE_SECONDS)
            except queue.Full:
                continue
            return True
        return False


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], listener: EmfListener) -> None:
        self.listener = listener
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections: senders must not take what is no longer read for sent."""
        for connection in list(self._connections):
            with suppress(OSError):  # the sender was quicker
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request
        LOG.warning("%s, which sent metric lines, went away", client_address, exc_info=True)


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        is_first = True
        while line := self.rfile.readline(MAX_LINE_BYTES + 1):
            if not line.endswith(b"\n"):
                if len(line) > MAX_LINE_BYTES:
                    LOG.warning("a line of more than %d bytes: connection closed", MAX_LINE_BYTES)
                return
            if is_first and not line.startswith(b"{"):
                LOG.warning("what was sent to BRIDGE_EMF_PORT is no metric line: %.80r", line)
                return
            is_first = False
            if line.strip() and not self.server.listener.accept(line):
                return
