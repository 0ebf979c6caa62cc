"""Monitors: the rules of one model, in place of a deployment's; and all those of a bucket.

A deployment's settings hold for every model. A model's monitor overrides some of them, without a
deployment: analyze reads the monitors that hold at each run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from modelwatch.domain.constraints.document import ColumnRules
from modelwatch.domain.episodes.notes import PlannedChange
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.model_capture import MONITORS_FORMAT, MonitorCapture
from modelwatch.domain.performance.results import PerformancePolicy
from modelwatch.domain.verdict.rules import AnalysisRules, FeatureRule
from modelwatch.errors import MonitorError, StoreError

MOST_MONITORS = 2_000
"""Monitors of a bucket."""


LONGEST_LABELS = 1_000
"""Characters of all labels of a monitor as one text: a metric carries it."""


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as one text, each between commas, so that a pattern finds a whole one.

    >>> labels_text({"tier": "1", "region": "eu"}), labels_text({})
    (',region=eu,tier=1,', '')
    """
    found = "".join(f"{name}={value}," for name, value in sorted(labels.items()))
    return f",{found}" if found else ""


class Monitor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules of one model, and who cares for it.

    Attributes
    ----------
    stage
        The deployment that analyzes the model; no other one on the same bucket does.
    owner
        Who cares for the model: a person or a team.
    labels
        What else is to be known of it, by name.
    baseline
        The reference of its windows; empty: the one that `modelwatch baseline use` chose.
    features
        What holds for single features, by name.
    capture
        What it says of capture; None: nothing.
    planned
        Changes that are expected: drift that they explain does not alert.
    constraints
        What is asked of columns, in place of what the reference says.
    settings
        What it overrides: the settings of `modelwatch.settings.analysis.MonitorSettings` by name,
        as they would be written in the environment.
    """

    stage: str
    owner: str = ""
    labels: dict[str, str] = {}
    baseline: str = ""
    settings: dict[str, str] = {}
    features: dict[str, FeatureRule] = {}
    capture: MonitorCapture | None = None
    planned: tuple[PlannedChange, ...] = ()
    constraints: dict[str, ColumnRules] = {}

    @property
    def digest(self) -> str:
        """What tells this monitor from any other: 16 hexadecimal digits.

        >>> Monitor(stage="a").digest == Monitor(stage="b").digest
        False
        """
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    def fields(self) -> dict[str, str]:
        """Return what it says, each part under the name that it has in a file.

        >>> Monitor(stage="local", owner="a", settings={"DRIFT_MODE": "classic"}).fields()
        {'owner': 'a', 'rules.drift_mode': 'classic'}
        """
        own = {
            f"features.{name}.{part}": str(value).lower() if isinstance(value, bool) else str(value)
            for name, rule in sorted(self.features.items())
            for part, value in msgspec.to_builtins(rule).items()
        }
        parts = {
            "owner": self.owner,
            "baseline": self.baseline,
            **{f"labels.{name}": value for name, value in sorted(self.labels.items())},
            **{f"rules.{name.lower()}": value for name, value in sorted(self.settings.items())},
            **own,
            **(self.capture.said() if self.capture else {}),
            **{
                f"constraints.{name}.{rule}": msgspec.json.encode(value).decode()
                for name, rules in sorted(self.constraints.items())
                for rule, value in sorted(rules.items())
            },
            **{
                f"expected.{each.start:%Y-%m-%d %H:%M}": f"until {each.end:%Y-%m-%d %H:%M} UTC, "
                f"{', '.join(each.features) or 'all features'}: {each.reason}"
                for each in self.planned
            },
        }
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """How one model is monitored.

    Attributes
    ----------
    rules
        How its windows are evaluated.
    performance
        What it takes for metrics of its labels.
    baseline
        The reference that its monitor names; empty: the one in use.
    monitor
        Digest of its monitor; empty: it has none.
    capture, planned, constraints
        What its monitor says of capture, of changes that are expected, and of columns.
    owner, labels
        Who cares for it and what else is to be known of it, as far as its monitor says it.
    """

    rules: AnalysisRules
    performance: PerformancePolicy = field(default_factory=PerformancePolicy)
    baseline: str = ""
    monitor: str = ""
    capture: MonitorCapture | None = None
    planned: tuple[PlannedChange, ...] = ()
    constraints: Mapping[str, ColumnRules] = field(default_factory=dict)
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


class MonitorSet(msgspec.Struct, frozen=True, kw_only=True):
    """All monitors of a bucket, of every stage: one version of them.

    Attributes
    ----------
    number
        Of the version: 1 is the first; 0 stands for none yet.
    applied_at
        When it was written; None of none yet.
    reason
        What made it, such as ``rollback to 3``.
    monitors
        By the model's name.
    """

    number: int = 0
    applied_at: datetime | None = None
    reason: str = ""
    monitors: dict[str, Monitor] = {}
    format: int = MONITORS_FORMAT

    def of_stage(self, stage: str) -> dict[str, Monitor]:
        """Return those that a stage owns."""
        return {name: each for name, each in self.monitors.items() if each.stage == stage}

    def with_stage(self, stage: str, wanted: Mapping[str, Monitor]) -> dict[str, Monitor]:
        """Return all monitors, when those of ``stage`` are the ``wanted`` ones.

        Raises
        ------
        MonitorError
            When another stage owns one of these models, or there are too many monitors.
        """
        others = {name: each for name, each in self.monitors.items() if each.stage != stage}
        for name in sorted(others.keys() & wanted.keys()):
            raise MonitorError(
                f"{name} is monitored by the stage '{others[name].stage}' on the same bucket; "
                f"remove its monitor there before '{stage}' takes it"
            )
        found = {**others, **wanted}
        if len(found) > MOST_MONITORS:
            raise MonitorError(f"{len(found)} monitors are more than the {MOST_MONITORS} allowed")
        return dict(sorted(found.items()))


class MonitorChange(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two monitors of a model; None on a side that does not have it."""

    model_name: str
    field: str
    before: str | None
    after: str | None


def monitor_changes(
    before: Mapping[str, Monitor], after: Mapping[str, Monitor]
) -> list[MonitorChange]:
    """Return what is different, by model and field; an added or removed monitor has field ``""``.

    Examples
    --------
    >>> one = {"wine": Monitor(stage="local", settings={"DRIFT_MODE": "classic"})}
    >>> [(each.field, each.before, each.after) for each in monitor_changes({}, one)]
    [('', None, 'new'), ('rules.drift_mode', None, 'classic')]
    """
    found = []
    for model in sorted(before.keys() | after.keys()):
        sides = before.get(model), after.get(model)
        if sides[0] == sides[1]:
            continue
        if None in sides:
            words = ("present", None) if sides[0] else (None, "new")
            found.append(MonitorChange(model_name=model, field="", before=words[0], after=words[1]))
        old, new = (each.fields() if each else {} for each in sides)
        found += [
            MonitorChange(model_name=model, field=name, before=old.get(name), after=new.get(name))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
    return found


_decode = msgspec.json.Decoder(MonitorSet).decode


def encode_monitors(monitors: MonitorSet) -> bytes:
    """Write monitors down as JSON."""
    return msgspec.json.encode(monitors, order="sorted")


def decode_monitors(payload: bytes) -> MonitorSet:
    """Read what `encode_monitors` wrote.

    Raises
    ------
    StoreError
        When it is something else, or of another format.
    """
    try:
        found = _decode(payload)
    except UNREADABLE as error:
        raise StoreError(f"the stored monitors are damaged: {error}") from error
    if found.format != MONITORS_FORMAT:
        raise StoreError(
            f"the monitors have format {found.format}; this code reads {MONITORS_FORMAT}"
        )
    return found
