"""Performance by the hour on S3: computed again when captures or labels of the hour change.

``performance/model_name=M/model_version=V/date=YYYY-MM-DD.profiles`` has the hours of a version's
day, ``performance/labels/date=YYYY-MM-DD.json`` what is known of a day's labels. Both say what they
were made from; everything here can be deleted, and is made again. Objects of one hour each
(``date=YYYY-MM-DD/hour=HH.profile``), which older releases wrote, are read where a day has no newer
ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from itertools import groupby, takewhile

import msgspec

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.keys import parse_hour, version_folder
from modelwatch.domain.performance.encoding import (
    HourPerformance,
    LabelledHour,
    decode_hour,
    encode_hour,
)
from modelwatch.errors import NotFoundError, ProfileFormatError

PERFORMANCE = "performance/"

_CONNECTIONS = 8
_DAY = timedelta(days=1)
_LOG = logging.getLogger(__name__)
_decode_packed = msgspec.msgpack.Decoder(dict[datetime, bytes]).decode
_decode_labelled = msgspec.json.Decoder(dict[datetime, LabelledHour]).decode


class S3PerformanceStore(S3Store):
    """Performance in ``bucket``; see `modelwatch.ports.performance.PerformanceStore`."""

    def load(
        self, model_name: str, model_version: str, hours: Iterable[datetime]
    ) -> dict[datetime, HourPerformance]:
        """Return what is kept of a version's hours; what cannot be read counts as missing."""
        folder = version_folder(model_name, model_version)
        wanted = set(hours)
        keys = self._keys(folder, wanted)
        old = {
            hour: key
            for key in keys
            if key.endswith(".profile") and (hour := parse_hour(key)) in wanted
        }

        def load_day(day: date) -> dict[datetime, HourPerformance]:
            theirs = {hour: key for hour, key in old.items() if hour.date() == day}
            packed = {hour: self._objects.read(key) for hour, key in theirs.items()}
            if _day_key(folder, day) in keys:
                packed |= self._day(folder, day)
            return _decoded({hour: packed[hour] for hour in wanted & packed.keys()}, folder)

        return self._by_day(load_day, wanted)

    def save(
        self, model_name: str, model_version: str, made: Mapping[datetime, HourPerformance]
    ) -> None:
        """Keep hours of a version, in place of what was kept of them.

        Of two that write a day at once, one may lose what it made: that is made again.
        """
        folder = version_folder(model_name, model_version)
        for day, hours in groupby(sorted(made), datetime.date):
            packed = self._day(folder, day) | {hour: encode_hour(made[hour]) for hour in hours}
            self._write_day(folder, day, packed)

    def forget(self, folder: str, hours: Iterable[datetime]) -> None:
        """Delete hours of a version, which is the one of ``folder`` (`version_folder`)."""
        for day, found in groupby(sorted(set(hours)), datetime.date):
            gone = set(found)
            names = [f"{PERFORMANCE}{folder}{_place(day)}/hour={hour:%H}.profile" for hour in gone]
            self._objects.delete(names)
            packed = self._day(folder, day)
            if gone & packed.keys():
                left = {hour: packed[hour] for hour in packed.keys() - gone}
                self._write_day(folder, day, left)

    def load_labelled(self, hours: Iterable[datetime]) -> dict[datetime, LabelledHour]:
        """Return what is kept of hours' labels; what cannot be read counts as missing."""
        return self._by_day(self._labelled_day, set(hours))

    def save_labelled(self, labelled: Mapping[datetime, LabelledHour]) -> None:
        """Keep what is known of hours' labels, in place of what was kept of them."""
        for day, hours in groupby(sorted(labelled), datetime.date):
            kept = self._labelled_day(day) | {hour: labelled[hour] for hour in hours}
            self._objects.write(_labels_key(day), msgspec.json.encode(kept), "application/json")

    def forget_labelled(self, hours: Iterable[datetime]) -> None:
        """Delete what is known of the labels of these hours' days."""
        found = set(hours)
        keys = {_labels_key(hour.date()) for hour in found}
        old = {f"{PERFORMANCE}labels/{_place(h.date())}/hour={h:%H}.json" for h in found}
        self._objects.delete(sorted(keys | old))

    def _by_day[T](
        self, load: Callable[[date], dict[datetime, T]], hours: set[datetime]
    ) -> dict[datetime, T]:
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            found = threads.map(load, sorted({hour.date() for hour in hours}))
            return {hour: kept for day in found for hour, kept in day.items() if hour in hours}

    def _day(self, folder: str, day: date) -> dict[datetime, bytes]:
        return self._read(_day_key(folder, day), _decode_packed)

    def _labelled_day(self, day: date) -> dict[datetime, LabelledHour]:
        return self._read(_labels_key(day), _decode_labelled)

    def _read[T](self, key: str, decode: Callable[[bytes], dict[datetime, T]]) -> dict[datetime, T]:
        try:
            return decode(self._objects.read(key))
        except NotFoundError:
            return {}
        except UNREADABLE as error:
            _LOG.warning("%s is computed again: %s", key, error)
            return {}

    def _write_day(self, folder: str, day: date, packed: Mapping[datetime, bytes]) -> None:
        payload = msgspec.msgpack.encode(packed)
        self._objects.write(_day_key(folder, day), payload, "application/octet-stream")

    def _keys(self, folder: str, hours: set[datetime]) -> set[str]:
        """Return the keys of what is kept of the days of these hours: one listing."""
        if not hours:
            return set()
        days = f"{PERFORMANCE}{folder}date="
        first, last = min(hours).date(), max(hours).date()
        keys = (key for key, _ in self._objects.keys(days, after=f"{days}{first}"))
        return set(takewhile(lambda key: key < f"{days}{last + _DAY}", keys))


def _decoded(packed: Mapping[datetime, bytes], folder: str) -> dict[datetime, HourPerformance]:
    found = {}
    for hour, payload in packed.items():
        try:
            found[hour] = decode_hour(payload)
        except ProfileFormatError as error:
            _LOG.warning("%s%s%s is computed again: %s", PERFORMANCE, folder, hour, error)
    return found


def _place(day: date) -> str:
    return f"date={day}"


def _day_key(folder: str, day: date) -> str:
    return f"{PERFORMANCE}{folder}{_place(day)}.profiles"


def _labels_key(day: date) -> str:
    return f"{PERFORMANCE}labels/{_place(day)}.json"
