"""Models without an ONNX form: predict as an image, with mlflow.pyfunc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

TRAIN = """
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from modelwatch.settings import Settings
from modelwatch_cli.training.registration import register_model

rows = pd.DataFrame({"colour": ["red", "white"] * 50})
rows["alcohol"] = [12.0 + number % 5 for number in range(100)]
labels = rows["colour"].map({"red": "heavy", "white": "light"})
def halved(numbers):
    return numbers / 2


# a function of a user's own has no ONNX form
encode = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["colour"]),
    (FunctionTransformer(halved), ["alcohol"]),
)
model = make_pipeline(encode, LogisticRegression()).fit(rows, labels)
outcome = register_model(
    model, name="colours", train=rows, test=rows.head(10), parameters={}, metrics={},
    settings=Settings(),
)
print(outcome.onnx_problem)
"""


@pytest.fixture(scope="module")
def predict_url(stack: Any) -> str:
    """Deploy predict as an image, in a stage of its own, serving a pipeline with categories."""
    environ = json.loads(stack.run("env", "--json").stdout)
    variables = {
        "STAGE": "pyfunc",
        "MODEL_NAME": "colours",
        "PREDICT_PACKAGE": "image",
        "CAPTURE_QUEUE_NAME": "modelwatch-pyfunc-captures",
    }
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        env={**os.environ, **environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot convert it" in done.stdout
    deployed = subprocess.run(
        [*stack.command, "deploy", "predict", "--json"],
        env={**stack.whole_environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert deployed.returncode == 0, deployed.stderr
    return str(json.loads(deployed.stdout)["urls"]["predict"])


def test_strings_are_predicted_with_probabilities(predict_url):
    features = {"colour": "red", "alcohol": 13.0}
    response = httpx.post(f"{predict_url}/predict", json={"features": features}, timeout=60)
    assert response.status_code == 200, response.text
    assert response.json()["prediction"] == "heavy"
    info = httpx.get(f"{predict_url}/model/info", timeout=60).json()
    assert (info["flavor"], info["model_name"]) == ("pyfunc", "colours")
    assert [feature["type"] for feature in info["features"]] == ["string", "double"]


def test_a_wrong_category_type_is_refused(predict_url):
    features = {"colour": 3, "alcohol": 13.0}
    response = httpx.post(f"{predict_url}/predict", json={"features": features}, timeout=60)
    assert (response.status_code, response.json()["field"]) == (400, "features.colour")
