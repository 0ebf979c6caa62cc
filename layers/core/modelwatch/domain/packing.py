"""Messages of records as predict sends them: their head once, doubles as bytes, lists by field.

A message is JSON and stands alone: its head names the features, so that it can be read whenever it
comes, from the dead letters, too, and with nothing else at hand. A reader keeps the heads that it
has read: the same bytes are the same head. Values of type d are little-endian doubles in base64,
record after record, with NaN for a missing one: there is nothing to be parsed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Literal

import msgspec

from modelwatch.domain.blocks import Block, Head, blocks_of
from modelwatch.domain.event_ids import are_event_ids
from modelwatch.domain.faults import UNREADABLE, invalid_json
from modelwatch.domain.numbers import Whole
from modelwatch.domain.records import (
    FUTURE_TOLERANCE_MS,
    PREDICT_SOURCE,
    Record,
    Refusal,
    Value,
    decode_record,
    encode_record,
)
from modelwatch.errors import InvalidInputError

_BEGINS = '{"packed":'
_MOST_HEADS = 1000
_FIRST_MS, _LAST_MS = 31_536_000_000, 253_370_764_799_999
"""The years 1971 to 9998, as `decode_record` has them."""

_NAN = float("nan")


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    packed: Literal[1]
    head: msgspec.Raw
    ids: list[str]
    at: list[Whole]
    predictions: list[Value]
    latencies: list[float]
    probabilities: list[list[float] | None] = []
    lost: list[Whole] = []
    errors: list[str] = []
    columns: list[list[Value] | None] = []
    doubles: bytes = b""


class _UntypedMessage(_Message):
    """The same with its values as they came: one that is wrong is of one record."""

    ids: list[msgspec.Raw]  # type: ignore[assignment]
    at: list[msgspec.Raw]  # type: ignore[assignment]
    predictions: list[msgspec.Raw]  # type: ignore[assignment]
    latencies: list[msgspec.Raw]  # type: ignore[assignment]
    probabilities: list[msgspec.Raw] = []  # type: ignore[assignment]
    lost: list[msgspec.Raw] = []  # type: ignore[assignment]
    errors: list[msgspec.Raw] = []  # type: ignore[assignment]
    columns: list[list[msgspec.Raw] | None] = []  # type: ignore[assignment]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Message)
_untyped_decoder = msgspec.json.Decoder(_UntypedMessage)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_head_decoder = msgspec.json.Decoder(Head)
_heads: dict[bytes, Head] = {}


def pack(block: Block) -> bytes:
    """Return ``block`` as a message."""
    columns, doubles = _packed_columns(block)
    message = _Message(
        packed=1,
        head=msgspec.Raw(_encoder.encode(block.head)),
        ids=block.event_ids,
        at=block.captured_at_ms,
        predictions=block.predictions,
        latencies=block.latencies_ms,
        probabilities=block.probabilities if any(block.probabilities) else [],
        lost=block.lost_before if any(block.lost_before) else [],
        errors=block.errors if any(block.errors) else [],
        columns=columns,
        doubles=doubles,
    )
    return _encoder.encode(message)


def is_packed(body: str) -> bool:
    """Return whether a message of the capture queue is one that `pack` made.

    Examples
    --------
    >>> is_packed('{"packed":1}'), is_packed('[{"event_id":""}]')
    (True, False)
    """
    return body.startswith(_BEGINS)


def unpack(body: str, now_ms: int) -> tuple[Block | None, list[Refusal]]:
    """Read what `pack` made, and part the good records from the others; see `sort_records`.

    Raises
    ------
    InvalidInputError
        When it is something else.
    """
    try:
        block = _block(_decoder.decode(body))
    except UNREADABLE as error:
        try:
            untyped = _block(_untyped_decoder.decode(body))
        except UNREADABLE:
            raise invalid_json(error) from None
        return _parted(untyped, now_ms)
    return (block, []) if _is_plainly_good(block, now_ms) else _parted(block, now_ms)


def _block(message: _Message) -> Block:
    head = _head_of(bytes(message.head))
    rows = len(message.ids)
    block = Block(
        head=head,
        event_ids=message.ids,
        captured_at_ms=message.at,
        predictions=message.predictions,
        probabilities=message.probabilities or [None] * rows,
        latencies_ms=message.latencies,
        lost_before=message.lost or [0] * rows,
        errors=message.errors or [""] * rows,
        columns=message.columns or [None] * len(head.names),
        doubles=message.doubles,
    )
    _check_form(block)
    return block


def _head_of(data: bytes) -> Head:
    head = _heads.get(data)
    if head is None:
        head = _head_decoder.decode(data)
        if head.types and len(head.types) != len(head.names):
            problem = f"has {len(head.types)} letters for {len(head.names)} features"
            raise InvalidInputError("head.types", problem)
        if len(set(head.names)) != len(head.names):
            twice = next(name for name in head.names if head.names.count(name) > 1)
            raise InvalidInputError("head.names", f"has {twice!r} more than once")
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        _heads[data] = head
    return head


def _packed_columns(block: Block) -> tuple[list[list[Value] | None], bytes]:
    """Return the columns with None for those that can go as doubles, and these."""
    letters = block.head.types or " " * len(block.columns)
    columns: list[list[Value] | None] = []
    doubles: list[list[float]] = []
    for letter, column in zip(letters, block.columns, strict=True):
        if column is None:
            raise ValueError("the block is packed already")
        if letter == "d" and {type(value) for value in column} <= {float, type(None)}:
            doubles.append([_NAN if value is None else value for value in column])  # type: ignore[misc]
            columns.append(None)
        else:
            columns.append(column)
    if len(doubles) == len(columns):
        columns = []
    if not doubles:
        return columns, b""
    row = struct.Struct(f"<{len(doubles)}d")
    return columns, b"".join([row.pack(*values) for values in zip(*doubles, strict=True)])


def _check_form(block: Block) -> None:
    rows, width = len(block), sum(column is None for column in block.columns)
    lists: list[tuple[str, Sequence[object]]] = [
        ("at", block.captured_at_ms),
        ("predictions", block.predictions),
        ("probabilities", block.probabilities),
        ("latencies", block.latencies_ms),
        ("lost", block.lost_before),
        ("errors", block.errors),
    ]
    lists += [("columns", column) for column in block.columns if column is not None]
    for field, values in lists:
        if len(values) != rows:
            raise InvalidInputError(field, f"has {len(values)} values for {rows} records")
    if len(block.columns) != len(block.head.names):
        problem = f"has {len(block.columns)} entries for {len(block.head.names)} features"
        raise InvalidInputError("columns", problem)
    if len(block.doubles) != 8 * width * rows:
        problem = f"has {len(block.doubles)} bytes for {width} features of {rows} records"
        raise InvalidInputError("doubles", problem)


def _is_plainly_good(block: Block, now_ms: int) -> bool:
    """Return whether all records are good, as far as that shows without a look at each."""
    return (
        len(block) > 0
        and block.head.source == PREDICT_SOURCE
        and not any(block.errors)
        and min(block.captured_at_ms) >= _FIRST_MS
        and max(block.captured_at_ms) <= min(now_ms + FUTURE_TOLERANCE_MS, _LAST_MS)
        and min(block.latencies_ms) >= 0
        and min(block.lost_before) >= 0
        and are_event_ids(block.event_ids)
    )


def _parted(block: Block, now_ms: int) -> tuple[Block | None, list[Refusal]]:
    good, refusals = [], []
    for place in range(len(block)):
        try:
            good.append(_checked(block.select([place]), now_ms))
        except _RefusedError as refused:
            body, error = refused.args
            refusals.append(Refusal(body.decode(), error.within(f"[{place}]")))
    if not refusals:
        return block, []
    return (blocks_of(good)[0] if good else None), refusals


class _RefusedError(Exception):
    """A record as JSON, and what is wrong with it."""


def _checked(alone: Block, now_ms: int) -> Record:
    """Return the one record of a block, whose values may be of any type."""
    at = alone.captured_at_ms[0]
    known = _milliseconds(at)
    alone.captured_at_ms = [known or 0]
    record = alone.records()[0]
    text = encode_record(record)
    if known is None:
        # no date can hold it: the record is shown with what it is
        text = _encoder.encode(_fields_decoder.decode(text) | {"captured_at": at})
        shown = bytes(at).decode() if isinstance(at, msgspec.Raw) else at
        raise _RefusedError(
            text, InvalidInputError("captured_at", f"{shown} is no time from 1971 to 9998")
        )
    for name, value in record.features.items():
        if isinstance(value, float) and math.isinf(value):
            # JSON has null for it
            raise _RefusedError(text, InvalidInputError(f"features.{name}", "is infinite"))
    try:
        return decode_record(text, now_ms, is_ours=True)
    except InvalidInputError as error:
        raise _RefusedError(text, error) from None


def _milliseconds(at: int | msgspec.Raw) -> int | None:
    if isinstance(at, msgspec.Raw):
        try:
            at = msgspec.json.decode(at, type=int)
        except UNREADABLE:
            return None
    return at if _FIRST_MS <= at <= _LAST_MS else None
