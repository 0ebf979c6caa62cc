"""Which drifted feature is read first, and how importance is measured."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from modelwatch.adapters.models.s3_artifacts import S3Artifacts
from modelwatch.domain.importance import Importance, drift_headline, rank_drift
from modelwatch.domain.models import ModelVersion, Predictions
from modelwatch_training.importance import (
    MOST_ROWS,
    REPETITIONS,
    VALUES_AT_ONCE,
    measure_importance,
)

RNG = np.random.default_rng(5)
ROWS = pd.DataFrame(RNG.normal(size=(1500, 3)), columns=["much", "little", "nothing"])
SIGNAL = 3 * ROWS["much"] + ROWS["little"]


def predictor(model):
    """Return what a model predicts for a table, as `measure_importance` asks for it."""

    def predict(rows: pd.DataFrame) -> Predictions:
        sure = model.predict_proba(rows).tolist() if hasattr(model, "predict_proba") else None
        return Predictions(model.predict(rows).tolist(), sure)

    return predict


@pytest.mark.parametrize(
    ("model", "target", "measure"),
    [
        (RandomForestClassifier(20, random_state=0), SIGNAL > 0, "total variation"),
        (LinearRegression(), SIGNAL, "standard deviations"),
        (LinearSVC(), SIGNAL > 0, "share of other predictions"),
    ],
)
def test_a_model_leans_on_what_it_uses(model, target, measure):
    model.fit(ROWS, target)
    found = measure_importance(predictor(model), ROWS)
    assert (found.measure, found.rows) == (measure, MOST_ROWS)
    assert found.features["much"] > 1.5 * found.features["little"] > found.features["nothing"] >= 0
    assert measure_importance(predictor(model), ROWS) == found
    if measure != "standard deviations":
        assert max(found.features.values()) <= 1


def test_a_wide_table_takes_few_predictions_of_few_rows():
    wide = pd.DataFrame(RNG.normal(size=(1500, 400)), columns=[f"f{n}" for n in range(400)])
    shapes = []

    def predict(rows: pd.DataFrame) -> Predictions:
        shapes.append(rows.shape)
        return Predictions((2 * rows["f7"]).tolist())

    found = measure_importance(predict, wide)
    assert found.rows == 500
    assert len(shapes) == 1 + 400 * REPETITIONS // 10
    assert max(rows * columns for rows, columns in shapes) <= VALUES_AT_ONCE
    assert [name for name, value in found.features.items() if value] == ["f7"]
    assert found.features["f7"] == pytest.approx(2 / np.sqrt(np.pi), rel=0.1)


def test_texts_are_shuffled_as_well():
    frame = pd.DataFrame({"colour": ["red", "white"] * 50, "sweet": [True, False] * 50})

    class Reds:
        def predict(self, rows):
            return np.where(rows["colour"] == "red", "a", "b")

    found = measure_importance(predictor(Reds()), frame)
    assert found.features["colour"] == pytest.approx(0.5, abs=0.1)
    assert found.features["sweet"] == 0


def importance(**features: float) -> Importance:
    return Importance(features=features, rows=10, repetitions=5, measure="total variation")


names = st.sampled_from("abcdef")


@given(
    st.dictionaries(names, st.floats(0, 100)),
    st.none() | st.dictionaries(names, st.floats(0, 1)).map(lambda each: importance(**each)),
)
def test_the_order_is_complete_and_by_weight(strengths, known):
    ranked = rank_drift(strengths, known)
    assert sorted(each.feature for each in ranked) == sorted(strengths)
    weights = [(each.importance or 0) * each.strength for each in ranked]
    assert weights == sorted(weights, reverse=True)
    assert rank_drift(dict(reversed(strengths.items())), known) == ranked
    assert drift_headline(ranked)


def test_a_model_that_leans_on_nothing_is_ranked_by_strength():
    ranked = rank_drift({"a": 1.0, "b": 2.0}, importance(a=0.0, b=0.0))
    assert [(each.feature, each.importance) for each in ranked] == [("b", None), ("a", None)]


def test_importance_is_read_from_beside_the_version():
    class Client:
        class exceptions:  # noqa: N801 - boto3's name
            NoSuchKey = KeyError

        def get_object(self, *, Key, **_options):  # noqa: N803 - boto3's name
            import io

            payload = {"p/1/modelwatch/importance.json": msgspec.json.encode(importance(a=1.0))}[
                Key
            ]
            return {"Body": io.BytesIO(payload), "ContentLength": len(payload)}

    artifacts = S3Artifacts(Client(), "models")
    assert artifacts.importance(ModelVersion("m", "1", "s3://models/p/1")) == importance(a=1.0)
    assert artifacts.importance(ModelVersion("m", "2", "s3://models/p/2")) is None


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_importance_does_not_depend_on_the_unit_of_the_predictions(unit):
    plain, scaled = (
        measure_importance(
            lambda rows, unit=unit: Predictions([float(each) * unit for each in rows["much"]]), ROWS
        )
        for unit in (1.0, unit)
    )
    assert plain.features["much"] > 1
    assert scaled.features == pytest.approx(plain.features)
