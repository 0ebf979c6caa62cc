"""Performance by the hour on S3: computed again when captures or labels of the hour change.

``performance/model_name=M/model_version=V/date=YYYY-MM-DD/hour=HH.profile`` is an hour of a
version, ``performance/labels/date=YYYY-MM-DD/hour=HH.json`` what is known of an hour's labels. Both
say what they were made from; everything here can be deleted, and is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import msgspec

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.keys import hour_place, parse_hour, version_folder
from modelwatch.domain.performance.encoding import (
    HourPerformance,
    LabelledHour,
    decode_hour,
    encode_hour,
)
from modelwatch.errors import ProfileFormatError

PERFORMANCE = "performance/"

_CONNECTIONS = 8
_LOG = logging.getLogger(__name__)
_decode_labelled = msgspec.json.Decoder(LabelledHour).decode


class S3PerformanceStore(S3Store):
    """Performance in ``bucket``; see `modelwatch.ports.performance.PerformanceStore`."""

    def load(
        self, model_name: str, model_version: str, hours: Iterable[datetime]
    ) -> dict[datetime, HourPerformance]:
        """Return what is kept of a version's hours; what cannot be read counts as missing."""
        found: dict[datetime, HourPerformance] = {}
        prefix = f"{PERFORMANCE}{version_folder(model_name, model_version)}"
        for hour, (key, payload) in self._read(prefix, hours).items():
            try:
                found[hour] = decode_hour(payload)
            except ProfileFormatError as error:
                _LOG.warning("%s is computed again: %s", key, error)
        return found

    def save(
        self, model_name: str, model_version: str, hour: datetime, performance: HourPerformance
    ) -> None:
        """Keep an hour of a version, in place of what was kept."""
        key = f"{PERFORMANCE}{version_folder(model_name, model_version)}{hour_place(hour)}.profile"
        self._objects.write(key, encode_hour(performance), "application/octet-stream")

    def load_labelled(self, hours: Iterable[datetime]) -> dict[datetime, LabelledHour]:
        """Return what is kept of hours' labels; what cannot be read counts as missing."""
        found: dict[datetime, LabelledHour] = {}
        for hour, (key, payload) in self._read(f"{PERFORMANCE}labels/", hours).items():
            try:
                found[hour] = _decode_labelled(payload)
            except msgspec.DecodeError as error:
                _LOG.warning("%s is computed again: %s", key, error)
        return found

    def save_labelled(self, hour: datetime, labelled: LabelledHour) -> None:
        """Keep what is known of an hour's labels, in place of what was kept."""
        key = f"{PERFORMANCE}labels/{hour_place(hour)}.json"
        self._objects.write(key, msgspec.json.encode(labelled), "application/json")

    def _read(self, prefix: str, hours: Iterable[datetime]) -> dict[datetime, tuple[str, bytes]]:
        wanted = set(hours)
        if not wanted:
            return {}
        found = self._hours(prefix, min(wanted).date(), max(wanted).date())
        keys = {hour: key for hour, key in found.items() if hour in wanted}
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            payloads = threads.map(self._objects.read, keys.values())
            return {
                hour: (key, payload)
                for (hour, key), payload in zip(keys.items(), payloads, strict=True)
            }

    def _hours(self, prefix: str, first: date, last: date) -> dict[datetime, str]:
        found = {}
        for key, _ in self._objects.keys_of_days(prefix, first, last):
            if (hour := parse_hour(key)) and key.endswith((".profile", ".json")):
                found[hour] = key
        return found
