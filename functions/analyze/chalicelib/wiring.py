"""Builds what analyze needs, from settings, once, at the first event."""

from dataclasses import dataclass
from functools import cache

from modelwatch import __version__
from modelwatch.adapters.analysis_settings import analysis_rules
from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.emf import metric_sink
from modelwatch.adapters.evidently_report import EvidentlyReporter
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.adapters.s3_baselines import S3BaselineStore
from modelwatch.adapters.s3_outcomes import S3OutcomeStore
from modelwatch.adapters.s3_performance import S3PerformanceStore
from modelwatch.adapters.s3_profiles import S3ProfileStore
from modelwatch.adapters.s3_reports import S3ReportStore
from modelwatch.adapters.training_references import TrainingReferences
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.performance.results import PerformancePolicy
from modelwatch.domain.segments import read_segments
from modelwatch.domain.verdict.evidence import CodeVersion
from modelwatch.ports import MetricSink, ModelRegistry
from modelwatch.services.analyze import AnalyzeService
from modelwatch.services.comparison import Comparer
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.references import References
from modelwatch.settings import Settings

_OPEN_HOUR_BYTES = 4 * 2**20
"""The rows of the running hour are read at every run: only where they are few."""


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return metric_sink(Settings())


@cache
def analyze_service() -> AnalyzeService:
    """Return the service."""
    settings, parts = Settings(), _parts()
    return AnalyzeService(
        model_name=settings.text("MODEL_NAME"),
        alias=settings.text("MODEL_ALIAS"),
        registry=parts.registry,
        profiles=parts.profiles,
        references=parts.references,
        performance=parts.performance,
        reporter=EvidentlyReporter(),
        reports=S3ReportStore(s3_client(settings), settings.text("REPORT_BUCKET")),
        metrics=metrics(),
        rules=analysis_rules(settings),
        code=CodeVersion(__version__, settings.text("CODE_REVISION")),
    )


@cache
def comparer() -> Comparer:
    """Return what compares variants."""
    parts, rules = _parts(), analysis_rules(Settings())
    return Comparer(
        registry=parts.registry,
        profiles=parts.profiles,
        references=parts.references,
        performance=parts.performance,
        policy=rules.policy,
        min_rows=rules.min_rows,
    )


def model_name() -> str:
    """Return the name of the model that is watched."""
    return Settings().text("MODEL_NAME")


@dataclass(frozen=True)
class _Parts:
    """What both look at."""

    registry: ModelRegistry
    profiles: S3ProfileStore
    references: References
    performance: PerformanceMonitor


@cache
def _parts() -> _Parts:
    settings = Settings()
    segments = read_segments(settings.text("ANALYSIS_SEGMENTS"))
    s3 = s3_client(settings)
    registry = registry_of(settings)
    profiles = S3ProfileStore(s3, settings.text("CAPTURE_BUCKET"), segments)
    policy = read_policy(settings.text("CAPTURE_POLICY"), settings.text("CAPTURE_HASH_KEY"))
    artifacts = artifacts_of(settings, s3)
    return _Parts(
        registry=registry,
        profiles=profiles,
        references=References(
            registry=registry,
            training=TrainingReferences(artifacts, policy, segments),
            profiles=profiles,
            baselines=S3BaselineStore(s3, settings.text("REPORT_BUCKET")),
        ),
        performance=PerformanceMonitor(
            outcomes=S3OutcomeStore(s3, settings.text("CAPTURE_BUCKET")),
            profiles=S3PerformanceStore(s3, settings.text("CAPTURE_BUCKET")),
            policy=PerformancePolicy(
                min_labels=settings.integer("PERFORMANCE_MIN_LABELS"),
                min_maturity=settings.number("PERFORMANCE_MIN_MATURITY"),
            ),
            open_hour_bytes=_OPEN_HOUR_BYTES,
        ),
    )
