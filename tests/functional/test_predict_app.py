"""The predict app through Chalice's own client."""

import json
import sys

import pytest

from in_memory import ConstantModel, InMemoryMetrics, InMemoryRegistry
from modelwatch.errors import SettingError
from predict_app import service_with

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def metrics():
    return InMemoryMetrics()


@pytest.fixture
def registry():
    return InMemoryRegistry()


@pytest.fixture
def model():
    return ConstantModel(prediction=1.5)


@pytest.fixture
def http(client, metrics, registry, model):
    service = service_with(model, metrics, registry=registry)
    return client("predict", metrics=metrics, predict_service=service).http


def post(http, body, headers=JSON):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post("/predict", headers=headers, body=payload)


def test_predict_responds_as_the_contract_says(http, metrics):
    response = post(http, {"features": [13.5, "red"]})
    assert response.status_code == 200
    assert set(response.json_body) == {
        "prediction", "model_name", "model_version", "variant", "timestamp", "latency_ms",
        "event_id",
    }  # fmt: skip
    assert response.json_body["prediction"] == 1.5
    labels = {"method": "POST", "endpoint": "/predict", "status": "200"}
    assert metrics.value("api_requests_total", **labels) == 1


def test_a_wrong_field_is_a_problem_that_names_it(http, metrics):
    response = post(http, {"features": ["13.5", "red"]})
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json_body == {
        "type": "about:blank",
        "title": "The request is not valid",
        "status": 400,
        "detail": "features.alcohol: found a string, expected a number or null",
        "field": "features.alcohol",
        "errors": [
            {"field": "features.alcohol", "detail": "found a string, expected a number or null"}
        ],
    }
    assert metrics.value("model_prediction_errors_total", error_type="InvalidInputError") == 1


def test_only_json_is_taken(http):
    response = post(http, b"a=1", {"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status_code == 415
    assert "application/json" in response.json_body["detail"]


def test_health_and_info_tell_what_serves(http):
    health = http.get("/health")
    assert health.status_code == 200
    assert health.json_body["model_version"] == "1"
    assert http.get("/model/info").json_body["run_id"] == "run"
    assert "POST /predict" in http.get("/").json_body["routes"]


def test_without_a_model_the_service_is_unavailable_and_says_why(http, registry):
    registry.aliases.clear()
    for response in (http.get("/health"), http.get("/model/info"), post(http, {"features": [1]})):
        assert response.status_code == 503
        assert "has no alias" in json.dumps(response.json_body)


@pytest.mark.parametrize("path", ["/health", "/model/info", "/predict", "/model/reload"])
def test_a_service_that_cannot_be_built_says_why_on_every_route(http, path):
    def refuse():
        raise SettingError("MODEL_REFRESH_SECONDS", "'soon' is not a whole number of 1 or more")

    sys.modules["chalicelib.wiring"].predict_service = refuse
    is_post = path in ("/predict", "/model/reload")
    response = http.post(path, headers=JSON, body=b"{}") if is_post else http.get(path)
    assert response.status_code == 500
    assert "MODEL_REFRESH_SECONDS: 'soon' is not" in response.json_body["detail"]


def test_a_prediction_that_is_none_is_a_problem_of_the_model(http, metrics, model):
    model.prediction = float("nan")
    response = post(http, {"features": [13.5, "red"]})
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json_body["detail"].startswith("the prediction is NaN; its event id is ")
    assert metrics.value("model_prediction_errors_total", error_type="PredictionError") == 1
    labels = {"method": "POST", "endpoint": "/predict", "status": "500"}
    assert metrics.value("api_requests_total", **labels) == 1


def test_a_batch_marks_the_rows_without_a_prediction(http, model):
    rows = {"rows": [[13.5, "red"]] * 3}
    good = http.post("/predict/batch", headers=JSON, body=json.dumps(rows).encode())
    assert "errors" not in good.json_body
    model.others = {1: float("inf")}
    response = http.post("/predict/batch", headers=JSON, body=json.dumps(rows).encode())
    assert response.status_code == 200
    assert response.json_body["predictions"] == [1.5, None, 1.5]
    assert response.json_body["errors"] == [{"row": 1, "detail": "the prediction is infinite"}]
