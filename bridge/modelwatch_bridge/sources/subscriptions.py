"""What a subscription filter of CloudWatch Logs sends: gzip members, one after the other.

Each member is one JSON object with some events of one log stream; Firehose writes them to an object
of S3 as they come, with nothing between them.
Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b\x08"
_PIECE_BYTES = 1024 * 1024

MAX_MEMBER_BYTES = 64 * 1024 * 1024
"""Most bytes of an unpacked member. A record of Firehose has 1000 KiB, packed."""


class SentEvent(msgspec.Struct):
    """An event as CloudWatch Logs sends it."""

    id: str
    timestamp: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    message: str


class Sent(msgspec.Struct, rename="camel"):
    """Events of a log stream; a control message, which tests the way, has none of interest."""

    message_type: str
    log_group: str = ""
    log_stream: str = ""
    log_events: list[SentEvent] = []


_decode = msgspec.json.Decoder(Sent).decode


def sent(chunks: Iterable[bytes], max_bytes: int = MAX_MEMBER_BYTES) -> Iterator[Sent | None]:
    """Yield what the members of an object hold; None for something that is no member.

    One chunk, one unpacked member and its events are in memory at a time. After what cannot be
    read it goes on with the next member.

    Parameters
    ----------
    chunks
        The object's bytes in order, in pieces of any size.
    max_bytes
        A member that is larger unpacked is no member.
    """
    for member in _members(chunks, max_bytes):
        try:
            yield None if member is None else _decode(member)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            yield None


def _members(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes | None]:
    reader: zlib._Decompress | None = None
    unpacked = bytearray()
    is_lost = is_too_large = False
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        rest = b""
        while data:
            if reader is None:
                at = data.find(_MAGIC)
                if at != 0 and not is_lost and not _MAGIC.startswith(data):
                    yield None
                    is_lost = True
                if at < 0:
                    # the beginning of a member may be cut in two
                    rest = data[-2:]
                    break
                data = data[at:]
                is_lost = False
                reader = zlib.decompressobj(_GZIP)
            try:
                piece = reader.decompress(data, _PIECE_BYTES)
            except zlib.error:
                yield None
                data = data[1:] if not unpacked else data
                reader, is_lost, is_too_large = None, True, False
                unpacked.clear()
                continue
            if len(unpacked) + len(piece) > max_bytes:
                is_too_large = True
                unpacked.clear()
            if not is_too_large:
                unpacked += piece
            data = reader.unconsumed_tail
            if reader.eof:
                data = reader.unused_data
                yield None if is_too_large else bytes(unpacked)
                reader, is_too_large = None, False
                unpacked.clear()
    if reader is not None or (rest and not is_lost):
        yield None
