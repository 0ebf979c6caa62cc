"""Writing groups of records or labels, so that what cannot be stored costs nothing else.

What the store refuses (`StoreError`) waits for another try. An exception that no one foresaw is
taken for the fault of one element: the group is halved until it stands alone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from modelwatch.domain.blocks import Block, joined_blocks
from modelwatch.domain.labels import Label, encode_label
from modelwatch.domain.records import encode_record
from modelwatch.errors import StoreError, stack_of

_LOG = logging.getLogger(__name__)

_HOUR_MS = 3_600_000


class Fault(NamedTuple):
    """An element that raises when it is written.

    ``body`` is a message of it alone; ``is_alone`` says that others of its group were stored.
    """

    body: str
    reason: str
    is_alone: bool


@dataclass(slots=True)
class Written:
    """What became of groups: how many elements were stored, the ids of those that wait, faults."""

    stored: int = 0
    waiting: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)


def write_groups[T: (Block, Label)](
    write: Callable[[Sequence[T]], str],
    groups: Iterable[list[T]],
    may_go_on: Callable[[], bool],
    at_once: int = 1,
) -> Written:
    """Write each group, ``at_once`` in parallel. When ``may_go_on`` ends it, the rest waits."""

    def written(group: list[T]) -> Written:
        found = _written(write, group, may_go_on)
        if found.stored:
            alone = {each: fault._replace(is_alone=True) for each, fault in found.faults.items()}
            found.faults = alone
        return found

    together = Written()
    with ThreadPoolExecutor(at_once) as threads:
        # one alone needs no thread: a new one takes a tenth of the time that a batch takes
        run = map if at_once == 1 else threads.map
        for found in run(written, groups):
            _add(together, found)
    return together


def _written[T: (Block, Label)](
    write: Callable[[Sequence[T]], str], group: list[T], may_go_on: Callable[[], bool]
) -> Written:
    event_ids = event_ids_of(group)
    if not may_go_on():
        _LOG.error("%d records or labels wait for another try: no time", len(event_ids))
        return Written(waiting=event_ids)
    try:
        write(group)
    except StoreError as error:
        _LOG.error("%d records or labels wait for another try: %s", len(event_ids), error)
        return Written(waiting=event_ids)
    except Exception as error:  # noqa: BLE001 - what no one foresaw concerns one of them
        if len(event_ids) == 1:
            _LOG.error("a record or label cannot be stored:\n%s", stack_of(error))
            # never the error's own text: it may quote a feature
            fault = Fault(_body(group[0]), f"storing it raised {type(error).__name__}", False)
            return Written(faults={event_ids[0]: fault})
        parts = Written()
        for half in _halves(group):
            _add(parts, _written(write, half, may_go_on))
        return parts
    return Written(stored=len(event_ids))


def _add(to: Written, found: Written) -> None:
    to.stored += found.stored
    to.waiting += found.waiting
    to.faults |= found.faults


def _halves[T: (Block, Label)](group: list[T]) -> tuple[list[T], list[T]]:
    if len(group) > 1:
        return group[: len(group) // 2], group[len(group) // 2 :]
    block: Block
    (block,) = group  # type: ignore[assignment]
    places = range(len(block))
    halves = places[: len(block) // 2], places[len(block) // 2 :]
    first, second = ([block.select(half)] for half in halves)
    return first, second  # type: ignore[return-value]


def _body(element: Block | Label) -> str:
    if isinstance(element, Block):
        return encode_record(element.records()[0]).decode()
    return f'{{"labels":[{encode_label(element).decode()}]}}'


def event_ids_of(elements: Iterable[Block | Label]) -> list[str]:
    """Return the ids of all records and labels."""
    return [
        event_id
        for element in elements
        for event_id in (element.event_ids if isinstance(element, Block) else [element.event_id])
    ]


def by_partition(blocks: Iterable[Block]) -> list[list[Block]]:
    """Return the records by model version and hour, each event once."""
    groups: defaultdict[tuple[str, str, int], list[Block]] = defaultdict(list)
    seen: set[str] = set()
    for block in joined_blocks(blocks):
        places: Mapping[int, list[int]] = _places_by_hour(block, seen)
        for hour, found in places.items():
            part = block if len(found) == len(block) else block.select(found)
            groups[block.head.model_name, block.head.model_version, hour].append(part)
    return list(groups.values())


def _places_by_hour(block: Block, seen: set[str]) -> dict[int, list[int]]:
    events = set(block.event_ids)
    first, last = min(block.captured_at_ms) // _HOUR_MS, max(block.captured_at_ms) // _HOUR_MS
    if first == last and len(events) == len(block) and seen.isdisjoint(events):
        # most blocks: there is nothing to be looked at one by one
        seen |= events
        return {first: list(range(len(block)))}
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, (event_id, at) in enumerate(zip(block.event_ids, block.captured_at_ms, strict=True)):
        if event_id not in seen:
            seen.add(event_id)
            places[at // _HOUR_MS].append(place)
    return places


def attempt(what: str, work: Callable[[], object]) -> None:
    """Do ``work`` that must not make the run fail: what was stored would come again."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - see above
        _LOG.error("%s failed:\n%s", what, stack_of(error))
