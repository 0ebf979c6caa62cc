"""A way to S3 that can be closed, and the death of a function that waits at it."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from running_stack import processes_with

REFUSAL = b"<Error><Code>SlowDown</Code><Message>not now</Message></Error>"


class S3Gate:
    """A function's way to the real S3, which lets through what `mode` says.

    ``open`` is nothing special; ``refuse`` hands on no write; ``lie`` hands writes on and says that
    they failed; ``hold`` hands them on, sets `held`, and does not respond until `mode` changes.
    """

    def __init__(self, s3_url: str) -> None:
        self.mode = "open"
        self.held = threading.Semaphore(0)
        self.writes: list[tuple[float, str, str]] = []
        gate, address = self, s3_url.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                mode = gate.mode if self.command == "PUT" else "open"
                if self.command == "PUT":
                    gate.writes.append((time.monotonic(), mode, unquote(self.path)))
                status, headers, response = 503, [("Content-Type", "application/xml")], REFUSAL
                if mode != "refuse":
                    status, headers, response = self.forward(body)
                if mode == "lie":
                    status, headers, response = 503, [("Content-Type", "application/xml")], REFUSAL
                if mode == "hold":
                    gate.held.release()
                    while gate.mode == "hold":
                        time.sleep(0.05)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(response)))
                self.end_headers()
                with suppress(ConnectionError):  # whoever asked may be dead
                    self.wfile.write(response)

            do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 - as http.server calls them

            def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
                connection = http.client.HTTPConnection(address, timeout=30)
                # the signature covers the host that the caller named
                connection.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    if name.lower() not in ("expect", "connection"):
                        connection.putheader(name, value)
                connection.endheaders(body)
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kill(self, function: str) -> int:
        """Kill the processes of a function that goes this way; return how many there were."""
        found = processes_with(AWS_LAMBDA_FUNCTION_NAME=function, AWS_ENDPOINT_URL_S3=self.url)
        for process in found:
            os.kill(process, signal.SIGKILL)
        return len(found)
