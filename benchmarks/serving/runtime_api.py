"""Lambda's Runtime API for one invocation: how long from process start to the first response."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATIENCE_SECONDS = 60


def seconds_to_first_response(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], event: str
) -> float:
    """Start ``command``, a Lambda runtime; return the seconds until it responds to ``event``."""
    responded = threading.Event()
    responses: list[bytes] = []
    for_good = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            if responded.is_set():  # there is no second event
                for_good.wait(PATIENCE_SECONDS)
            headers = {
                "Lambda-Runtime-Aws-Request-Id": "first",
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 30) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn",
                # the runtime's client takes both for granted
                "Lambda-Runtime-Trace-Id": "Root=1-0",
                "Content-Type": "application/json",
            }
            self.respond(event.encode(), headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith(("/response", "/error")):
                responses.append(body)
                responded.set()
            self.respond(b"{}", {"Lambda-Extension-Identifier": "one"})

        def respond(self, payload: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(200 if self.command == "GET" or "extension" in self.path else 202)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing: the process is killed while it waits for its next event."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env={**environ, **address}, stdout=subprocess.DEVNULL
    )
    try:
        assert responded.wait(PATIENCE_SECONDS), "no response"
        seconds = time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
        for_good.set()
        server.shutdown()
    assert b'"statusCode": 200' in responses[0] or b'"statusCode":200' in responses[0], responses[0]
    return seconds
