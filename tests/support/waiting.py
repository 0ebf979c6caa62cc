"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually[T](probe: Callable[[], T], seconds: float = 90) -> T:
    """Return what ``probe`` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if found := probe():
            return found
        ended = time.monotonic()
        assert ended < deadline, f"nothing within {seconds} s"
        # a probe that runs a command takes time from what it waits for
        time.sleep(max(0.5, 2 * (ended - began)))
