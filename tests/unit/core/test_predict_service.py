"""The predict service with its ports in memory."""

import json

import pytest

from in_memory import (
    ConstantModel,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRegistry,
)
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import InvalidInputError, ModelLoadError, NoModelError
from modelwatch.services.predict import PredictService

BODY = json.dumps({"features": [13.5, "red"]}).encode()


class Stage:
    """A service, and everything around it."""

    def __init__(self) -> None:
        self.version = ModelVersion("wine", "3", "memory://wine/3", alias="production")
        self.registry = InMemoryRegistry({("wine", "production"): self.version})
        self.model = ConstantModel(prediction=2)
        self.loader = InMemoryLoader(self.model)
        self.queue = InMemoryQueue()
        self.metrics = InMemoryMetrics()
        self.now = 1_800_000_000.1234
        self.service = PredictService(
            model_name="wine",
            alias="production",
            registry=self.registry,
            loader=self.loader,
            queue=self.queue,
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def predict(self, body: bytes = BODY):
        response, samples = self.service.predict(body)
        self.metrics.emit(samples)
        return response


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_prediction_is_answered_and_recorded(stage):
    response = stage.predict()
    (record,) = stage.queue.records
    assert (response.prediction, response.model_name, response.model_version) == (2, "wine", "3")
    assert record.event_id == response.event_id
    assert record.features == {"alcohol": 13.5, "colour": "red"}
    assert record.probabilities == [0.25, 0.75]
    assert (record.variant, record.source) == ("production", "predict")
    assert record.captured_at_ms == 1_800_000_000_123
    assert stage.metrics.value("model_predictions_total", model_version="3") == 1
    assert stage.metrics.value("model_prediction_value", model_name="wine") == 2
    assert stage.metrics.value("capture_records_total", outcome="sent") == 1


def test_the_caller_may_name_the_event(stage):
    event_id = "018bcfe5-6800-7000-8000-000000000000"
    body = json.dumps({"features": [1, "red"], "event_id": event_id}).encode()
    assert stage.predict(body).event_id == event_id
    with pytest.raises(InvalidInputError, match="event_id: is not a UUID"):
        stage.predict(json.dumps({"features": [1, "red"], "event_id": "7"}).encode())


def test_a_queue_that_is_down_costs_the_record_and_not_the_prediction(stage, caplog):
    stage.queue.down = True
    assert stage.predict().prediction == 2
    assert stage.metrics.value("capture_records_total", outcome="lost") == 1
    assert "is lost: the queue is down" in caplog.text
    assert "13.5" not in caplog.text


def test_the_model_is_loaded_once(stage):
    for _ in range(3):
        stage.predict()
    assert (stage.registry.calls, stage.loader.loads) == (1, 1)
    assert stage.metrics.value("model_version_info", version="3") == 1


def test_without_a_model_it_says_so_and_serves_as_soon_as_there_is_one(stage):
    stage.registry.aliases.clear()
    with pytest.raises(NoModelError):
        stage.predict()
    health = stage.service.health()
    assert (health["model_loaded"], health["model_version"]) == (False, None)
    assert "has no alias" in health["problem"]
    stage.registry.aliases["wine", "production"] = stage.version
    assert stage.predict().model_version == "3"
    assert stage.service.health()["status"] == "healthy"


def test_a_model_that_fails_on_a_row_is_an_error_of_its_own(stage, caplog):
    stage.model.failure = RuntimeError("secret 13.5")
    with pytest.raises(ModelLoadError, match="the model failed: RuntimeError"):
        stage.predict()
    assert stage.queue.records == []
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"[]", b'{"features": NaN}', b"\xff\xfe", b'{"x": 1}', b"[" * 50_000],
)
def test_a_body_that_is_no_request_is_refused(stage, body):
    with pytest.raises(InvalidInputError):
        stage.predict(body)
    assert stage.queue.records == []


def test_the_model_is_described(stage):
    info = stage.service.model_info()
    assert info["flavor"] == "constant"
    assert info["features"][0] == {"name": "alcohol", "type": "double", "required": True}
