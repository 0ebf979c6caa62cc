"""Work after the response, by an internal Lambda extension.

An internal extension is a thread of the function's own process. It registers with Lambda's
Extensions API while the process starts, and asks for each invocation as the next event. Lambda
sends the response on as soon as it has it from the runtime. It freezes the environment only when
the extension asks for the next event too: work done before that is done before the freeze, and the
caller does not wait for it. (AWS, "Lambda Extensions API"; AWS Compute Blog, "Running code after
returning a response from an AWS Lambda function".)

A process that is killed between response and work loses the work without a trace. So the request
counts its records (``accepted``), and the work counts what became of them (``sent`` or ``lost``):
a difference that stays is lost too. Lambda's timeout is for both together.

Records that wait for those of later requests are sent in the same thread: when they are due, as
long as the environment runs, and when it ends. Lambda ends an environment with SIGTERM and, where
an internal extension is registered, 500 ms; such an extension gets no SHUTDOWN event. (AWS, "Lambda
execution environment lifecycle".) A frozen environment sends nothing: what waits in it is due at
its next request, or at its end.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from modelwatch.errors import stack_of
from modelwatch.ports.capture import WaitingRecords
from modelwatch.ports.metrics import MetricSink, Sample

_LOG = logging.getLogger(__name__)

NAME = "modelwatch-after-response"

_API = "/2020-01-01/extension"
_CONNECT_SECONDS = 2.0

Work = Callable[[], list[Sample]]
Handler = Callable[[Any, Any], Any]


class LambdaExtension:
    """Does work when the response has left; see `modelwatch.ports.serving.AfterResponse`.

    Before `around` registers it, and after its API fails, it does work immediately.

    Parameters
    ----------
    address
        ``host:port`` of Lambda's runtime API, or empty: then there is no Lambda.
    """

    def __init__(self, address: str, metrics: MetricSink) -> None:
        self._address = address
        self._metrics = metrics
        self._listens = False
        self._lock = threading.Lock()
        self._accepted: list[Work] = []
        self._released: SimpleQueue[list[Work]] = SimpleQueue()
        self._waiting: WaitingRecords | None = None
        self._ends, self._end = socket.socketpair()

    @property
    def listens(self) -> bool:
        """Whether work is done after the response, and what waits is flushed."""
        return self._listens

    def flushes(self, waiting: WaitingRecords) -> None:
        """Flush ``waiting`` from now on: when it is due, and when the environment ends."""
        self._waiting = waiting

    def __call__(self, work: Work) -> list[Sample]:
        """Keep ``work`` for when the handler has returned."""
        if not self._listens:
            return work()
        self._accepted.append(work)
        return []

    def around(self, handler: Handler) -> Handler:
        """Register, and return a handler that lets the work go when it returns.

        To be called while the process starts: later, Lambda takes no registration. Where there is
        no Lambda, or it refuses, ``handler`` comes back as it is.
        """
        if not self._address:
            return handler
        try:
            identifier = self._register()
        except (OSError, http.client.HTTPException) as error:
            _LOG.warning("records are sent before the response: no extension: %s", error)
            return handler
        self._listens = True
        self._hear_of_the_end()
        threading.Thread(target=self._run, args=(identifier,), name=NAME, daemon=True).start()

        def handle(event: Any, context: Any) -> Any:
            try:
                return handler(event, context)
            finally:
                # also when there is no work: the environment is not free before it is known
                self._let_go()

        return handle

    def _let_go(self) -> None:
        works, self._accepted = self._accepted, []
        with self._lock:
            if self._listens:
                self._released.put(works)
                return
        self._do(works)

    def _run(self, identifier: str) -> None:
        # one connection for all: an invocation opens none
        connection = http.client.HTTPConnection(self._address)
        try:
            while True:
                headers = {"Lambda-Extension-Identifier": identifier}
                _send(connection, "GET", "event/next", headers)
                self._await_event(connection.sock)
                _response(connection, "event/next")
                self._do(self._released.get())
                # now, and not after the environment was given back: then it may be frozen
                self._flush_what_is_due()
        except (OSError, http.client.HTTPException) as error:
            _LOG.error("records are sent before the response from now on: %s", error)
        with self._lock:
            self._listens = False
        while not self._released.empty():
            self._do(self._released.get())
        self._flush()
        self._report_exit(identifier)

    def _await_event(self, connection: socket.socket) -> None:
        """Return when the next event is there; flush meanwhile, and end the process on SIGTERM."""
        while True:
            due = None if self._waiting is None else self._waiting.due_in()
            found, _, _ = select.select([connection, self._ends], [], [], due)
            if self._ends in found and signal.SIGTERM in self._ends.recv(64):
                self._flush(is_last=True)
                os._exit(0)
            if connection in found:
                return
            self._flush_what_is_due()

    def _hear_of_the_end(self) -> None:
        """Have SIGTERM end the process when the extension has flushed.

        The main thread may be in a call that no signal interrupts; the byte arrives nevertheless.
        """
        self._end.setblocking(False)
        signal.set_wakeup_fd(self._end.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._end_at_once_if_alone)

    def _end_at_once_if_alone(self, number: int, _frame: object) -> None:
        if not self._listens:
            os._exit(128 + number)

    def _flush_what_is_due(self) -> None:
        if self._waiting is not None and self._waiting.due_in() == 0:
            self._flush()

    def _flush(self, *, is_last: bool = False) -> None:
        waiting = self._waiting
        if waiting is not None:
            self._do([lambda: waiting.flush(is_last=is_last)])

    def _do(self, works: list[Work]) -> None:
        for work in works:
            try:
                self._metrics.emit(work())
            except Exception as error:  # noqa: BLE001 - the next request's work must go on
                _LOG.error("work after a response failed:\n%s", stack_of(error))

    def _register(self) -> str:
        connection = http.client.HTTPConnection(self._address, timeout=_CONNECT_SECONDS)
        try:
            headers = {"Lambda-Extension-Name": NAME}
            response = _request(connection, "POST", "register", headers, {"events": ["INVOKE"]})
            return response.headers["Lambda-Extension-Identifier"]
        finally:
            connection.close()

    def _report_exit(self, identifier: str) -> None:
        """Have Lambda replace this environment: it would wait for the extension every time."""
        headers = {
            "Lambda-Extension-Identifier": identifier,
            "Lambda-Extension-Function-Error-Type": "Extension.ApiFailed",
        }
        connection = http.client.HTTPConnection(self._address, timeout=_CONNECT_SECONDS)
        try:
            _request(connection, "POST", "exit/error", headers)
        except (OSError, http.client.HTTPException) as error:
            _LOG.error("the extension cannot report its end: %s", error)
        finally:
            connection.close()


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str],
    body: Any = None,
) -> http.client.HTTPResponse:
    _send(connection, method, path, headers, body)
    return _response(connection, path)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str],
    body: Any = None,
) -> None:
    payload = None if body is None else json.dumps(body)
    connection.request(method, f"{_API}/{path}", payload, headers)


def _response(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    response = connection.getresponse()
    content = response.read()
    if response.status >= 300:
        reason = content[:200].decode(errors="replace")
        raise http.client.HTTPException(f"{path} returned {response.status}: {reason}")
    return response
