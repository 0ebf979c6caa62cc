"""Builds what predict needs, from settings, once, at the first request."""

from functools import cache
from pathlib import Path

from modelwatch.adapters.aws import LazyClient, lambda_client, s3_client, sqs_client
from modelwatch.adapters.chalice_local import answer_in_one_segment
from modelwatch.adapters.emf import metric_sink
from modelwatch.adapters.lambda_extension import LambdaExtension
from modelwatch.adapters.lambda_fleet import LambdaFleet
from modelwatch.adapters.model_loader import ArtifactModelLoader
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.adapters.serving_plan_cache import StoredServingPlanCache
from modelwatch.adapters.sqs_queue import SqsRecordQueue
from modelwatch.domain.capture_policy import read_policy
from modelwatch.ports import Fleet, MetricSink
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService, SingleProcess
from modelwatch.services.serving import ModelPool
from modelwatch.settings import Settings

answer_in_one_segment()


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return metric_sink(Settings())


@cache
def after_response() -> LambdaExtension:
    """Return what does the work that a caller need not wait for: see `lambda_handler`."""
    return LambdaExtension(Settings().text("AWS_LAMBDA_RUNTIME_API"), metrics())


@cache
def predict_service() -> PredictService:
    """Return the service."""
    settings = Settings()
    s3 = s3_client(settings)
    cache_folder = Path(settings.text("MODEL_CACHE"))
    bucket = settings.text("MODEL_BUCKET")
    budget_ms = settings.integer("CAPTURE_BUDGET_MS")
    artifacts = artifacts_of(settings, s3, cache=cache_folder / "artifacts")
    registry = registry_of(settings)
    models = ModelPool(
        model_name=settings.text("MODEL_NAME"),
        alias=settings.text("MODEL_ALIAS"),
        registry=registry,
        loader=ArtifactModelLoader(artifacts),
        plan_cache=StoredServingPlanCache(
            None if registry.is_local else s3, bucket, cache_folder / "plans"
        ),
        metrics=metrics(),
        refresh_seconds=settings.integer("MODEL_REFRESH_SECONDS"),
        policy=read_policy(settings.text("CAPTURE_POLICY"), settings.text("CAPTURE_HASH_KEY")),
    )
    outbox = Outbox(
        SqsRecordQueue(
            LazyClient(lambda: sqs_client(settings, budget_ms)),
            queue_url=settings.text("CAPTURE_QUEUE_URL"),
            queue_name=settings.text("CAPTURE_QUEUE_NAME"),
        ),
        flush_seconds=settings.integer("CAPTURE_FLUSH_MS") / 1000,
        may_wait=lambda: after_response().listens,
    )
    after_response().flushes(outbox)
    return PredictService(
        models=models,
        outbox=outbox,
        metrics=metrics(),
        fleet=_fleet(settings),
        after_response=after_response(),
        sample_rate=settings.number("CAPTURE_SAMPLE_RATE"),
    )


def _fleet(settings: Settings) -> Fleet:
    name = settings.text("AWS_LAMBDA_FUNCTION_NAME")
    return (
        LambdaFleet(LazyClient(lambda: lambda_client(settings)), name) if name else SingleProcess()
    )
