"""Waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(done: Callable[[], bool], patience_seconds: float, every_seconds: float) -> bool:
    """Call ``done`` repeatedly; return whether it became true in time."""
    deadline = time.monotonic() + patience_seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True
