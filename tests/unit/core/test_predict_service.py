"""The predict service with its ports in memory."""

import json

import pytest

from in_memory import (
    ConstantModel,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRegistry,
    InMemoryServingPlanCache,
)
from modelwatch.domain.routing import Routing
from modelwatch.errors import (
    InvalidInputError,
    ModelLoadError,
    NoModelError,
    PredictionError,
    RegistryError,
)
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService
from modelwatch.services.serving import ModelPool

BODY = json.dumps({"features": [13.5, "red"]}).encode()


class Stage:
    """A service, and everything around it."""

    def __init__(self) -> None:
        self.registry = InMemoryRegistry()
        self.registry.point("wine", "production", "3")
        self.model = ConstantModel(prediction=2)
        self.loader = InMemoryLoader(self.model)
        self.queue = InMemoryQueue()
        self.metrics = InMemoryMetrics()
        self.plan_cache = InMemoryServingPlanCache()
        self.waited: list[float] = []
        self.now = 1_800_000_000.1234
        pool = ModelPool(
            model_name="wine",
            alias="production",
            registry=self.registry,
            loader=self.loader,
            plan_cache=self.plan_cache,
            metrics=self.metrics,
            refresh_seconds=30,
            clock=lambda: self.now,
            start=lambda work: work(),
            wait=self.waited.append,
        )
        self.service = PredictService(
            models=pool,
            outbox=Outbox(self.queue),
            metrics=self.metrics,
            after_response=lambda work: work(),
            clock=lambda: self.now,
        )

    def predict(self, body: bytes = BODY):
        response, samples = self.service.predict(body)
        self.metrics.emit(samples)
        return response


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_prediction_is_returned_and_recorded(stage):
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
    assert stage.metrics.value("capture_records_total", outcome="accepted") == 1
    assert stage.metrics.value("capture_records_total", outcome="sent") == 1


def test_the_caller_may_name_the_event(stage):
    event_id = "018bcfe5-6800-7000-8000-000000000000"
    body = json.dumps({"features": [1, "red"], "event_id": event_id}).encode()
    assert stage.predict(body).event_id == event_id
    with pytest.raises(InvalidInputError, match="event_id: '7' is not a UUID"):
        stage.predict(json.dumps({"features": [1, "red"], "event_id": "7"}).encode())


def test_a_queue_that_is_down_costs_the_record_and_not_the_prediction(stage, caplog):
    stage.queue.down = True
    assert stage.predict().prediction == 2
    assert stage.metrics.value("capture_records_total", outcome="accepted") == 1
    assert stage.metrics.value("capture_records_total", outcome="lost") == 1
    assert "the queue refused 1 records: the queue is down" in caplog.text
    assert "lost records: 1" in caplog.text
    assert "13.5" not in caplog.text
    stage.predict()
    stage.queue.down = False
    stage.predict()
    stage.predict()
    # the first that gets through reports those that did not
    assert [record.lost_before for record in stage.queue.records] == [2, 0]


def test_a_record_that_no_message_can_hold_is_lost_alone(stage, caplog):
    event_id = "018bcfe5-6800-7000-8000-000000000000"
    stage.queue.too_large.add(event_id)
    body = json.dumps({"features": [13.5, "red"], "event_id": event_id}).encode()
    assert stage.predict(body).prediction == 2
    assert stage.predict().prediction == 2
    assert [record.lost_before for record in stage.queue.records] == [1]
    assert stage.metrics.value("capture_records_total", outcome="lost") == 1
    assert stage.metrics.value("capture_records_total", outcome="sent") == 1
    assert f"record {event_id} has 2000000 bytes; at most 999998 are taken" in caplog.text


def test_the_model_is_loaded_once(stage):
    for _ in range(3):
        stage.predict()
    assert (stage.registry.calls, stage.loader.loads) == (1, ["3"])
    assert stage.metrics.value("model_version_info", version="3") == 1


def test_without_a_model_it_says_so_and_serves_as_soon_as_there_is_one(stage):
    stage.registry.aliases.clear()
    with pytest.raises(NoModelError):
        stage.predict()
    health = stage.service.health()
    assert (health["model_loaded"], health["model_version"]) == (False, None)
    assert "has no alias" in health["problem"]
    stage.registry.point("wine", "production", "3")
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
    "body", [b"", b"  ", b"{", b"[]", b'{"features": NaN}', b"\xff\xfe", b'{"x": 1}', b"[" * 50_000]
)
def test_a_body_that_is_no_request_is_refused(stage, body):
    with pytest.raises(InvalidInputError):
        stage.predict(body)
    assert stage.queue.records == []


def test_the_model_is_described(stage):
    info = stage.service.model_info()
    assert info["flavor"] == "constant"
    assert info["features"][0] == {"name": "alcohol", "type": "double", "required": True}
    assert info["metrics"] == {"accuracy": 0.9}
    assert info["variants"] == {"production": {"model_version": "3", "weight": 1, "shadow": False}}


def test_a_batch_is_predicted_and_recorded_row_by_row(stage):
    body = json.dumps({"rows": [[1, "red"], {"alcohol": None, "colour": "white"}]}).encode()
    response, samples = stage.service.predict_batch(body)
    assert response.predictions == [2, 2]
    assert response.event_ids == [record.event_id for record in stage.queue.records]
    assert [record.features["colour"] for record in stage.queue.records] == ["red", "white"]
    stage.metrics.emit(samples)
    assert stage.metrics.value("model_predictions_total") == 2
    assert stage.metrics.value("model_prediction_value") == 4


@pytest.mark.parametrize(
    ("rows", "field"),
    [([], "rows"), ([[1, "red"], [1, 2]], "rows[1].colour"), ([[1]] * 10_001, "rows")],
)
def test_a_batch_with_a_wrong_row_is_refused_whole(stage, rows, field):
    with pytest.raises(InvalidInputError) as caught:
        stage.service.predict_batch(json.dumps({"rows": rows}).encode())
    assert caught.value.field == field
    assert stage.queue.records == []


def test_variants_share_the_requests_and_a_key_stays_with_one(stage):
    stage.registry.point("wine", "champion", "3")
    stage.registry.point("wine", "challenger", "4")
    stage.registry.routing = Routing({"champion": 3, "challenger": 1})
    for _ in range(400):
        stage.predict()
    shares = [record.variant for record in stage.queue.records]
    assert 70 <= shares.count("challenger") <= 130
    assert stage.metrics.value("model_predictions_total", variant="challenger") == shares.count(
        "challenger"
    )
    keyed = json.dumps({"features": [1, "red"], "routing_key": "user-7"}).encode()
    assert len({stage.predict(keyed).variant for _ in range(20)}) == 1


def test_a_shadow_is_captured_and_never_seen(stage):
    stage.registry.point("wine", "candidate", "9")
    stage.registry.routing = Routing({"production": 1}, ("candidate",))
    stage.loader.models["9"] = ConstantModel(prediction=7)
    response = stage.predict()
    seen, shadowed = stage.queue.records
    assert (response.prediction, response.variant) == (2, "production")
    assert (shadowed.prediction, shadowed.variant) == (7, "candidate")
    assert shadowed.features == seen.features
    assert shadowed.event_id != seen.event_id


def test_a_shadow_that_fails_is_counted_and_never_seen(stage):
    stage.registry.point("wine", "candidate", "9")
    stage.registry.routing = Routing({"production": 1}, ("candidate",))
    stage.loader.models["9"] = ConstantModel(failure=RuntimeError("no"))
    assert stage.predict().prediction == 2
    errors = stage.metrics.value("model_prediction_errors_total", error_type="ShadowModelLoadError")
    assert (errors, len(stage.queue.records)) == (1, 1)


def test_health_says_what_is_stale_and_since_when(stage):
    stage.predict()
    stage.registry.failure = RegistryError("the registry is away")
    stage.now += 31
    assert stage.predict().prediction == 2
    health = stage.service.health()
    assert (health["status"], health["problem"]) == ("stale", RegistryError.public)
    assert health["stale_since"].timestamp() == pytest.approx(stage.now, abs=0.001)
    assert stage.metrics.value("model_stale") == 1
    stage.registry.failure = None
    stage.now += 31
    stage.predict()
    assert stage.service.health()["status"] == "healthy"


def test_a_reload_tells_the_others_once_the_version_is_loaded_here_and_until_they_know(stage):
    stage.predict()
    stage.loader.models["4"] = None
    stage.registry.point("wine", "production", "4")
    with pytest.raises(ModelLoadError):
        stage.service.reload()
    assert (stage.plan_cache.expired, stage.waited) == (0, [])
    stage.loader.models["4"] = ConstantModel()
    assert stage.service.reload()["variants"]["production"]["model_version"] == "4"
    assert (stage.plan_cache.expired, stage.waited) == (1, [5.0])


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (NAN, "the prediction is NaN"),
        (INFINITY, "the prediction is infinite"),
        (10**400, "the prediction is infinite"),
        (None, "the prediction is null"),
        ([1.0, 2.0], "the prediction is no number, text or boolean"),
        ("\ud800", "the prediction is not valid text"),
    ],
)
def test_what_is_no_prediction_is_an_error_of_the_model(stage, given, reason):
    stage.model.prediction = given
    refused = stage.predict()
    assert isinstance(refused, PredictionError)
    (record,) = stage.queue.records
    assert str(refused) == f"{reason}; its event id is {record.event_id}"
    assert (record.prediction, record.probabilities, record.error) == (None, None, reason)
    assert record.features == {"alcohol": 13.5, "colour": "red"}
    assert stage.metrics.value("model_predictions_total") == 0
    assert stage.metrics.value("model_prediction_errors_total", error_type="PredictionError") == 1
    assert "model_prediction_value" not in stage.metrics.names()


def test_what_are_no_probabilities_is_an_error_of_the_model(stage):
    for wrong in ([-0.5, 1.5], [0.3, 0.3], [NAN, 1.0], [INFINITY, -INFINITY]):
        stage.model.probabilities = wrong
        refused = stage.predict()
        assert str(refused).startswith("the probabilities are not from 0 to 1 with the sum 1")


def test_a_failed_row_leaves_the_rest_of_its_batch_alone(stage):
    stage.model.others = {1: NAN, 3: INFINITY}
    body = json.dumps({"rows": [[13.5, "red"]] * 100}).encode()
    response, samples = stage.service.predict_batch(body)
    stage.metrics.emit(samples)
    assert response.predictions == [2, None, 2, None, *[2] * 96]
    assert [(each.row, each.detail) for each in response.errors] == [
        (1, "the prediction is NaN"),
        (3, "the prediction is infinite"),
    ]
    records = stage.queue.records
    assert [record.prediction for record in records] == response.predictions
    assert [record.error for record in records[:4]] == [
        "", "the prediction is NaN", "", "the prediction is infinite",
    ]  # fmt: skip
    assert stage.metrics.value("model_predictions_total") == 98
    assert stage.metrics.value("model_prediction_value") == 98 * 2.0
    assert stage.metrics.value("model_prediction_errors_total", error_type="PredictionError") == 2


def test_a_shadow_that_gives_no_prediction_is_counted_and_captured(stage):
    stage.registry.point("wine", "challenger", "4")
    stage.registry.routing = Routing({"production": 1}, ("challenger",))
    stage.loader.models["4"] = ConstantModel(prediction=NAN)
    assert stage.predict().prediction == 2
    original, shadow = stage.queue.records
    assert (original.error, shadow.error) == ("", "the prediction is NaN")
    errors = stage.metrics.value(
        "model_prediction_errors_total", error_type="ShadowPredictionError"
    )
    assert errors == 1
