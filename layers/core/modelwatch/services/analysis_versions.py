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
    """What a run analyzes: (model name, version, how it is monitored); what it leaves out; and by
    model why its monitor cannot be read.
    """

    versions: list[tuple[str, str, Monitored]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    refused: dict[str, MonitorError] = field(default_factory=dict)


def watched_versions(
    monitors: Monitors,
    profiles: ProfileStore,
    serving: Mapping[str, str],
    end: datetime,
    length: Callable[[Monitored], timedelta],
    only: str | None = None,
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
        if not monitors.is_ours(name) or only not in (None, name):
            continue
        try:
            monitored = monitors.of(name)
        except MonitorError as error:
            watched.refused[name] = error
            continue
        serves = (name, serving[name]) if name in serving else None
        versions, left_out = chosen_versions(found[name, length(monitored)], serves)
        watched.versions += [(*version, monitored) for version in versions]
        watched.left_out += left_out
    return watched
