"""Runs a numbered scenario, and compares its expectations with the observations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from modelwatch.errors import ModelwatchError
from modelwatch_cli.monitoring.live_metrics import LiveMetrics
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic import expectations as expect
from modelwatch_cli.traffic import running
from modelwatch_cli.traffic.captured import wait_for_captures
from modelwatch_cli.traffic.expectations import Evidence, Expectation, Finding
from modelwatch_cli.traffic.load import LoadSummary
from modelwatch_cli.traffic.looking import (
    Watched,
    evaluated_after,
    firing_alerts,
    settled_alerts,
    wait_for_own_minute,
)
from modelwatch_cli.traffic.numbered import (
    LOSS_ALERTS,
    STRESS_NAME,
    STRESS_NUMBER,
    Numbered,
    stored,
)
from modelwatch_cli.traffic.scenarios import SCENARIOS, draw_rows, is_mistyped
from modelwatch_cli.traffic.schedule import Run, make_schedule
from modelwatch_cli.traffic.stress import Step, highest, step_up
from modelwatch_cli.waiting import wait_until

if TYPE_CHECKING:
    from modelwatch.domain.verdict.results import AnalysisResult

LABEL_PATIENCE_SECONDS = 60
LABEL_ACCURACY = 0.9


@dataclass(frozen=True, slots=True)
class Options:
    """Options for scenarios; None: each scenario's own.

    ``firing``: wait until alerts fire, not only until their condition is true.
    """

    requests: int | None = None
    rate: float | None = None
    seed: int = 1
    label_delay_seconds: float = 10.0
    slo_ms: float = 250.0
    step_seconds: float = 10.0
    firing: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The expectations of a scenario with the observations, in order."""

    number: int
    name: str
    found: list[tuple[str, Finding]]
    steps: list[Step] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """The expectations that were not met."""
        return [sentence for sentence, finding in self.found if finding.met is False]

    @property
    def passed(self) -> bool:
        """Whether everything that could be checked is as expected."""
        return not self.failed

    def as_dict(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "number": self.number,
            "name": self.name,
            "passed": self.passed,
            "expectations": [
                {"expected": sentence, "met": finding.met, "seen": finding.seen}
                for sentence, finding in self.found
            ],
            "steps": [asdict(step) for step in self.steps],
            "highest_rate": highest(self.steps),
        }


Say = Callable[[list[Expectation]], None]
"""Called with the expectations, before anything is sent."""


def run_numbered(
    settings: Settings,
    target: running.Target,
    watched: Watched,
    scenario: Numbered,
    options: Options,
    say: Say,
) -> Report:
    """Run one of `NUMBERED`.

    Raises ModelwatchError when a server that it needs does not respond.
    """
    expected = scenario.expectations(target.reference, options.firing)
    say(expected)
    before, alerts_before = watched.settled_metrics(), watched.alerts()
    wait_for_own_minute(settings)
    schedule = make_schedule(
        scenario.pattern,
        options.rate or scenario.rate,
        Run(requests=options.requests or scenario.requests),
    )
    summary = running.send_traffic(target, scenario.rows, schedule, options.seed)
    _require_whole(summary)
    if not summary.predicted:
        raise ModelwatchError(f"no request got a prediction: {summary.first_problem[:300]}")
    captured = wait_for_captures(settings, summary.predicted, summary.began)
    results = running.analyze_traffic(settings, summary)
    labelled = 0
    if scenario.late_labels:
        results, labelled = _label(settings, summary, results, options)
    evidence = Evidence(
        sent=dict(summary.statuses),
        predicted=captured.wanted,
        on_s3=captured.found,
        results=results,
        before=before,
        alerts_before=alerts_before,
        labels=len(summary.predicted) if scenario.late_labels else 0,
        labelled=labelled,
        refused=_refused(target, scenario, schedule.requests or 0, options.seed),
    )
    evidence = _look(settings, watched, summary, evidence, expected)
    return Report(scenario.number, scenario.name, _found(expected, evidence))


def run_stress(
    settings: Settings,
    target: running.Target,
    watched: Watched,
    options: Options,
    say: Say,
    on_step: Callable[[Step], None],
) -> Report:
    """Run the last scenario: raises as `run_numbered` does."""
    steps: list[Step] = []
    expected = [
        Expectation(
            f"at least the first rate holds a p95 of {options.slo_ms:g} ms, without an error",
            lambda _: Finding(
                highest(steps) is not None, f"highest rate that held: {highest(steps) or 'none'}"
            ),
        ),
        expect.nothing_lost(),
        stored(),
        *expect.quiet(*LOSS_ALERTS),
    ]
    say(expected)
    before, alerts_before = watched.settled_metrics(), watched.alerts()

    def note(step: Step) -> None:
        steps.append(step)
        on_step(step)

    _, summary = step_up(
        lambda schedule: running.send_traffic(target, "normal", schedule, options.seed),
        options.rate or 5.0,
        options.step_seconds,
        options.slo_ms,
        note,
    )
    _require_whole(summary)
    captured = wait_for_captures(settings, summary.predicted, summary.began)
    evidence = Evidence(
        sent=dict(summary.statuses),
        predicted=captured.wanted,
        on_s3=captured.found,
        before=before,
        alerts_before=alerts_before,
    )
    evidence = _with_metrics(watched, evidence, expected)
    if watched.prometheus is not None:
        evaluated_after(watched.prometheus, datetime.now(UTC))
    evidence = replace(evidence, alerts=watched.alerts())
    return Report(STRESS_NUMBER, STRESS_NAME, _found(expected, evidence), steps)


def _require_whole(summary: LoadSummary) -> None:
    if summary.interrupted:
        raise ModelwatchError("the scenario was interrupted: nothing is checked")


def _look(
    settings: Settings,
    watched: Watched,
    summary: LoadSummary,
    evidence: Evidence,
    expected: list[Expectation],
) -> Evidence:
    """Return the evidence with the metrics of the bridge and the alerts of Prometheus.

    The schedule analyzes other windows meanwhile; if its gauges came in between, the scenario's
    own window is analyzed again.
    """

    def analyze() -> list[AnalysisResult]:
        return running.analyze_traffic(settings, summary)

    for again in range(2):
        if again:
            evidence = replace(evidence, results=analyze())
        evidence = _with_metrics(watched, evidence, expected)
        on_bridge = [each for each in expected if each.on_bridge]
        if all(each.look(evidence).met is not False for each in on_bridge):
            break
    if watched.prometheus is not None:
        fires = {each.alert for each in expected if each.fires}
        results, alerts = settled_alerts(watched.prometheus, analyze, evidence.results)
        if fires:
            results, alerts = firing_alerts(watched.prometheus, analyze, results, fires)
        evidence = replace(evidence, results=results, alerts=alerts)
    return evidence


def _with_metrics(watched: Watched, evidence: Evidence, expected: list[Expectation]) -> Evidence:
    on_bridge = [each for each in expected if each.on_bridge]

    def met(shown: LiveMetrics) -> int:
        seen = replace(evidence, after=shown)
        return sum(each.look(seen).met is not False for each in on_bridge)

    return replace(evidence, after=watched.best_metrics(met, len(on_bridge)))


def _label(
    settings: Settings, summary: LoadSummary, results: list[AnalysisResult], options: Options
) -> tuple[list[AnalysisResult], int]:
    """Post the labels, late; return the analysis after them, and how many more are labelled."""
    before = _labelled(results)
    running.post_labels(
        settings, summary, options.label_delay_seconds, LABEL_ACCURACY, options.seed
    )

    def arrived() -> bool:
        nonlocal results
        results = running.analyze_traffic(settings, summary)
        return _labelled(results) - before >= len(summary.predicted)

    wait_until(arrived, LABEL_PATIENCE_SECONDS, every_seconds=2)
    return results, _labelled(results) - before


def _labelled(results: list[AnalysisResult]) -> int:
    return sum(each.performance.labelled for each in results if each.performance is not None)


def _refused(target: running.Target, scenario: Numbered, requests: int, seed: int) -> int:
    rows = draw_rows(SCENARIOS[scenario.rows], target.reference, requests, seed)
    return sum(map(is_mistyped, rows))


def _found(expected: list[Expectation], evidence: Evidence) -> list[tuple[str, Finding]]:
    return [(each.sentence, each.look(evidence)) for each in expected]
