"""Reads results back: models with their last verdicts, and pages of one model's results."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import msgspec

from modelwatch import __version__
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.episodes.joining import Episode, EpisodeStatus
from modelwatch.domain.verdict.results import AnalysisResult, LastResult, ResultName, Severity
from modelwatch.errors import NotFoundError
from modelwatch.ports.analysis import EpisodeStore, Listed, ReportStore
from modelwatch.services.results_query import ResultsRequest

PAGE_BYTES = 4 * 2**20
"""Larger pages end earlier: Lambda returns at most 6 MiB, in which a body is a JSON string."""

_CONNECTIONS = 16
_WORST_FIRST: Mapping[Severity, int] = {"drift": 0, "warning": 1, "unknown": 2, "ok": 3}


class WindowState(msgspec.Struct, frozen=True, kw_only=True):
    """The newest verdict on windows of one length, of all rows of a version.

    Attributes
    ----------
    window
        Length of the window, as an ISO 8601 duration.
    name
        The result's: see ``GET /models/{name}/results``.
    """

    window: str
    window_end: datetime
    severity: Severity
    reason: str
    rows: int
    name: str


class OpenEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """A drift that goes on: ``modelwatch episodes show`` has its story."""

    id: str
    status: EpisodeStatus
    opened: datetime


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """How a model version stands.

    Attributes
    ----------
    severity
        The worst of the newest verdicts of its windows: drift, warning, unknown, ok.
    window_end
        End of its newest window.
    windows
        The newest verdict of each length of window, the worst first. A length that is analyzed no
        more is not among them.
    episodes
        Those that are open.
    report, report_end
        The name of the newest result of the schedule that has a report, and the end of its window;
        empty and None without one.
    """

    model_name: str
    model_version: str
    severity: Severity
    window_end: datetime
    windows: tuple[WindowState, ...]
    episodes: tuple[OpenEpisode, ...] = ()
    report: str = ""
    report_end: datetime | None = None


class Models(msgspec.Struct, frozen=True):
    """Model versions with their newest verdicts by the schedule, the worst first."""

    models: list[ModelState]


class ResultPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Results, newest first.

    Attributes
    ----------
    next_page
        The ``page`` that goes on; left out where this is the last one.
    """

    results: list[AnalysisResult]
    next_page: str = ""


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
    """Reads results, and changes nothing."""

    def __init__(self, reports: ReportStore, episodes: EpisodeStore) -> None:
        self._reports = reports
        self._episodes = episodes

    def models(self) -> Models:
        """Return every model version that the schedule analyzed, the worst first.

        It costs two requests for each model, and one for each version.
        """
        versions = self._reports.versions()
        names = list(dict.fromkeys(name for name, _ in versions))
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            last = list(threads.map(lambda each: self._reports.last(*each), versions))
            records = dict(zip(names, threads.map(self._episodes.load, names), strict=True))
        opened = {name: record.open_episodes() for name, record in records.items()}
        states = [
            state_of(name, version, known, opened[name])
            for (name, version), known in zip(versions, last, strict=True)
        ]
        found = [each for each in states if each is not None]
        found.sort(key=lambda each: (each.model_name, each.model_version))
        found.sort(key=lambda each: each.window_end, reverse=True)
        return Models(sorted(found, key=lambda each: _WORST_FIRST[each.severity]))

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
            version = f" version '{asked.version}'" if asked.version else ""
            raise NotFoundError(f"there is no result of '{model_name}'{version}")
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

    def newest(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results of all models, newest first."""
        return self.read_page(self.list_page("", ResultsRequest(limit=limit))).results

    def report_url(self, name: str, expires_seconds: int = 3600) -> str:
        """Return a URL that opens a report for a while; raises NotFoundError without one."""
        return self._reports.report_url(name, expires_seconds)

    def read_page(self, listed: ListedPage) -> ResultPage:
        """Return a page, one request for each result, and one more for a restated performance."""

        def read(each: Listed) -> AnalysisResult:
            return self._reports.result(str(each.name), each.restated)

        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            results = list(threads.map(read, listed.listed))
        return ResultPage(results, listed.next_page)


def state_of(
    model_name: str,
    model_version: str,
    last: Mapping[str, LastResult],
    opened: Sequence[Episode] = (),
) -> ModelState | None:
    """Return how a version stands by what is remembered of it; None when that is nothing.

    A window counts while it ended no longer before the newest one than it is long: the settings
    may have other windows now.
    """
    # a key with a blank is of a variant
    known = {key: each for key, each in last.items() if " " not in key}
    if not known:
        return None
    newest = max(each.window_end for each in known.values())
    windows = [
        WindowState(
            window=key,
            window_end=each.window_end,
            severity=each.severity or each.status,
            reason=each.reason,
            rows=each.rows,
            name=each.name,
        )
        for key, each in known.items()
        if newest - each.window_end <= parse_duration(key)
    ]
    reported = [
        ResultName(model_name, model_version, each.reported_at, key)
        for key, each in known.items()
        if each.reported_at is not None
    ]
    reported.sort(key=lambda name: name.window_end)
    windows.sort(key=lambda each: (_WORST_FIRST[each.severity], parse_duration(each.window)))
    return ModelState(
        model_name=model_name,
        model_version=model_version,
        severity=windows[0].severity,
        window_end=newest,
        windows=tuple(windows),
        episodes=tuple(
            OpenEpisode(id=each.id, status=each.status, opened=each.opened)
            for each in opened
            if each.model_version == model_version
        ),
        report=str(reported[-1]) if reported else "",
        report_end=reported[-1].window_end if reported else None,
    )
