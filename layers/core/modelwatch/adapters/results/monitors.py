"""Monitors on S3: ``monitors/000001.json`` and so on, each all monitors of the bucket; the newest
holds.

A version is written once, and whole: who reads it sees the old or the new monitors. The next number
is taken by a conditional write, which every S3 has (``If-Match`` on one pointer is not on all).
"""

from __future__ import annotations

from typing import Any

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.adapters.results.capture_monitors import PREFIX
from modelwatch.domain.monitors import MonitorSet, decode_monitors, encode_monitors
from modelwatch.errors import MonitorError, NotFoundError

LARGEST_BYTES = 4_000_000
"""All monitors of a bucket together: analyze reads them at each cold start."""


class S3MonitorStore(S3Store):
    """Monitors in ``bucket``; see `modelwatch.ports.analysis.MonitorStore`.

    The first look costs a listing and a read, each later one a read of the number after the known
    one, which is seldom there.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        super().__init__(client, bucket)
        self._known: MonitorSet | None = None

    def current(self) -> MonitorSet:
        """Return the monitors that hold; raises StoreError."""
        if self._known is None:
            number = self._newest(PREFIX)
            self._known = self.version(number) if number else MonitorSet()
        while True:
            try:
                self._known = self.version(self._known.number + 1)
            except NotFoundError:
                return self._known

    def version(self, number: int) -> MonitorSet:
        """Return one version; raises NotFoundError when there is none of that number."""
        try:
            return decode_monitors(self._version(PREFIX, number))
        except NotFoundError:
            raise NotFoundError(f"there is no version {number} of the monitors") from None

    def numbers(self) -> list[int]:
        """Return the numbers of all versions, in order."""
        return sorted(self._numbers(PREFIX))

    def append(self, monitors: MonitorSet) -> None:
        """Make ``monitors`` hold, whose number is the one after the newest.

        Raises
        ------
        StoreError
            When someone else wrote this number meanwhile.
        MonitorError
            When they are too large.
        """
        payload = encode_monitors(monitors)
        if len(payload) > LARGEST_BYTES:
            raise MonitorError(
                f"the monitors of this bucket have {len(payload):,} bytes; "
                f"at most {LARGEST_BYTES:,} are allowed"
            )
        self._append(
            PREFIX, payload, monitors.number - 1, "the monitors", "modelwatch monitors history"
        )
