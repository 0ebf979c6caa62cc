"""The record of a model: what is kept for its episodes, and what changes it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from modelwatch.domain.episodes.joining import Episode, EpisodeStatus, Notes, is_about, join_spans
from modelwatch.domain.episodes.notes import Acceptance, Acknowledgement, Expectation
from modelwatch.domain.episodes.series import Series
from modelwatch.domain.episodes.slots import Observation
from modelwatch.domain.faults import UNREADABLE
from modelwatch.errors import DamagedError, InvalidInputError, NotFoundError

FORMAT = 1
"""Version of how a record is written down."""

MOST_VERSIONS = 20
"""So many versions of a model are kept, the newest."""

MOST_NOTES = 100
"""So many notes of each kind are kept, the newest."""


class Announced(msgspec.Struct, frozen=True, omit_defaults=True):
    """What events said of an episode last.

    Attributes
    ----------
    episode
        The id that it had in the first one.
    version
        The version that drifts.
    number
        How many events there were.
    status
        What the last one said; ``closed`` before the first.
    features
        Names of those that any event had.
    """

    episode: str
    version: str
    number: int = 0
    status: EpisodeStatus = "closed"
    features: tuple[str, ...] = ()


class EpisodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a model: small, and bounded.

    Attributes
    ----------
    series
        By version and length of window.
    announced
        What events said, of episodes that are open or closed within a day.
    """

    model_name: str
    format: int = FORMAT
    series: dict[str, dict[str, Series]] = {}
    notes: Notes = Notes()
    announced: tuple[Announced, ...] = ()

    def add(self, seen: Observation) -> EpisodeRecord:
        """Return the record with one more result; the same one again changes nothing."""
        lengths = self.series.get(seen.version, {})
        known = lengths.get(seen.length, Series())
        added = known.add(seen)
        if added == known:
            return self
        series = {**self.series, seen.version: {**lengths, seen.length: added}}
        if len(series) > MOST_VERSIONS:
            oldest = min(series, key=lambda version: (_seen_until(series[version]), version))
            del series[oldest]
        return msgspec.structs.replace(self, series=series)

    def episodes(self) -> list[Episode]:
        """Return the episodes: open ones first, newest first."""
        if not self.series:
            return []
        now = max(_seen_until(lengths) for lengths in self.series.values())
        found = [
            episode
            for version, lengths in self.series.items()
            for episode in join_spans(self.model_name, version, lengths, self.notes, now)
        ]
        found.sort(key=lambda each: (each.opened, each.model_version), reverse=True)
        return sorted(found, key=lambda each: each.closed is not None)

    def open_episodes(self) -> list[Episode]:
        """Return those that are open, newest first."""
        return [each for each in self.episodes() if each.closed is None]

    def find(self, episode_id: str) -> Episode:
        """Return an episode, also by an id that it once had; raises NotFoundError."""
        found = self.episodes()
        exact = [each for each in found if each.id == episode_id]
        about = [
            each
            for each in found
            if is_about(episode_id, each.model_version, each.opened, each.closed)
        ]
        for each in exact or about:
            return each
        raise NotFoundError(
            f"{self.model_name} has no episode '{episode_id[:300]}'; "
            "`modelwatch episodes list` shows which there are"
        )

    def acknowledge(self, note: Acknowledgement) -> EpisodeRecord:
        """Return the record with a note; raises InvalidInputError when the episode is over."""
        episode = self.find(note.episode)
        if episode.closed is not None:
            raise InvalidInputError("EPISODE", f"{episode.id} is closed: {episode.reason}")
        note = msgspec.structs.replace(note, episode=episode.id)
        return self._noting(acknowledged=(*self.notes.acknowledged, note)[-MOST_NOTES:])

    def expect(self, expected: Expectation) -> EpisodeRecord:
        """Return the record with an expectation, which gets its number."""
        number = max((each.id for each in self.notes.expected), default=0) + 1
        kept = list(self.notes.expected)
        if len(kept) >= MOST_NOTES:
            over = [each for each in kept if each.ends <= expected.at]
            if not over:
                raise InvalidInputError(
                    "", f"{MOST_NOTES} changes are expected already; withdraw one first"
                )
            kept.remove(min(over, key=lambda each: each.ends))
        kept.append(msgspec.structs.replace(expected, id=number))
        return self._noting(expected=tuple(kept))

    def planning(self, planned: tuple[Expectation, ...]) -> EpisodeRecord:
        """Return the record with what the model's monitor declares, in place of what it did."""
        return self if planned == self.notes.planned else self._noting(planned=planned)

    def withdraw(self, number: int, who: str, at: datetime) -> EpisodeRecord:
        """Return the record with an expectation that ends now; raises as `acknowledge` does."""
        found = next((each for each in self.notes.expected if each.id == number), None)
        if found is None:
            raise NotFoundError(f"{self.model_name} has no expected change {number}")
        if found.ends <= at:
            raise InvalidInputError("NUMBER", f"expected change {number} is over already")
        gone = msgspec.structs.replace(found, withdrawn_at=at, withdrawn_by=who)
        kept = tuple(gone if each.id == number else each for each in self.notes.expected)
        return self._noting(expected=kept)

    def accept(self, note: Acceptance) -> EpisodeRecord:
        """Return the record with an episode that is closed as the new normal.

        What ended until then has no part in later episodes: it was compared with the old reference.
        """
        episode = self.find(note.episode)
        note = msgspec.structs.replace(note, episode=episode.id)
        noted = self._noting(accepted=(*self.notes.accepted, note)[-MOST_NOTES:])
        return noted._closing(episode.model_version, note.at, "accepted")

    def revert(self, episode_id: str, who: str, note: str, at: datetime) -> EpisodeRecord:
        """Return the record in which the acceptance of an episode is taken back."""
        episode = self.find(episode_id)
        if episode.accepted is None or episode.accepted.reverted_at:
            raise InvalidInputError("EPISODE", f"{episode.id} is not accepted")
        taken = msgspec.structs.replace(
            episode.accepted, reverted_at=at, reverted_by=who, reverted_note=note
        )
        kept = tuple(taken if each is episode.accepted else each for each in self.notes.accepted)
        return self._noting(accepted=kept)._closing(episode.model_version, at, "reverted")

    def _closing(self, version: str, at: datetime, reason: str) -> EpisodeRecord:
        lengths = {
            length: each.close(length, at, reason) for length, each in self.series[version].items()
        }
        return msgspec.structs.replace(self, series={**self.series, version: lengths})

    def _noting(self, **changed: tuple[msgspec.Struct, ...]) -> EpisodeRecord:
        return msgspec.structs.replace(self, notes=msgspec.structs.replace(self.notes, **changed))


def decode_record(payload: bytes) -> EpisodeRecord:
    """Read a record; raises DamagedError when it is damaged, or of another format."""
    try:
        record = _decode(payload)
    except UNREADABLE as error:
        raise DamagedError("the record of episodes", error) from error
    if record.format != FORMAT:
        why = f"it has format {record.format}; this code reads {FORMAT}"
        raise DamagedError("the record of episodes", why)
    return record


def encode_record(record: EpisodeRecord) -> bytes:
    """Return a record as it is stored."""
    return _encode(record)


def _seen_until(lengths: dict[str, Series]) -> datetime:
    return max(each.seen_until(length) for length, each in lengths.items())


_decode = msgspec.json.Decoder(EpisodeRecord).decode
_encode = msgspec.json.Encoder().encode
