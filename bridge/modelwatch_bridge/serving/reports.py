"""The newest drift reports, for the page's links: from the bucket in which analyze puts them."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypedDict

from modelwatch.errors import ModelwatchError, StoreError

if TYPE_CHECKING:
    from modelwatch.domain.episodes.joining import Episode
    from modelwatch.domain.verdict.results import AnalysisResult
    from modelwatch.services.model_states import ModelState

LOG = logging.getLogger(__name__)

_SHOWN = 12
_FRESH_MS = 15_000
_UNCHANGED_MS = 60_000
"""So long what was read holds where no analysis has ended since: people may have asked for one, or
acknowledged an episode."""

_MOST_PAGES = 32
"""So many models' pages are remembered at once."""

_LINK_SECONDS = 60


class Results(Protocol):
    """The analyses' results, and addresses of their reports."""

    def states(self, model_name: str = "") -> list[ModelState]:
        """Return the versions of a model, or of all, with newest report and open episodes."""

    def newest(self, limit: int, model_name: str = "") -> list[AnalysisResult]:
        """Return the newest results of a model, or of all, newest first."""

    def report_url(self, name: str, expires_seconds: int) -> str:
        """Return an address that opens a report for a while."""


class Newest(TypedDict):
    """Body of `GET /api/reports`."""

    results: list[dict[str, object]]
    reports: list[dict[str, str]]
    problem: str
    episodes: list[dict[str, object]]


@dataclass(slots=True)
class _Look:
    """What was read for a page, when, and which analysis was the newest then."""

    asked_ms: int
    analyzed_ms: int
    results: list[dict[str, object]] = field(default_factory=list)
    reported: dict[tuple[str, str], str] = field(default_factory=dict)
    episodes: list[dict[str, object]] = field(default_factory=list)
    states: Sequence[ModelState] = ()
    problem: str = ""

    def holds(self, now_ms: int, analyzed_ms: int) -> bool:
        """Return whether nothing has to be read again."""
        is_same = not self.problem and analyzed_ms == self.analyzed_ms
        return 0 <= now_ms - self.asked_ms < (_UNCHANGED_MS if is_same else _FRESH_MS)


class Reports:
    """Returns results and reports for the page; reads the store only on request.

    Parameters
    ----------
    open_results
        Opens the store, once: a bridge whose page no one opens does not need it.
    episodes
        Returns the episodes of drift of a model that are open.
    """

    def __init__(
        self,
        open_results: Callable[[], Results],
        clock: Callable[[], int],
        episodes: Callable[[str], Iterable[Episode]],
    ) -> None:
        self._open_results = open_results
        self._opened: Results | None = None
        self._clock = clock
        self._episodes = episodes
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}

    def newest(self, model: str = "", analyzed_ms: int = 0) -> Newest:
        """Return the newest results of a model, or of all, as the page wants them.

        Parameters
        ----------
        analyzed_ms
            When the newest analysis ended that is known: until another one does, what was read
            holds for a minute, and else for 15 seconds.
        """
        with self._lock:
            look = self._look(model, analyzed_ms)
            reports = [
                {"model": model, "version": version, "name": name}
                for (model, version), name in look.reported.items()
            ]
            return {
                "results": look.results,
                "reports": reports,
                "problem": look.problem,
                "episodes": look.episodes,
            }

    def states(self, model: str = "") -> list[ModelState]:
        """Return how versions stood when results were read for a model's page, or that of all.

        Reads nothing, and waits for no one who does.
        """
        looks = [self._looks.get(each) for each in dict.fromkeys(("", model))]
        return [state for look in looks if look is not None for state in look.states]

    def newest_name(self, model: str, version: str) -> str | None:
        """Return the name of a version's newest report; None when none is known."""
        with self._lock:
            return self._look(model, 0).reported.get((model, version))

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

    def _look(self, model: str, analyzed_ms: int) -> _Look:
        known = self._looks.get(model)
        now_ms = self._clock()
        if known is not None and known.holds(now_ms, analyzed_ms):
            return known
        look = _Look(now_ms, analyzed_ms)
        if known is not None:
            look.results, look.reported, look.episodes, look.states = (
                known.results, known.reported, known.episodes, known.states,
            )  # fmt: skip
        try:
            self._read(model, look)
        except ModelwatchError as error:
            look.problem = str(error)
        except Exception as error:
            # the rest of the page goes on
            LOG.exception("the results cannot be listed")
            look.problem = f"{type(error).__name__}: {error}"
        self._looks.pop(model, None)
        self._looks[model] = look
        if len(self._looks) > _MOST_PAGES:
            del self._looks[next(iter(self._looks))]
        return look

    def _read(self, model: str, look: _Look) -> None:
        store = self._store()
        results = store.newest(_SHOWN, model)
        states = look.states = store.states(model)
        reports = [
            (each.report_end, each.model_name, each.model_version, each.report)
            for each in states
            if each.report_end is not None
        ]
        # one that someone asked for is in no model's state
        reports += [
            (each.window_end, each.model_name, each.model_version, each.name)
            for each in results
            if each.has_report
        ]
        open_models = dict.fromkeys(each.model_name for each in states if each.episodes)
        look.episodes = [_episode(each) for name in open_models for each in self._episodes(name)]
        look.reported = {(name, version): report for _, name, version, report in sorted(reports)}
        look.results = _entries(results)


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
