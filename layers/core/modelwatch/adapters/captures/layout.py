"""Where captures are on S3.

``captures/model_name=M/model_version=V/date=YYYY-MM-DD/hour=HH/<first>-<last>-<digest>.parquet``

`first` and `last` are the earliest and latest ``captured_at`` in milliseconds, so that a window is
read without opening objects outside it; `digest` follows from the event ids, so that a batch that
is delivered again lands on the same name, where a conditional write leaves it alone.

An object carries in its footer the profile of its rows (``modelwatch.profile``) and the sorted
hashes of its event ids (``modelwatch.ids``). An object that was merged from others carries the
names of those that it replaces instead (``modelwatch.merged``): where one of them is still there,
it does not count. Its profiles are beside: below ``profiles/``, in the same partition and under the
same name, with the ends `HOUR_END`, `MINUTES_END` and `SAMPLE_END`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelwatch.domain.keys import (
    hour_place,
    model_folder,
    parse_hour,
    parse_version,
    version_folder,
)
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.windows import Window

CAPTURES = "captures/"
PROFILES = "profiles/"

PROFILE_NOTE = "modelwatch.profile"
IDS_NOTE = "modelwatch.ids"
MERGED_NOTE = "modelwatch.merged"

HOUR_END = ".hour"
MINUTES_END = ".minutes"
SAMPLE_END = ".sample.parquet"
SIDECAR_ENDS = (HOUR_END, MINUTES_END, SAMPLE_END)

SAMPLE_ROWS = 1000
"""Rows in the sample beside a merged object: those with the smallest hashes of their event ids."""

_KEY = re.compile(
    r"^captures/(?P<partition>.+/date=[\d-]{10}/hour=\d\d/)"
    r"(?P<stem>(?P<first>\d+)-(?P<last>\d+)-[0-9a-f]+)\.parquet$"
)


@dataclass(frozen=True, slots=True)
class CaptureObject:
    """An object of captured rows, as its key describes it."""

    key: str
    partition: str
    stem: str
    hour: datetime
    first_ms: int
    last_ms: int
    size_bytes: int = 0

    @classmethod
    def parse(cls, key: str, size_bytes: int = 0) -> CaptureObject | None:
        """Return what ``key`` says, or None when it is no key of captured rows."""
        found = _KEY.match(key)
        hour = parse_hour(key)
        if found is None or hour is None:
            return None
        return cls(
            key,
            found["partition"],
            found["stem"],
            hour,
            int(found["first"]),
            int(found["last"]),
            size_bytes,
        )

    @property
    def name(self) -> str:
        """Last part of the key: what `MERGED_NOTE` lists."""
        return f"{self.stem}.parquet"

    @property
    def model_name(self) -> str:
        """Name of the model that made the predictions; empty where the key has none."""
        found = parse_version(self.key)
        return found[0] if found else ""

    def overlaps(self, window: Window) -> bool:
        """Return whether rows of it may be within ``window``."""
        return self.first_ms < window.end_ms and self.last_ms >= window.start_ms

    def lies_within(self, window: Window) -> bool:
        """Return whether all rows of it are within ``window``."""
        return window.start_ms <= self.first_ms and self.last_ms < window.end_ms

    def sidecar_key(self, end: str) -> str:
        """Return the key of what belongs to a merged object besides its rows."""
        return f"{PROFILES}{self.partition}{self.stem}{end}"


def model_prefix(model_name: str) -> str:
    """Return the start of the keys of all captures of a model."""
    return f"{CAPTURES}{model_folder(model_name)}"


def version_prefix(model_name: str, model_version: str) -> str:
    """Return the start of the keys of all captures of a version."""
    return f"{CAPTURES}{version_folder(model_name, model_version)}"


def capture_key(
    model_name: str, model_version: str, first_ms: int, last_ms: int, event_ids: Sequence[str]
) -> str:
    """Return the key of an object with these events of one model version and hour."""
    digest = hashlib.sha256("".join(sorted(event_ids)).encode()).hexdigest()[:20]
    hour = datetime.fromtimestamp(first_ms / 1000, UTC)
    return (
        f"{version_prefix(model_name, model_version)}"
        f"{hour_place(hour)}/{first_ms}-{last_ms}-{digest}.parquet"
    )


def merged_key(
    partition: str, first_ms: int, last_ms: int, events: Hashes, replaced: Sequence[str]
) -> str:
    """Return the key of the object that replaces others of a partition.

    Parameters
    ----------
    partition
        As in `CaptureObject.partition`.
    replaced
        Names of the objects that it replaces. An object with the same events as one of those must
        not have its key.
    """
    digest = hashlib.sha256(events.astype("<u8").tobytes() + "\n".join(sorted(replaced)).encode())
    return f"{CAPTURES}{partition}{first_ms}-{last_ms}-{digest.hexdigest()[:20]}.parquet"
