"""Notes: what people say of episodes, and of drift that they expect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.episodes.series import Span
from modelwatch.domain.names import check_feature_names
from modelwatch.errors import InvalidInputError

MOST_NAME_CHARACTERS = 80
MOST_NOTE_CHARACTERS = 500
MOST_EXPECTED_FEATURES = 50
LONGEST_EXPECTATION = timedelta(days=92)

MONITOR = "monitor"
"""Stands for who declares a change, where the model's monitor does."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Someone knows of an episode: it does not alert while it stays open."""

    episode: str
    who: str
    note: str
    at: datetime


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An episode is the new normal: its windows are the reference of the version.

    Attributes
    ----------
    baseline
        Name of the baseline that was made of them.
    before
        Name of the one that was in use for the version only; empty: none, the model's held.
    reverted_at, reverted_by, reverted_note
        When the old reference came back, and who did it.
    """

    episode: str
    baseline: str
    before: str
    who: str
    note: str
    at: datetime
    reverted_at: datetime | None = None
    reverted_by: str = ""
    reverted_note: str = ""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change that is expected: drift that it explains does not alert.

    Attributes
    ----------
    id
        A number of the model's own; 0: the model's monitor declares it.
    features
        Which features it is about (``prediction`` for the output); empty: all.
    start, end
        When it is expected. It explains drift of windows that have a part of this time.
    withdrawn_at, withdrawn_by
        Since when it is not expected any more, and who said so.
    """

    id: int
    features: tuple[str, ...]
    start: datetime
    end: datetime
    reason: str
    who: str
    at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""

    @property
    def ends(self) -> datetime:
        """When it ends, by its declaration or because it was withdrawn."""
        return min(self.end, self.withdrawn_at) if self.withdrawn_at else self.end

    def status(self, now: datetime) -> str:
        """Return ``planned``, ``active``, ``over`` or ``withdrawn``."""
        if self.withdrawn_at:
            return "withdrawn"
        if now >= self.end:
            return "over"
        return "active" if now >= self.start else "planned"


class PlannedChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change that a model's monitor declares; fields as those of an `Expectation`."""

    start: datetime
    end: datetime
    reason: str
    features: tuple[str, ...] = ()

    def expectation(self) -> Expectation:
        """Return it as what explains drift."""
        return Expectation(
            id=0,
            features=self.features,
            start=self.start,
            end=self.end,
            reason=self.reason,
            who=MONITOR,
            at=self.start,
        )


def explaining(expected: Iterable[Expectation], span: Span, length: str) -> tuple[Expectation, ...]:
    """Return the expectations that explain the newest drift of a span; empty: they do not.

    They do when the window has a part of their time, and they name all features that drifted in it.
    """
    start = span.last - parse_duration(length)
    there = [
        each
        for each in expected
        if start < each.end
        and each.start < span.last
        and (each.withdrawn_at is None or span.last <= each.withdrawn_at)
    ]
    whole = tuple(each for each in there if not each.features)
    if whole:
        return whole
    named = {name for each in there for name in each.features}
    is_whole = bool(span.now) and span.drifted <= len(span.now) and named.issuperset(span.now)
    return tuple(there) if is_whole else ()


def check_text(text: str, field: str, most: int = MOST_NOTE_CHARACTERS) -> str:
    """Return a name or a note without blanks around it.

    Raises InvalidInputError when it is empty, too long, or has a line break or another control
    character.

    Examples
    --------
    >>> check_text(" black friday ", "--reason")
    'black friday'
    """
    found = text.strip()
    if not found:
        raise InvalidInputError(field, "is empty")
    if len(found) > most:
        raise InvalidInputError(field, f"has {len(found)} characters; {most} are allowed")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(field, "is no text in Unicode") from None
    if _CONTROL.search(found):
        raise InvalidInputError(field, "has a line break or another control character")
    return found


def check_expectation(expected: Expectation) -> Expectation:
    """Return an expectation that can be kept; raises InvalidInputError where it cannot."""
    check_change(expected, ("--since", "--until", "--feature"))
    if expected.end <= expected.at:
        raise InvalidInputError("--until", "is in the past")
    return expected


def check_change(expected: Expectation | PlannedChange, names: tuple[str, str, str]) -> None:
    """Check times and features; raises InvalidInputError.

    ``names`` are what start, end and features are called where they were given.
    """
    start, end, features = names
    if expected.end <= expected.start:
        raise InvalidInputError(end, f"is not after {start}")
    if expected.end - expected.start > LONGEST_EXPECTATION:
        raise InvalidInputError(
            end,
            f"is more than {LONGEST_EXPECTATION.days} days after {start}: a change that lasts is a "
            "new normal, see `modelwatch baseline accept`",
        )
    if len(expected.features) > MOST_EXPECTED_FEATURES:
        raise InvalidInputError(features, f"at most {MOST_EXPECTED_FEATURES} can be named")
    check_feature_names(expected.features, features)
