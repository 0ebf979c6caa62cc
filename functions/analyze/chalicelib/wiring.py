"""Builds what analyze needs, from settings, once, at the first event."""

from datetime import timedelta
from functools import cache

from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.emf import metric_sink
from modelwatch.adapters.evidently_report import EvidentlyReporter
from modelwatch.adapters.mlflow_registry import MlflowRegistry
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.adapters.s3_baselines import S3BaselineStore
from modelwatch.adapters.s3_profiles import S3ProfileStore
from modelwatch.adapters.s3_reports import S3ReportStore
from modelwatch.adapters.training_references import TrainingReferences
from modelwatch.domain.analysis_rules import AnalysisRules, run_interval
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.drift import DriftPolicy
from modelwatch.domain.window_plans import WindowPlan, parse_plans
from modelwatch.errors import InvalidInputError, SettingError
from modelwatch.ports import MetricSink
from modelwatch.services.analyze import AnalyzeService
from modelwatch.services.references import References
from modelwatch.settings import Settings


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return metric_sink(Settings())


@cache
def analyze_service() -> AnalyzeService:
    """Return the service."""
    settings = Settings()
    s3 = s3_client(settings)
    registry = MlflowRegistry(settings.text("MLFLOW_TRACKING_URI"))
    profiles = S3ProfileStore(s3, settings.text("CAPTURE_BUCKET"))
    policy = read_policy(settings.text("CAPTURE_POLICY"), settings.text("CAPTURE_HASH_KEY"))
    report_bucket = settings.text("REPORT_BUCKET")
    return AnalyzeService(
        model_name=settings.text("MODEL_NAME"),
        alias=settings.text("MODEL_ALIAS"),
        registry=registry,
        profiles=profiles,
        references=References(
            registry=registry,
            training=TrainingReferences(S3Artifacts(s3, settings.text("MODEL_BUCKET")), policy),
            profiles=profiles,
            baselines=S3BaselineStore(s3, report_bucket),
        ),
        reporter=EvidentlyReporter(),
        reports=S3ReportStore(s3, report_bucket),
        metrics=metrics(),
        rules=_rules(settings),
    )


def _rules(settings: Settings) -> AnalysisRules:
    return AnalysisRules(
        plans=_plans(settings),
        policy=DriftPolicy(
            mode=settings.choice("DRIFT_MODE", "calibrated", "classic"),
            numerical_method=settings.text("DRIFT_NUMERICAL_METHOD"),
            numerical_threshold=settings.number("DRIFT_NUMERICAL_THRESHOLD"),
            categorical_method=settings.text("DRIFT_CATEGORICAL_METHOD"),
            categorical_threshold=settings.number("DRIFT_CATEGORICAL_THRESHOLD"),
            share_threshold=settings.number("DRIFT_SHARE_THRESHOLD"),
        ),
        min_rows=settings.integer("ANALYSIS_MIN_ROWS", at_least=2),
        lag=timedelta(seconds=settings.integer("ANALYSIS_LAG_SECONDS")),
        stale=settings.duration("ANALYSIS_STALE"),
        run_every=run_interval(settings.text("ANALYSIS_SCHEDULE")),
        false_alarms_per_month=settings.number("FALSE_ALARMS_PER_MONTH"),
        report_every=settings.duration("REPORT_EVERY"),
        sample_rows=settings.integer("REPORT_ROWS", at_least=2),
    )


def _plans(settings: Settings) -> tuple[WindowPlan, ...]:
    try:
        return parse_plans(settings.text("ANALYSIS_WINDOWS"))
    except InvalidInputError as error:
        raise SettingError("ANALYSIS_WINDOWS", error.problem) from None
