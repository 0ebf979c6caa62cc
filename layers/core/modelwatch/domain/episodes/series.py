"""Series: the results of one length of window of a version, and the spans in which they drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.episodes.slots import (
    HOLD_SLOTS,
    FeatureStory,
    Observation,
    Slot,
    merge_stories,
    slot_length,
)

MOST_SLOTS = 96
"""So many slots are kept: results that come later than this change nothing any more."""

MOST_SPANS = 30
"""So many spans of a series are kept, the newest."""


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A drift that one length of window sees.

    Attributes
    ----------
    first, last
        Ends of its first window and of the last one that drifts.
    slot
        Number of the slot of ``last``.
    features
        All that drifted in it.
    now
        Names of those that drifted in the slot of ``last``.
    drifted
        How many drifted in that slot, also where not all are in ``now``.
    closed
        End of the window that closes it, or when someone did; None while it is open.
    reason
        Why it is closed.
    """

    first: datetime
    last: datetime
    slot: int
    features: dict[str, FeatureStory] = {}
    now: tuple[str, ...] = ()
    drifted: int = 0
    closed: datetime | None = None
    reason: str = ""


class Series(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of the results of one length of window.

    Attributes
    ----------
    slots
        By number: that of the time since 1970, in slots of this length.
    settled
        What ended in slots before this one is in ``spans``, and does not change any more.
    newest
        Number of the newest slot of any result.
    spans
        What settled slots say; the last one may be open.
    """

    slots: dict[int, Slot] = {}
    settled: int = 0
    newest: int = 0
    spans: tuple[Span, ...] = ()

    def add(self, seen: Observation) -> Series:
        """Return the series with one more result; the same one again changes nothing."""
        number = slot_number(seen.length, seen.end)
        newest = max(self.newest, number)
        if number < self.settled:
            return self
        slots = self.slots
        if seen.slot != Slot():
            known = slots.get(number, Slot())
            slots = {**slots, number: known.merge(seen.slot)}
        added = msgspec.structs.replace(self, slots=slots, newest=newest)
        if len(slots) <= MOST_SLOTS:
            return added
        return added.settle(sorted(slots)[-MOST_SLOTS])

    def settle(self, number: int) -> Series:
        """Return the series with only spans of what is before a slot."""
        old = {each: slot for each, slot in self.slots.items() if each < number}
        return msgspec.structs.replace(
            self,
            slots={each: slot for each, slot in self.slots.items() if each >= number},
            settled=max(number, self.settled),
            spans=_spans(self.spans, old)[-MOST_SPANS:],
        )

    def all_spans(self) -> tuple[Span, ...]:
        """Return all spans in the order of time; only the last one may be open."""
        return _spans(self.spans, self.slots)

    def close(self, length: str, at: datetime, reason: str) -> Series:
        """Return the series with its spans closed: what ended until then has no further part."""
        settled = self.settle(slot_number(length, at) + 1)
        spans = tuple(
            each
            if each.closed
            else msgspec.structs.replace(each, closed=max(at, each.last), reason=reason)
            for each in settled.spans
        )
        return msgspec.structs.replace(settled, spans=spans)

    def seen_until(self, length: str) -> datetime:
        """Return the end of the slot of its newest result."""
        return datetime.fromtimestamp(0, UTC) + (self.newest + 1) * slot_length(length)


def slot_number(length: str, end: datetime) -> int:
    """Return the number of the slot in which a window of a length ends."""
    return (end - datetime.fromtimestamp(0, UTC)) // slot_length(length)


def patience(length: str) -> timedelta:
    """Return after what time without any result, unknown or not, a length is not analyzed."""
    return 2 * max(parse_duration(length), timedelta(days=1))


def _spans(settled: Iterable[Span], slots: Mapping[int, Slot]) -> tuple[Span, ...]:
    """Return ``settled`` spans and those of the slots after them.

    It is a fold over slots in the order of time: some of them first and then the others give the
    same.
    """
    spans = list(settled)
    for number, slot in sorted(slots.items()):
        is_open = bool(spans) and spans[-1].closed is None
        if is_open and _closes(spans[-1], number, slot):
            spans[-1] = msgspec.structs.replace(spans[-1], closed=slot.quiet, reason="quiet")
            is_open = False
        if slot.drift is None or slot.last is None:
            continue
        if is_open:
            spans[-1] = msgspec.structs.replace(
                spans[-1],
                last=slot.last,
                slot=number,
                features=merge_stories((spans[-1].features, slot.features)),
                now=tuple(slot.features),
                drifted=slot.drifted,
            )
        else:
            spans.append(
                Span(
                    first=slot.drift,
                    last=slot.last,
                    slot=number,
                    features=slot.features,
                    now=tuple(slot.features),
                    drifted=slot.drifted,
                )
            )
    return tuple(spans)


def _closes(span: Span, number: int, slot: Slot) -> bool:
    """Return whether a slot has a quiet window late enough, before one that drifts again."""
    if slot.quiet is None or number - span.slot < HOLD_SLOTS:
        return False
    return slot.drift is None or slot.quiet < slot.drift
