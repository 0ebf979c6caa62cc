"""The analyze service with its ports in memory, for a model `wine` whose version 1 serves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from in_memory import (
    InMemoryEventBus,
    InMemoryMetrics,
    InMemoryPerformance,
    InMemoryProfiles,
    InMemoryRecordStore,
    InMemoryReferences,
    InMemoryRegistry,
    InMemoryReporter,
    InMemoryReportStore,
)
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.results.analysis_settings import monitored
from modelwatch.adapters.results.asked import S3AskedStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.adapters.results.past import S3PastStore
from modelwatch.domain.comparison import Comparison
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.monitors import Monitor, Monitored, MonitorSet
from modelwatch.domain.records import Record
from modelwatch.domain.segments import parse_segments
from modelwatch.domain.verdict.evidence import CodeVersion
from modelwatch.domain.verdict.rules import AnalysisRules, DriftPolicy
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.ports.analysis import ReportStore
from modelwatch.services.analysis_requests import AnalysisRequest
from modelwatch.services.analyze import Analysis, AnalyzeService
from modelwatch.services.announcing import Announcer
from modelwatch.services.asking import Asking
from modelwatch.services.comparison import Comparer
from modelwatch.services.comparison_query import ComparisonRequest
from modelwatch.services.evaluation import Evaluator
from modelwatch.services.learning import Learning
from modelwatch.services.monitors import MonitorReader
from modelwatch.services.references import References
from modelwatch.settings.analysis import AnalysisSettings
from wine_records import wine_record

NOW = datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)


def records(
    count: int,
    value: float,
    version: str = "1",
    age_seconds: float = 60,
    variant: str = "production",
) -> list[Record]:
    """Return records that all have the same features."""
    return [
        wine_record(
            event_id=new_event_id(index),
            captured_at=NOW - timedelta(seconds=age_seconds),
            model_version=version,
            variant=variant,
            features={"alcohol": value, "colour": "red"},
        )
        for index in range(count)
    ]


class AnalysisStage:
    """The service, and the parts that it stands on; `now` is the time."""

    def __init__(self, **rules: Any) -> None:
        self.now = NOW
        self.registry = InMemoryRegistry({("wine", "production"): ModelVersion("wine", "1", "m")})
        self.store = InMemoryRecordStore()
        self.profiles = InMemoryProfiles(self.store)
        self.training = InMemoryReferences({"1": records_table(records(50, 1.0))})
        self.s3 = InMemoryS3()
        self.baselines = S3BaselineStore(self.s3, "reports")
        self.episodes = S3EpisodeStore(self.s3, "reports")
        self.reports = InMemoryReportStore()
        self.pasts = S3PastStore(self.s3, "reports")
        self.code = CodeVersion("0.1.0", "1a2b3c")
        self.reporter = InMemoryReporter()
        self.performance = InMemoryPerformance()
        self.metrics = InMemoryMetrics()
        self.bus = InMemoryEventBus()
        self.rules = AnalysisRules(
            **{"plans": (WindowPlan(timedelta(hours=1)),), "min_rows": 20, **rules}
        )
        self.profiles.declared = self.training.declared = parse_segments(self.rules.segments)
        self.references = References(
            registry=self.registry,
            training=self.training,
            profiles=self.profiles,
            baselines=self.baselines,
        )
        self.make_service()

    def make_service(
        self, reports: ReportStore | None = None, episodes: S3EpisodeStore | None = None
    ) -> None:
        """Make the service of the parts; again, with other stores than those in memory."""
        reports, episodes = reports or self.reports, episodes or self.episodes
        self.evaluator = Evaluator(
            profiles=self.profiles,
            references=self.references,
            learning=Learning(self.profiles, self.pasts),
            performance=self.performance,
            reporter=self.reporter,
            reports=reports,
            episodes=episodes,
            metrics=self.metrics,
            code=self.code,
        )
        self.service = AnalyzeService(
            serving={"wine": "production"},
            registry=self.registry,
            profiles=self.profiles,
            reports=reports,
            evaluator=self.evaluator,
            metrics=self.metrics,
            monitors=MonitorReader(S3MonitorStore(self.s3, "reports"), "local", self.monitored),
            announcer=Announcer(episodes, self.bus, self.metrics, "local"),
            clock=lambda: self.now.timestamp(),
        )
        self.comparer = Comparer(
            registry=self.registry,
            profiles=self.profiles,
            references=self.references,
            performance=self.performance,
            monitored=lambda _: self.monitored(None),
        )
        self.asking = Asking(S3AskedStore(self.s3, "reports"), self.service.analyze, self.compare)

    def compare(self, request: ComparisonRequest, at: datetime) -> Comparison:
        """Compare variants of the stage's model."""
        return self.comparer.compare_asked("wine", request, at)

    def monitored(self, monitor: Monitor | None) -> Monitored:
        """Read a monitor, whose rules override the stage's."""
        if monitor is None:
            return Monitored(rules=self.rules)
        # what the stage's rules say, as settings
        given = {"ANALYSIS_MIN_ROWS": str(self.rules.min_rows), **monitor.settings}
        return monitored(AnalysisSettings(given), monitor)

    def apply(self, **monitors: Monitor) -> None:
        """Make monitors hold, by model."""
        store = S3MonitorStore(self.s3, "reports")
        store.append(MonitorSet(number=store.current().number + 1, monitors=monitors))

    def analyze(self, **request: Any) -> Analysis:
        """Analyze as `POST /analyze` with ``request`` does."""
        return self.service.analyze(AnalysisRequest(**request))

    def run_after(self, **time: float) -> Analysis:
        """Let time pass, and analyze as the schedule does."""
        self.now += timedelta(**time)
        return self.service.analyze_due(self.now)


def stage_with_a_drift() -> AnalysisStage:
    """Return a stage that has analyzed six hours by classic rules: the third and fourth drift."""
    stage = AnalysisStage(policy=DriftPolicy(mode="classic"))
    stage.training.tables["1"] = records_table(records(100, 0.5) + records(100, 1.5))
    for hour in range(6):
        value = 1.4 if hour in (2, 3) else 1.0
        for each in (value - 0.5, value + 0.5):
            stage.store.write(records(20, each, age_seconds=60 - 3600 * hour))
        stage.run_after(hours=1 if hour else 0)
    return stage
