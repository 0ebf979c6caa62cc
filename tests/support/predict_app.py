"""The predict app with in-memory parts, called directly or over HTTP as `chalice local` does."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from chalice import Chalice
from chalice.config import Config
from chalice.local import LocalDevServer

from in_memory import (
    ConstantModel,
    InMemoryFleet,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryPlanMemory,
    InMemoryQueue,
    InMemoryRegistry,
)
from modelwatch.domain.capture_policy import CapturePolicy
from modelwatch.domain.routing import Routing
from modelwatch.ports import MetricSink, RecordQueue
from modelwatch.services.predict import PredictService, at_once
from modelwatch.services.serving import ModelPool

FUNCTION = Path(__file__).parents[2] / "functions" / "predict"


def service_with(
    model: ConstantModel | None,
    metrics: MetricSink | None = None,
    *,
    shadow: ConstantModel | None = None,
    queue: RecordQueue | None = None,
    policy: CapturePolicy | None = None,
    sample_rate: float = 1.0,
) -> PredictService:
    """Return the service with ``model`` behind the alias production, or with none at all."""
    metrics = metrics or InMemoryMetrics()
    registry = InMemoryRegistry()
    loader = InMemoryLoader(model)
    if model:
        registry.point("wine", "production", "1")
    if shadow:
        registry.point("wine", "candidate", "2")
        registry.routing = Routing({"production": 1}, ("candidate",))
        loader.models["2"] = shadow
    pool = ModelPool(
        model_name="wine",
        alias="production",
        registry=registry,
        loader=loader,
        memory=InMemoryPlanMemory(),
        metrics=metrics,
        refresh_seconds=30,
        start=lambda work: work(),
        policy=policy,
    )
    return PredictService(
        models=pool,
        queue=queue or InMemoryQueue(),
        metrics=metrics,
        fleet=InMemoryFleet(),
        after_response=at_once,
        sample_rate=sample_rate,
    )


@contextlib.contextmanager
def predict_app(service: PredictService) -> Iterator[Chalice]:
    """Import `functions/predict/app.py` with a wiring that gives ``service``."""
    names = ("chalicelib", "chalicelib.wiring")
    kept = {name: sys.modules.get(name) for name in names}
    package, wiring = ModuleType("chalicelib"), ModuleType("chalicelib.wiring")
    metrics = InMemoryMetrics()
    wiring.metrics = lambda: metrics
    wiring.predict_service = lambda: service
    package.wiring = wiring
    package.__path__ = [str(FUNCTION / "chalicelib")]
    sys.modules |= {"chalicelib": package, "chalicelib.wiring": wiring}
    try:
        spec = importlib.util.spec_from_file_location("predict_app_alone", FUNCTION / "app.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module.app
    finally:
        for name in [name for name in sys.modules if name.startswith("chalicelib")]:
            del sys.modules[name]
        sys.modules |= {name: module for name, module in kept.items() if module}


@contextlib.contextmanager
def served(app: Chalice) -> Iterator[str]:
    """Serve ``app`` with Chalice's own local server; give its address."""
    server = LocalDevServer(app, Config(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
