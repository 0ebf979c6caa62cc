"""Several models from one deployment of predict: routes by name, failures apart, few in memory."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from in_memory import (
    ConstantModel,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRegistry,
    InMemoryServingPlanCache,
)
from modelwatch.errors import RegistryError, SettingError
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService
from modelwatch.services.served_models import ServedModels
from modelwatch.services.serving import ModelPool
from modelwatch.settings.serving import RegistrySettings, aliases_of_served

ODD = "größe 1%41, β"
"""A name that no address takes as it is, and that means another one if it is decoded twice."""

ALIASES = {"wine": "production", "churn": "production", "fraud": "champion", ODD: "production"}


class Deployment:
    """The predict app that serves `ALIASES`, at most two further ones in memory."""

    def __init__(self, client) -> None:
        self.metrics = InMemoryMetrics()
        self.queue = InMemoryQueue()
        self.registry = InMemoryRegistry()
        self.loader = InMemoryLoader()
        for version, (name, alias) in enumerate(ALIASES.items(), start=1):
            self.registry.point(name, alias, str(version))
            self.loader.models[str(version)] = ConstantModel(prediction=version)
        _, default = self.make("wine", "production")
        self.models = ServedModels(ALIASES, self.make, 2, lambda: default)
        self.http = client(
            "predict",
            metrics=self.metrics,
            predict_service=default,
            served_models=self.models,
        ).http

    def make(self, name, alias, on_first=lambda: None):
        pool = ModelPool(
            model_name=name,
            alias=alias,
            registry=self.registry,
            loader=self.loader,
            plan_cache=InMemoryServingPlanCache(),
            metrics=self.metrics,
            refresh_seconds=30,
            start=lambda work: work(),
            wait=lambda _seconds: None,
            on_first=on_first,
        )
        service = PredictService(
            models=pool,
            outbox=Outbox(self.queue),
            metrics=self.metrics,
            after_response=lambda work: work(),
        )
        return pool, service

    def post(self, path, body):
        headers = {"Content-Type": "application/json"}
        return self.http.post(path, headers=headers, body=json.dumps(body).encode())

    def predict(self, name, features=(1.5, "red")):
        path = f"/models/{quote(name, safe='')}/predict" if name else "/predict"
        return self.post(path, {"features": list(features)})

    def in_memory(self):
        states = self.http.get("/models").json_body["models"]
        return {each["model_name"] for each in states if each["model_loaded"]}


@pytest.fixture
def served(client):
    return Deployment(client)


@pytest.mark.parametrize(("name", "version"), [("churn", 2), ("fraud", 3), (ODD, 4), ("wine", 1)])
def test_each_model_predicts_by_its_name_and_is_captured_as_itself(served, name, version):
    response = served.predict(name)
    assert response.status_code == 200, response.json_body
    assert (response.json_body["prediction"], response.json_body["model_name"]) == (version, name)
    (record,) = served.queue.records
    assert (record.model_name, record.model_version) == (name, str(version))
    assert served.metrics.value("model_predictions_total", model_name=name) == 1
    # the route, never the name, which may be anything
    assert served.metrics.value("api_requests_total", endpoint="/models/{name}/predict") == 1
    path = f"/models/{quote(name, safe='')}"
    many = served.post(f"{path}/predict/batch", {"rows": [[1.5, "red"], [2.5, "red"]]})
    assert many.json_body["predictions"] == [version, version]
    assert served.http.get(f"{path}/health").json_body["model_name"] == name
    assert served.http.get(f"{path}/model/info").json_body["model_version"] == str(version)
    reloaded = served.post(f"{path}/model/reload", {}).json_body["variants"]
    assert reloaded[ALIASES[name]]["model_version"] == str(version)


def test_the_default_model_has_its_routes_as_before(served):
    assert served.predict("").json_body["model_name"] == "wine"
    assert served.in_memory() == {"wine"}


@pytest.mark.parametrize("name", ["none", "Churn", "churn ", "..", "a" * 300])
def test_a_name_that_is_not_listed_is_not_asked_for_in_the_registry(served, name):
    served.registry.point(name, "production", "9")
    asked = served.registry.calls
    response = served.predict(name)
    assert response.status_code == 404
    assert "GET /models" in response.json_body["detail"]
    assert served.registry.calls == asked
    assert served.metrics.value("model_prediction_errors_total", model_name=name) == 0


def test_those_used_last_stay_in_memory_and_the_default_one_always(served):
    served.predict("")
    for name in ("churn", "fraud", "churn", ODD):
        assert served.predict(name).status_code == 200
    assert served.in_memory() == {"wine", "churn", ODD}
    assert served.predict("fraud").json_body["prediction"] == 3
    assert served.in_memory() == {"wine", ODD, "fraud"}
    assert served.loader.loads == ["1", "2", "3", "4", "3"]


def test_a_model_that_does_not_load_is_its_own_trouble_and_takes_no_place(served):
    served.loader.models["4"] = None
    for name in ("", "churn", "fraud"):
        served.predict(name)
    broken = served.predict(ODD)
    assert (broken.status_code, "cannot be loaded" in broken.json_body["detail"]) == (503, True)
    assert served.http.get(f"/models/{quote(ODD, safe='')}/health").status_code == 503
    assert served.in_memory() == {"wine", "churn", "fraud"}
    assert [served.predict(name).status_code for name in ("", "churn", "fraud")] == [200] * 3
    assert served.http.get("/health").json_body["status"] == "healthy"
    errors = {"error_type": "ModelLoadError"}
    assert served.metrics.value("model_prediction_errors_total", model_name=ODD, **errors) == 1
    assert served.metrics.value("model_prediction_errors_total", model_name="wine", **errors) == 0


def test_a_failing_model_is_counted_as_its_own(served):
    served.loader.models["2"].failure = RuntimeError("no")
    assert served.predict("churn").status_code >= 400
    assert served.metrics.value("model_prediction_errors_total", model_name="churn") == 1
    assert served.predict("").status_code == 200


def test_a_registry_that_is_down_serves_what_is_in_memory(served):
    served.predict("churn")
    served.registry.failure = RegistryError("down")
    assert served.predict("churn").status_code == 200
    assert served.predict("fraud").status_code == 503


def test_what_is_refreshed_after_it_left_memory_does_not_come_back():
    registry, loader = InMemoryRegistry(), InMemoryLoader(ConstantModel())
    registry.point("wine", "production", "1")
    now, later = [1000.0], []
    pool = ModelPool(
        model_name="wine",
        alias="production",
        registry=registry,
        loader=loader,
        plan_cache=InMemoryServingPlanCache(),
        metrics=InMemoryMetrics(),
        refresh_seconds=30,
        clock=lambda: now[0],
        start=later.append,
        patience_seconds=0,
    )
    pool.serving()
    now[0] += 20
    pool.serving()
    pool.release()
    (refresh,) = later
    refresh()
    assert pool.loaded is None
    assert pool.serving().primary.version.version == "1"


def test_the_models_are_named_with_their_aliases():
    def aliases(**environ):
        return aliases_of_served(RegistrySettings({"MODEL_NAME": "wine", **environ}))

    assert aliases() == {"wine": "production"}
    found = aliases(MODELS="a b, c@new,x@y@new, wine", MODEL_ALIAS="live")
    assert found == {"wine": "live", "a b": "live", "c": "new", "x@y": "new"}


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ("a,a", "'a' is there twice"),
        ("a@x,a@y", "'a' is there twice"),
        ("a,,b", "no name of a model"),
        ("a/b", "no name of a model"),
        ("a@v1", "not an alias"),
        ("a@", "not an alias"),
        ("wine@other", "its alias is MODEL_ALIAS"),
    ],
)
def test_models_that_cannot_be_meant_are_refused(models, problem):
    settings = RegistrySettings({"MODEL_NAME": "wine", "MODELS": models})
    with pytest.raises(SettingError, match=problem):
        aliases_of_served(settings)
