"""The erasure of events: finds them, and erases them in order.

Derived objects are erased before the rows. So if an erasure is interrupted and run again, it
finds the remaining work by the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from modelwatch.adapters.erasure.erased import S3Erasures
from modelwatch.adapters.erasure.reports import S3ReportErasure
from modelwatch.adapters.erasure.rows import Events, Match, S3Erasure
from modelwatch.domain.event_ids import derived_event_id, is_event_id
from modelwatch.domain.keys import parse_version
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.segments import SegmentsOf, no_segments
from modelwatch.errors import ModelwatchError, StoreError
from modelwatch_cli.capture.dead_letters import DeadLetterBox

Progress = Callable[[str, int], Callable[[], None]]
"""Starts a bar with a name and a total; returns the function that advances it."""


@dataclass(slots=True)
class Findings:
    """Where the events are in the captures.

    Attributes
    ----------
    matches
        The hours with their records.
    not_found
        Ids without a record.
    label_hours
        The hours in which their labels may be; None: all.
    """

    matches: list[Match]
    not_found: list[str]
    label_hours: set[datetime] | None

    @property
    def records(self) -> int:
        """How many records there are, with those of shadows."""
        return sum(len(match.found) for match in self.matches)


@dataclass(slots=True)
class Erased:
    """The result of an erasure; ``notes`` says what it cannot do or did not find."""

    records: int = 0
    hours: list[str] = field(default_factory=list)
    label_objects: int = 0
    reports: int = 0
    letters: int = 0
    old_versions: int = 0
    not_found: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Forgetting:
    """Finds events and erases them."""

    def __init__(
        self,
        s3: Any,
        capture_bucket: str,
        report_bucket: str,
        on_progress: Progress,
        segments_of: SegmentsOf = no_segments,
    ) -> None:
        self._erasure = S3Erasure(s3, capture_bucket, segments_of)
        self._erasures = S3Erasures(s3, capture_bucket)
        self._reports = S3ReportErasure(s3, report_bucket)
        self._on_progress = on_progress

    def find(self, events: Events, *, everywhere: bool = False) -> Findings:
        """Search for the events: in the hours of the ids, and for other ids in all hours.

        With ``everywhere`` all hours are searched in any case, which also finds a record that
        was sent again for another time.
        """
        near = None if everywhere else events.hours()
        matches = self._look("captures", events, near)
        missing = _missing(events, matches)
        if missing and near is not None:
            matches += self._look("all captures", events, None, but=near)
            missing = _missing(events, matches)
        hours = None if near is None else near | {match.hour.hour for match in matches}
        return Findings(matches, missing, hours)

    def erase(
        self, events: Events, found: Findings, open_box: Callable[[], DeadLetterBox], now_ms: int
    ) -> Erased:
        """Erase the events in all places that it can reach.

        Raises StoreError when S3 fails: finished work stays, and another run does the rest.
        """
        known = [hash_event_ids(events.ids), *(match.found for match in found.matches)]
        self._erasures.add(np.unique(np.concatenate(known)), now_ms)
        done = Erased(
            records=found.records,
            hours=[match.hour.name for match in found.matches],
            not_found=found.not_found,
        )
        advance = self._on_progress("reports", len(found.matches))
        for match in found.matches:
            if version := parse_version(match.hour.name):
                done.reports += self._reports.erase(*version, match.times_ms)
            advance()
        if self._reports.remains:
            done.notes.append(
                f"old versions of reports and results remain in the bucket: {self._reports.remains}"
            )
        done.label_objects = self._erasure.erase_labels(events, found.label_hours)
        self._erasure.forget_performance([match.hour for match in found.matches])
        self._erase_letters(events, open_box, done)
        advance = self._on_progress("hours", len(found.matches))
        for match in found.matches:
            self._erasure.erase_captures(match, events)
            advance()
        self._erase_old_versions(found, done)
        if found.not_found:
            done.notes.append(f"no record was found of {len(found.not_found)} ids")
        return done

    def _look(
        self,
        name: str,
        events: Events,
        among: Collection[datetime] | None,
        but: Collection[datetime] = (),
    ) -> list[Match]:
        hours = [hour for hour in self._erasure.hours(among) if hour.hour not in but]
        advance = self._on_progress(name, len(hours))
        matches = []
        for hour in hours:
            match = self._erasure.look(hour, events)
            if match is not None:
                matches.append(match)
            advance()
        return matches

    def _erase_letters(
        self, events: Events, open_box: Callable[[], DeadLetterBox], done: Erased
    ) -> None:
        try:
            with open_box() as box:
                for letters in box.letters():
                    for letter in letters:
                        rest = without(letter.body, events)
                        if rest != letter.body:
                            box.replace(letter, rest)
                            done.letters += 1
                if waiting := box.waiting():
                    done.notes.append(
                        f"about {waiting} messages are in the capture queue, and not searched: "
                        "run this again when they are stored"
                    )
        except ModelwatchError as error:
            done.notes.append(f"dead letters and queue were not searched: {error}")

    def _erase_old_versions(self, found: Findings, done: Erased) -> None:
        hours = {match.hour.hour for match in found.matches} | (found.label_hours or set())
        try:
            if self._erasure.keeps_versions():
                done.old_versions = self._erasure.delete_old_versions(hours)
        except StoreError as error:
            done.notes.append(f"old versions of objects may remain in the bucket: {error}")


def without(body: str, events: Events) -> str:
    """Return a message's body without the records and labels of ``events``; empty: nothing is left.

    A body that cannot be read and contains one of the ids is deleted as a whole.
    """
    if not _names(body, events):
        return body
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    if isinstance(content, list):
        kept = [element for element in content if not _names(json.dumps(element), events)]
        return json.dumps(kept) if kept else ""
    labels = content.get("labels") if isinstance(content, dict) else None
    if isinstance(labels, list):
        kept = [element for element in labels if not _names(json.dumps(element), events)]
        return json.dumps({"labels": kept}) if kept else ""
    return ""


def _names(text: str, events: Events) -> bool:
    """Return whether ``text`` has one of the ids, or a shadow's that follows from one."""
    lower = text.lower()
    return any(event_id in lower for event_id in (*events.ids, *_derived(text, events)))


def _derived(text: str, events: Events) -> Iterator[str]:
    try:
        content = json.loads(text)
    except ValueError:
        return
    elements = content if isinstance(content, list) else [content]
    variants = {
        element["variant"]
        for element in elements
        if isinstance(element, dict) and isinstance(element.get("variant"), str)
    }
    for variant in variants:
        for event_id in events.ids:
            yield derived_event_id(event_id, variant)


def read_ids(text: str) -> list[str]:
    """Return the event ids in a file's text, one per line; empty lines do not count.

    Raises ModelwatchError when a line is no event id.
    """
    ids = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not is_event_id(line.strip()):
            raise ModelwatchError(f"line {number}: '{line.strip()[:60]}' is no event id (a UUID)")
        ids.append(line.strip())
    return ids


def _missing(events: Events, matches: list[Match]) -> list[str]:
    found = {value for match in matches for value in match.found.tolist()}
    hashes = hash_event_ids(events.ids).tolist()
    return [each for each, value in zip(events.ids, hashes, strict=True) if value not in found]
