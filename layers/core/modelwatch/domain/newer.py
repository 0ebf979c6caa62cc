"""Messages of a newer release: what this one does not know of them is left out, and said."""

from __future__ import annotations

import logging
from functools import lru_cache

import msgspec

from modelwatch.domain.faults import UNREADABLE

_LOG = logging.getLogger(__name__)

_MOST_NAMES = 10
_LONGEST_NAME = 60

_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


def without_unknown(body: bytes | str, kind: type[msgspec.Struct]) -> bytes | None:
    """Return a JSON object without fields that ``kind`` does not have; None if it has none.

    It is for what comes from our own queue, where a newer predict or capture may have added a
    field: what callers send is refused with the field's name.

    Examples
    --------
    >>> class Point(msgspec.Struct):
    ...     x: int
    >>> without_unknown('{"x": 1, "y": {}}', Point)
    b'{"x":1}'
    >>> without_unknown('{"x": 1}', Point)
    """
    try:
        fields = _fields_decoder.decode(body)
    except UNREADABLE:
        return None
    unknown = fields.keys() - set(kind.__struct_encode_fields__)
    if not unknown:
        return None
    _warn(kind.__name__, tuple(sorted(unknown)[:_MOST_NAMES]))
    return _encoder.encode({name: fields[name] for name in fields if name not in unknown})


@lru_cache(maxsize=100)
def _warn(kind: str, names: tuple[str, ...]) -> None:
    """Say what is left out: once, not for each record of a release that lasts for weeks."""
    listed = ", ".join(repr(name[:_LONGEST_NAME]) for name in names)
    _LOG.warning("fields of a newer release are left out of each %s: %s", kind, listed)
