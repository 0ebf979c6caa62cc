"""Builds the services of predict from settings, once, at the first request."""

from functools import cache
from pathlib import Path

from modelwatch.adapters.access.tokens import Callers
from modelwatch.adapters.aws.chalice_local import send_in_one_segment
from modelwatch.adapters.aws.clients import LazyClient, lambda_client, s3_client, sqs_client
from modelwatch.adapters.aws.emf import metric_sink
from modelwatch.adapters.aws.lambda_extension import LambdaExtension
from modelwatch.adapters.aws.lambda_fleet import LambdaFleet
from modelwatch.adapters.aws.queues import SqsRecordQueue
from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.models.loader import ArtifactModelLoader
from modelwatch.adapters.models.serving_plan_cache import StoredServingPlanCache
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.capture_policy import read_policy
from modelwatch.ports.metrics import MetricSink
from modelwatch.ports.serving import Fleet
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService, SingleProcess
from modelwatch.services.serving import ModelPool
from modelwatch.settings.functions import PredictSettings
from modelwatch.settings.serving import verified_alone

send_in_one_segment()


@cache
def door() -> Callers:
    """Return what knows who may call."""
    return Callers.of(PredictSettings())


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return metric_sink(PredictSettings())


@cache
def after_response() -> LambdaExtension:
    """Return what does the work that a caller need not wait for: see `lambda_handler`."""
    return LambdaExtension(PredictSettings().aws_lambda_runtime_api, metrics())


@cache
def predict_service() -> PredictService:
    """Return the service."""
    settings = PredictSettings()
    s3 = s3_client(settings)
    cache_folder = Path(settings.model_cache)
    bucket = settings.model_bucket
    budget_ms = settings.capture_budget_ms
    artifacts = artifacts_of(settings, s3, cache=cache_folder / "artifacts")
    registry = registry_of(settings)
    address = settings.model_registry or settings.mlflow_tracking_uri
    models = ModelPool(
        model_name=settings.model_name,
        alias=settings.model_alias,
        registry=registry,
        loader=ArtifactModelLoader(artifacts, verified_alone=verified_alone(settings)),
        plan_cache=StoredServingPlanCache(
            None if registry.is_local else s3,
            bucket,
            cache_folder / "plans",
            source=f"{settings.stage} {address} {settings.model_alias} {settings.model_stage}",
        ),
        metrics=metrics(),
        refresh_seconds=settings.model_refresh_seconds,
        policy=read_policy(settings.capture_policy, secret(settings, "CAPTURE_HASH_KEY")),
    )
    outbox = Outbox(
        SqsRecordQueue(
            LazyClient(lambda: sqs_client(settings, budget_ms)),
            queue_url=settings.capture_queue_url,
            queue_name=settings.capture_queue_name,
        ),
        flush_seconds=settings.capture_flush_ms / 1000,
        may_wait=lambda: after_response().listens,
    )
    after_response().flushes(outbox)
    return PredictService(
        models=models,
        outbox=outbox,
        metrics=metrics(),
        fleet=_fleet(settings),
        after_response=after_response(),
        sample_rate=settings.capture_sample_rate,
    )


def _fleet(settings: PredictSettings) -> Fleet:
    name = settings.aws_lambda_function_name
    return (
        LambdaFleet(LazyClient(lambda: lambda_client(settings)), name) if name else SingleProcess()
    )
