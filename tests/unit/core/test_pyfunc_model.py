"""Models that only mlflow can run."""

import mlflow.pyfunc
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from modelwatch.adapters.pyfunc_model import PyfuncModel


class CountsColumns(mlflow.pyfunc.PythonModel):
    """Predicts how many columns have a value, which tells what reached it."""

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


def test_rows_with_and_without_a_whole_number_are_answered_in_their_order(model):
    rows = [ROW, ROW | {"bottles": None}, ROW, ROW | {"bottles": None, "colour": None}]
    answer = model.predict(rows)
    assert answer.values == [4, 3, 4, 2]
    assert answer.probabilities is None
