"""Windows of captures by their profiles: no row is read, but of objects that repeat an event."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.arrow_profiles import hash_events, profile_slices
from modelwatch.adapters.captures.layout import (
    HOUR_END,
    IDS_NOTE,
    MERGED_NOTE,
    MINUTES_END,
    PROFILE_NOTE,
    SAMPLE_END,
    SAMPLE_ROWS,
    CaptureObject,
)
from modelwatch.adapters.captures.parquet import decompress, read_notes, read_table
from modelwatch.adapters.captures.records import CONNECTIONS, S3RecordStore, joined, unmoved
from modelwatch.adapters.captures.smallest import Smallest
from modelwatch.domain.profiles import (
    Profile,
    Slice,
    WindowProfile,
    decode_slices,
    merge_profiles,
    merge_segments,
)
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.segments import (
    EVERYTHING,
    NO_SEGMENTS,
    SegmentKey,
    Segments,
    SegmentsOf,
    no_segments,
)
from modelwatch.domain.windows import Window
from modelwatch.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class _Footer:
    """What an object says of itself; a merged one has its profiles and ids elsewhere."""

    found: CaptureObject
    slices: list[Slice]
    ids: Hashes | None
    replaces: frozenset[str] = frozenset()


class S3ProfileStore:
    """Profiles in ``bucket``; see `modelwatch.ports.analysis.ProfileStore`.

    Parameters
    ----------
    segments_of
        Gives the segments of a model that are looked for; what was declared before is left alone.
    """

    def __init__(self, client: Any, bucket: str, segments_of: SegmentsOf = no_segments) -> None:
        self._objects = S3Objects(client, bucket)
        self._segments_of = segments_of
        self._records = S3RecordStore(client, bucket)

    def versions(self, window: Window) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, sorted."""
        return self._records.versions(window)

    def days(self, model_name: str, model_version: str) -> list[date]:
        """Return the days of UTC of which a version has captures, in order: one listing."""
        return self._records.days(model_name, model_version)

    def has_captures(self, model_name: str, model_version: str, window: Window) -> bool:
        """Return whether an object of a version overlaps ``window``: one listing."""
        return next(self._records.objects(model_name, model_version, window), None) is not None

    def profiles(self, model_name: str, model_version: str, window: Window) -> WindowProfile:
        """Return the profiles of a version's distinct records in ``window``, by variant.

        The window is rounded outward to whole minutes.
        """
        window = window.outward()
        return unmoved(
            lambda: self._profiles(self._footers(model_name, model_version, window), window)
        )

    def sample(self, model_name: str, model_version: str, window: Window, rows: int) -> pa.Table:
        """Return a uniform sample of a version's distinct records in ``window``.

        It is the ``rows`` records with the smallest hashes of their event ids, or all when there
        are no more. Only the objects that hold one of them are read.
        """
        window = window.outward()
        return unmoved(
            lambda: self._sample(self._footers(model_name, model_version, window), window, rows)
        )

    def sampled(
        self, model_name: str, model_version: str, window: Window, rows: int
    ) -> tuple[pa.Table, WindowProfile]:
        """Return `sample` and `profiles` of a window, as its objects were at one time."""
        window = window.outward()

        def read() -> tuple[pa.Table, WindowProfile]:
            footers = self._footers(model_name, model_version, window)
            return self._sample(footers, window, rows), self._profiles(footers, window)

        return unmoved(read)

    def _profiles(self, footers: Sequence[_Footer], window: Window) -> WindowProfile:
        repeats = self._repeats(footers)
        variants: defaultdict[str, list[Profile]] = defaultdict(list)
        segments: list[tuple[SegmentKey, Profile]] = []
        declared = self._segments_of(footers[0].found.model_name) if footers else NO_SEGMENTS

        def within(footer: _Footer) -> list[Slice]:
            return [
                each
                for each in self._slices(footer, repeats.get(footer.found.key), window, declared)
                if window.start_ms <= each.minute_ms < window.end_ms
            ]

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            for piece in chain.from_iterable(threads.map(within, footers)):
                if piece.segment == EVERYTHING:
                    variants[piece.variant].append(piece.profile)
                elif declared.declares(piece.segment):
                    segments.append((piece.segment, piece.profile))
        return WindowProfile(
            {variant: merge_profiles(found) for variant, found in sorted(variants.items())},
            tuple(footer.found.key for footer in footers),
            sum(map(len, repeats.values())),
            merge_segments(segments),
        )

    def _sample(self, footers: Sequence[_Footer], window: Window, rows: int) -> pa.Table:
        known: list[_Footer] = []
        merged: list[_Footer] = []
        read: list[_Footer] = []
        for footer in footers:
            whole = footer.found.lies_within(window)
            (known if whole and footer.ids is not None else merged if whole else read).append(
                footer
            )
        smallest = Smallest(rows)
        for footer in known:
            if footer.ids is not None:
                smallest.take(footer.ids)

        def within(footer: _Footer) -> pa.Table:
            table = self._records.rows(footer.found.key)
            times = table["captured_at"].cast(pa.int64()).to_numpy()
            return smallest.of(table.filter((window.start_ms <= times) & (times < window.end_ms)))

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            for table in threads.map(within, read):
                smallest.add(table)
            cut = []
            for footer, table in zip(merged, threads.map(self._sample_of, merged), strict=True):
                if table.num_rows == SAMPLE_ROWS:
                    cut.append((footer, hash_events(table).max()))
                smallest.add(table)
            # an hour has more of the smallest than are in its sample
            again = [footer for footer, last in cut if last < smallest.bound]
            for table in threads.map(within, again):
                smallest.add(table)
            wanted = [
                footer
                for footer in known
                if footer.ids is not None and np.isin(footer.ids, smallest.hashes).any()
            ]
            for table in threads.map(within, wanted):
                smallest.add(table)
        return joined(smallest.tables())

    def _footers(self, model_name: str, model_version: str, window: Window) -> list[_Footer]:
        found = list(self._records.objects(model_name, model_version, window))
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            footers = list(threads.map(self._footer, found))
        replaced = frozenset[str]().union(*(footer.replaces for footer in footers))
        return [footer for footer in footers if footer.found.name not in replaced]

    def _footer(self, found: CaptureObject) -> _Footer:
        notes = read_notes(lambda size: self._objects.read_end(found.key, size))
        if MERGED_NOTE in notes:
            replaces = msgspec.json.decode(notes[MERGED_NOTE], type=frozenset[str])
            return _Footer(found, [], None, replaces)
        if PROFILE_NOTE in notes:
            ids = np.frombuffer(notes[IDS_NOTE], "<u8").astype(np.uint64)
            return _Footer(found, decode_slices(notes[PROFILE_NOTE]), ids)
        # written before objects had profiles
        table = self._records.rows(found.key)
        hashes = hash_events(table)
        return _Footer(
            found, profile_slices(table, self._segments_of(found.model_name), hashes), hashes
        )

    def _repeats(self, footers: Sequence[_Footer]) -> dict[str, Hashes]:
        """Return by key the events of an object that an earlier one holds as well."""
        company = Counter(footer.found.partition for footer in footers)
        ids = {
            footer.found.key: hash_events(self._records.rows(footer.found.key))
            if footer.ids is None
            else footer.ids
            for footer in footers
            # a merged object is alone in its hour, but for records that came late
            if footer.ids is not None or company[footer.found.partition] > 1
        }
        if not ids:
            return {}
        events, counts = np.unique(np.concatenate(list(ids.values())), return_counts=True)
        several = events[counts > 1]
        taken = np.empty(0, np.uint64)
        repeats: dict[str, Hashes] = {}
        if len(several):
            for key, found in ids.items():
                suspects = np.intersect1d(found, several)
                again = np.intersect1d(suspects, taken)
                if len(again):
                    repeats[key] = again
                taken = np.union1d(taken, suspects)
        return repeats

    def _slices(
        self, footer: _Footer, repeats: Hashes | None, window: Window, segments: Segments
    ) -> list[Slice]:
        if repeats is not None:
            table = self._records.rows(footer.found.key)
            hashes = hash_events(table)
            distinct = ~np.isin(hashes, repeats)
            return profile_slices(table.filter(distinct), segments, hashes[distinct])
        if footer.ids is not None:
            return footer.slices
        hour = footer.found.hour
        whole = window.start <= hour and hour + timedelta(hours=1) <= window.end
        key = footer.found.sidecar_key(HOUR_END if whole else MINUTES_END)
        try:
            return decode_slices(decompress(self._objects.read(key)))
        except NotFoundError:
            # the files beside them may be gone; the rows exist as long as they count
            return profile_slices(self._records.rows(footer.found.key), segments)

    def _sample_of(self, footer: _Footer) -> pa.Table:
        try:
            return read_table(self._objects.read(footer.found.sidecar_key(SAMPLE_END)))
        except NotFoundError:
            return self._records.rows(footer.found.key)
