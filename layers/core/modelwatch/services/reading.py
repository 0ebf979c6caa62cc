"""Reads results back: models with their last verdicts, and pages of one model's results."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from modelwatch import __version__
from modelwatch.domain.episodes.joining import Episode
from modelwatch.domain.names import few_of
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.errors import DamagedError, NotFoundError
from modelwatch.ports.analysis import EpisodeStore, Listed, ReportStore
from modelwatch.services.model_states import Models, ModelState, page_of, place, state_of
from modelwatch.services.models_query import ModelsRequest
from modelwatch.services.remembering import last_results
from modelwatch.services.results_query import ResultsRequest

_LOG = logging.getLogger(__name__)

PAGE_BYTES = 4 * 2**20
"""Larger pages end earlier: Lambda returns at most 6 MiB, in which a body is a JSON string."""

FRESH_SECONDS = 15.0
"""So long it is known how all models stand, without another look."""

_CONNECTIONS = 16


class ResultPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Results, newest first.

    Attributes
    ----------
    next_page
        The ``page`` that goes on; left out where this is the last one.
    damaged
        Why results of the page are not in it: each reason names one that cannot be read.
    """

    results: list[AnalysisResult]
    next_page: str = ""
    damaged: list[str] = []


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of which it is known what it holds, and that is not read yet.

    ``tag``: the same for the same results: they are written once, and so are restatements.
    """

    listed: tuple[Listed, ...]
    next_page: str

    @property
    def tag(self) -> str:
        """A digest of what the page holds, as an HTTP entity tag."""
        names = (f"{each.name} {each.restated}" for each in self.listed)
        text = "\n".join((__version__, self.next_page, *names))
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


class ResultReader:
    """Reads results, and changes nothing.

    Parameters
    ----------
    owners
        Gives the owners that monitors name, by model.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        reports: ReportStore,
        episodes: EpisodeStore,
        owners: Callable[[], Mapping[str, str]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reports = reports
        self._episodes = episodes
        self._owners = owners
        self._clock = clock
        self._lock = threading.Lock()
        self._known: list[ModelState] | None = None
        self._known_at = 0.0

    def models(self, asked: ModelsRequest) -> Models:
        """Return a page of the model versions that the schedule analyzed, the worst first.

        To know the worst, it costs two requests for each model, and one for each version; all that
        are listed for no one model are known for 15 seconds then.
        """
        if asked.model_name is not None:
            states = self.states(asked.model_name)
        else:
            states = self._all_states()
        return page_of(states, asked)

    def states(self, model_name: str = "") -> list[ModelState]:
        """Return how all versions stand, of one model or of all, the worst first."""
        versions = self._reports.versions(model_name)
        names = list(dict.fromkeys(name for name, _ in versions))
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            last = list(threads.map(lambda each: last_results(self._reports, *each), versions))
            opened = dict(zip(names, threads.map(self._open_episodes, names), strict=True))
        owners = self._owners()
        states = [
            state_of(name, version, known, opened[name][0], owners.get(name, ""), opened[name][1])
            for (name, version), known in zip(versions, last, strict=True)
        ]
        return sorted((each for each in states if each is not None), key=place)

    def _open_episodes(self, model_name: str) -> tuple[Sequence[Episode], str]:
        """Return a model's open episodes, and why they are not known."""
        try:
            return self._episodes.load(model_name).open_episodes(), ""
        except DamagedError as error:
            _LOG.error("the episodes of %s: %s", model_name, error)
            return (), str(error)

    def _all_states(self) -> list[ModelState]:
        with self._lock:
            now = self._clock()
            if self._known is None or not 0 <= now - self._known_at < FRESH_SECONDS:
                self._known, self._known_at = self.states(), now
            return self._known

    def list_page(self, model_name: str, asked: ResultsRequest) -> ListedPage:
        """Return what a page of a model's results holds, or of all models', and read none of it.

        Raises
        ------
        NotFoundError
            When the model, or the version, has no results at all.
        InvalidInputError
            When the page is not one of this model.
        """
        before = asked.place(model_name)
        versions = [
            each
            for each in self._reports.versions(model_name)
            if not asked.version or each[1] == asked.version
        ]
        if not versions and model_name:
            raise NotFoundError(self._not_there(model_name, asked.version))
        found = self._reports.newest(
            versions,
            asked.since,
            before.window_end if before else asked.until,
            asked.limit + 1,
            before,
        )
        listed: list[Listed] = []
        room = PAGE_BYTES
        for each in found[: asked.limit]:
            room -= each.size_bytes
            if listed and room < 0:
                break
            listed.append(each)
        next_page = str(listed[-1].name) if len(listed) < len(found) else ""
        return ListedPage(tuple(listed), next_page)

    def _not_there(self, model_name: str, version: str | None) -> str:
        said = f"there is no result of '{model_name}'"
        versions = [each for _, each in self._reports.versions(model_name)]
        if version and versions:
            return f"{said} version '{version}'; there are versions {few_of(versions)}"
        names = list(dict.fromkeys(name for name, _ in self._reports.versions()))
        return f"{said}; there are results of {few_of(names)}" if names else said

    def newest(self, limit: int, model_name: str = "") -> list[AnalysisResult]:
        """Return the newest results of a model, or of all, newest first; none without any."""
        try:
            return self.read_page(self.list_page(model_name, ResultsRequest(limit=limit))).results
        except NotFoundError:
            return []

    def report_url(self, name: str, expires_seconds: int = 3600) -> str:
        """Return a URL that opens a report for a while; raises NotFoundError without one."""
        return self._reports.report_url(name, expires_seconds)

    def read_page(self, listed: ListedPage) -> ResultPage:
        """Return a page, one request for each result, and one more for a restated performance."""

        def read(each: Listed) -> AnalysisResult | DamagedError:
            try:
                return self._reports.result(str(each.name), each.restated)
            except DamagedError as error:
                _LOG.error("%s", error)
                return error

        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            found = list(threads.map(read, listed.listed))
        return ResultPage(
            [each for each in found if isinstance(each, AnalysisResult)],
            listed.next_page,
            [str(each) for each in found if isinstance(each, DamagedError)],
        )
