"""HTTP servers in the place of other programs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What a client sent; ``path`` has the query, too."""

    method: str
    path: str
    headers: Message
    body: bytes


Respond = Callable[[Request], tuple[int, Any]]
"""Returns a status and a body: bytes, or what becomes JSON."""


@contextmanager
def stand_in(respond: Respond) -> Iterator[str]:
    """Serve what ``respond`` returns for each request; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, found = respond(Request(self.command, self.path, self.headers, body))
            payload = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PUT = do_POST  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with serving(Server(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    """Serve until the context ends; give the address."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
