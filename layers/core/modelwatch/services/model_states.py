"""How model versions stand: their newest verdicts, the worst first, a page at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from modelwatch.domain.episodes.joining import Episode, EpisodeStatus
from modelwatch.domain.verdict.results import LastResult, ResultName, Severity
from modelwatch.domain.verdict.standing import severity_of, standing_of
from modelwatch.services.models_query import ModelPlace, ModelsRequest, place_of

_encode = msgspec.json.Encoder().encode


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
        The worst of the newest verdicts of its windows: drift, warning, unknown, ok. A window
        without any row counts only where every one is such.
    window_end
        End of its newest window.
    windows
        The newest verdict of each length of window, the worst first. A length that is analyzed no
        more is not among them.
    episodes
        Those that are open.
    owner
        Who cares for the model, as its monitor says; may be empty.
    problem
        What cannot be read of the model's episodes, so that ``episodes`` says nothing; or empty.
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
    owner: str = ""
    problem: str = ""


class Models(msgspec.Struct, frozen=True):
    """Model versions with their newest verdicts by the schedule, the worst first.

    Attributes
    ----------
    total
        So many versions there are on all pages.
    next_page
        The ``page`` that goes on; empty where this is the last one.
    """

    models: list[ModelState]
    total: int = 0
    next_page: str = ""

    @property
    def tag(self) -> str:
        """A digest of the page, as an HTTP entity tag."""
        return f'"{hashlib.sha256(_encode(self)).hexdigest()[:32]}"'


def state_of(
    model_name: str,
    model_version: str,
    last: Mapping[str, LastResult],
    opened: Sequence[Episode] = (),
    owner: str = "",
    problem: str = "",
) -> ModelState | None:
    """Return how a version stands by what is remembered of it; None when that is nothing."""
    standing = standing_of(last)
    if standing is None:
        return None
    windows = [
        WindowState(
            window=key,
            window_end=each.window_end,
            severity=severity_of(each),
            reason=each.reason,
            rows=each.rows,
            name=each.name,
        )
        for key, each in standing.windows
    ]
    # a key with a blank is of a variant
    known = {key: each for key, each in last.items() if " " not in key}
    reported = [
        ResultName(model_name, model_version, each.reported_at, key)
        for key, each in known.items()
        if each.reported_at is not None
    ]
    reported.sort(key=lambda name: name.window_end)
    return ModelState(
        model_name=model_name,
        model_version=model_version,
        severity=standing.severity,
        window_end=max(each.window_end for each in known.values()),
        windows=tuple(windows),
        episodes=tuple(
            OpenEpisode(id=each.id, status=each.status, opened=each.opened)
            for each in opened
            if each.model_version == model_version
        ),
        report=str(reported[-1]) if reported else "",
        report_end=reported[-1].window_end if reported else None,
        owner=owner,
        problem=problem,
    )


def place(state: ModelState) -> ModelPlace:
    """Return where a version stands in the list."""
    return place_of(state.severity, state.window_end, state.model_name, state.model_version)


def page_of(states: Sequence[ModelState], asked: ModelsRequest) -> Models:
    """Return the page that is asked for of ``states``, which stand in the order of the list."""
    after = asked.place()
    matching = [each for each in states if _is_asked(each, asked)]
    rest = [each for each in matching if after is None or place(each) > after]
    shown = rest[: asked.limit]
    last = shown[-1] if len(shown) < len(rest) else None
    name = last and ResultName(last.model_name, last.model_version, last.window_end)
    next_page = f"{last.severity}.{name}" if last else ""
    return Models(shown, len(matching), next_page)


def _is_asked(state: ModelState, asked: ModelsRequest) -> bool:
    return (
        asked.model_name in (None, state.model_name)
        and asked.version in (None, state.model_version)
        and asked.severity in (None, state.severity)
        and asked.owner in (None, state.owner)
        and (asked.since is None or state.window_end > asked.since)
        and (asked.until is None or state.window_end <= asked.until)
    )
