"""Waiting for what happens elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(done: Callable[[], bool], patience_seconds: float, every_seconds: float) -> bool:
    """Ask ``done`` again and again; return whether it came true in time."""
    deadline = time.monotonic() + patience_seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True
