"""AWS's Lambda Runtime API and Extensions API over HTTP, for one function process.

Each process has a server, on a free loopback port, with a thread for each connection. The runtime
keeps one connection open. So an invocation opens no connection and starts no thread.
"""

import contextlib
import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from .lifecycle import EnvironmentClosedError, Lifecycle, RequestRefusedError, extension_event

_RUNTIME = "/2018-06-01/runtime"
_EXTENSION = "/2020-01-01/extension"


class RuntimeApiServer:
    """Serves `lifecycle` until `close`.

    Parameters
    ----------
    function
        The response to an extension's registration: functionName, functionVersion, handler.
    """

    def __init__(self, lifecycle: Lifecycle, function: dict[str, str]) -> None:
        self.lifecycle = lifecycle
        self.function = function
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, name="lambda-runtime-api", daemon=True).start()

    def close(self) -> None:
        """Stop listening and close every connection. The process should have ended before."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            connections = list(self._connections)
        # A blocked accept() does not notice that its socket is closed: connect to wake it.
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname(), timeout=1).close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    connection, address = self._listener.accept()
                except OSError:
                    continue
                with self._lock:
                    if self._closed:
                        connection.close()
                        return
                    self._connections.add(connection)
                threading.Thread(
                    target=self._serve,
                    args=(connection, address),
                    name="lambda-runtime-connection",
                    daemon=True,
                ).start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            # A client that is killed in the middle is no error; its exit is noticed elsewhere.
            with contextlib.suppress(OSError, EnvironmentClosedError):
                _RequestHandler(connection, address, self)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


class _RequestHandler(BaseHTTPRequestHandler):
    """One connection; the base class calls ``do_*`` for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Status line, headers and body leave in one segment.
    wbufsize = -1

    server: RuntimeApiServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        """Respond with events."""
        self._respond_with(self._get)

    def do_POST(self) -> None:
        """Take results, errors and registrations."""
        self._respond_with(self._post)

    def log_message(self, *args: Any) -> None:
        """Write nothing: LocalStack's log should not have each request of a function."""

    def _get(self) -> None:
        lifecycle = self.server.lifecycle
        if self.path == f"{_RUNTIME}/invocation/next":
            invocation = lifecycle.next_invocation()
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_epoch_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            }
            self._send(HTTPStatus.OK, invocation.payload, headers)
        elif self.path == f"{_EXTENSION}/event/next":
            event = lifecycle.next_extension_event(self._extension_identifier())
            headers = {"Lambda-Extension-Event-Identifier": event.request_id}
            self._send(HTTPStatus.OK, extension_event(event), headers)
        else:
            self._refuse_path()

    def _post(self) -> None:
        lifecycle = self.server.lifecycle
        # Read first, whatever comes of it: an unread body would be taken for the next request.
        body = self._body()
        error_type = self.headers.get("Lambda-Runtime-Function-Error-Type", "Runtime.Unknown")
        extension_error_type = self.headers.get(
            "Lambda-Extension-Function-Error-Type", "Extension.Unknown"
        )
        parts = self.path.split("/")
        if self.path == f"{_RUNTIME}/init/error":
            lifecycle.post_init_error(error_type, body)
            self._accept()
        elif self.path.startswith(f"{_RUNTIME}/invocation/") and parts[-1] == "response":
            lifecycle.post_response(parts[-2], body)
            self._accept()
        elif self.path.startswith(f"{_RUNTIME}/invocation/") and parts[-1] == "error":
            lifecycle.post_error(parts[-2], body)
            self._accept()
        elif self.path == f"{_EXTENSION}/register":
            self._register(body)
        elif self.path == f"{_EXTENSION}/init/error":
            lifecycle.extension(self._extension_identifier())
            lifecycle.post_init_error(extension_error_type, b"")
            self._accept()
        elif self.path == f"{_EXTENSION}/exit/error":
            lifecycle.extension_failed(self._extension_identifier(), extension_error_type)
            self._accept()
        else:
            self._refuse_path()

    def _register(self, body: bytes) -> None:
        try:
            events = json.loads(body or b"{}").get("events", [])
        except (ValueError, AttributeError):
            raise RequestRefusedError(
                400, "InvalidRequestFormat", 'The body should be {"events": ["INVOKE"]}.'
            ) from None
        name = self.headers.get("Lambda-Extension-Name", "")
        identifier = self.server.lifecycle.register_extension(name, events)
        body = json.dumps(self.server.function).encode()
        self._send(HTTPStatus.OK, body, {"Lambda-Extension-Identifier": identifier})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self.close_connection = True
            raise RequestRefusedError(
                400, "InvalidRequestFormat", "Streamed responses are not supported locally."
            )
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _extension_identifier(self) -> str:
        return self.headers.get("Lambda-Extension-Identifier", "")

    def _respond_with(self, handle: Any) -> None:
        try:
            handle()
        except RequestRefusedError as error:
            body = {"errorType": error.error_type, "errorMessage": str(error)}
            self._send(HTTPStatus(error.status), json.dumps(body).encode(), {})

    def _accept(self) -> None:
        self._send(HTTPStatus.ACCEPTED, b'{"status":"OK"}', {})

    def _refuse_path(self) -> None:
        raise RequestRefusedError(404, "NotFound", f"{self.command} {self.path} is not served.")

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
