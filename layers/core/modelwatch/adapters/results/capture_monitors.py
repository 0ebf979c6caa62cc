"""What monitors say to predict and capture: little code, for a cold start."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.model_capture import MONITORS_FORMAT, MonitorCapture
from modelwatch.domain.segments import SEGMENTS_SETTING, Segments, SegmentsOf, read_segments
from modelwatch.errors import MonitorError, NotFoundError, SettingError

_LOG = logging.getLogger(__name__)

PREFIX = "monitors/"
"""Where monitors are; see `modelwatch.adapters.results.monitors`."""


class _Monitors(msgspec.Struct, frozen=True):
    # each alone: what one of them says that no one can read concerns no other
    monitors: dict[str, msgspec.Raw] = {}
    format: int = MONITORS_FORMAT


class _Monitor(msgspec.Struct, frozen=True):
    capture: MonitorCapture | None = None
    settings: dict[str, str] = {}


_decode_all = msgspec.json.Decoder(_Monitors).decode
_decode_one = msgspec.json.Decoder(_Monitor).decode


class S3CaptureMonitors(S3Store):
    """A `modelwatch.ports.capture.CaptureMonitors` in ``bucket``.

    The first look costs a listing and a read, each later one a read of the number after the known
    one, which is seldom there.

    Parameters
    ----------
    fresh_seconds
        So long what was read holds without another look.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        fresh_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, bucket)
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._looked_at = float("-inf")
        self._number = -1
        self._known = b""
        self._monitors: dict[str, msgspec.Raw] | None = None
        self._lock = threading.Lock()

    def of(self, model_name: str) -> MonitorCapture | None:
        """Return what the monitor of a model says of its capture; None: nothing."""
        own = self._monitor(model_name)
        return own.capture if own else None

    def setting(self, model_name: str, name: str) -> str | None:
        """Return what the monitor of a model says in place of a setting; raises as `of` does."""
        own = self._monitor(model_name)
        return own.settings.get(name) if own else None

    def _monitor(self, model_name: str) -> _Monitor | None:
        with self._lock:
            if self._clock() - self._looked_at > self._fresh_seconds:
                self._look()
                self._looked_at = self._clock()
            try:
                if self._monitors is None:
                    self._monitors = _read(self._known)
                own = self._monitors.get(model_name)
                return None if own is None else _decode_one(own)
            except UNREADABLE as error:
                raise MonitorError(f"its monitor cannot be read: {error}") from error

    def _look(self) -> None:
        """Read what is newer than what is known; raises StoreError."""
        if self._number < 0:
            number = self._newest(PREFIX)
            self._keep(number, self._version(PREFIX, number) if number else b"")
            return
        while True:
            try:
                self._keep(self._number + 1, self._version(PREFIX, self._number + 1))
            except NotFoundError:
                return

    def _keep(self, number: int, payload: bytes) -> None:
        self._number, self._known, self._monitors = number, payload, None


def captured_segments(monitors: S3CaptureMonitors, declared: str) -> SegmentsOf:
    """Return what gives the segments that capture profiles, by the name of a model.

    They are those of the model's monitor, else the ``declared`` ones: also where the monitor cannot
    be read, such as one of a newer release. Nothing that is captured may be lost for that.
    """
    parse = cache(read_segments)
    defaults = parse(declared)

    def segments_of(model_name: str) -> Segments:
        try:
            own = monitors.setting(model_name, SEGMENTS_SETTING)
            return defaults if own is None else parse(own)
        except (MonitorError, SettingError) as error:
            _LOG.warning("%s has the segments of the deployment: %s", model_name, error)
            return defaults

    return segments_of


def _read(payload: bytes) -> dict[str, msgspec.Raw]:
    held = _decode_all(payload) if payload else _Monitors()
    if held.format != MONITORS_FORMAT:
        raise MonitorError(
            f"the monitors have format {held.format}; this code reads {MONITORS_FORMAT}"
        )
    return held.monitors
