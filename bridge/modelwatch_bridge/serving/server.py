"""The bridge's HTTP server: `/metrics`, `/health`, and the live page."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from modelwatch_bridge.counting.collector import Page, content_type_for
from modelwatch_bridge.serving.guard import LOCAL, Guard
from modelwatch_bridge.serving.health import Health
from modelwatch_bridge.serving.site import JSON, HttpResponse, Site

LOG = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001
"""Python's thread switch interval for the process: a scrape passes a page that is being rendered
five times as soon as with the default."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


_NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BridgeServer(ThreadingHTTPServer):
    """Serves the rendered metrics, the health and the page; it changes nothing.

    Raises OSError when the address is taken.

    Parameters
    ----------
    address
        Host and port; port 0 takes a free one.
    health
        Whether the sources are read.
    guard
        Refuses requests of those who may not ask.
    most_connections
        Another one gets 503 at once.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        page: Page,
        health: Health,
        site: Site,
        guard: Guard = LOCAL,
        most_connections: int = 64,
    ) -> None:
        self._guard = guard
        self._room = threading.BoundedSemaphore(most_connections)
        self._page = page
        self._health = health
        self._site = site
        sys.setswitchinterval(SWITCH_SECONDS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, if there is room for it."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(_NO_ROOM)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def respond(self, target: str, headers: Message[str, str]) -> HttpResponse:
        """Return the response to a GET of ``target``: a path, and optionally a query."""
        url = urlsplit(target)
        refusal = self._guard.refusal(url.path, headers)
        if refusal:
            return refusal
        accept = headers.get("Accept", "")
        if url.path == "/metrics":
            content_type = content_type_for(accept)
            return HttpResponse(HTTPStatus.OK, self._page.rendered(content_type), content_type)
        if url.path == "/health":
            ready, report = self._health.report()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            return HttpResponse(status, json.dumps(report).encode() + b"\n", JSON)
        known = headers.get("If-None-Match", "")
        return self._site.respond(url.path, dict(parse_qsl(url.query)), known)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that an idle connection is kept
    server: BridgeServer

    def do_GET(self) -> None:
        response = self.server.respond(self.path, self.headers)
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in (_HEADERS | dict(response.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_HEAD = do_GET  # noqa: N815  the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        LOG.debug(format, *args)
