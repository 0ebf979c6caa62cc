"""Erases events from the bucket of captures: rows, samples, profiles, labels and what follows.

Captures are erased by compaction: the objects of an hour are merged into one without the events,
which takes effect at one moment and can be left at any point. So the rows go last, after all that
was made of them, and an erasure that was interrupted finds them again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.label_compaction import label_object
from modelwatch.adapters.captures.labels import LABELS
from modelwatch.adapters.captures.layout import CAPTURES, PROFILES, CaptureObject
from modelwatch.adapters.captures.parquet import read_table
from modelwatch.adapters.captures.records import CONNECTIONS, PARQUET, unmoved
from modelwatch.adapters.results.performance import PERFORMANCE, S3PerformanceStore
from modelwatch.domain.compaction import CaptureHour
from modelwatch.domain.event_ids import derived_event_id, event_time_ms
from modelwatch.domain.keys import hour_place
from modelwatch.domain.profiles.hashes import Hashes, hash_event_ids
from modelwatch.domain.segments import SegmentsOf, no_segments
from modelwatch.errors import NotFoundError, StoreError

_TRIES = 5
_EDGE = timedelta(minutes=5)
"""How far the time in an id may be from ``captured_at`` for its hour to be looked through."""


class Events:
    """The events to erase: by their ids, and those of their shadows' predictions."""

    def __init__(self, event_ids: Iterable[str]) -> None:
        self.ids = tuple(sorted({event_id.lower() for event_id in event_ids}))
        self._own = hash_event_ids(self.ids)
        self._derived = cache(self._derive)

    def hashes(self, variants: Collection[str] = ()) -> Hashes:
        """Return the hashes of the ids, with those that shadows of these names have, sorted."""
        return np.unique(np.concatenate([self._own, *map(self._derived, sorted(variants))]))

    def hours(self) -> set[datetime] | None:
        """Return the hours that the ids contain; None when one of them contains none."""
        hours = set()
        for event_id in self.ids:
            time_ms = event_time_ms(event_id)
            if time_ms is None:
                return None
            time = datetime.fromtimestamp(time_ms / 1000, UTC)
            for each in (time - _EDGE, time + _EDGE):
                hours.add(each.replace(minute=0, second=0, microsecond=0))
        return hours

    def _derive(self, variant: str) -> Hashes:
        return hash_event_ids([derived_event_id(event_id, variant) for event_id in self.ids])


@dataclass(frozen=True, slots=True)
class Match:
    """What an hour of captures holds of the events.

    Attributes
    ----------
    hour
        The hour.
    found
        Hashes of the events.
    times_ms
        Their ``captured_at``.
    """

    hour: CaptureHour
    found: Hashes
    times_ms: tuple[int, ...]


class S3Erasure:
    """Erases events from ``bucket``."""

    def __init__(self, client: Any, bucket: str, segments_of: SegmentsOf = no_segments) -> None:
        self._client = client
        self._objects = S3Objects(client, bucket)
        self._compaction = S3Compaction(client, bucket, segments_of)
        self._performance = S3PerformanceStore(client, bucket)

    def hours(self, among: Collection[datetime] | None) -> list[CaptureHour]:
        """Return the hours of captures: all, or those that begin at one of ``among``."""
        hours = self._compaction.hours()
        return [hour for hour in hours if among is None or hour.hour in among]

    def look(self, hour: CaptureHour, events: Events) -> Match | None:
        """Return what an hour holds of the events, if any; lists the hour again when it changes."""

        def found() -> Match | None:
            now = self._listed(hour)
            with ThreadPoolExecutor(CONNECTIONS) as threads:
                parts = list(threads.map(lambda key: self._matches(key, events), now.objects))
            nothing = np.empty(0, np.uint64)
            hashes: Hashes = np.unique(np.concatenate([nothing, *(each for each, _ in parts)]))
            if not len(hashes):
                return None
            return Match(now, hashes, tuple(sorted({time for _, times in parts for time in times})))

        return unmoved(found)

    def erase_captures(self, match: Match, events: Events) -> None:
        """Erase the events from an hour's rows, samples and profiles.

        Raises StoreError when they are still there, because others write to the hour all the time.
        """
        current: Match | None = match
        for _ in range(_TRIES):
            if current is None:
                return
            self._delete_leftovers(current.hour)
            self._compaction.merge(current.hour, current.found)
            current = self.look(match.hour, events)
        raise StoreError(f"{match.hour.name} keeps changing; erase again")

    def erase_labels(
        self,
        events: Events,
        hours: Collection[datetime] | None,
    ) -> int:
        """Erase labels of the events, of all hours or some; return from how many objects.

        Raises StoreError when they are still there, because others write to the hours all the time.
        """
        prefixes = [LABELS] if hours is None else [f"{LABELS}{hour_place(each)}/" for each in hours]
        total = 0
        for _ in range(_TRIES):
            keys = [key for prefix in sorted(prefixes) for key, _ in self._objects.keys(prefix)]
            with ThreadPoolExecutor(CONNECTIONS) as threads:
                changed = sum(threads.map(lambda key: self._without_labels(key, events), keys))
            if not changed:
                return total
            total += changed
        raise StoreError("labels keep changing; erase again")

    def forget_performance(self, hours: Iterable[CaptureHour]) -> None:
        """Delete how well versions predicted in these hours: it is made again from what is left."""
        found = list(hours)
        by_version: dict[str, list[datetime]] = {}
        for hour in found:
            folder = f"{hour.name.split('/date=')[0]}/"
            by_version.setdefault(folder, []).append(hour.hour)
        for folder, gone in by_version.items():
            self._performance.forget(folder, gone)
        self._performance.forget_labelled(hour.hour for hour in found)

    def keeps_versions(self) -> bool:
        """Return whether the bucket keeps what is deleted or replaced."""
        return self._objects.keeps_versions()

    def delete_old_versions(self, hours: Iterable[datetime]) -> int:
        """Delete what a bucket with versions keeps of hours although it was deleted or replaced.

        Returns how many versions that were. Raises StoreError where that is not allowed.
        """
        # the performance of a day's hours is in one object
        places = {place for hour in hours for place in (hour_place(hour), f"date={hour:%Y-%m-%d}.")}
        deleted = 0
        for prefix in (CAPTURES, PROFILES, LABELS, PERFORMANCE):
            deleted += self._objects.delete_old_versions(
                prefix, lambda key: any(place in key for place in places)
            )
        return deleted

    def _matches(self, key: str, events: Events) -> tuple[Hashes, list[int]]:
        table = read_table(self._objects.read(key), ["event_id", "variant", "captured_at"])
        variants = {variant for variant in pc.unique(table["variant"]).to_pylist() if variant}
        hashes = hash_events(table)
        is_one = np.isin(hashes, events.hashes(variants))
        times = table["captured_at"].cast(pa.int64()).to_numpy()
        return hashes[is_one], times[is_one].tolist()

    def _listed(self, hour: CaptureHour) -> CaptureHour:
        listed = list(self._objects.keys(f"{CAPTURES}{hour.name}"))
        keys = tuple(key for key, _ in listed if CaptureObject.parse(key))
        return replace(hour, objects=keys, size_bytes=sum(size for _, size in listed))

    def _delete_leftovers(self, hour: CaptureHour) -> None:
        """Delete what stands beside no object: an interrupted compaction left samples, say."""
        objects = filter(None, map(CaptureObject.parse, hour.objects))
        there = tuple(each.sidecar_key(".") for each in objects)
        beside = [key for key, _ in self._objects.keys(f"{PROFILES}{hour.name}")]
        self._objects.delete([key for key in beside if not key.startswith(there)])

    def _without_labels(self, key: str, events: Events) -> bool:
        try:
            table = read_table(self._objects.read(key))
        except NotFoundError:
            # merged with others meanwhile: what it was merged into is still to be seen
            return True
        kept = table.filter(pa.array(~np.isin(hash_events(table), events.hashes())))
        if kept.num_rows == table.num_rows:
            return False
        # between the two, readers find labels twice, of which they take one
        if kept.num_rows:
            name, payload = label_object(f"{key.rsplit('/', 1)[0]}/", kept)
            self._objects.write_once(name, payload, PARQUET)
        self._objects.delete([key])
        return True
