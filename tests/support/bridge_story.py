"""An hour in the life of a bridge, as events: for tests of its page, and to look at it."""

from __future__ import annotations

import math
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridge_in_memory import ManualClock
from modelwatch.adapters.aws.emf import emf_lines
from modelwatch.domain.episodes.joining import Episode
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.errors import StoreError
from modelwatch.metric_names import CATALOG, STATUS_VALUES
from modelwatch.ports.metrics import Sample
from modelwatch.services.model_states import ModelState, OpenEpisode
from modelwatch_bridge.counting.collector import Page, TotalsCollector
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.history.history import History
from modelwatch_bridge.history.history_file import HistoryFile
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.serving.health import Health
from modelwatch_bridge.serving.reports import Reports
from modelwatch_bridge.serving.server import BridgeServer
from modelwatch_bridge.serving.site import Site

FEATURES = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue",
    "od280/od315_of_diluted_wines", "proline",
)  # fmt: skip
DRIFTING = {"alcohol", "malic_acid", "flavanoids", "hue", "color_intensity", "proline", "ash"}
STEP_SECONDS = 10


class FakeResults:
    """Results as analyze's bucket holds them; a report is a page of one line."""

    def __init__(self, folder: Path) -> None:
        self.found: list[AnalysisResult] = []
        self.problem = ""
        self.episodes: list[Episode] = []
        self.asked: list[str] = []
        self._folder = folder

    def newest(self, limit: int, model_name: str = "") -> list[AnalysisResult]:
        self.asked.append(model_name)
        if self.problem:
            raise StoreError(self.problem)
        return [each for each in self.found if model_name in ("", each.model_name)][:limit]

    def states(self, model_name: str = "") -> list[ModelState]:
        """Return the states of versions that have a report."""
        states = {
            (each.model_name, each.model_version): ModelState(
                model_name=each.model_name,
                model_version=each.model_version,
                severity=each.severity,
                window_end=each.window_end,
                windows=(),
                report=each.name,
                report_end=each.window_end,
                episodes=tuple(
                    OpenEpisode(id=one.id, status=one.status, opened=one.opened)
                    for one in self.episodes
                    if one.model_name == each.model_name
                ),
            )
            for each in reversed(self.found)
            if each.has_report and model_name in ("", each.model_name)
        }
        return list(states.values())

    def report_url(self, name: str, expires_seconds: int) -> str:
        del expires_seconds
        report = self._folder / "report.html"
        report.write_text(f"<!doctype html><title>report</title><p id=report>{name}</p>")
        return report.as_uri()


class BridgeStory:
    """A bridge with a clock that is moved by hand.

    Parameters
    ----------
    folder
        For its files.
    """

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(int(datetime(2026, 11, 23, 14, 0, tzinfo=UTC).timestamp()) * 1000)
        self.ledger = Ledger(folder / "state.sqlite")
        collector = TotalsCollector(self.ledger.totals)
        self.page = Page(collector, self.ledger.totals)
        self.store = HistoryFile(folder / "state-history.sqlite")
        self.history = History(self.ledger.totals, collector, CATALOG, self.clock, self.store)
        self.health = Health(self.clock, stale_ms=60_000)
        self.results = FakeResults(folder)
        reports = Reports(lambda: self.results, self.clock, self._episodes)
        self.site = Site(self.history, self.health, reports, "local")
        self.depths: dict[tuple[str, ...], float] = {}
        self._events = 0
        self._random = random.Random(7)
        self._scores = dict.fromkeys(FEATURES, 0.06)

    def _episodes(self, model: str) -> list[Episode]:
        return [each for each in self.results.episodes if each.model_name == model]

    def close(self) -> None:
        self.ledger.close()
        self.store.close()

    def emit(self, *samples: Sample, function: str = "modelwatch-local-predict") -> None:
        """Have a function report samples now."""
        self.log(*emf_lines(samples, self.clock()), function=function)

    def log(self, *messages: str, function: str = "modelwatch-local-predict") -> None:
        """Have a function log lines now."""
        events = []
        for message in messages:
            self._events += 1
            events.append(LogEvent(self.clock(), "stream", f"{self._events:09d}", message))
        self.ledger.record(f"/aws/lambda/{function}", function, events)

    def show(self) -> None:
        """Do what a round of the service does when all has been read."""
        self.health.note_success()
        live: dict[str, Any] = {"queue_messages": self.depths, "bridge_lag_seconds": {(): 1.4}}
        self.history.observe(live)
        self.page.refresh(live)

    def predict(self, count: int, model: str, version: str, variant: str = "production") -> None:
        """Predict some rows, one request each."""
        route = {"method": "POST", "endpoint": "/predict"}
        of = {"model_name": model, "model_version": version, "variant": variant}
        for _ in range(count):
            seconds = 0.004 + self._random.expovariate(250)
            self.emit(
                Sample("api_requests_total", 1, {**route, "status": "200"}),
                Sample("api_request_latency_seconds", seconds, route),
                Sample("model_predictions_total", 1, of),
                Sample("model_prediction_latency_seconds", seconds / 20, of),
            )
        self.emit(Sample("capture_records_total", count, {"outcome": "accepted"}))
        self.emit(Sample("capture_records_total", count, {"outcome": "sent"}))

    def analyze(
        self,
        model: str,
        version: str,
        status: str,
        scores: dict[str, float] | None = None,
        missing: dict[str, float] | None = None,
    ) -> None:
        """End an analysis; a feature drifts from a score of 0.2 on."""
        of = {"model_name": model, "model_version": version}
        number = STATUS_VALUES[status]
        known = "ok" if status == "warning" else status
        drifted = [name for name, score in (scores or {}).items() if score >= 0.2]
        samples = [
            Sample("evidently_drift_status", number, of),
            Sample("evidently_analysis_total", 1, {**of, "status": known}),
        ]
        if scores:
            samples.append(Sample("evidently_drift_score", len(drifted) / len(scores), of))
        for name, score in (scores or {}).items():
            feature = {**of, "feature": name}
            samples += [
                Sample(
                    "evidently_feature_drift_score", score, {**feature, "method": "wasserstein"}
                ),
                Sample("evidently_feature_critical_score", 0.2, feature),
                Sample("evidently_feature_drift_detected", int(name in drifted), feature),
                Sample("evidently_missing_values_ratio", (missing or {}).get(name, 0.0), feature),
            ]
        self.emit(*samples, function="modelwatch-local-analyze")
        reason = "12 rows in the window; 100 are needed"
        if scores:
            reason = f"{len(drifted)} of {len(scores)} features drifted; drift from a share of 0.5"
        ended = datetime.fromtimestamp(self.clock() / 1000, UTC)
        self.results.found.insert(
            0,
            AnalysisResult(
                name=f"{model}.{version}.{ended:%Y%m%dT%H%M%SZ}",
                model_name=model,
                model_version=version,
                window_start=ended,
                window_end=ended,
                status=known,  # type: ignore[arg-type]
                drifted_features=tuple(drifted),
                reason=reason,
                window="PT1H",
                past_days=40,
                trained_days=30,
                rows=450 if scores else 12,
                reference_rows=142,
                has_report=status == "drift",
            ),
        )

    def invoke(self, function: str, seconds: float, cold: bool = False) -> None:
        """Have Lambda report an invocation."""
        init = "Init Duration: 412.80 ms\t" if cold else ""
        self.log(
            f"REPORT RequestId: 8f5e7a4c-0000-4000-8000-{self._events:012d}\t"
            f"Duration: {seconds * 1000:.2f} ms\tBilled Duration: 10 ms\tMemory Size: 512 MB\t"
            f"Max Memory Used: 96 MB\t{init}\n",
            function=function,
        )

    def hour(self, model: str = "wine_quality_model") -> None:
        """Live through an hour: quiet traffic, then a drift, and a challenger with little data."""
        for version in ("3", "4"):
            info = {"model_name": model, "version": version}
            self.emit(Sample("model_version_info", 1, info))
        self.emit(Sample("model_load_time_seconds", 0.41, {"model_name": model}))
        champion = {"model_name": model, "model_version": "3"}
        self.emit(
            Sample("model_performance_status", 0, champion),
            Sample("model_accuracy", 0.914, champion),
            Sample("model_estimated_accuracy", 0.88, champion),
            Sample("model_label_maturity_ratio", 0.62, champion),
        )
        for step in range(3600 // STEP_SECONDS):
            self.clock.advance(STEP_SECONDS)
            share = step / 360
            wave = 6 + 3 * math.sin(step / 25) + self._random.random() * 2
            self.predict(int(wave), model, "3")
            if share > 0.45:
                self.predict(int(wave / 3), model, "4", "challenger")
            self.invoke("modelwatch-local-predict", 0.006 + 0.01 * self._random.random(), step == 0)
            if step % 12 == 0:
                self.invoke("modelwatch-local-capture", 0.18, step == 0)
            if step % 30 == 17:
                route = {"method": "POST", "endpoint": "/predict"}
                status = "503" if 230 < step < 280 else "400"
                self.emit(Sample("api_requests_total", 2, {**route, "status": status}))
                kind = {"model_name": model, "error_type": "ModelUnavailableError"}
                if status == "503":
                    self.emit(Sample("model_prediction_errors_total", 2, kind))
            self.depths = {
                ("modelwatch-local-captures", "visible"): max(0, round(14 * math.sin(step / 9))),
                ("modelwatch-local-captures-dead", "visible"): 1.0 if step > 300 else 0.0,
            }
            if step % 12 == 6:
                self._analyze_all(model, step)
            if step % 4 == 0:
                self.predict(1, "churn", "12")
            self.show()

    def _analyze_all(self, model: str, step: int) -> None:
        share = step / 360
        self.invoke("modelwatch-local-analyze", 1.9, step < 12)
        for place, name in enumerate(FEATURES):
            begins = 0.55 + place / 60
            target = 0.35 + 0.13 * place % 0.9 if name in DRIFTING and share > begins else 0.07
            noise = self._random.uniform(-0.02, 0.02)
            self._scores[name] += (target - self._scores[name]) * 0.4 + noise
        scores = {name: max(0.01, score) for name, score in self._scores.items()}
        drifted = sum(score >= 0.2 for score in scores.values())
        status = "drift" if drifted / len(scores) >= 0.5 else "warning" if drifted else "ok"
        missing = {"ash": max(0.0, share - 0.5), "hue": 0.02}
        if step < 30:
            self.analyze(model, "3", "unknown")
        else:
            self.analyze(model, "3", status, scores, missing)
        if share > 0.5:
            self.analyze(model, "4", "unknown")
        self.analyze("churn", "12", "ok", dict.fromkeys(("age", "plan", "tenure"), 0.04))


class _Server(BridgeServer):
    """A server whose end is felt at once, as that of its process would be."""

    def __init__(self, *arguments: Any) -> None:
        self._sockets: list[Any] = []
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._sockets.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):  # closed by then
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def served(story: BridgeStory, port: int = 0) -> Iterator[str]:
    """Serve the bridge's pages; give the address."""
    server = _Server(("127.0.0.1", port), story.page, story.health, story.site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()
