"""Builds the services of predict from settings, once, at the first request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from modelwatch.adapters.access.tokens import Callers
from modelwatch.adapters.aws.chalice_local import send_in_one_segment
from modelwatch.adapters.aws.clients import LazyClient, s3_client, sqs_client
from modelwatch.adapters.aws.emf import metric_sink
from modelwatch.adapters.aws.lambda_extension import LambdaExtension
from modelwatch.adapters.aws.queues import SqsRecordQueue
from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.models.loader import ArtifactModelLoader
from modelwatch.adapters.models.serving_plan_cache import StoredServingPlanCache
from modelwatch.adapters.registries import Registry, artifacts_of, registry_of
from modelwatch.adapters.results.capture_monitors import S3CaptureMonitors
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.ports.capture import CaptureMonitors
from modelwatch.ports.metrics import MetricSink
from modelwatch.services.capturing import ModelCapture
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService
from modelwatch.services.served_models import ServedModels
from modelwatch.services.serving import ModelPool
from modelwatch.settings.functions import PredictSettings
from modelwatch.settings.serving import aliases_of_served, verified_alone

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
    """Return the service of the default model."""
    settings = PredictSettings()
    return _serving(settings.model_name, settings.model_alias)[1]


def prepare() -> None:
    """Load the default model before a snapshot; without one, at the first request."""
    predict_service().health()


def renew() -> None:
    """Renew what a snapshot may hold that is old."""
    predict_service().renew()


@cache
def served_models() -> ServedModels:
    """Return the services of all models."""
    settings = PredictSettings()
    return ServedModels(
        aliases_of_served(settings), _serving, settings.models_in_memory, predict_service
    )


def _serving(
    name: str, alias: str, on_first: Callable[[], None] = lambda: None
) -> tuple[ModelPool, PredictService]:
    settings, parts = PredictSettings(), _parts()
    models = ModelPool(
        model_name=name,
        alias=alias,
        registry=parts.registry,
        loader=parts.loader,
        plan_cache=StoredServingPlanCache(
            None if parts.registry.is_local else parts.s3,
            settings.report_bucket,
            Path(settings.model_cache) / "plans",
            source=f"{settings.stage} {parts.address} {alias} {settings.model_stage}",
        ),
        metrics=metrics(),
        refresh_seconds=settings.model_refresh_seconds,
        # `chalice local` has no other environments
        wait=time.sleep if settings.aws_lambda_function_name else lambda _seconds: None,
        capture=ModelCapture(name, parts.captured, parts.monitors, settings.model_refresh_seconds),
        on_first=on_first,
    )
    service = PredictService(
        models=models,
        outbox=parts.outbox,
        metrics=metrics(),
        after_response=after_response(),
    )
    return models, service


@dataclass(frozen=True)
class _Parts:
    """What all models have together."""

    s3: Any
    registry: Registry
    address: str
    loader: ArtifactModelLoader
    captured: CaptureRules
    monitors: CaptureMonitors
    outbox: Outbox


@cache
def _parts() -> _Parts:
    settings = PredictSettings()
    budget_ms = settings.capture_budget_ms
    s3 = s3_client(settings)
    artifacts = artifacts_of(settings, s3, cache=Path(settings.model_cache) / "artifacts")
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
    return _Parts(
        s3=s3,
        address=settings.model_registry or settings.mlflow_tracking_uri,
        registry=registry_of(settings),
        loader=ArtifactModelLoader(artifacts, verified_alone=verified_alone(settings)),
        captured=CaptureRules(
            read_policy(settings.capture_policy, secret(settings, "CAPTURE_HASH_KEY")),
            settings.capture_sample_rate,
        ),
        monitors=S3CaptureMonitors(s3, settings.report_bucket),
        outbox=outbox,
    )
