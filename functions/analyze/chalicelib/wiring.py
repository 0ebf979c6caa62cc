"""Builds what analyze needs, from settings, once, at the first event."""

from functools import cache

from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.emf import EmfMetricSink
from modelwatch.adapters.evidently_drift import EvidentlyDriftDetector
from modelwatch.adapters.mlflow_registry import MlflowRegistry
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.adapters.s3_records import S3RecordStore
from modelwatch.adapters.s3_reports import S3ReportStore
from modelwatch.domain.drift import DriftPolicy
from modelwatch.ports import MetricSink
from modelwatch.services.analyze import AnalyzeService
from modelwatch.settings import Settings


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return EmfMetricSink()


@cache
def analyze_service() -> AnalyzeService:
    """Return the service."""
    settings = Settings()
    s3 = s3_client(settings)
    return AnalyzeService(
        model_name=settings.text("MODEL_NAME"),
        alias=settings.text("MODEL_ALIAS"),
        registry=MlflowRegistry(settings.text("MLFLOW_TRACKING_URI")),
        records=S3RecordStore(s3, settings.text("CAPTURE_BUCKET")),
        references=S3Artifacts(s3, settings.text("MODEL_BUCKET")),
        detector=EvidentlyDriftDetector(),
        reports=S3ReportStore(s3, settings.text("REPORT_BUCKET")),
        metrics=metrics(),
        policy=DriftPolicy(
            numerical_method=settings.text("DRIFT_NUMERICAL_METHOD"),
            numerical_threshold=settings.number("DRIFT_NUMERICAL_THRESHOLD"),
            categorical_method=settings.text("DRIFT_CATEGORICAL_METHOD"),
            categorical_threshold=settings.number("DRIFT_CATEGORICAL_THRESHOLD"),
            share_threshold=settings.number("DRIFT_SHARE_THRESHOLD"),
        ),
        window_seconds=settings.integer("ANALYSIS_WINDOW_SECONDS", at_least=1),
        lag_seconds=settings.integer("ANALYSIS_LAG_SECONDS"),
        min_rows=settings.integer("ANALYSIS_MIN_ROWS", at_least=2),
    )
