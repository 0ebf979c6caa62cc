"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

#: For whatever is to happen: far more than a slow and busy machine needs. Only what hangs takes it.
PATIENCE_SECONDS = 300.0


def eventually[T](probe: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Return what ``probe`` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if found := probe():
            return found
        ended = time.monotonic()
        assert ended < deadline, f"nothing within {seconds:.0f} s, at last {found!r}"
        # a probe that runs a command takes time from what it waits for
        time.sleep(max(0.5, 2 * (ended - began)))
