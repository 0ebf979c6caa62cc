"""The newest drift reports, for the page's links: from the bucket in which analyze puts them."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypedDict

from modelwatch.errors import ModelwatchError, StoreError

if TYPE_CHECKING:
    from modelwatch.domain.episodes.joining import Episode
    from modelwatch.domain.verdict.results import AnalysisResult
    from modelwatch.services.model_states import ModelState

LOG = logging.getLogger(__name__)

_SHOWN = 12
_FRESH_MS = 15_000
_LINK_SECONDS = 60


class Results(Protocol):
    """The analyses' results, and addresses of their reports."""

    def states(self) -> list[ModelState]:
        """Return every model version with its newest report."""

    def newest(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results of all models, newest first."""

    def report_url(self, name: str, expires_seconds: int) -> str:
        """Return an address that opens a report for a while."""


class Newest(TypedDict):
    """Body of `GET /api/reports`."""

    results: list[dict[str, object]]
    reports: list[dict[str, str]]
    problem: str
    episodes: list[dict[str, object]]


class Reports:
    """Returns results and reports for the page; reads the store only on request.

    Parameters
    ----------
    open_results
        Opens the store, once: a bridge whose page no one opens does not need it.
    episodes
        Returns the episodes of drift that are open.
    """

    def __init__(
        self,
        open_results: Callable[[], Results],
        clock: Callable[[], int],
        episodes: Callable[[], Iterable[Episode]],
    ) -> None:
        self._open_results = open_results
        self._opened: Results | None = None
        self._clock = clock
        self._episodes = episodes
        self._open: list[dict[str, object]] = []
        self._lock = threading.Lock()
        self._asked_ms: int | None = None
        self._found: list[dict[str, object]] = []
        self._reported: dict[tuple[str, str], str] = {}
        self._problem = ""

    def newest(self) -> Newest:
        """Return the newest results as the page wants them, at most 15 seconds old."""
        with self._lock:
            now_ms = self._clock()
            if self._asked_ms is None or not 0 <= now_ms - self._asked_ms < _FRESH_MS:
                self._asked_ms = now_ms
                try:
                    self._look()
                    self._problem = ""
                except ModelwatchError as error:
                    self._problem = str(error)
                except Exception as error:
                    # a result of another release, say: the rest of the page goes on
                    LOG.exception("the results cannot be listed")
                    self._problem = f"{type(error).__name__}: {error}"
            reports = [
                {"model": model, "version": version, "name": name}
                for (model, version), name in self._reported.items()
            ]
            return {
                "results": self._found,
                "reports": reports,
                "problem": self._problem,
                "episodes": self._open,
            }

    def newest_name(self, model: str, version: str) -> str | None:
        """Return the name of a version's newest report; None when none is known."""
        self.newest()
        with self._lock:
            return self._reported.get((model, version))

    def html(self, name: str) -> bytes:
        """Return a report.

        The bridge fetches it, so that every reader of the page can read it: the bucket's own
        address may only exist inside a network.

        Raises
        ------
        NotFoundError
            When there is no such report.
        StoreError
            When the store does not respond.
        """
        with self._lock:
            url = self._store().report_url(name, _LINK_SECONDS)
        try:
            with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - signed here
                body: bytes = response.read()
        except OSError as error:
            raise StoreError(f"cannot read the report {name}: {error}") from error
        return body

    def _store(self) -> Results:
        if self._opened is None:
            self._opened = self._open_results()
        return self._opened

    def _look(self) -> None:
        store = self._store()
        results = store.newest(_SHOWN)
        reports = [
            (each.report_end, each.model_name, each.model_version, each.report)
            for each in store.states()
            if each.report_end is not None
        ]
        # one that someone asked for is in no model's state
        reports += [
            (each.window_end, each.model_name, each.model_version, each.name)
            for each in results
            if each.has_report
        ]
        self._reported = {(model, version): name for _, model, version, name in sorted(reports)}
        self._found = _entries(results)
        self._open = [_episode(each) for each in self._episodes()]


def _entries(results: Sequence[AnalysisResult]) -> list[dict[str, object]]:
    return [
        {
            "name": result.name,
            "model": result.model_name,
            "version": result.model_version,
            "status": result.severity,
            "reason": "; ".join((result.reason, *result.notes)),
            "rows": result.rows,
            "window": result.window,
            "past": result.calibrated_by,
            "window_end_ms": int(result.window_end.timestamp() * 1000),
            "has_report": result.has_report,
            "ad_hoc": result.ad_hoc,
        }
        for result in results
    ]


def _episode(episode: Episode) -> dict[str, object]:
    notes = [f"{each.who}: {each.note}" for each in episode.acknowledged]
    notes += [f"expected, {each.who}: {each.reason}" for each in episode.expected]
    return {
        "id": episode.id,
        "model": episode.model_name,
        "version": episode.model_version,
        "status": episode.status,
        "opened_ms": int(episode.opened.timestamp() * 1000),
        "features": list(episode.features),
        "notes": notes,
    }
