"""Serving on the real stack: no model yet, variants, shadows, outages, plain MLflow versions."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.routing import Routing
from modelwatch.domain.windows import Window
from running_stack import runs
from waiting import eventually

pytestmark = pytest.mark.servers

MODEL = "serving_forest"
WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]

PLAIN_MLFLOW = """
import mlflow, sys
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
wine = load_wine(as_frame=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(wine.data, wine.target)
mlflow.set_experiment("elsewhere")
with mlflow.start_run():
    made = mlflow.sklearn.log_model(
        model, name="model", registered_model_name=sys.argv[1],
        signature=infer_signature(wine.data, model.predict(wine.data)),
    )
wine.data.to_csv(sys.argv[2], index=False)
print(made.registered_model_version)
"""


class Serving:
    """The deployed predict, serving a model of this module's own."""

    def __init__(self, stack: Any) -> None:
        own = {"MODEL_NAME": MODEL, "MODEL_REFRESH_SECONDS": "1"}
        self.stack = dataclasses.replace(stack, environ={**stack.environ, **own})
        self.environ = self.stack.json("env") | own
        stack.know_model(MODEL)
        self.url = self.stack.json("deploy")["urls"]["predict"]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=60)

    def predict(self, **more: str) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"features": WINE, **more}, timeout=60)

    def captured(self, version: str) -> set[str]:
        """Return the event ids of the version's rows of the last hour."""
        store = S3RecordStore(self.stack.client("s3"), "modelwatch-captures")
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
        return {row["event_id"] for row in store.read(MODEL, version, window).to_pylist()}

    def recycle_environments(self) -> None:
        """Let the next request be served by a new environment."""
        functions = self.stack.client("lambda")
        functions.update_function_configuration(
            FunctionName="modelwatch-local-predict", Description=f"renewed at {time.time()}"
        )
        functions.get_waiter("function_updated_v2").wait(FunctionName="modelwatch-local-predict")

    def stop(self, part: str) -> None:
        """Stop a part of the stack as an operator would not: behind its back."""
        parts = json.loads(self.stack.run("status", "--json").stdout)["parts"]
        pid = next(each["pid"] for each in parts if each["name"] == part)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not runs(pid))


@pytest.fixture(scope="module")
def serving(stack: Any) -> Serving:
    return Serving(stack)


@pytest.fixture(scope="module")
def two_versions(serving: Serving) -> Serving:
    """Versions 1 (champion) and 2 (challenger, and production: it was trained last)."""
    known = serving.get("/health").json()["model_version"]
    for _ in range(2 - int(known or 0)):
        serving.stack.text("train")
    serving.stack.text("promote", "1", "--alias", "champion")
    serving.stack.text("promote", "2", "--alias", "challenger")
    return serving


def test_without_a_model_it_says_so_and_serves_the_first_one_without_a_deployment(serving):
    health = serving.get("/health")
    assert health.status_code == 503
    assert health.json()["model_loaded"] is False
    assert "`modelwatch promote VERSION" in health.json()["problem"]
    assert serving.predict().status_code == 503
    assert serving.get("/openapi.json").status_code == 200
    serving.stack.text("train")
    response = serving.predict()
    assert response.status_code == 200, response.text
    assert response.json()["model_version"] == "1"
    assert serving.get("/health").json()["status"] == "healthy"


def test_the_page_is_served_through_the_gateway(serving):
    page = serving.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "page.js"):
        asset = serving.get(f"/docs/{name}")
        assert asset.status_code == 200
        assert f"docs/{name}" in page.text
        assert asset.headers["Content-Type"].startswith("text/")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"features": ["\xff\xfe"]}', 400),
        (b"\xff" * 100, 400),
        (b"[" * 200_000, 400),
        (b'{"features": {"alcohol": 1, "alcohol": 2}}', 400),
        (b'{"features": [' + b"1," * 2_900_000 + b"1]}", 413),
        (b"", 400),
    ],
)
def test_the_gateway_hands_over_broken_bodies_that_are_refused(serving, body, status):
    response = httpx.post(
        f"{serving.url}/predict",
        content=body,
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert response.status_code == status, response.text


def test_variants_get_their_shares_and_keep_their_callers(two_versions):
    serving = two_versions
    serving.stack.text("route", "champion=70", "challenger=30", "--now")
    routing = Routing({"champion": 70, "challenger": 30})
    keys = [f"user {number}" for number in range(150)]
    responses = {key: serving.predict(routing_key=key).json() for key in keys}
    assert {key: response["variant"] for key, response in responses.items()} == {
        key: routing.choose(key) for key in keys
    }
    shares = Counter(response["variant"] for response in responses.values())
    assert 25 <= shares["challenger"] <= 65
    assert {response["model_version"] for response in responses.values()} == {"1", "2"}
    again = serving.predict(routing_key=keys[0]).json()
    assert again["variant"] == responses[keys[0]]["variant"]
    shown = serving.stack.json("route")["variants"]
    assert shown["challenger"] == {"version": "2", "share": 0.3, "shadow": False}
    refused = serving.stack.run("route", "champion=1", "nobody=1")
    assert refused.returncode == 1
    assert "no alias 'nobody'" in refused.stderr


def test_a_shadow_is_captured_and_never_returned(two_versions):
    serving = two_versions
    serving.stack.text("route", "champion=1", "--shadow", "challenger", "--now")
    responses = [serving.predict().json() for _ in range(20)]
    assert {response["variant"] for response in responses} == {"champion"}
    shadowed = {derived_event_id(response["event_id"], "challenger") for response in responses}
    eventually(lambda: shadowed <= serving.captured("2"))
    assert {response["event_id"] for response in responses} <= serving.captured("1")


def test_a_change_is_in_force_within_the_refresh_time_without_a_reload(two_versions):
    serving = two_versions
    serving.stack.text("route", "--clear")
    eventually(lambda: serving.predict().json()["variant"] == "production")


def test_mlflow_may_stop_while_environments_serve_and_start(two_versions):
    serving = two_versions
    assert serving.predict(routing_key="a").status_code == 200
    serving.stop("mlflow")
    try:
        eventually(lambda: serving.get("/health").json()["status"] == "stale")
        assert serving.predict().status_code == 200
        serving.recycle_environments()
        response = serving.predict()
        assert response.status_code == 200, response.text
        assert response.json()["model_version"] == "2"
        health = serving.get("/health").json()
        assert health["status"] == "stale"
        assert "registry" in health["problem"]
    finally:
        serving.stack.text("up")
    eventually(lambda: serving.get("/health").json()["status"] == "healthy")


def test_s3_may_stop_while_an_environment_serves(two_versions):
    serving = two_versions
    assert serving.predict().status_code == 200
    serving.stop("s3")
    try:
        for _ in range(5):
            response = serving.predict()
            assert response.status_code == 200, response.text
            time.sleep(0.5)
        assert serving.get("/health").json()["model_loaded"]
        # a new environment may have nothing: it says so, and is well again with S3
        serving.recycle_environments()
        assert serving.predict().status_code in (200, 503)
    finally:
        serving.stack.text("up")
    eventually(lambda: serving.predict().status_code == 200)


def test_a_version_of_plain_mlflow_is_served_once_it_is_exported(two_versions, tmp_path):
    serving = two_versions
    rows = tmp_path / "wine.csv"
    made = subprocess.run(
        [sys.executable, "-c", PLAIN_MLFLOW, MODEL, str(rows)],
        env={**serving.stack.whole_environ, **serving.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    version = made.stdout.strip().splitlines()[-1]
    refused = serving.stack.run("promote", version, "--now")
    assert refused.returncode == 1
    assert "no verified ONNX form" in refused.stderr
    assert "`modelwatch deploy predict` makes it an image" in refused.stderr
    assert serving.predict().json()["model_version"] == "2"
    needs_rows = serving.stack.run("export", version)
    assert needs_rows.returncode == 1
    assert "--reference" in needs_rows.stderr
    exported = serving.stack.json("export", version, "--reference", str(rows))
    assert exported["onnx"]["verification"]["label_agreement"] == 1
    serving.stack.text("promote", version, "--now")
    assert serving.predict().json()["model_version"] == version
    info = serving.get("/model/info").json()
    assert (info["flavor"], info["artifact_digest"]) == ("onnx", exported["onnx"]["sha256"])
    # again, now against the reference data that it has
    assert serving.stack.json("export", version)["reference_rows"] == 178


def test_wrong_settings_are_refused_before_anything_changes(two_versions, tmp_path):
    serving = two_versions
    file = tmp_path / "wrong.env"
    wrong = {
        **serving.stack.json("env"),
        "MODEL_NAME": "serving_forrest",
        "MODELNAME": "x",
        "ANALYSIS_WINDOWS": "1H",
        "DRIFT_SHARE_THRESHOLD": "50%",
        "ANALYSIS_SCHEDULE": "rate(1 minut)",
    }
    file.write_text("".join(f"{name}='{value}'\n" for name, value in wrong.items()))
    own = {name: value for name, value in serving.stack.environ.items() if name not in wrong}
    stack = dataclasses.replace(serving.stack, environ=own)
    for option in (["--dry-run"], []):
        refused = stack.run("--env-file", str(file), "deploy", *option)
        assert refused.returncode == 1
        for said in (
            "setting ANALYSIS_WINDOWS: '1H' is no duration",
            "setting DRIFT_SHARE_THRESHOLD: '50%' is not a share",
            "setting ANALYSIS_SCHEDULE: 'rate(1 minut)' is neither",
            "setting MODELNAME: there is no such setting",
            "setting MODEL_NAME: the registry has no model 'serving_forrest'",
        ):
            assert said in refused.stderr
    assert serving.predict().status_code == 200
