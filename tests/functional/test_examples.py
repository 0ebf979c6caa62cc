"""Every file of examples/ against a real server and the capture app."""

from __future__ import annotations

import importlib.util
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from apps import app_with, served
from capture_stage import capture_service
from in_memory import InMemoryMetrics, InMemoryQueue
from modelwatch.domain.event_ids import named_event_id
from web import asgi_served, wsgi_served

EXAMPLES = Path(__file__).parents[2] / "examples"
FLAT = {"area": 72.5, "rooms": 3, "city": "Ulm"}


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryQueue]:
    """What reaches the capture app, to which CAPTURE_URL leads."""
    queue, metrics = InMemoryQueue(), InMemoryMetrics()
    service = capture_service(time.time, queue=queue, metrics=metrics)
    with app_with("capture", metrics=metrics, capture_service=service) as app, served(app) as url:
        monkeypatch.setenv("CAPTURE_URL", url)
        yield queue


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fastapi(queue):
    module = example("fastapi_service")
    with asgi_served(module.app) as url:
        answer = httpx.post(f"{url}/price", json={"offer": "17", "flat": FLAT})
        wrong = httpx.post(f"{url}/price", json={"offer": "18", "flat": {"area": "large"}})
    # the server has ended, and so all was sent
    assert (answer.json(), wrong.status_code) == ({"prediction": 175_000.0}, 422)
    (record,) = queue.records
    assert (record.features, record.prediction) == (FLAT, 175_000.0)
    assert record.event_id == named_event_id("17", "price")
    assert record.latency_ms > 0


def test_flask(queue):
    module = example("flask_service")
    with module.client:
        with wsgi_served(module.app) as url:
            assert httpx.post(f"{url}/price", json=FLAT).json() == {"prediction": 175_000.0}
            rows = [[72.5, 3, "Ulm"], [40.0, 1, None]]
            assert len(httpx.post(f"{url}/prices", json={"rows": rows}).json()["prices"]) == 2
        # the server has ended, and so all was logged
        assert module.client.flush(30)
    assert [record.features for record in queue.records] == [
        FLAT, FLAT, {"area": 40.0, "rooms": 1, "city": None},
    ]  # fmt: skip
    assert [record.prediction for record in queue.records] == [175_000.0, 175_000.0, 90_000.0]


def test_a_function(queue, capsys):
    runpy.run_path(str(EXAMPLES / "function.py"), run_name="__main__")
    assert "sent=100" in capsys.readouterr().out
    assert len(queue.records) == 100
    assert queue.records[31].features == {"area": 71.0, "rooms": 2}
    assert queue.records[31].event_id == named_event_id("offer 31", "price")


def test_mlflow(queue, tmp_path):
    """The server is the application that `mlflow models serve` gives to uvicorn."""
    import mlflow
    from mlflow.pyfunc.scoring_server import init

    model = mlflow.pyfunc.load_model(str(example("mlflow_model").save_models(tmp_path)))
    with asgi_served(init(model)) as url:
        body = {"dataframe_split": {"columns": ["area", "rooms"], "data": [[72.5, 3], [40, 1]]}}
        answer = httpx.post(f"{url}/invocations", json=body, timeout=60)
    assert model.unwrap_python_model()._client.flush(30)
    assert len(answer.json()["predictions"]) == 2
    assert [record.features for record in queue.records] == [
        {"area": 72.5, "rooms": 3.0}, {"area": 40.0, "rooms": 1.0},
    ]  # fmt: skip
    assert [record.prediction for record in queue.records] == answer.json()["predictions"]
