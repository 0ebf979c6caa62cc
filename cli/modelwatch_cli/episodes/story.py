"""The story of an episode: what its results say of each feature, and where their reports are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from modelwatch.domain.episodes.joining import Episode
from modelwatch.domain.verdict.results import AnalysisResult, ResultName
from modelwatch.errors import ModelwatchError, NotFoundError
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.ports.analysis import ReportStore

_AT_ONCE = 8


class FeatureLine(msgspec.Struct, frozen=True, kw_only=True):
    """How one feature drifted; ``words`` are those of the result in which it drifted furthest."""

    feature: str
    first: datetime
    worst: datetime
    window: str
    score: float | None
    critical_score: float | None
    words: str


class ResultLine(msgspec.Struct, frozen=True, kw_only=True):
    """A result of the episode; ``report`` is its report's address, empty without one."""

    name: str
    window: str
    window_end: datetime
    status: str
    reason: str
    report: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """An episode, and what is still known of its windows."""

    episode: Episode
    features: list[FeatureLine]
    results: list[ResultLine]


def tell(episode: Episode, reports: ReportStore, settings: Settings) -> Story:
    """Return the story of an episode; results that are deleted are left out."""
    ends = {(each.length, end) for each in episode.lengths for end in (each.first, each.last)}
    ends |= {(each.length, each.worst) for each in episode.features.values()}
    names = [
        str(ResultName(episode.model_name, episode.model_version, end, length))
        for length, end in sorted(ends, key=lambda found: (found[1], found[0]))
    ]

    def read(name: str) -> AnalysisResult | None:
        try:
            return reports.result(name)
        except NotFoundError:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        results = [each for each in threads.map(read, names) if each is not None]
    address = _address(settings) if any(each.has_report for each in results) else ""
    return Story(
        episode=episode,
        features=list(_features(episode, {each.name: each for each in results})),
        results=[
            ResultLine(
                name=each.name,
                window=each.window,
                window_end=each.window_end,
                status=each.severity,
                reason=each.headline or each.reason,
                report=f"{address}{each.name}" if each.has_report else "",
            )
            for each in results
        ],
    )


def _features(episode: Episode, results: dict[str, AnalysisResult]) -> Iterator[FeatureLine]:
    for name, story in episode.features.items():
        at = ResultName(episode.model_name, episode.model_version, story.worst, story.length)
        result = results.get(str(at))
        words = "its result was deleted"
        if result is not None:
            both = (*result.features, *result.outputs)
            words = next((each.reason for each in both if each.feature == name), "")
        yield FeatureLine(
            feature=name,
            first=story.first,
            worst=story.worst,
            window=story.length,
            score=story.score,
            critical_score=story.critical_score,
            words=words,
        )


def _address(settings: Settings) -> str:
    """Return where reports are; empty, so that only names are shown, where nothing is deployed."""
    from modelwatch_cli.deployment.cloudformation.endpoints import api_urls

    try:
        return f"{api_urls(settings, ['analyze'])['analyze']}/reports/"
    except ModelwatchError:
        return ""
