"""Builds what predict needs, from settings, once, at the first request."""

from functools import cache

from modelwatch.adapters.aws import s3_client, sqs_client
from modelwatch.adapters.emf import EmfMetricSink
from modelwatch.adapters.mlflow_registry import MlflowRegistry
from modelwatch.adapters.model_loader import ArtifactModelLoader
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.adapters.sqs_queue import SqsRecordQueue
from modelwatch.ports import MetricSink
from modelwatch.services.predict import PredictService
from modelwatch.settings import Settings


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return EmfMetricSink()


@cache
def predict_service() -> PredictService:
    """Return the service."""
    settings = Settings()
    return PredictService(
        model_name=settings.text("MODEL_NAME"),
        alias=settings.text("MODEL_ALIAS"),
        registry=MlflowRegistry(settings.text("MLFLOW_TRACKING_URI")),
        loader=ArtifactModelLoader(S3Artifacts(s3_client(settings))),
        queue=SqsRecordQueue(
            sqs_client(settings, settings.integer("CAPTURE_BUDGET_MS", at_least=1)),
            queue_url=settings.text("CAPTURE_QUEUE_URL"),
            queue_name=settings.text("CAPTURE_QUEUE_NAME"),
        ),
        metrics=metrics(),
    )
