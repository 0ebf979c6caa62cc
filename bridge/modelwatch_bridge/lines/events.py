"""A log event, and its identity."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

Clock = Callable[[], int]
"""Milliseconds since 1970."""


class LogEvent(NamedTuple):
    """One event of a log.

    Parameters
    ----------
    at_ms
        The event's own time, in milliseconds since 1970 (UTC).
    stream
        Log stream that holds it; a function's execution environment has one.
    event_id
        The source's id. CloudWatch's is unique for ever; LocalStack's counts from 0
        again after each restart, so it identifies an event only together with the rest.
    message
        What was logged, one or more lines.
    """

    at_ms: int
    stream: str
    event_id: str
    message: str

    def key(self) -> int:
        """Return a 64-bit identity within the log group, as SQLite's signed integer.

        It covers stream, id and text; the time is stored separately. Two
        different events of a million in the window share one with a probability of 3e-8.
        """
        text = f"{self.stream}\0{self.event_id}\0{self.message}"
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, signed=True)
