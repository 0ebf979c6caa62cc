"""Which model versions a run analyzes, each by the rules of its model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelwatch.domain.monitors import Monitored
from modelwatch.domain.windows import Window
from modelwatch.errors import MonitorError
from modelwatch.ports.analysis import ProfileStore
from modelwatch.services.analysis_bounds import LeftOut, chosen_versions
from modelwatch.services.monitors import Monitors


@dataclass(slots=True)
class Watched:
    """What a run analyzes: (model name, version, how it is monitored); what it leaves out; by model
    why its monitor cannot be read; and all of this stage's versions, by the model's name.
    """

    versions: list[tuple[str, str, Monitored]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    refused: dict[str, MonitorError] = field(default_factory=dict)
    known: dict[str, list[str]] = field(default_factory=dict)


def watched_versions(
    monitors: Monitors,
    profiles: ProfileStore,
    serving: Mapping[str, str],
    end: datetime,
    length: Callable[[Monitored], timedelta],
    only: str | None = None,
    only_version: str | None = None,
) -> Watched:
    """Return what to analyze of this stage's models.

    A version is analyzed when it serves, or has captures in the model's own ``length`` of time up
    to ``end``: one listing for each length that any model has.

    Parameters
    ----------
    serving
        The version that serves by the model's name.

    Raises
    ------
    MonitorError
        When another stage analyzes the model ``only``.
    """
    if only is not None:
        monitors.require_ours(only)
    found: dict[tuple[str, timedelta], list[tuple[str, str]]] = defaultdict(list)
    for each in dict.fromkeys(length(known) for known in monitors.all()):
        window = Window.ending(end, seconds=each.total_seconds())
        for name, version in profiles.versions(window):
            found[name, each].append((name, version))
    watched = Watched()
    for name in sorted({name for name, _ in found} | serving.keys()):
        if not monitors.is_ours(name):
            continue
        seen = {version for (at, _), each in found.items() if at == name for _, version in each}
        watched.known[name] = sorted(seen | ({serving[name]} if name in serving else set()))
        if only not in (None, name):
            continue
        try:
            monitored = monitors.of(name)
        except MonitorError as error:
            watched.refused[name] = error
            continue
        serves = (name, serving[name]) if name in serving else None
        captured = found[name, length(monitored)]
        if only_version is not None:
            captured = [each for each in captured if each[1] == only_version]
            serves = serves if serves and serves[1] == only_version else None
        versions, left_out = chosen_versions(captured, serves)
        watched.versions += [(*version, monitored) for version in versions]
        watched.left_out += left_out
    return watched
