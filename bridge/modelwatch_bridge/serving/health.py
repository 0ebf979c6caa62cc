"""Whether the bridge reads all sources."""

from __future__ import annotations

import threading
from typing import TypedDict

from modelwatch_bridge.lines.events import Clock


class HealthReport(TypedDict):
    """Body of `GET /health`."""

    status: str
    reason: str
    last_success: float | None


class Health:
    """When the sources were last read, and what went wrong since.

    Parameters
    ----------
    stale_ms
        After so long without reading every source it is not ready, in milliseconds.
    """

    def __init__(self, clock: Clock, stale_ms: int) -> None:
        self._clock = clock
        self._stale_ms = stale_ms
        self._lock = threading.Lock()
        self._last_success_ms: int | None = None
        self._problem = "nothing was read yet"
        self.failures = 0

    @property
    def last_success_ms(self) -> int | None:
        """When every source was read, in milliseconds since 1970; None: not yet."""
        return self._last_success_ms

    def note_success(self) -> None:
        """Say that every source was read."""
        with self._lock:
            self._last_success_ms = self._clock()
            self._problem = ""

    def note_failure(self, problem: str) -> None:
        """Say that some source was not read, and why."""
        with self._lock:
            self.failures += 1
            self._problem = problem

    def report(self) -> tuple[bool, HealthReport]:
        """Return whether the bridge is ready, and the body that says so."""
        with self._lock:
            last = self._last_success_ms
            if last is None:
                reason = self._problem
            elif self._clock() - last > self._stale_ms:
                silent_seconds = (self._clock() - last) // 1000
                reason = f"no source was read for {silent_seconds} s"
                if self._problem:
                    reason += f": {self._problem}"
            else:
                reason = ""
            return not reason, {
                "status": "not ready" if reason else "ready",
                "reason": reason,
                "last_success": None if last is None else last / 1000,
            }
