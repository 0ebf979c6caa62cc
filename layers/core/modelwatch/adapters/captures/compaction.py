"""Merges the capture objects of an hour into one, so that no reader ever sees half of it.

An hour is merged in this order, and may be left at any point of it:

1. The objects are read into files.
2. The run writes the profiles and the sample of the later merged object, beside it.
3. The run lists the objects again. Where one is gone, another run works here, and this one stops.
4. The run writes the merged object. Now it counts, and the objects that its note names do not.
5. The run deletes the objects that it replaces.

A run that finds the steps done up to the fourth does the fifth. Two concurrent runs can both write
a merged object. Readers then see two with the same events and count each event once; the next run
merges them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.arrow_profiles import hash_events, profile_slices
from modelwatch.adapters.captures.layout import (
    CAPTURES,
    HOUR_END,
    MERGED_NOTE,
    MINUTES_END,
    PROFILE_NOTE,
    SAMPLE_END,
    SAMPLE_ROWS,
    SIDECAR_ENDS,
    CaptureObject,
    merged_key,
)
from modelwatch.adapters.captures.merged_profiles import MergedProfiles
from modelwatch.adapters.captures.merged_rows import MergedRows
from modelwatch.adapters.captures.parquet import (
    ROW_GROUP_ROWS,
    compress,
    decompress,
    read_notes,
    write_table,
    write_tables,
)
from modelwatch.adapters.captures.records import CONNECTIONS, PARQUET
from modelwatch.domain.compaction import CaptureHour, MergedHour
from modelwatch.domain.profiles import FORMAT, Slice, decode_slices, encode_slices, head_of
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.segments import SegmentsOf, no_segments
from modelwatch.errors import NotFoundError, ProfileFormatError, StoreError

_PROFILE_TYPE = "application/octet-stream"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Input:
    """An object of the hour, and the file that it was read into."""

    found: CaptureObject
    path: Path
    slices: bytes | None
    replaces: frozenset[str] | None


class S3Compaction:
    """Hours of captures in ``bucket``; see `modelwatch.ports.compaction.CaptureHours`.

    Parameters
    ----------
    segments_of
        Gives the parts of a model's traffic that are profiled apart where profiles are computed
        again.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        segments_of: SegmentsOf = no_segments,
        group_rows: int = ROW_GROUP_ROWS,
    ) -> None:
        self._objects = S3Objects(client, bucket)
        self._segments_of = segments_of
        self._group_rows = group_rows

    def hours(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        prefix: str = CAPTURES,
    ) -> list[CaptureHour]:
        """Return all hours of captures that begin from ``since`` to before ``until``.

        ``prefix``: of the keys that are looked at, such as `layout.model_prefix`.
        """
        found = self._objects.keys(prefix)
        objects = [each for key, size in found if (each := CaptureObject.parse(key, size))]
        hours = []
        for partition, group in groupby(objects, lambda each: each.partition):
            within = list(group)
            hour = within[0].hour
            if (since is None or hour >= since) and (until is None or hour < until):
                names = tuple(each.key for each in within)
                size_bytes = sum(each.size_bytes for each in within)
                hours.append(CaptureHour(partition, hour, names, size_bytes))
        return sorted(hours, key=lambda each: (each.hour, each.name))

    def needs_profiles(self, hour: CaptureHour, made_by: str = "") -> bool:
        """Return whether an hour has several objects, or its profiles are missing or outdated.

        They are when they have an older format, or were not made again by ``made_by``, if that is
        given.
        """
        if len(hour.objects) > 1:
            return True
        (key,) = hour.objects
        try:
            notes = read_notes(lambda size: self._objects.read_end(key, size))
            found = CaptureObject.parse(key)
            assert found is not None
            if MERGED_NOTE in notes:
                self._objects.read_end(found.sidecar_key(MINUTES_END), 1)
                payload = decompress(self._objects.read(found.sidecar_key(HOUR_END)))
            else:
                payload = notes[PROFILE_NOTE]
            head = head_of(payload)
        except (KeyError, NotFoundError, ProfileFormatError):
            return True
        return head.format != FORMAT or (bool(made_by) and head.made_by != made_by)

    def merge(
        self, hour: CaptureHour, left_out: Hashes, remade_by: str | None = None
    ) -> MergedHour | None:
        """Merge the objects of an hour into one, without the events whose hashes are ``left_out``.

        Parameters
        ----------
        remade_by
            Make profiles again from the rows, of a single object, too; this is noted beside them.

        Returns
        -------
        MergedHour | None
            What it was and is; None when another run has taken objects away meanwhile.
        """
        with TemporaryDirectory(prefix="modelwatch-compaction-") as folder:
            try:
                inputs = self._read(hour, Path(folder))
                return self._merged(hour, inputs, left_out, Path(folder), remade_by)
            except NotFoundError as error:
                _LOG.info("another run works on %s: %s", hour.name, error)
                return None
            except (OSError, pa.ArrowException, ProfileFormatError) as error:
                raise StoreError(f"cannot merge {hour.name}: {error}") from error

    def _read(self, hour: CaptureHour, folder: Path) -> list[_Input]:
        def read(place: tuple[int, str]) -> _Input:
            number, key = place
            found = CaptureObject.parse(key)
            assert found is not None
            path = folder / f"{number}.parquet"
            self._objects.download(key, path)
            notes = read_notes(path)
            note = notes.get(MERGED_NOTE)
            replaces = None if note is None else msgspec.json.decode(note, type=frozenset[str])
            return _Input(found, path, notes.get(PROFILE_NOTE), replaces)

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            return list(threads.map(read, enumerate(hour.objects)))

    def _merged(
        self,
        hour: CaptureHour,
        inputs: list[_Input],
        left_out: Hashes,
        folder: Path,
        remade_by: str | None,
    ) -> MergedHour | None:
        replaced = frozenset[str]().union(*(each.replaces or () for each in inputs))
        valid = [each for each in inputs if each.found.name not in replaced]
        rows = MergedRows([each.path for each in valid], left_out, self._group_rows)
        size_bytes = 0
        is_one = len(valid) == 1 and not rows.repeated and not rows.left_out
        if is_one and (remade_by is None or valid[0].replaces is not None):
            if remade_by is not None:
                sample = _write(folder / "same.parquet", rows, [])
                profiles = self._profiles(valid, rows, again=True)
                self._write_beside(valid[0].found, profiles, sample, remade_by)
            size_bytes = valid[0].path.stat().st_size
            self._delete([each for each in inputs if each is not valid[0]])
        elif not len(rows):
            # what the others replace must not be seen again when they are gone
            self._delete([each for each in inputs if each not in valid])
            self._delete(valid)
        else:
            path = folder / "merged.parquet"
            names = [each.found.name for each in inputs]
            sample = _write(path, rows, names)
            key = merged_key(
                valid[0].found.partition, rows.first_ms, rows.last_ms, rows.events, names
            )
            merged = CaptureObject.parse(key)
            assert merged is not None
            profiles = self._profiles(valid, rows, again=remade_by is not None)
            beside = self._write_beside(merged, profiles, sample, remade_by or "")
            there = {listed for listed, _ in self._objects.keys(f"{CAPTURES}{hour.name}")}
            if not there.issuperset(hour.objects):
                _LOG.info("another run works on %s", hour.name)
                # of what it has written itself, that is beside its object
                self._objects.delete([] if key in there else beside)
                return None
            with path.open("rb") as file:
                self._objects.write_once(key, file, PARQUET)
            size_bytes = path.stat().st_size
            self._delete(inputs)
        return MergedHour(
            hour.name,
            len(inputs),
            len(rows),
            rows.repeated,
            rows.left_out,
            hour.size_bytes,
            size_bytes,
        )

    def _profiles(
        self, inputs: Sequence[_Input], rows: MergedRows, *, again: bool
    ) -> MergedProfiles:
        """Merge the profiles that objects have; make those of objects of which rows are missing.

        ``again``: make all of them.
        """
        profiles = MergedProfiles()
        segments = self._segments_of(inputs[0].found.model_name)
        for index, each in enumerate(inputs):
            slices = self._slices(each) if rows.is_whole(index) and not again else None
            if slices is not None:
                profiles.add(slices)
            else:
                for table in rows.of_file(index):
                    profiles.add(profile_slices(table, segments))
        return profiles

    def _slices(self, each: _Input) -> list[Slice] | None:
        if each.slices is not None:
            return decode_slices(each.slices)
        if each.replaces is None:
            return None
        try:
            return decode_slices(
                decompress(self._objects.read(each.found.sidecar_key(MINUTES_END)))
            )
        except NotFoundError:
            return None

    def _write_beside(
        self, merged: CaptureObject, profiles: MergedProfiles, sample: pa.Table, made_by: str
    ) -> list[str]:
        """Write what is kept beside a merged object; return the keys."""
        for end, slices in (
            (HOUR_END, profiles.hour(merged.hour)),
            (MINUTES_END, profiles.minutes()),
        ):
            self._objects.write(
                merged.sidecar_key(end), compress(encode_slices(slices, made_by)), _PROFILE_TYPE
            )
        self._objects.write(merged.sidecar_key(SAMPLE_END), write_table(sample), PARQUET)
        return [merged.sidecar_key(end) for end in SIDECAR_ENDS]

    def _delete(self, inputs: Sequence[_Input]) -> None:
        """Delete objects, and before them what is beside them: nothing else would lead there.

        The first of the keys goes before the others. A reader that lists an hour over two pages
        may have it on the first page, and miss others that were deleted before the second: then it
        finds that this one is gone, and lists again.
        """
        keys = [each.found.key for each in inputs]
        beside = [
            each.found.sidecar_key(end)
            for each in inputs
            if each.replaces is not None
            for end in SIDECAR_ENDS
        ]
        self._objects.delete([*beside, *keys[:1]])
        self._objects.delete(keys[1:])


def _write(path: Path, rows: MergedRows, replaced: Sequence[str]) -> pa.Table:
    """Write ``rows`` into a file; return the sample of them."""
    largest = rows.events[:SAMPLE_ROWS][-1]
    samples = []

    def tables() -> Any:
        for table in rows.tables():
            samples.append(table.filter(pa.array(hash_events(table) <= largest)))
            yield table

    write_tables(path, rows.schema, tables(), {MERGED_NOTE: msgspec.json.encode(replaced)})
    return pa.concat_tables(samples)
