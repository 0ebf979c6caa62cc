"""The expectations of a numbered scenario, stated in advance, and the observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from modelwatch_cli.monitoring.live_metrics import Alert, LiveMetrics

if TYPE_CHECKING:
    from modelwatch.domain.verdict.results import AnalysisResult


@dataclass(frozen=True, slots=True)
class Evidence:
    """The observations after a scenario's traffic.

    Attributes
    ----------
    sent
        Number of requests by status.
    predicted
        The number of predictions that capture samples.
    on_s3
        How many of these are on S3.
    labels
        How many labels were accepted.
    labelled
        The increase of labelled predictions in the performance window.
    results
        The analysis of exactly this traffic, by model version.
    before, after
        The bridge's metrics; None without a bridge.
    alerts_before, alerts
        Prometheus's rules by name; None without Prometheus.
    refused
        The number of rows that the API must refuse.
    """

    sent: Mapping[str, int]
    predicted: int
    on_s3: int
    results: list[AnalysisResult] = field(default_factory=list)
    before: LiveMetrics | None = None
    after: LiveMetrics | None = None
    alerts_before: Mapping[str, Alert] | None = None
    alerts: Mapping[str, Alert] | None = None
    labels: int = 0
    labelled: int = 0
    refused: int = 0

    def grew(self, name: str, **labels: str) -> float | None:
        """Return the increase of a counter; None without a bridge."""
        if self.before is None or self.after is None:
            return None
        return self.after.total(name, **labels) - self.before.total(name, **labels)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether an expectation was met, with the observation; None: it could not be checked."""

    met: bool | None
    seen: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """A sentence, printed before anything is sent, and the function that checks it.

    ``on_bridge``: it needs the bridge's metrics. ``alert``: the Prometheus alert of it, and
    ``fires``: the alert must be active for as long as its rule requires.
    """

    sentence: str
    look: Callable[[Evidence], Finding]
    on_bridge: bool = False
    alert: str = ""
    fires: bool = False


NO_BRIDGE = Finding(None, "not checked: no bridge runs here; give one with --bridge")
NO_PROMETHEUS = Finding(None, "not checked: no Prometheus runs here; give one with --prometheus")


def all_responded() -> Expectation:
    """Expect a prediction for every valid request, and 400 for every invalid one."""

    def look(evidence: Evidence) -> Finding:
        wanted = {"200": sum(evidence.sent.values()) - evidence.refused}
        if evidence.refused:
            wanted["400"] = evidence.refused
        seen = ", ".join(f"{count} x {status}" for status, count in sorted(evidence.sent.items()))
        return Finding(dict(evidence.sent) == wanted, seen)

    return Expectation("every valid request gets 200, every mistyped one 400", look)


def nothing_lost() -> Expectation:
    """Expect records sent = records on S3 + records that the metrics count as lost."""

    def look(evidence: Evidence) -> Finding:
        lost = evidence.grew("capture_records_total", outcome="lost")
        seen = f"{evidence.predicted} sent, {evidence.on_s3} on S3"
        if lost is None:
            all_there = evidence.predicted == evidence.on_s3
            return Finding(all_there, f"{seen}; how many were lost is unknown without a bridge")
        seen = f"{seen}, {lost:g} counted as lost"
        missing = evidence.predicted - evidence.on_s3
        if 0 <= missing < lost:
            # predict counted the record as lost, but the queue had it or accepted it later
            seen += f", {lost - missing:g} of which arrived anyway"
        return Finding(0 <= missing <= lost, seen)

    sentence = "records sent = records on S3 + records counted as lost"
    return Expectation(sentence, look, on_bridge=True)


def verdict(status: str) -> Expectation:
    """Expect a verdict of the analysis over this traffic only."""

    def look(evidence: Evidence) -> Finding:
        rows = sum(result.rows for result in evidence.results)
        seen = "; ".join(f"{each.status}: {each.reason}" for each in evidence.results) or "none"
        if rows != evidence.on_s3:
            return Finding(
                False, f"{seen}; of {rows} rows, {evidence.on_s3} of them of this traffic"
            )
        met = bool(evidence.results) and all(each.status == status for each in evidence.results)
        return Finding(met, seen)

    return Expectation(f"the analysis of its window says '{status}'", look)


def drifted(moved: list[str], *, at_least: float, others: bool) -> Expectation:
    """Expect most of the moved features to be named, and (without ``others``) no other one."""

    def look(evidence: Evidence) -> Finding:
        met = bool(evidence.results)
        for result in evidence.results:
            named = set(result.drifted_features)
            met &= len(named & set(moved)) >= at_least * len(moved)
            met &= others or named <= set(moved)
        names = sorted({name for each in evidence.results for name in each.drifted_features})
        return Finding(met, f"{len(names)} named: {', '.join(names) or 'none'}")

    share = f"{at_least:.0%} of " if at_least < 1 else ""
    only = "" if others else ", and no other feature"
    what = ", ".join(moved)
    if not moved:
        return Expectation("no feature is named as drifted", look)
    return Expectation(f"it names {share}the features that were moved{only}: {what}", look)


def violated(rules: Mapping[str, str]) -> Expectation:
    """Expect broken rules of data quality, by feature the name of the check."""

    def look(evidence: Evidence) -> Finding:
        found = {
            (violation.feature, violation.check): violation.sentence
            for result in evidence.results
            if result.quality is not None
            for violation in result.quality.violations
        }
        met = bool(rules) and rules.items() <= set(found)
        return Finding(met, "; ".join(found.values()) or "none")

    what = ", ".join(f"{feature} ({check})" for feature, check in rules.items())
    return Expectation(f"it names the broken rules of data quality: {what}", look)


def clean() -> Expectation:
    """Expect no broken rule of data quality."""

    def look(evidence: Evidence) -> Finding:
        broken = [
            each.sentence
            for result in evidence.results
            if result.quality is not None
            for each in result.quality.violations
        ]
        return Finding(bool(evidence.results) and not broken, "; ".join(broken) or "none")

    return Expectation("no rule of data quality is broken", look)


def predicted() -> Expectation:
    """Expect the bridge to count each prediction of the served versions, without shadows."""

    def look(evidence: Evidence) -> Finding:
        grew = [
            evidence.grew(
                "model_predictions_total",
                model_name=result.model_name,
                model_version=result.model_version,
            )
            for result in evidence.results
        ]
        if evidence.after is None or evidence.before is None:
            return NO_BRIDGE
        total = sum(each or 0.0 for each in grew)
        wanted = evidence.sent.get("200", 0)
        return Finding(total == wanted, f"{total:g}, and should by {wanted}")

    sentence = "on the bridge model_predictions_total grows by what was sent"
    return Expectation(sentence, look, on_bridge=True)


def counted(
    name: str, what: Callable[[Evidence], int], at_least: bool = False, **labels: str
) -> Expectation:
    """Expect a counter on the bridge to have grown by ``what``, or (``at_least``) by more."""

    def look(evidence: Evidence) -> Finding:
        grew = evidence.grew(name, **labels)
        if grew is None:
            return NO_BRIDGE
        wanted = what(evidence)
        met = grew >= wanted if at_least else grew == wanted
        return Finding(met, f"{grew:g}, and should by {wanted}{' or more' * at_least}")

    return Expectation(
        f"on the bridge {_series(name, labels)} grows by what was sent", look, on_bridge=True
    )


def shown(name: str, value: float) -> Expectation:
    """Expect a gauge on the bridge, of the served versions."""

    def look(evidence: Evidence) -> Finding:
        if evidence.after is None:
            return NO_BRIDGE
        values = [
            sample.value
            for result in evidence.results
            for sample in evidence.after.of(
                name, model_name=result.model_name, model_version=result.model_version
            )
        ]
        met = bool(values) and all(each == value for each in values)
        return Finding(met, ", ".join(f"{each:g}" for each in values) or "nothing")

    return Expectation(f"on the bridge {name} is {value:g}", look, on_bridge=True)


def labels_arrived() -> Expectation:
    """Expect the labels that came late to be joined with their predictions."""

    def look(evidence: Evidence) -> Finding:
        met = bool(evidence.labels) and evidence.labelled == evidence.labels
        return Finding(met, f"{evidence.labels} posted, {evidence.labelled} more are labelled")

    return Expectation("the analysis after the labels has one more label for each prediction", look)


def raised(*names: str, firing: bool = False) -> list[Expectation]:
    """Expect alerts of Prometheus to be ``firing``, or at least pending (condition is true)."""
    state = "is firing" if firing else "is pending or firing"

    def look(name: str, evidence: Evidence) -> Finding:
        if evidence.alerts is None:
            return NO_PROMETHEUS
        states = active_states(evidence, evidence.alerts, name)
        return Finding(
            "firing" in states if firing else bool(states), _state(evidence.alerts, name, states)
        )

    return [
        Expectation(f"the alert {name} {state}", partial(look, name), alert=name, fires=firing)
        for name in names
    ]


def quiet(*names: str) -> list[Expectation]:
    """Expect alerts of Prometheus to be inactive; one that was active before is not checked."""

    def look(name: str, evidence: Evidence) -> Finding:
        if evidence.alerts is None:
            return NO_PROMETHEUS
        states = active_states(evidence, evidence.alerts, name)
        seen = _state(evidence.alerts, name, states)
        if states and active_states(evidence, evidence.alerts_before or {}, name):
            return Finding(None, f"{seen}, and was before anything was sent: not checked")
        return Finding(name in evidence.alerts and not states, seen)

    return [
        Expectation(f"the alert {name} is inactive", partial(look, name), alert=name)
        for name in names
    ]


def active_states(evidence: Evidence, alerts: Mapping[str, Alert], name: str) -> set[str]:
    """Return the states of a rule's active alerts, without those of other models and versions."""
    if name not in alerts:
        return set()
    versions = {(each.model_name, each.model_version) for each in evidence.results}
    names = {name for name, _ in versions}
    states = set()
    for each in alerts[name].active:
        model, version = each.labels.get("model_name"), each.labels.get("model_version")
        of_other = bool(names) and model is not None and model not in names
        of_other |= bool(versions) and version is not None and (model, version) not in versions
        if not of_other:
            states.add(each.state)
    return states


def _state(alerts: Mapping[str, Alert], name: str, states: set[str]) -> str:
    if name not in alerts:
        return "Prometheus has no such rule"
    hold = alerts[name].hold_seconds
    if states == {"pending"}:
        return f"pending; it fires after {hold:g} s"
    return " and ".join(sorted(states)) or "inactive"


def _series(name: str, labels: Mapping[str, str]) -> str:
    inner = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name
