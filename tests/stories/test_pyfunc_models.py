"""Models that somebody else logged, on the real stack: served as they are, adopted, replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.servers

ELSEWHERE = """
import sys
import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

rows = pd.DataFrame({"colour": ["red", "white"] * 50})
rows["alcohol"] = [12.0 + number % 5 for number in range(100)]
labels = rows["colour"].map({"red": "heavy", "white": "light"})
encode = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder="passthrough"
)
model = make_pipeline(encode, LogisticRegression()).fit(rows, labels)
mlflow.set_experiment("elsewhere")
for signature in (infer_signature(rows, model.predict(rows)), None):
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model, name="model", registered_model_name="colours", signature=signature,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn", "tabulate==0.9.0"],
        )
mlflow.MlflowClient().transition_model_version_stage("colours", "1", "Production")
rows.assign(label=labels).to_csv(sys.argv[1], index=False)
"""

OURS = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

from modelwatch_cli.settings import Settings
from modelwatch_training.registration import register_model

rows = pd.DataFrame({"alcohol": [12.0 + number % 5 for number in range(100)]})
model = LogisticRegression().fit(rows, (rows["alcohol"] > 14).astype(int))
outcome = register_model(
    model, name="colours", train=rows, test=rows.head(10), parameters={}, metrics={},
    settings=Settings(),
)
assert outcome.onnx, outcome.onnx_problem
print(outcome.version.version)
"""


@dataclass
class Stage:
    """A stage of its own that follows an MLflow stage."""

    stack: Any
    rows: Path
    variables: dict[str, str]
    outcome: dict[str, Any]

    def run(self, *arguments: str) -> str:
        done = self.try_to_run(*arguments)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def try_to_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.stack.command, *arguments],
            env={**self.stack.whole_environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def script(self, source: str, *arguments: str) -> str:
        environ = {**os.environ, **self.stack.json("env")}
        done = subprocess.run(
            [sys.executable, "-c", source, *arguments],
            env={**environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    @property
    def url(self) -> str:
        return str(self.outcome["urls"]["predict"])

    def deploy(self) -> dict[str, Any]:
        self.outcome = json.loads(self.run("deploy", "predict", "--json"))
        return self.outcome["predict"]

    def predict(self, features: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"features": features}, timeout=60)

    def info(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/model/info", timeout=60).json()


@pytest.fixture(scope="module")
def stage(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    variables = {
        "STAGE": "pyfunc",
        "MODEL_NAME": "colours",
        "MODEL_STAGE": "Production",
        "CAPTURE_QUEUE_NAME": "modelwatch-pyfunc-captures",
    }
    stage = Stage(stack, tmp_path_factory.mktemp("rows") / "rows.csv", variables, {})
    stage.script(ELSEWHERE, str(stage.rows))
    stage.deploy()
    return stage


def test_deploy_sees_what_the_served_version_needs(stage):
    chosen = stage.outcome["predict"]
    assert chosen["package"] == "image"
    assert chosen["why"].startswith("colours version 1 has no verified ONNX form")


def test_strings_are_predicted_with_probabilities(stage):
    response = stage.predict({"colour": "red", "alcohol": 13.0})
    assert response.status_code == 200, response.text
    assert response.json()["prediction"] == "heavy"
    info = stage.info()
    assert (info["flavor"], info["model_name"]) == ("pyfunc", "colours")
    assert info["flavor_reason"] == "it has no verified ONNX form"
    assert [feature["type"] for feature in info["features"]] == ["string", "double"]


def test_the_image_has_what_was_logged_with_the_model(stage):
    (image,) = (stage.stack.home / "images" / "predict").glob("*/image.json")
    python = json.loads(image.read_text())["python"]
    subprocess.run([python, "-c", "import mlflow, onnxruntime, tabulate"], check=True)


def test_a_wrong_category_type_is_refused(stage):
    response = stage.predict({"colour": 3, "alcohol": 13.0})
    assert (response.status_code, response.json()["field"]) == (400, "features.colour")


def test_a_version_without_a_signature_says_what_to_do_and_is_served_once_it_is_adopted(stage):
    refused = stage.try_to_run("promote", "2", "--now")
    assert refused.returncode == 1
    assert "logged without a signature" in refused.stderr
    assert "modelwatch adopt" in refused.stderr
    assert stage.info()["model_version"] == "1", "the version before goes on serving"
    command = ("adopt", "colours", "--version", "2", "--reference", str(stage.rows))
    unfit = stage.try_to_run(*command, "--labels-column", "colours")
    assert unfit.returncode == 1
    adopted = json.loads(stage.run(*command, "--labels-column", "label", "--json"))
    assert adopted["schema_from"] == "reference"
    assert adopted["columns"] == {"colour": "string", "alcohol": "double"}
    assert (adopted["reference_rows"], adopted["importance_problem"]) == (100, "")
    stage.run("promote", "2", "--now")
    assert stage.info()["model_version"] == "2"
    assert stage.predict({"colour": "white", "alcohol": 13.0}).json()["prediction"] == "light"


def test_export_with_rows_keeps_them_where_there_is_no_onnx_form(stage):
    exported = json.loads(stage.run("export", "1", "--reference", str(stage.rows), "--json"))
    assert exported["reference_rows"] == 100
    assert bool(exported["onnx"]) != bool(exported["onnx_problem"])


def test_another_package_keeps_the_address(stage):
    address = stage.url
    version = stage.script(OURS).strip().splitlines()[-1]
    promoted = stage.run("promote", version, "--now")
    assert f"stage 'Production', which was at version 2, is at version {version}" in promoted
    assert stage.info()["flavor"] == "onnx", "an image runs ONNX forms, too"
    assert stage.deploy()["package"] == "zip"
    assert stage.url == address
    assert {each["action"] for each in stage.outcome["stacks"]} <= {
        "updated",
        "unchanged",
        "created",
    }
    info = stage.info()
    assert (info["flavor"], info["model_version"]) == ("onnx", version)
    assert stage.predict({"alcohol": 16.0}).json()["prediction"] == 1
