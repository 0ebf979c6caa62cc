"""The predict app with in-memory parts, called directly or over HTTP as `chalice local` does."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from chalice.app import Chalice

from apps import app_with
from in_memory import (
    ConstantModel,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRegistry,
    InMemoryServingPlanCache,
)
from modelwatch.domain.capture_policy import CapturePolicy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.routing import Routing
from modelwatch.ports.capture import CaptureMonitors, RecordQueue
from modelwatch.ports.metrics import MetricSink
from modelwatch.services.capturing import ModelCapture
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService
from modelwatch.services.served_models import ServedModels
from modelwatch.services.serving import ModelPool


def service_with(
    model: ConstantModel | None,
    metrics: MetricSink | None = None,
    *,
    registry: InMemoryRegistry | None = None,
    shadow: ConstantModel | None = None,
    queue: RecordQueue | None = None,
    policy: CapturePolicy | None = None,
    sample_rate: float = 1.0,
    monitors: CaptureMonitors | None = None,
) -> PredictService:
    """Return the service with ``model`` behind the alias production, or with none at all."""
    metrics = metrics or InMemoryMetrics()
    registry = registry or InMemoryRegistry()
    loader = InMemoryLoader(model)
    if model:
        registry.point("wine", "production", "1")
    if shadow:
        registry.point("wine", "candidate", "2")
        registry.routing = Routing({"production": 1}, ("candidate",))
        loader.models["2"] = shadow
    rules = CaptureRules(policy or CapturePolicy(), sample_rate)
    pool = ModelPool(
        model_name="wine",
        alias="production",
        registry=registry,
        loader=loader,
        plan_cache=InMemoryServingPlanCache(),
        metrics=metrics,
        refresh_seconds=30,
        start=lambda work: work(),
        capture=ModelCapture("wine", rules, monitors),
        wait=lambda _seconds: None,
    )
    return PredictService(
        models=pool,
        outbox=Outbox(queue or InMemoryQueue()),
        metrics=metrics,
        after_response=lambda work: work(),
    )


def predict_app(service: PredictService, **parts: object) -> AbstractContextManager[Chalice]:
    """Import `functions/predict/app.py` with a wiring that gives ``service`` and ``parts``."""
    return app_with(
        "predict",
        metrics=InMemoryMetrics(),
        predict_service=service,
        served_models=one_model(service),
        **parts,
    )


def one_model(service: PredictService) -> ServedModels:
    """Return the models of a deployment that serves no further one."""

    def make(name: str, *_: object) -> Any:
        raise AssertionError(f"{name} is not served")

    return ServedModels({"wine": "production"}, make, 1, lambda: service)
