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
from typing import Annotated

import msgspec

from modelwatch.domain.names import Name
from modelwatch.domain.numbers import SampleRate
from modelwatch.domain.records import Record, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOUBLE_BYTES = 8


class Head(msgspec.Struct, frozen=True, cache_hash=True, omit_defaults=True, kw_only=True):
    """What the records of a block have in common; see `modelwatch.domain.records.Record`.

    ``names`` are those of the features; ``types`` is empty or has a letter for each of them.
    """

    model_name: Name
    model_version: Name
    names: tuple[str, ...]
    variant: str = ""
    source: str = "external"
    types: Annotated[str, msgspec.Meta(pattern="^[dlsb]*$")] = ""
    sample_rate: SampleRate = 1.0


@dataclass(slots=True, kw_only=True)
class Block:
    """Records with the same head: a list a field, with a value a record each.

    Attributes
    ----------
    captured_at_ms
        In milliseconds since 1970, UTC.
    columns
        The values of each feature, in the order of the head's names; None: they are in ``doubles``.
    doubles
        Little-endian doubles, record after record, of the features whose column is None; NaN where
        a record has no value.
    """

    head: Head
    event_ids: list[str]
    captured_at_ms: list[int]
    predictions: list[Value]
    probabilities: list[list[float] | None]
    latencies_ms: list[float]
    lost_before: list[int]
    errors: list[str]
    columns: list[list[Value] | None]
    doubles: bytes = b""
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        self._width = _DOUBLE_BYTES * sum(column is None for column in self.columns)

    def __len__(self) -> int:
        return len(self.event_ids)

    def select(self, places: Sequence[int]) -> Block:
        """Return the records at ``places``, in that order."""
        width = self._width

        def of[T](values: list[T]) -> list[T]:
            return [values[place] for place in places]

        return Block(
            head=self.head,
            event_ids=of(self.event_ids),
            captured_at_ms=of(self.captured_at_ms),
            predictions=of(self.predictions),
            probabilities=of(self.probabilities),
            latencies_ms=of(self.latencies_ms),
            lost_before=of(self.lost_before),
            errors=of(self.errors),
            columns=[None if column is None else of(column) for column in self.columns],
            doubles=b"".join(
                [self.doubles[place * width : (place + 1) * width] for place in places]
            ),
        )

    def records(self) -> list[Record]:
        """Return the records one by one."""
        inner = iter(zip(*self._unpacked(), strict=True))
        columns = [next(inner) if column is None else column for column in self.columns]
        rows = zip(*columns, strict=True) if columns else [()] * len(self)
        head = self.head
        return [
            Record(
                event_id=event_id,
                captured_at=_EPOCH + timedelta(milliseconds=at),
                model_name=head.model_name,
                model_version=head.model_version,
                variant=head.variant,
                features=dict(zip(head.names, values, strict=True)),
                prediction=prediction,
                probabilities=probabilities,
                latency_ms=latency,
                source=head.source,
                types=head.types,
                sample_rate=head.sample_rate,
                lost_before=lost,
                error=error,
            )
            for event_id, at, prediction, probabilities, latency, lost, error, values in zip(
                self.event_ids,
                self.captured_at_ms,
                self.predictions,
                self.probabilities,
                self.latencies_ms,
                self.lost_before,
                self.errors,
                rows,
                strict=True,
            )
        ]

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
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, record in enumerate(records):
        key = (
            record.model_name,
            record.model_version,
            record.variant,
            record.source,
            record.types,
            record.sample_rate,
            *record.features,
        )
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def blocks_of(records: Sequence[Record]) -> list[Block]:
    """Return ``records`` as blocks, one a head, in the order in which the heads come."""
    return [_block([records[place] for place in places]) for places in places_by_head(records)]


def _block(records: Sequence[Record]) -> Block:
    first = records[0]
    values = zip(*[record.features.values() for record in records], strict=True)
    return Block(
        head=Head(
            model_name=first.model_name,
            model_version=first.model_version,
            names=tuple(first.features),
            variant=first.variant,
            source=first.source,
            types=first.types,
            sample_rate=first.sample_rate,
        ),
        event_ids=[record.event_id for record in records],
        captured_at_ms=[record.captured_at_ms for record in records],
        predictions=[record.prediction for record in records],
        probabilities=[record.probabilities for record in records],
        latencies_ms=[record.latency_ms for record in records],
        lost_before=[record.lost_before for record in records],
        errors=[record.error for record in records],
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
        event_ids=of(block.event_ids for block in blocks),
        captured_at_ms=of(block.captured_at_ms for block in blocks),
        predictions=of(block.predictions for block in blocks),
        probabilities=of(block.probabilities for block in blocks),
        latencies_ms=of(block.latencies_ms for block in blocks),
        lost_before=of(block.lost_before for block in blocks),
        errors=of(block.errors for block in blocks),
        columns=[
            None if column is None else of(block.columns[place] or [] for block in blocks)
            for place, column in enumerate(first.columns)
        ],
        doubles=b"".join([block.doubles for block in blocks]),
    )
