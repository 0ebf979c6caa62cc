"""Joining: spans of all lengths of window make the episodes of a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.episodes.notes import Acceptance, Acknowledgement, Expectation, explaining
from modelwatch.domain.episodes.series import Series, Span, patience
from modelwatch.domain.episodes.slots import FeatureStory, merge_stories

_TIME = "%Y%m%dT%H%M%SZ"

EpisodeStatus = Literal["open", "acknowledged", "expected", "closed"]
"""Only ``open`` alerts."""


class LengthStory(msgspec.Struct, frozen=True, kw_only=True):
    """What one length of window saw of an episode.

    Attributes
    ----------
    first, last
        Ends of its first and its last window that drifted.
    closed
        When it was quiet; None while it is not.
    """

    length: str
    first: datetime
    last: datetime
    closed: datetime | None
    reason: str


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A drift of a model version, from its opening to its closing.

    Attributes
    ----------
    id
        ``<version>-<end of the first window that drifted>``. If a window before it is caught up,
        the id changes; the old one still finds the episode.
    opened, last
        Ends of the first and the last window that drifted, of any length.
    reopened
        Since when it is open without a break, when one length saw it after others had closed it.
    closed, reason
        When and why it is over; None and empty while it is open.
    drifted
        How many features drifted in its newest window of any length.
    features
        Those that drifted furthest first.
    expected
        What explains its newest drift.
    """

    id: str
    model_name: str
    model_version: str
    status: EpisodeStatus
    opened: datetime
    last: datetime
    reopened: datetime
    closed: datetime | None
    reason: str
    drifted: int
    lengths: tuple[LengthStory, ...]
    features: dict[str, FeatureStory]
    acknowledged: tuple[Acknowledgement, ...] = ()
    expected: tuple[Expectation, ...] = ()
    accepted: Acceptance | None = None


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What people said of a model's episodes, in the order of time.

    Attributes
    ----------
    planned
        What the model's monitor declares: as of the newest analysis.
    """

    acknowledged: tuple[Acknowledgement, ...] = ()
    expected: tuple[Expectation, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    planned: tuple[Expectation, ...] = ()

    @property
    def changes(self) -> tuple[Expectation, ...]:
        """All that is expected."""
        return (*self.planned, *self.expected)


def join_spans(
    model_name: str, version: str, lengths: Mapping[str, Series], notes: Notes, now: datetime
) -> Iterator[Episode]:
    """Yield the episodes of a version, the oldest first.

    A span joins the newest episode that it looks at the same time of: that is open when the span
    opens, or closed after its first window began.

    Parameters
    ----------
    lengths
        Its series, by their length of window.
    now
        End of the newest window of the model, of any version.
    """
    spans = [
        (_ended(span, length, series, now), length)
        for length, series in lengths.items()
        for span in series.all_spans()
    ]
    groups: list[_Group] = []
    for span, length in sorted(spans, key=lambda found: (found[0].first, found[1])):
        start = span.first - parse_duration(length)
        before = next((each for each in reversed(groups) if each.reaches(start, span.first)), None)
        if before is None:
            groups.append(_Group(span.first, [(span, length)]))
        else:
            before.join(span, length)
    for group in groups:
        yield _episode(model_name, version, group, notes)


def _episode(model_name: str, version: str, group: _Group, notes: Notes) -> Episode:
    spans = [span for span, _ in group.spans]
    loud = [(span, length) for span, length in group.spans if span.closed is None]
    opened, closed = spans[0].first, group.closed
    newest = loud or [max(group.spans, key=lambda found: found[0].last)]
    expected = _explained(notes.changes, newest)
    noted = tuple(
        each for each in notes.acknowledged if is_about(each.episode, version, opened, closed)
    )
    accepted = [each for each in notes.accepted if is_about(each.episode, version, opened, closed)]
    status: EpisodeStatus = "open"
    if closed is not None:
        status = "closed"
    elif expected:
        status = "expected"
    elif any(each.at >= group.reopened for each in noted):
        status = "acknowledged"
    return Episode(
        id=f"{version}-{opened:{_TIME}}",
        model_name=model_name,
        model_version=version,
        status=status,
        opened=opened,
        last=group.last,
        reopened=group.reopened,
        closed=closed,
        reason=""
        if closed is None
        else next(each.reason for each in spans if each.closed == closed),
        drifted=max(span.drifted for span, _ in newest),
        lengths=tuple(
            LengthStory(
                length=length,
                first=span.first,
                last=span.last,
                closed=span.closed,
                reason=span.reason,
            )
            for span, length in group.spans
        ),
        features=merge_stories(span.features for span in spans),
        acknowledged=noted,
        expected=expected,
        accepted=accepted[-1] if accepted else None,
    )


@dataclass
class _Group:
    """Spans of one episode, in the order in which they opened."""

    reopened: datetime
    spans: list[tuple[Span, str]] = field(default_factory=list)

    @property
    def closed(self) -> datetime | None:
        """When all were closed; None while one is open."""
        ends = [span.closed for span, _ in self.spans]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None

    @property
    def last(self) -> datetime:
        """End of the last window that drifted."""
        return max(span.last for span, _ in self.spans)

    def reaches(self, start: datetime, end: datetime) -> bool:
        """Return whether a window has a time of it; one that people ended has no later window."""
        if self.closed is None:
            return True
        is_ended = any(span.reason in ("accepted", "reverted") for span, _ in self.spans)
        return end <= self.closed if is_ended else start < self.closed

    def join(self, span: Span, length: str) -> None:
        """Add a span that opened later."""
        if self.closed is not None and self.closed < span.first:
            self.reopened = span.first
        self.spans.append((span, length))


def _explained(
    expected: Sequence[Expectation], spans: Sequence[tuple[Span, str]]
) -> tuple[Expectation, ...]:
    """Return what explains all of the spans; nothing when one of them is not explained."""
    found = [explaining(expected, span, length) for span, length in spans]
    if not all(found):
        return ()
    return tuple(dict.fromkeys(each for some in found for each in some))


def _ended(span: Span, length: str, series: Series, now: datetime) -> Span:
    """Return a span; closed, when its length is not analyzed any more and others are."""
    given_up = series.seen_until(length) + patience(length)
    if span.closed is not None or given_up >= now:
        return span
    return msgspec.structs.replace(span, closed=given_up, reason="no longer analyzed")


def is_about(episode_id: str, version: str, opened: datetime, closed: datetime | None) -> bool:
    """Return whether an id is that of an episode, or once was: its beginning may move."""
    noted, _, text = episode_id.rpartition("-")
    try:
        at = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return noted == version and opened <= at and (closed is None or at <= closed)
