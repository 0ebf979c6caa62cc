"""The live page: its files, its JSON, and the reports that it links to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from modelwatch.errors import ModelwatchError, NotFoundError
from modelwatch_bridge.history.history import History
from modelwatch_bridge.serving.health import Health
from modelwatch_bridge.serving.overview import drift, overview
from modelwatch_bridge.serving.reports import Reports

JSON = "application/json"
_PLAIN = "text/plain; charset=utf-8"
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "panels.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_OWN_FILES_ONLY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Evidently's reports carry their scripts in themselves; they get an origin of their own, from
# which nothing of the bridge can be read, and no network
_REPORT = (
    "sandbox allow-scripts allow-popups allow-downloads; default-src 'none'; "
    "script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:"
)

_encode = msgspec.json.Encoder().encode


class HttpResponse(NamedTuple):
    """Status, body, content type and further headers of a response."""

    status: HTTPStatus
    body: bytes
    content_type: str = _PLAIN
    headers: Mapping[str, str] = {}


NOT_FOUND = HttpResponse(HTTPStatus.NOT_FOUND, b"not found\n")


class Site:
    """Serves the page's requests; it changes nothing.

    Parameters
    ----------
    health
        Whether the sources are read.
    reports
        The newest reports; None without a store of them.
    stage
        Name of the deployment.
    """

    def __init__(
        self, history: History, health: Health, reports: Reports | None, stage: str
    ) -> None:
        self._history = history
        self._health = health
        self._reports = reports
        self._stage = stage
        self._api: dict[str, Callable[[Mapping[str, str]], object | None]] = {
            "overview": self._overview,
            "drift": self._drift,
            "reports": self._newest_reports,
        }

    def respond(self, path: str, query: Mapping[str, str], known: str = "") -> HttpResponse:
        """Return the response to a GET of one of the page's paths.

        ``known``: the tag of the response that the caller has, as in ``If-None-Match``.
        """
        folder, _, name = path.removeprefix("/").partition("/")
        if path == "/":
            return _file("index.html")
        if folder == "page" and name in _TYPES:
            return _file(name)
        if folder == "api" and name in self._api:
            document = self._api[name](query)
            if document is None:
                return NOT_FOUND
            return _tagged(_encode(document), known)
        if folder == "reports" and name and self._reports is not None:
            if name == "newest":
                return _redirect(self._reports, query)
            return _report(self._reports, unquote(name))
        return NOT_FOUND

    def _overview(self, query: Mapping[str, str]) -> object:
        ready, report = self._health.report()
        bridge = {"ready": ready, "reason": report["reason"]}
        model = query.get("model", "")
        stored = () if self._reports is None else self._reports.states(model)
        return {
            "stage": self._stage,
            "bridge": bridge,
            **overview(self._history.view(), model, stored),
        }

    def _drift(self, query: Mapping[str, str]) -> object | None:
        return drift(self._history.view(), (query.get("model", ""), query.get("version", "")))

    def _newest_reports(self, query: Mapping[str, str]) -> object:
        if self._reports is None:
            return {"results": [], "reports": [], "problem": "", "episodes": []}
        model = query.get("model", "")
        analyses = self._history.view().analyses
        ended = (each[-1].at_ms for at, each in analyses.items() if each and model in ("", at[0]))
        return self._reports.newest(model, max(ended, default=0))


def _tagged(body: bytes, known: str) -> HttpResponse:
    """Return a document that a browser may keep, and has to ask for each time."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": tag}
    if known == tag:
        return HttpResponse(HTTPStatus.NOT_MODIFIED, b"", JSON, headers)
    return HttpResponse(HTTPStatus.OK, body, JSON, headers)


@cache
def _file(name: str) -> HttpResponse:
    body = resources.files(__package__).joinpath("page", name).read_bytes()
    headers = {"Content-Security-Policy": _OWN_FILES_ONLY, "Cache-Control": "no-cache"}
    return HttpResponse(HTTPStatus.OK, body, _TYPES[name], headers)


def _redirect(reports: Reports, query: Mapping[str, str]) -> HttpResponse:
    """Redirect a dashboard's link, which has only the model version, to its newest report."""
    name = reports.newest_name(query.get("model", ""), query.get("version", ""))
    if name is None:
        return HttpResponse(HTTPStatus.NOT_FOUND, b"there is no report of this model version yet\n")
    return HttpResponse(HTTPStatus.FOUND, b"", headers={"Location": quote(name)})


def _report(reports: Reports, name: str) -> HttpResponse:
    try:
        body = reports.html(name)
    except NotFoundError as error:
        return HttpResponse(HTTPStatus.NOT_FOUND, f"{error}\n".encode())
    except ModelwatchError as error:
        return HttpResponse(HTTPStatus.BAD_GATEWAY, f"{error}\n".encode())
    return HttpResponse(
        HTTPStatus.OK, body, "text/html; charset=utf-8", {"Content-Security-Policy": _REPORT}
    )
