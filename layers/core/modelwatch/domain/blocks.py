"""Records column by column: what travels in a message together, and what Parquet is made of.

The records of a block have the same head: who predicted, who sent them, and which features they
have in which order. So a thousand records name their features once, and no object stands for a
single value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from modelwatch.domain.names import Name, Source, VariantName
from modelwatch.domain.numbers import SampleRate
from modelwatch.domain.records import ROW_FIELDS, Record, Types, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOUBLE_BYTES = 8


class Head(msgspec.Struct, frozen=True, cache_hash=True, omit_defaults=True, kw_only=True):
    """What the records of a block have in common; see `modelwatch.domain.records.Record`.

    ``names`` are those of the features; ``types`` is empty or has a letter for each of them.
    """

    model_name: Name
    model_version: Name
    names: tuple[str, ...]
    variant: VariantName = ""
    source: Source = "external"
    types: Types = ""
    sample_rate: SampleRate = 1.0


HEAD_FIELDS = tuple(name for name in Head.__struct_fields__ if name != "names")
"""The fields of a record that its head says."""

_head_of = attrgetter(*HEAD_FIELDS)


_ROWS = [each.name for each in ROW_FIELDS]


def _function(parameters: str, expression: str) -> Any:
    """Return a function whose text names every field, made once: loops over names are slower."""
    return eval(f"lambda {parameters}: {expression}", globals())  # noqa: S307 - own text


def _arguments(names: Iterable[str], value: str) -> str:
    """Return keyword arguments as text; ``{}`` in ``value`` stands for the name."""
    return "".join([f"{name}={value.format(name)}, " for name in names])


_new_head = _function(
    "record", f"Head(names=tuple(record.features), {_arguments(HEAD_FIELDS, 'record.{}')})"
)
_new_rows = _function(
    "records",
    f"dict({_arguments(_ROWS, '[each.{} for each in records]')})"
    # where a block has milliseconds
    .replace("each.captured_at ", "each.captured_at_ms "),
)
_new_records = _function(
    "head, rows",
    f"[Record({_arguments(HEAD_FIELDS, 'head.{}')} {_arguments([*_ROWS, 'features'], '{}')})"
    f" for {', '.join(_ROWS)}, features in rows]",
)


@dataclass(slots=True, kw_only=True)
class Block:
    """Records with the same head: a list a field, with a value a record each.

    Attributes
    ----------
    rows
        The values of each of `ROW_FIELDS`, by name; ``captured_at`` in milliseconds since 1970.
    columns
        The values of each feature, in the order of the head's names; None: they are in ``doubles``.
    doubles
        Little-endian doubles, record after record, of the features whose column is None; NaN where
        a record has no value.
    """

    head: Head
    rows: dict[str, list[Any]]
    columns: list[list[Value] | None]
    doubles: bytes = b""
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        self._width = _DOUBLE_BYTES * sum(column is None for column in self.columns)

    def __len__(self) -> int:
        return len(self.event_ids)

    @property
    def event_ids(self) -> list[str]:
        """The ids of the records."""
        return self.rows["event_id"]

    @property
    def captured_at_ms(self) -> list[int]:
        """When they were made, in milliseconds since 1970."""
        return self.rows["captured_at"]

    def select(self, places: Sequence[int]) -> Block:
        """Return the records at ``places``, in that order."""
        width = self._width

        def of[T](values: list[T]) -> list[T]:
            return [values[place] for place in places]

        return Block(
            head=self.head,
            rows={name: of(values) for name, values in self.rows.items()},
            columns=[None if column is None else of(column) for column in self.columns],
            doubles=b"".join(
                [self.doubles[place * width : (place + 1) * width] for place in places]
            ),
        )

    def records(self) -> list[Record]:
        """Return the records one by one."""
        inner = iter(zip(*self._unpacked(), strict=True))
        columns = [next(inner) if column is None else column for column in self.columns]
        values = zip(*columns, strict=True) if columns else [()] * len(self)
        features = [dict(zip(self.head.names, each, strict=True)) for each in values]
        times = [_EPOCH + timedelta(milliseconds=at) for at in self.captured_at_ms]
        rows = self.rows | {"captured_at": times}
        own = zip(*[rows[name] for name in _ROWS], features, strict=True)
        return list(_new_records(self.head, own))

    def _unpacked(self) -> list[list[Value]]:
        """Return ``doubles`` as rows of values."""
        if not self._width:
            return []
        row = struct.Struct(f"<{self._width // _DOUBLE_BYTES}d")
        return [
            [None if value != value else value for value in values]
            for values in row.iter_unpack(self.doubles)
        ]


def places_by_head(records: Sequence[Record]) -> list[list[int]]:
    """Return the places of the records that have the same head, in the order of the heads."""
    if len(records) == 1:
        return [[0]]
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, record in enumerate(records):
        key = (_head_of(record), *record.features)
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def blocks_of(records: Sequence[Record]) -> list[Block]:
    """Return ``records`` as blocks, one a head, in the order in which the heads come."""
    return [_block([records[place] for place in places]) for places in places_by_head(records)]


def _block(records: Sequence[Record]) -> Block:
    values = zip(*[record.features.values() for record in records], strict=True)
    return Block(
        head=_new_head(records[0]),
        rows=_new_rows(records),
        columns=[list(column) for column in values],
    )


def joined_blocks(blocks: Iterable[Block]) -> list[Block]:
    """Return blocks with all records of ``blocks``, those of the same form together."""
    groups: dict[tuple[Head, tuple[bool, ...]], list[Block]] = {}
    for block in blocks:
        form = tuple([column is None for column in block.columns])
        groups.setdefault((block.head, form), []).append(block)
    return [found[0] if len(found) == 1 else _joined(found) for found in groups.values()]


def _joined(blocks: Sequence[Block]) -> Block:
    def of[T](lists: Iterable[list[T]]) -> list[T]:
        return [value for values in lists for value in values]

    first = blocks[0]
    return Block(
        head=first.head,
        rows={name: of(block.rows[name] for block in blocks) for name in first.rows},
        columns=[
            None if column is None else of(block.columns[place] or [] for block in blocks)
            for place, column in enumerate(first.columns)
        ],
        doubles=b"".join([block.doubles for block in blocks]),
    )
