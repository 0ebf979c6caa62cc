"""Models that only mlflow can run."""

import datetime

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from modelwatch.adapters.models.pyfunc_model import PyfuncModel, plain_values
from modelwatch.domain.models import fault_of


class CountsColumns(mlflow.pyfunc.PythonModel):
    """Predicts how many columns have a value, which shows what reached it."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - names of mlflow
        return model_input.notna().sum(axis=1).tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    columns = [
        ColSpec("double", "alcohol"),
        ColSpec("long", "bottles", required=False),
        ColSpec("string", "colour", required=False),
        ColSpec("boolean", "organic", required=False),
    ]
    mlflow.pyfunc.save_model(
        folder,
        python_model=CountsColumns(),
        signature=ModelSignature(inputs=Schema(columns)),
        pip_requirements=[],
    )
    return PyfuncModel(folder)


ROW = {"alcohol": 13.5, "bottles": 6, "colour": "red", "organic": True}


@pytest.mark.parametrize("missing", ["alcohol", "bottles", "colour", "organic"])
def test_any_value_that_may_be_missing_can_be(model, missing):
    assert model.predict([ROW]).values == [4]
    assert model.predict([ROW | {missing: None}]).values == [3]


def test_rows_with_and_without_a_whole_number_are_predicted_in_their_order(model):
    rows = [ROW, ROW | {"bottles": None}, ROW, ROW | {"bottles": None, "colour": None}]
    found = model.predict(rows)
    assert found.values == [4, 3, 4, 2]
    assert found.probabilities is None


@pytest.mark.parametrize(
    ("found", "plain"),
    [
        ([1, "a", True, 2.5], [1, "a", True, 2.5]),
        ((True, 2), [True, 2]),
        ([-1, 2**63 + 1], [-1, 2**63 + 1]),
        ([np.float32(0.5), np.bool_(False)], [0.5, False]),
        ([[1], ["a"]], [1, "a"]),
        (np.array([[3], [4]], "int8"), [3, 4]),
        (pd.DataFrame({"p": [1, 2]}), [1, 2]),
        (pd.DataFrame({"p": pd.Series([3, None], dtype="Int64")}), [3, None]),
        (pd.Series([3, None], dtype="Int64"), [3, None]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
    ],
    ids=str,
)
def test_each_value_keeps_the_type_that_the_model_gave_it(found, plain):
    values = plain_values(found)
    assert [(type(each), each) for each in values] == [(type(each), each) for each in plain]


@pytest.mark.parametrize(
    "found",
    [
        np.array(["2020-01-01"], "datetime64[ns]"),
        np.array([5], "timedelta64[ns]"),
        pd.Series([pd.Timestamp("2020-01-01")]),
        [np.datetime64("2020-01-01", "ns")],
        [datetime.date(2020, 1, 1)],
        [{"p": 1}],
        {"p": 1},
    ],
    ids=str,
)
def test_what_is_no_number_text_or_boolean_does_not_become_one(found):
    (value,) = plain_values(found)
    assert fault_of(value) == "the prediction is no number, text or boolean"
