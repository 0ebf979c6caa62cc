"""Messages of records as predict sends them: their head once, doubles as bytes, lists by field.

A message is JSON and stands alone: its head names the features, so that it can be read whenever it
comes, from the dead letters, too, and with nothing else at hand. A reader keeps the heads that it
has read: the same bytes are the same head. Values of type d are little-endian doubles in base64,
record after record, with NaN for a missing one: there is nothing to be parsed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from operator import attrgetter
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec
from msgspec import NODEFAULT

from modelwatch.domain.blocks import Block, Head, blocks_of
from modelwatch.domain.event_ids import are_event_ids
from modelwatch.domain.faults import MOST_FAULTS, UNREADABLE, invalid_json, repeated
from modelwatch.domain.names import feature_name_faults, key_faults
from modelwatch.domain.newer import without_unknown
from modelwatch.domain.numbers import Whole
from modelwatch.domain.records import (
    FUTURE_TOLERANCE_MS,
    PREDICT_SOURCE,
    ROW_FIELDS,
    Record,
    RecordField,
    Refusal,
    Value,
    decode_record,
    encode_record,
)
from modelwatch.errors import Fault, InvalidInputError

_BEGINS = '{"packed":'
_MOST_HEADS = 1000
_FIRST_MS, _LAST_MS = 31_536_000_000, 253_370_764_799_999
"""The years 1971 to 9998, as `decode_record` has them."""

_NAN = float("nan")

# what is done for every message is done with as little as goes
_PACKED = {each.name: each.form.packed for each in ROW_FIELDS}
_lists_of = attrgetter(*_PACKED.values())
_DEFAULTS = {
    each.name: each.default
    for each in ROW_FIELDS
    if not (each.default is NODEFAULT or each.form.is_always_packed)
}


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A message but for its lists; these are attributes with the names that `Form.packed` gives."""

    packed: Literal[1]
    head: msgspec.Raw
    columns: list[Any] = []
    doubles: bytes = b""


def _message_type(value: Any, value_of: Callable[[RecordField], Any]) -> Any:
    """Return the type of messages with features of type ``value`` and fields of ``value_of``."""
    fields: list[Any] = [("columns", _list_of(_list_of(value) | None), [])]
    for each in ROW_FIELDS:
        default: list[Any] = [[]] if each.name in _DEFAULTS else []
        fields.append((each.form.packed, _list_of(value_of(each)), *default))
    return msgspec.defstruct("Message", fields, bases=(_Message,), module=__name__, kw_only=True)


def _list_of(kind: Any) -> Any:
    return GenericAlias(list, (kind,))


def _checked_type(field: RecordField) -> Any:
    if field.name == "event_id":
        return str  # `are_event_ids` looks at all of them at once
    if field.value_type is datetime or (field.value_type is int and field.meta.ge is None):
        return Whole
    return Annotated[field.value_type, field.meta]


_Typed = _message_type(Value, _checked_type)
_Untyped = _message_type(msgspec.Raw, lambda _: msgspec.Raw)
"""With its values as they came: one that is wrong is of one record."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Typed)
_untyped_decoder = msgspec.json.Decoder(_Untyped)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_head_decoder = msgspec.json.Decoder(Head)
_time_decoder = msgspec.json.Decoder(int)
_heads: dict[bytes, Head] = {}


def pack(block: Block) -> bytes:
    """Return ``block`` as a message."""
    columns, doubles = _packed_columns(block)
    lists = {packed: block.rows[name] for name, packed in _PACKED.items()}
    size = len(block)
    for name, default in _DEFAULTS.items():
        if block.rows[name].count(default) == size:
            del lists[_PACKED[name]]
    message = _Typed(
        packed=1,
        head=msgspec.Raw(_encoder.encode(block.head)),
        **lists,
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

    Raises InvalidInputError when it is something else.
    """
    try:
        block = _block(_decoder.decode(body))
    except UNREADABLE as error:
        if known := without_unknown(body, _Typed):
            return unpack(known.decode(), now_ms)
        try:
            untyped = _block(_untyped_decoder.decode(body))
        except UNREADABLE:
            raise invalid_json(error) from None
        return _parted(untyped, now_ms)
    return (block, []) if _is_plainly_good(block, now_ms) else _parted(block, now_ms)


def _block(message: _Message) -> Block:
    head = _head_of(bytes(message.head))
    rows: dict[str, list[Any]] = dict(zip(_PACKED, _lists_of(message), strict=True))
    for name, default in _DEFAULTS.items():
        if not rows[name]:
            rows[name] = [default] * len(rows["event_id"])
    block = Block(
        head=head,
        rows=rows,
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
        if faults := list(islice(_name_faults(head), MOST_FAULTS)):
            raise InvalidInputError.of(faults).within("head")
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        _heads[data] = head
    return head


def _name_faults(head: Head) -> Iterator[Fault]:
    """Yield what is wrong with the names of a head: they become folders, columns and metrics."""
    for field in ("model_name", "model_version", "variant"):
        yield from key_faults(getattr(head, field), field)
    yield from feature_name_faults(head.names, "names")
    yield from (Fault("names", f"has {name!r} more than once") for name in repeated(head.names))


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
    rows, width = len(block), sum([column is None for column in block.columns])
    if {*map(len, block.rows.values())} != {rows} or len(block.columns) != width:
        lists = [(_PACKED[name], values) for name, values in block.rows.items()]
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
    """Return whether all records of a message of the right types are good."""
    rows = block.rows
    times = rows["captured_at"]
    return (
        len(times) > 0
        and block.head.source == PREDICT_SOURCE
        and min(times) >= _FIRST_MS
        and max(times) <= min(now_ms + FUTURE_TOLERANCE_MS, _LAST_MS)
        and not any(map(_has_both, rows["error"], rows["prediction"]))
        and are_event_ids(rows["event_id"])
    )


def _has_both(error: str, prediction: Value) -> bool:
    return bool(error) and prediction is not None


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
    alone.rows["captured_at"] = [known or 0]
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
            at = _time_decoder.decode(at)
        except UNREADABLE:
            return None
    return at if _FIRST_MS <= at <= _LAST_MS else None
