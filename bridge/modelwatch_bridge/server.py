"""The bridge's HTTP side: `/metrics`, `/health` and a page that points to them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from modelwatch_bridge.collector import Page, content_type_for
from modelwatch_bridge.health import Health

LOG = logging.getLogger(__name__)

_INDEX = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>modelwatch bridge</title>
<h1>modelwatch bridge</h1>
<ul><li><a href="/metrics">metrics</a><li><a href="/health">health</a></ul>
"""

_Answer = tuple[HTTPStatus, str, bytes]


SWITCH_SECONDS = 0.001
"""Python's thread switch interval for the process: a scrape passes a page that is being rendered
five times as soon as with the default."""


class BridgeServer(ThreadingHTTPServer):
    """Serves what was rendered and how things stand; it changes nothing.

    Parameters
    ----------
    address
        Host and port; port 0 takes a free one.
    page
        The rendered metrics.
    health
        Whether the sources are read.

    Raises
    ------
    OSError
        When the address is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], page: Page, health: Health) -> None:
        self._page = page
        self._health = health
        self._routes: dict[str, Callable[[str], _Answer]] = {
            "/": self._index,
            "/metrics": self._metrics,
            "/health": self._healthy,
        }
        sys.setswitchinterval(SWITCH_SECONDS)
        super().__init__(address, _Handler)

    def answer(self, path: str, accept: str) -> _Answer:
        """Return status, content type and body for a GET of ``path``."""
        route = self._routes.get(path)
        if route is None:
            return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n"
        return route(accept)

    def _index(self, _accept: str) -> _Answer:
        return HTTPStatus.OK, "text/html; charset=utf-8", _INDEX

    def _metrics(self, accept: str) -> _Answer:
        content_type = content_type_for(accept)
        return HTTPStatus.OK, content_type, self._page.rendered(content_type)

    def _healthy(self, _accept: str) -> _Answer:
        ready, report = self._health.report()
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return status, "application/json", json.dumps(report).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that an idle connection is kept
    server: BridgeServer

    def do_GET(self) -> None:
        accept = self.headers.get("Accept", "")
        status, content_type, body = self.server.answer(urlsplit(self.path).path, accept)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        LOG.debug(format, *args)
