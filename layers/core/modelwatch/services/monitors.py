"""Which rules hold for which model: those of its monitor, else the deployment's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache

from modelwatch.domain.capture_policy import CapturePolicy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.monitors import Monitor, Monitored, MonitorSet
from modelwatch.domain.segments import SegmentsOf, read_segments
from modelwatch.errors import ModelwatchError, MonitorError
from modelwatch.ports.analysis import MonitorStore

_LOG = logging.getLogger(__name__)

type ReadMonitor = Callable[[Monitor | None], Monitored]
"""Reads a monitor; None stands for the deployment's own settings. Raises SettingError."""


class Monitors:
    """The monitors that hold at one time, as one ``stage`` reads them."""

    def __init__(self, found: MonitorSet, stage: str, read: ReadMonitor) -> None:
        self.number = found.number
        self.defaults = read(None)
        self._found = found.monitors
        self._stage = stage
        self._read = read
        self._known: dict[str, Monitored] = {}

    def is_ours(self, model_name: str) -> bool:
        """Return whether this stage analyzes a model: no other one has a monitor of it."""
        monitor = self._found.get(model_name)
        return monitor is None or monitor.stage == self._stage

    def require_ours(self, model_name: str) -> None:
        """Raise MonitorError when another stage analyzes a model."""
        if not self.is_ours(model_name):
            raise MonitorError(
                f"{model_name} is analyzed by the stage '{self._found[model_name].stage}', "
                "as its monitor says"
            )

    def said(self, model_name: str) -> Monitor | None:
        """Return a model's monitor as it is stored, also where its rules cannot be read."""
        return self._found.get(model_name)

    def of(self, model_name: str) -> Monitored:
        """Return how a model is monitored.

        Raises
        ------
        MonitorError
            When its monitor cannot be read, such as one of a newer release.
        """
        monitor = self._found.get(model_name)
        if monitor is None:
            return self.defaults
        if model_name not in self._known:
            try:
                self._known[model_name] = self._read(monitor)
            except ModelwatchError as error:
                raise MonitorError(f"the monitor of {model_name}: {error}") from None
        return self._known[model_name]

    def all(self) -> Iterator[Monitored]:
        """Yield the deployment's own, and those of its monitors that can be read."""
        yield self.defaults
        for name in filter(self.is_ours, self._found):
            try:
                yield self.of(name)
            except MonitorError:
                continue  # whoever asks for this model gets the error


def known_owners(store: MonitorStore) -> dict[str, str]:
    """Return the owners that monitors name, by model; none where they cannot be read."""
    try:
        monitors = store.current().monitors
    except ModelwatchError as error:
        _LOG.warning("who cares for models is not known: %s", error)
        return {}
    return {name: each.owner for name, each in monitors.items()}


def capture_policies(
    defaults: CaptureRules, monitors: Callable[[], Monitors]
) -> Callable[[str], CapturePolicy]:
    """Return what gives the policy with which a model is captured, by its name.

    Parameters
    ----------
    defaults
        What the deployment's settings say.
    monitors
        Gives the monitors that hold.
    """
    return lambda name: defaults.overridden(monitors().of(name).capture).policy


def declared_segments(monitors: Callable[[], Monitors]) -> SegmentsOf:
    """Return what gives the segments of a model; ``monitors`` gives the monitors that hold."""
    parse = cache(read_segments)
    return lambda name: parse(monitors().of(name).rules.segments)


class MonitorReader:
    """Reads the monitors that hold now; a version is read once."""

    def __init__(self, store: MonitorStore, stage: str, read: ReadMonitor) -> None:
        self._store = store
        self._stage = stage
        self._read = read
        self._known: Monitors | None = None

    def current(self) -> Monitors:
        """Read and return them; raises StoreError when they cannot be read."""
        found = self._store.current()
        if self._known is None or self._known.number != found.number:
            self._known = Monitors(found, self._stage, self._read)
        return self._known

    def latest(self) -> Monitors:
        """Return those that were read last, by the run that asks; raises as `current` does."""
        return self._known or self.current()
