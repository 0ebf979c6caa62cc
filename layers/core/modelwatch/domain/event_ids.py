"""Event ids: UUIDs of version 7, which sort by the time they were made."""

from __future__ import annotations

import os
import uuid


def new_event_id(now_ms: int) -> str:
    """Return a new UUIDv7 for the time ``now_ms`` (milliseconds since 1970).

    Source: RFC 9562, section 5.7: 48 bits of time, then random bits.

    Examples
    --------
    >>> new_event_id(1_700_000_000_000)[:15]
    '018bcfe5-6800-7'
    """
    bits = now_ms << 80 | int.from_bytes(os.urandom(10))
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=bits))


def is_event_id(text: str) -> bool:
    """Tell whether ``text`` is a UUID in its canonical form.

    Examples
    --------
    >>> is_event_id("018bcfe5-6800-7000-8000-000000000000"), is_event_id("42")
    (True, False)
    """
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
