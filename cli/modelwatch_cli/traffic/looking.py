"""Observes a numbered scenario: metrics, alerts, and a window with only its traffic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.windows import Window
from modelwatch.metric_names import DRIFT_STATUS, STATUS_VALUES
from modelwatch_cli.console import error_console
from modelwatch_cli.monitoring.live_metrics import (
    Alert,
    LiveMetrics,
    Prometheus,
    read_bridge,
    stack_addresses,
)
from modelwatch_cli.settings import Settings
from modelwatch_cli.waiting import wait_until

if TYPE_CHECKING:
    from modelwatch.domain.verdict.results import AnalysisResult

BRIDGE_PATIENCE_SECONDS = 30
ALERT_PATIENCE_SECONDS = 40
"""A scrape comes every 5 s, an evaluation of the rules every 15 s."""

SETTLED_SECONDS = 4
"""The bridge has read everything if nothing new comes for this time; it reads every 2 s."""

TRIES = 3


@dataclass(frozen=True, slots=True)
class Watched:
    """The addresses of metrics and alerts; None: there is none.

    ``bridge_url`` is that of its /metrics page.
    """

    bridge_url: str | None
    prometheus: Prometheus | None

    @classmethod
    def find(cls, bridge_url: str | None, prometheus_url: str | None) -> Watched:
        """Return the given addresses, else those of this machine's stack."""
        here = stack_addresses() if not (bridge_url and prometheus_url) else {}
        prometheus_url = prometheus_url or here.get("prometheus")
        return cls(
            bridge_url or here.get("bridge"), Prometheus(prometheus_url) if prometheus_url else None
        )

    def metrics(self) -> LiveMetrics | None:
        """Return the bridge's metrics now."""
        return read_bridge(self.bridge_url) if self.bridge_url else None

    def alerts(self) -> Mapping[str, Alert] | None:
        """Return the state of every rule now."""
        return self.prometheus.alerts() if self.prometheus else None

    def settled_metrics(self) -> LiveMetrics | None:
        """Return the bridge's metrics once it has read everything that was reported so far."""
        shown = self.metrics()

        def is_settled() -> bool:
            nonlocal shown
            before, shown = shown, self.metrics()
            return before is None or shown is None or _counters(before) == _counters(shown)

        with error_console.status("waiting for the bridge to read earlier events"):
            wait_until(is_settled, BRIDGE_PATIENCE_SECONDS, every_seconds=SETTLED_SECONDS)
        return shown

    def best_metrics(self, met: Callable[[LiveMetrics], int], wanted: int) -> LiveMetrics | None:
        """Return the bridge's metrics at the time when they meet most of ``wanted``.

        Gauges change: the schedule analyzes other windows meanwhile.
        """
        best = self.metrics()
        if best is None:
            return None
        most = met(best)

        def is_met() -> bool:
            nonlocal best, most
            if most < wanted and (shown := self.metrics()) and (count := met(shown)) >= most:
                best, most = shown, count
            return most == wanted

        with error_console.status("waiting for the bridge"):
            wait_until(is_met, BRIDGE_PATIENCE_SECONDS, every_seconds=1)
        return best


def _counters(shown: LiveMetrics) -> list[float]:
    names = ("model_predictions_total", "capture_records_total", "capture_labels_total")
    return [shown.total(name) for name in names]


def wait_for_own_minute(settings: Settings) -> None:
    """Return when a window that starts now has only this scenario's traffic (in whole minutes).

    It waits for the next minute if something was captured in this one.
    """
    store = S3RecordStore(s3_client(settings), settings.capture_bucket)
    now = datetime.now(UTC)
    minute = now.replace(second=0, microsecond=0)
    following = minute + timedelta(minutes=1)
    # records of the last seconds may not be on S3 yet; those of the previous minute are
    if store.versions(Window(minute, following)):
        with error_console.status("waiting for the next minute: this one has other traffic"):
            time.sleep((following - now).total_seconds() + 0.1)


def settled_alerts(
    prometheus: Prometheus,
    analyze: Callable[[], list[AnalysisResult]],
    results: list[AnalysisResult],
) -> tuple[list[AnalysisResult], Mapping[str, Alert]]:
    """Return the rules as they were evaluated on ``results``, or on those of a later analysis.

    The schedule also analyzes other windows: if its metrics came in between, the scenario's
    window is analyzed again.
    """
    with error_console.status("waiting for Prometheus to evaluate its rules"):
        for again in range(TRIES):
            if again:
                results = analyze()
            if _scraped(prometheus, results):
                evaluated = evaluated_after(prometheus, datetime.now(UTC))
                alerts = prometheus.alerts()
                if evaluated and _is_shown(prometheus, results):
                    break
        else:
            alerts = prometheus.alerts()
    return results, alerts


def firing_alerts(
    prometheus: Prometheus,
    analyze: Callable[[], list[AnalysisResult]],
    results: list[AnalysisResult],
    names: set[str],
) -> tuple[list[AnalysisResult], Mapping[str, Alert]]:
    """Return as `settled_alerts` does, once the rules ``names`` had the time to fire."""
    results, alerts = settled_alerts(prometheus, analyze, results)
    hold = max((alerts[name].hold_seconds for name in names if name in alerts), default=0.0)
    deadline = time.monotonic() + hold + ALERT_PATIENCE_SECONDS
    with error_console.status(f"waiting {hold:g} s until the alerts may fire"):
        while time.monotonic() < deadline:
            if all(alerts[name].state == "firing" for name in names if name in alerts):
                break
            if not _is_shown(prometheus, results):
                results = analyze()
            time.sleep(2)
            alerts = prometheus.alerts()
    return results, alerts


def _scraped(prometheus: Prometheus, results: list[AnalysisResult]) -> bool:
    return wait_until(lambda: _is_shown(prometheus, results), ALERT_PATIENCE_SECONDS / 2, 1)


def _is_shown(prometheus: Prometheus, results: list[AnalysisResult]) -> bool:
    """Return whether Prometheus has the gauges that these results set."""
    for result in results:
        if result.status == "unknown":
            continue  # of an analysis on request, this sets none
        gauges = {
            DRIFT_STATUS: float(STATUS_VALUES[result.severity]),
            "evidently_drift_score": result.drift_share,
            "evidently_drifted_features_count": len(result.drifted_features),
        }
        if result.quality is not None and result.quality.status != "unknown":
            gauges["evidently_constraint_violations_count"] = len(result.quality.violations)
        for name, value in gauges.items():
            of = (
                f"model_name={json.dumps(result.model_name)},"
                f"model_version={json.dumps(result.model_version)}"
            )
            samples = prometheus.query(f"{name}{{{of}}}")
            if not samples or any(abs(each.value - value) > 1e-9 for each in samples):
                return False
    return True


def evaluated_after(prometheus: Prometheus, time: datetime) -> bool:
    """Wait until every rule was evaluated after ``time``; return whether that came in time."""

    def done() -> bool:
        rules = prometheus.alerts().values()
        return all(datetime.fromisoformat(each.evaluated_at) > time for each in rules)

    return wait_until(done, ALERT_PATIENCE_SECONDS, every_seconds=0.5)
