"""The newest drift reports, for the page's links: from the bucket in which analyze puts them."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

from modelwatch.domain.drift import AnalysisResult
from modelwatch.errors import ModelwatchError, StoreError

_SHOWN = 12
_FRESH_MS = 15_000
_LINK_SECONDS = 60


class Results(Protocol):
    """The analyses' results, and addresses of their reports."""

    def results(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results, newest first."""

    def report_url(self, name: str, expires_seconds: int) -> str:
        """Return an address that opens a report for a while."""


class Newest(TypedDict):
    """Body of `GET /api/reports`."""

    results: list[dict[str, object]]
    problem: str


class Reports:
    """Gives what the page shows of results and reports; asks the store when somebody looks.

    Parameters
    ----------
    results
        Where they are.
    clock
        The time, in milliseconds.
    """

    def __init__(self, results: Results, clock: Callable[[], int]) -> None:
        self._results = results
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_ms: int | None = None
        self._found: list[dict[str, object]] = []
        self._problem = ""

    def newest(self) -> Newest:
        """Return the newest results as the page wants them, at most 15 seconds old."""
        with self._lock:
            now_ms = self._clock()
            if self._asked_ms is None or not 0 <= now_ms - self._asked_ms < _FRESH_MS:
                self._asked_ms = now_ms
                try:
                    self._found = _entries(self._results.results(_SHOWN))
                    self._problem = ""
                except ModelwatchError as error:
                    self._problem = str(error)
            return {"results": self._found, "problem": self._problem}

    def newest_name(self, model: str, version: str) -> str | None:
        """Return the name of a version's newest report; None when it has none among the newest."""
        for result in self.newest()["results"]:
            if result["has_report"] and (result["model"], result["version"]) == (model, version):
                return str(result["name"])
        return None

    def html(self, name: str) -> bytes:
        """Return a report.

        The bridge fetches it, so that it can be read wherever the page can: the bucket's own
        address may be known inside a network alone.

        Raises
        ------
        NotFoundError
            When there is no such report.
        StoreError
            When the store does not answer.
        """
        with self._lock:
            url = self._results.report_url(name, _LINK_SECONDS)
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # the store's own, signed
                body: bytes = answer.read()
        except OSError as error:
            raise StoreError(f"cannot read the report {name}: {error}") from error
        return body


def _entries(results: Sequence[AnalysisResult]) -> list[dict[str, object]]:
    return [
        {
            "name": result.name,
            "model": result.model_name,
            "version": result.model_version,
            "status": result.status,
            "reason": result.reason,
            "rows": result.rows,
            "window_end_ms": int(result.window_end.timestamp() * 1000),
            "has_report": result.has_report,
        }
        for result in results
    ]
