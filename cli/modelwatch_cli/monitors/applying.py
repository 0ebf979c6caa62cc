"""Making monitors hold: all those of a stage at once, as a new version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelwatch.errors import MonitorError, NotFoundError
from modelwatch_cli.monitors.files import read_monitors
from modelwatch_cli.options import model_words

if TYPE_CHECKING:
    from modelwatch.adapters.results.monitors import S3MonitorStore
    from modelwatch.domain.monitors import Monitor, MonitorChange, MonitorSet
    from modelwatch.ports.analysis import BaselineStore


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The version that holds, or that a change begins with, and what changes."""

    number: int
    stage: str
    changes: list[MonitorChange]


def wanted_monitors(held: MonitorSet, stage: str, paths: Sequence[Path]) -> dict[str, Monitor]:
    """Return the monitors that ``stage`` is to have: those of a folder, or with those of files.

    Raises MonitorError when there is no file, or anything is wrong in one.
    """
    found = read_monitors(paths, stage)
    found.require_no_faults()
    kept = {} if any(path.is_dir() for path in paths) else held.of_stage(stage)
    return {**kept, **found.monitors}


def compare(held: MonitorSet, stage: str, wanted: Mapping[str, Monitor]) -> Applied:
    """Return what changes when the ``wanted`` monitors hold.

    Raises MonitorError when another stage owns one of these models.
    """
    from modelwatch.domain.monitors import monitor_changes

    changes = monitor_changes(held.monitors, held.with_stage(stage, wanted))
    return Applied(number=held.number, stage=stage, changes=changes)


def make_hold(
    store: S3MonitorStore, held: MonitorSet, stage: str, wanted: Mapping[str, Monitor], reason: str
) -> Applied:
    """Make the ``wanted`` monitors those of ``stage``; the same again writes nothing.

    Parameters
    ----------
    held
        What holds now.
    reason
        Is kept with the version.

    Raises
    ------
    MonitorError
        When another stage owns one of these models, or the monitors are too many or too large.
    StoreError
        When someone else applied monitors meanwhile.
    """
    from modelwatch.domain.monitors import MonitorSet

    planned = compare(held, stage, wanted)
    if not planned.changes:
        return planned
    version = MonitorSet(
        number=held.number + 1,
        applied_at=datetime.now(UTC).replace(microsecond=0),
        reason=reason,
        monitors=held.with_stage(stage, wanted),
    )
    store.append(version)
    return msgspec.structs.replace(planned, number=version.number)


def roll_back(
    store: S3MonitorStore, baselines: BaselineStore, stage: str, number: int | None
) -> Applied:
    """Make the monitors that ``stage`` had in version ``number`` hold again; other stages stay.

    By default it is the version before the newest; 0 stands for none. Raises MonitorError when one
    of them names a baseline that is not there any more.
    """
    from modelwatch.domain.monitors import MonitorSet

    held = store.current()
    if not held.number:
        raise MonitorError("no monitors were ever applied")
    target = held.number - 1 if number is None else number
    then = (store.version(target) if target else MonitorSet()).of_stage(stage)
    require_baselines(baselines, then)
    return make_hold(store, held, stage, then, f"rollback to {target}")


def require_baselines(store: BaselineStore, wanted: Mapping[str, Monitor]) -> None:
    """Raise MonitorError when a monitor names a baseline that its model does not have."""
    from modelwatch.domain.baselines import TRAINING

    for name, each in wanted.items():
        if each.baseline in ("", TRAINING):
            continue
        try:
            store.baseline(name, each.baseline)
        except NotFoundError as error:
            raise MonitorError(
                f"{error}; `modelwatch baseline list{model_words(name)}` lists them"
            ) from None
