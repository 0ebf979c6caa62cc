"""Verdict events: what other systems hear of an episode, once for each change of it.

The record remembers what was announced. What it says now is compared with that: a run that comes
twice announces nothing, and what could not be sent is due again at the next run. Changes that
people made are due at the next run, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from modelwatch.domain.episodes.joining import Episode, EpisodeStatus, is_about
from modelwatch.domain.episodes.record import Announced, EpisodeRecord
from modelwatch.domain.episodes.slots import MOST_FEATURES
from modelwatch.domain.verdict.results import ResultName

FORMAT = 1
"""Version of how an event is written down."""

SOURCE = "modelwatch"
"""Source of the events on the bus."""

DETAIL_TYPE = "modelwatch.verdict"
"""Detail type of the events on the bus."""

_NO_LONGER_NEWS = timedelta(days=1)
"""An episode that is closed for so long, and that no one heard of, stays unsaid."""

Change = Literal["opened", "changed", "closed"]


class DriftedFeature(msgspec.Struct, frozen=True):
    """A feature, or an output such as ``prediction``, that drifted in an episode.

    Attributes
    ----------
    strength
        How far it drifted at most, in multiples of what makes it drift.
    """

    name: str
    strength: float


class VerdictEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a drift episode. It has no values of features.

    Attributes
    ----------
    format
        Version of this document.
    id
        The same if an event is sent twice: drop what you have seen.
    change
        ``opened``, ``changed`` (its status, or more features drift) or ``closed``.
    summary
        The event as a sentence.
    stage
        Name of the deployment.
    owner
        Who cares for the model, as its monitor says; may be empty.
    episode
        Its id, the same in all of its events; `modelwatch episodes show` takes it.
    number
        1 for the first event of the episode, then 2 and so on.
    status
        ``open`` is the one to act on.
    status_before
        Of the event before; empty in the first one.
    opened, last
        Ends of the first and the last window that drifted.
    closed, reason
        When and why it was over; null and empty while it is open.
    features
        Those that drifted furthest first, 20 at most.
    new_features
        Names of those that no event before had.
    result
        Name of the newest result that drifts, as in ``GET /reports/<name>``.
    """

    format: int = FORMAT
    id: str
    change: Change
    summary: str
    stage: str
    model_name: str
    model_version: str
    owner: str
    episode: str
    number: int
    status: EpisodeStatus
    status_before: EpisodeStatus | Literal[""]
    opened: datetime
    last: datetime
    closed: datetime | None
    reason: str
    features: tuple[DriftedFeature, ...]
    new_features: tuple[str, ...]
    result: str


class Due(msgspec.Struct, frozen=True):
    """An event that is due, and what is remembered once it is sent."""

    event: VerdictEvent
    then: Announced


def due_events(record: EpisodeRecord, stage: str, owner: str, now: datetime) -> Iterator[Due]:
    """Yield the events that no one has heard yet, in the order of the episodes."""
    for episode in reversed(record.episodes()):
        known = [each for each in record.announced if _is_of(each, episode)]
        if not known and not _is_old(episode, now):
            known = [Announced(episode.id, episode.model_version)]
        for each in known:
            yield from _steps(each, episode, stage, owner)


def remember(record: EpisodeRecord, sent: Iterable[Due], now: datetime) -> EpisodeRecord:
    """Return the record in which events are announced, without what is no longer news."""
    known = {each.episode: each for each in record.announced}
    for due in sent:
        before = known.get(due.then.episode)
        # another run may have announced more meanwhile
        if before is None or before.number < due.then.number:
            known[due.then.episode] = due.then
    episodes = record.episodes()
    kept = tuple(
        each
        for each in known.values()
        if any(_is_of(each, episode) and not _is_old(episode, now) for episode in episodes)
    )
    return msgspec.structs.replace(record, announced=kept)


def _steps(known: Announced, episode: Episode, stage: str, owner: str) -> Iterator[Due]:
    """Yield what happened to an episode since it was announced last."""
    is_closed = episode.closed is not None
    if known.status == "closed":
        if is_closed and known.number:
            return
        due = _due(known, episode, "opened", stage, owner)
        known = due.then
        yield due
    if is_closed:
        yield _due(known, episode, "closed", stage, owner)
    elif known.status != episode.status or _new_features(known, episode):
        yield _due(known, episode, "changed", stage, owner)


def _due(known: Announced, episode: Episode, change: Change, stage: str, owner: str) -> Due:
    number, new = known.number + 1, _new_features(known, episode)
    features = tuple(
        DriftedFeature(name, round(story.strength, 4))
        for name, story in sorted(
            episode.features.items(), key=lambda each: (-each[1].strength, each[0])
        )
    )
    # not all it says: another run at the same time may know more, and means the same event
    same: list[object] = [stage, episode.model_name, known.episode, number, change, episode.status]
    same += [episode.reopened, *(new if change == "changed" else ())]
    newest = max(episode.lengths, key=lambda each: each.last)
    event = VerdictEvent(
        id=hashlib.sha256(msgspec.json.encode(same)).hexdigest()[:32],
        change=change,
        summary=_summary(episode, change, [each.name for each in features]),
        stage=stage,
        model_name=episode.model_name,
        model_version=episode.model_version,
        owner=owner,
        episode=known.episode,
        number=number,
        status=episode.status,
        status_before=known.status if known.number else "",
        opened=episode.opened,
        last=episode.last,
        closed=episode.closed,
        reason=episode.reason,
        features=features,
        new_features=new,
        result=str(
            ResultName(episode.model_name, episode.model_version, newest.last, newest.length)
        ),
    )
    # an episode that is over already is first announced as opened
    status = "open" if change == "opened" and episode.closed else episode.status
    features_then = (*known.features, *new)[:MOST_FEATURES]
    return Due(event, Announced(known.episode, known.version, number, status, features_then))


def _summary(episode: Episode, change: Change, names: list[str]) -> str:
    title = f"{episode.model_name} version {episode.model_version}"
    drifted = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    since = f"since {episode.opened:%Y-%m-%d %H:%M} UTC"
    if change == "closed":
        return f"The drift of {title} {since} is over: {episode.reason}"
    if change == "opened":
        return f"{title} drifts {since}: {drifted}"
    return f"The drift of {title} {since} is {episode.status}: {drifted}"


def _new_features(known: Announced, episode: Episode) -> tuple[str, ...]:
    if len(known.features) >= MOST_FEATURES:
        return ()
    return tuple(sorted(episode.features.keys() - set(known.features)))


def _is_of(known: Announced, episode: Episode) -> bool:
    version = episode.model_version
    return known.version == version and is_about(
        known.episode, version, episode.opened, episode.closed
    )


def _is_old(episode: Episode, now: datetime) -> bool:
    return episode.closed is not None and now - episode.closed > _NO_LONGER_NEWS
