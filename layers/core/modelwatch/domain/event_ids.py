"""Event ids: UUIDs of version 7, which sort by the time they were made."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Sequence

from modelwatch.domain.names import EVENT_ID_PATTERN

_CANONICAL = re.compile(EVENT_ID_PATTERN)
_SHAPE = b"00000000-0000-0000-0000-000000000000"
_DIGITS = bytes.maketrans(b"123456789abcdefABCDEF", b"0" * 21)


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


def derived_event_id(event_id: str, name: str) -> str:
    """Return the id of an event that goes with another, such as a shadow's prediction.

    It always follows from the two arguments, and keeps the time of ``event_id``; capitals in that
    make no difference.

    Examples
    --------
    >>> derived_event_id("018bcfe5-6800-7000-8000-000000000000", "shadow")
    '018bcfe5-6800-7000-ab03-12295ec29e3d'
    """
    low = hashlib.blake2b(f"{event_id.lower()}/{name}".encode(), digest_size=8).digest()
    bits = uuid.UUID(event_id).int >> 64 << 64 | int.from_bytes(low)
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=bits))


def named_event_id(text: str, model_name: str) -> str:
    """Return the event id for an id of another system: itself if it is a UUID, else made from it.

    Examples
    --------
    >>> named_event_id("order 17", "churn")
    '5ed1e391-1ea0-5ced-9c4c-daa34f6dc24e'
    >>> named_event_id("018BCFE5-6800-7000-8000-000000000000", "churn")
    '018bcfe5-6800-7000-8000-000000000000'
    """
    if is_event_id(text):
        return text.lower()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{model_name}/{text}"))


def is_event_id(text: str) -> bool:
    """Return whether ``text`` is a UUID in its canonical form.

    Examples
    --------
    >>> is_event_id("018bcfe5-6800-7000-8000-000000000000"), is_event_id("42")
    (True, False)
    """
    return _CANONICAL.fullmatch(text) is not None


def are_event_ids(texts: Sequence[str]) -> bool:
    """Return whether all of ``texts`` are; see `is_event_id`.

    Examples
    --------
    >>> are_event_ids(["018bcfe5-6800-7000-8000-000000000000"] * 2), are_event_ids(["42"])
    (True, False)
    """
    # all at once: a look at each alone takes several times as long
    shapes = "".join(texts).encode(errors="replace").translate(_DIGITS)
    return shapes == _SHAPE * len(texts) and set(map(len, texts)) <= {len(_SHAPE)}


def event_time_ms(event_id: str) -> int | None:
    """Return the time in a UUIDv7, in milliseconds since 1970; None for every other UUID.

    Examples
    --------
    >>> event_time_ms("018bcfe5-6800-7000-8000-000000000000")
    1700000000000
    >>> event_time_ms("00000000-0000-4000-8000-000000000000") is None
    True
    """
    parsed = uuid.UUID(event_id)
    return parsed.int >> 80 if parsed.version == 7 else None
