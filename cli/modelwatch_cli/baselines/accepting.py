"""Accepting an episode: its captures become the reference of its version, and back.

Each step can be done again: a command that was interrupted is finished by the same command.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.domain.baselines import Baseline
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.episodes.joining import Episode
from modelwatch.domain.episodes.notes import Acceptance
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch_cli.baselines.making import BaselineMaker, Source

_LONGEST_ID = 56
"""So long a part of a baseline's name, which has 64 characters at most, it may be."""


class Acceptor:
    """Accepts episodes of a model, and takes it back."""

    def __init__(
        self, maker: BaselineMaker, baselines: S3BaselineStore, episodes: S3EpisodeStore, model: str
    ) -> None:
        self._maker = maker
        self._baselines = baselines
        self._episodes = episodes
        self._model = model

    def accept(
        self, episode_id: str, who: str, note: str, since: str = "", until: str = ""
    ) -> tuple[Episode, Baseline]:
        """Make the captures of an open episode the reference of its version, and close it.

        Parameters
        ----------
        since, until
            Other captures than `captured_in`, in ISO 8601.

        Raises
        ------
        InvalidInputError
            When it is closed.
        ModelwatchError
            When there are too few captures.
        """
        episode = self._episodes.load(self._model).find(episode_id)
        name, version = baseline_name(episode), episode.model_version
        before = self._baselines.of_versions(self._model).get(version, "")
        # an interrupted acceptance has its baseline in use already, so that windows are quiet
        if episode.closed is not None and before != name:
            raise InvalidInputError("EPISODE", f"{episode.id} is closed: {episode.reason}")
        if episode.accepted is not None:
            raise InvalidInputError("EPISODE", f"{episode.id} is accepted already")
        start, end = captured_in(episode)
        source = Source(
            since=since or start.isoformat(), until=until or end.isoformat(), version=version
        )
        try:
            baseline = self._baselines.baseline(self._model, name)
        except NotFoundError:
            baseline = self._maker.make(name, source, version, episode.id)
        if before != name:
            self._baselines.use_for(self._model, version, name)
        accepted = Acceptance(
            episode=episode.id,
            baseline=name,
            before="" if before == name else before,
            who=who,
            note=note,
            at=datetime.now(UTC).replace(microsecond=0),
        )
        record = self._episodes.update(self._model, lambda record: record.accept(accepted))
        return record.find(episode.id), baseline

    def revert(self, episode_id: str, who: str, note: str) -> Episode:
        """Bring the old reference of an accepted episode's version back.

        Raises
        ------
        InvalidInputError
            When the episode is not accepted.
        """
        episode = self._episodes.load(self._model).find(episode_id)
        taken, version = episode.accepted, episode.model_version
        if taken is None or taken.reverted_at is not None:
            raise InvalidInputError("EPISODE", f"{episode.id} is not accepted")
        # if something else is in use by now, it stays
        if self._baselines.of_versions(self._model).get(version) == taken.baseline:
            self._baselines.use_for(self._model, version, taken.before)
        at = datetime.now(UTC).replace(microsecond=0)
        record = self._episodes.update(
            self._model, lambda record: record.revert(episode.id, who, note, at)
        )
        return record.find(episode.id)


def captured_in(episode: Episode) -> tuple[datetime, datetime]:
    """Return the time of an episode's captures, by the shortest length of window that saw it.

    It starts where the first window ends, which may have rows of before; of an episode that is not
    longer than this window, where it starts.
    """
    shortest = min((parse_duration(each.length) for each in episode.lengths), default=timedelta())
    spans = [each for each in episode.lengths if parse_duration(each.length) == shortest]
    first, last = min(each.first for each in spans), max(each.last for each in spans)
    return (first if last - first >= shortest else first - shortest), last


def baseline_name(episode: Episode) -> str:
    """Return the name of the baseline that an episode's captures make, another for each episode."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", episode.id)
    if name != episode.id or len(name) > _LONGEST_ID:
        digest = hashlib.blake2b(episode.id.encode(), digest_size=4).hexdigest()
        name = f"{name[: _LONGEST_ID - 9]}-{digest}"
    return f"episode-{name}"
