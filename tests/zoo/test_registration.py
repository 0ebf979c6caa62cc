"""What is registered is what is served; what cannot be served leaves nothing behind."""

from __future__ import annotations

import io
import math
import threading
from decimal import Decimal

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelwatch.domain.labels import as_text
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch.settings import Setting
from modelwatch_cli.settings import Settings
from modelwatch_training.candidate import NotServableError, make_candidate
from modelwatch_training.flavors import modules_of, requirements_of, savings_of
from modelwatch_training.given_rows import labels_of, table_of
from modelwatch_training.onnx_converters import conversions
from modelwatch_training.registration import reference_data, register_model

pytestmark = pytest.mark.zoo

DRAW = np.random.default_rng(2)
ROWS = pd.DataFrame(DRAW.random((80, 2)), columns=["age", "income"])
GOOD = ROWS["age"] > ROWS["income"]
WINES = ROWS.assign(colour=np.where(GOOD, "red", "white"))


def candidate(model, tmp_path, rows=ROWS):
    return make_candidate(model, rows, rows.head(20), tmp_path)


def served(found, rows):
    return found.served.predict(
        rows.astype(object).where(rows.notna(), None).to_dict("records")
    ).values


def shown(values):
    return [(type(value), str(value)) for value in values]


@pytest.mark.parametrize(
    "target",
    [
        GOOD,
        GOOD.astype(int),
        GOOD.astype(int) + 5,
        GOOD.astype(float) + 1.0,
        GOOD.map({True: "good", False: "bad"}),
        GOOD.map({True: "True", False: "1.0"}).to_numpy(dtype=str),
    ],
    ids=["bool", "0 and 1", "5 and 6", "floats", "text", "numpy text"],
)
def test_classes_are_served_in_their_own_type(target, tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(ROWS, target)
    found = candidate(model, tmp_path)
    assert found.served.flavor == "onnx", found.problem
    assert shown(served(found, ROWS)) == shown(model.predict(ROWS).tolist())
    stored = reference_data(ModelVersion("m", "1", ""), found.served, ROWS)
    labels = pq.ParquetFile(io.BytesIO(stored)).read()["prediction_label"].to_pylist()
    assert labels == [as_text(value) for value in model.predict(ROWS).tolist()]


def test_a_value_that_is_missing_in_the_test_rows_alone_may_be_missing(tmp_path):
    train = WINES.assign(rooms=np.arange(80) % 5)
    test = train.head(20).astype({"rooms": "Int64"})
    test.loc[3, ["rooms", "income"]] = None
    test.loc[4, "colour"] = None
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            (SimpleImputer(), ["age", "income", "rooms"]),
        ),
        LogisticRegression(),
    ).fit(train, GOOD)
    found = make_candidate(model, train, test, tmp_path)
    required = {column.name: column.required for column in found.schema.columns}
    assert required == {"age": True, "income": False, "colour": False, "rooms": False}
    assert {column.name: column.type for column in found.schema.columns}["rooms"] == "long"
    row = {"age": 0.5, "income": None, "colour": None, "rooms": None}
    assert found.schema.row(row) == row
    assert type(found.served.predict([row]).values[0]) is bool


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["white", "red"], "string"), ([1, 2], "long"), ([False, True], "boolean")],
    ids=["texts", "numbers", "booleans"],
)
def test_a_column_of_pandas_categories_is_one_of_its_values(values, kind, tmp_path):
    grades = pd.Categorical(np.where(GOOD, *reversed(values)), values, ordered=kind == "long")
    rows = ROWS.assign(grade=grades)
    for model in (
        HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype"),
        make_pipeline(
            make_column_transformer((OneHotEncoder(), ["grade"]), remainder="passthrough"),
            LogisticRegression(),
        ),
    ):
        found = candidate(model.fit(rows, GOOD), tmp_path, rows)
        assert found.schema.columns[-1] == Column("grade", kind)
        expected = model.predict(rows).tolist()
        assert served(found, rows) == expected
        assert [served(found, rows.iloc[[place]])[0] for place in range(10)] == expected[:10]


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_large_numbers_keep_their_precision(dtype, tmp_path):
    target = (123_456_789 + 1000 * ROWS["age"]).round().astype(dtype)
    model = DecisionTreeRegressor(random_state=0).fit(ROWS, target)
    found = candidate(model, tmp_path)
    assert shown(served(found, ROWS)) == shown(model.predict(ROWS).tolist())


def test_decision_values_are_no_probabilities(tmp_path):
    found = candidate(RidgeClassifier().fit(ROWS, GOOD), tmp_path)
    assert found.served.flavor == "onnx", found.problem
    predicted = found.served.predict(ROWS.to_dict("records"))
    assert predicted.probabilities is None
    assert {type(value) for value in predicted.values} == {bool}


def test_a_text_that_the_model_does_not_know_is_refused_by_both_forms(tmp_path):
    encode = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(WINES, GOOD)
    found = candidate(model, tmp_path, WINES)
    assert found.served.flavor == "onnx", found.problem
    assert found.onnx.known_texts == {"colour": ("red", "white")}
    with pytest.raises(ValueError, match="colour has a text"):
        found.served.predict([{"age": 0.1, "income": 0.2, "colour": "rosé"}])


def test_a_split_on_missing_values_alone_is_converted():
    rows = pd.DataFrame({"a": [np.nan] * 20 + [1.0] * 20, "b": np.arange(40.0) % 3})
    model = BaggingClassifier(n_estimators=3, random_state=0).fit(rows, [0] * 20 + [1] * 20)
    schema = Schema((Column("a", "double"), Column("b", "double")))
    names = []
    for name, convert in conversions(model, schema):
        convert()  # the library's own search for a threshold in 64 bits never ended
        names.append(name)
    assert names == ["skl2onnx, 32 bits", "skl2onnx, 64 bits"]


def test_a_missing_number_is_refused_where_the_model_refuses_it(tmp_path):
    found = candidate(LogisticRegression().fit(ROWS, GOOD), tmp_path)
    assert found.onnx.never_missing == ("age", "income")
    with pytest.raises(ValueError, match="age is missing"):
        found.served.predict([{"age": None, "income": 0.2}])


def test_numbered_columns_are_named_by_their_numbers(tmp_path):
    model = DecisionTreeClassifier(random_state=0).fit(ROWS.to_numpy(), GOOD)
    rows = table_of(ROWS.to_numpy(), "train")
    found = candidate(model, tmp_path, rows)
    assert found.schema.names == ("0", "1")
    assert served(found, rows) == GOOD.tolist()


def test_a_table_of_one_column_as_target_is_one_prediction_a_row(tmp_path):
    model = LinearRegression().fit(ROWS, pd.DataFrame({"y": ROWS["age"]}))
    assert len(served(candidate(model, tmp_path), ROWS)) == len(ROWS)


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # noqa: ARG002 - names of mlflow
        return (2 * model_input["age"]).tolist()


def test_a_python_model_of_a_users_own_file_is_saved_with_it(tmp_path):
    found = candidate(Twice(), tmp_path)
    assert (found.served.flavor, found.saving.module) == ("pyfunc", "mlflow.pyfunc")
    assert found.saving.own_modules == (Twice.__module__,)
    assert served(found, ROWS) == (2 * ROWS["age"]).tolist()


class Asked(ClassifierMixin, BaseEstimator):
    """Gives what it was made with, for each row or as it is."""

    def __init__(self, prediction=0, probabilities=None):
        self.prediction = prediction
        self.probabilities = probabilities

    def fit(self, *_):
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, rows):
        return np.full(len(rows), self.prediction)

    def predict_proba(self, _rows):
        return self.probabilities


class Locked(DecisionTreeClassifier):
    """Holds what cannot be pickled."""

    def fit(self, *arguments):
        self.lock_ = threading.Lock()
        return super().fit(*arguments)


class OlderThanRich(mlflow.pyfunc.PythonModel):
    """Refuses rows that its own training data has none of."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - names of mlflow
        if (model_input["income"] > model_input["age"]).any():
            raise ValueError("too rich for that age")
        return model_input["age"].tolist()


def test_a_model_that_refuses_shuffled_rows_is_served_without_importance(tmp_path):
    rows = ROWS[GOOD]
    found = candidate(OlderThanRich(), tmp_path, rows)
    assert found.importance is None
    assert served(found, rows) == rows["age"].tolist()


def test_columns_of_32_bits_reach_both_forms_in_32_bits(tmp_path):
    rows = ROWS.astype("float32")
    model = LinearRegression().fit(rows, 3 * ROWS["age"] + ROWS["income"] ** 2)
    found = candidate(model, tmp_path, rows)
    assert found.served.flavor == "onnx", found.problem
    row = {"age": 0.1, "income": 0.7}
    (expected,) = model.predict(pd.DataFrame([row]).astype("float32")).tolist()
    assert found.served.predict([row]).values == [pytest.approx(expected, rel=1e-12)]


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (ROWS[["age"]], "test: lacks the column 'income'"),
        (ROWS.assign(label=1), "test: has a column 'label'"),
        (ROWS.assign(age="n/a"), "test: row 0: features.age: found a string"),
        (ROWS.assign(bottles=1.5), "test: row 0: features.bottles: .* a fraction"),
    ],
    ids=["missing", "added", "text", "fraction"],
)
def test_test_rows_that_no_request_could_bring_are_refused_as_such(test, problem, tmp_path):
    train = ROWS.assign(bottles=3) if "bottles" in test else ROWS
    model = DecisionTreeClassifier().fit(train, GOOD)
    with pytest.raises(InvalidInputError, match=problem):
        make_candidate(model, train, test, tmp_path)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(80, dtype="uint64"), r"\(uint64\)"),
        (pd.to_timedelta(np.arange(80), unit="D"), r"\(timedelta64.*\)"),
        (pd.date_range("2026-01-01", periods=80), r"\(datetime64.*\)"),
        ([Decimal(number) for number in range(80)], r"\(Decimal\)"),
        (pd.Series([None] * 80, dtype=object), r"\(no values\)"),
    ],
    ids=["uint64", "timedelta", "datetime", "decimal", "nothing"],
)
def test_a_column_that_no_request_could_bring_is_named(values, kind, tmp_path):
    rows = ROWS.assign(odd=values)
    model = DecisionTreeClassifier().fit(ROWS, GOOD)
    with pytest.raises(NotServableError, match=f"cannot be served: 'odd' {kind}: expected"):
        make_candidate(model, rows, rows.head(20), tmp_path)


def test_the_order_of_the_test_columns_does_not_matter(tmp_path):
    model = DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    make_candidate(model, ROWS, ROWS[["income", "age"]], tmp_path)


@pytest.mark.parametrize("rows", [np.zeros((3, 2, 2)), "train.csv", 5], ids=str)
def test_what_is_no_table_is_refused_with_what_is_one(rows):
    with pytest.raises(InvalidInputError, match=r"no table: give a DataFrame, or an array|no rows"):
        table_of(rows, "train")


@pytest.mark.parametrize(
    "rows",
    [pa.Table.from_pandas(ROWS), csr_matrix(ROWS.to_numpy(float)), ROWS.to_dict("list")],
    ids=["arrow", "sparse", "mapping"],
)
def test_tables_of_other_libraries_are_tables(rows):
    assert table_of(rows, "train").to_numpy().tolist() == ROWS.to_numpy().tolist()


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([1, "a"], "are of several types: int, str"),
        (pd.Series([True, 3], dtype=object), "are of several types: bool, int"),
        ([2**70, 1], "64 bits do not hold"),
        (pd.Series([pd.Timestamp("2020-01-01")] * 2), "no number, text or boolean"),
    ],
    ids=["texts", "booleans", "large", "dates"],
)
def test_labels_are_of_one_type_or_refused(labels, problem):
    with pytest.raises(InvalidInputError, match=problem):
        labels_of(labels, 2)


def test_labels_keep_their_values():
    assert labels_of([1, 2.5], 2) == [1.0, 2.5]
    assert labels_of(pd.Series([1, None], dtype="Int64"), 2) == [1, None]


class NoPrediction:
    def fit(self, *_):
        return self


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (LinearRegression().fit(ROWS, ROWS), "the model gives 2 values a row"),
        (NoPrediction(), "has no method `predict`"),
        (LinearRegression(), "fails on its own training data"),
        (
            Asked(np.datetime64("2020-01-01", "ns"), np.full((80, 2), 0.5)).fit(),
            "no number, text or boolean",
        ),
        (Asked(0, np.full(80, 0.5)).fit(), "predict_proba gives float64 of shape"),
        (Asked(0, np.full((1, 2), 0.5)).fit(), "predict_proba gives float64 of shape"),
        (Asked(0, np.full((80, 2), "a")).fit(), "predict_proba gives <U1 of shape"),
        (Locked().fit(ROWS, GOOD), "it cannot be pickled"),
        (Asked(math.nan, np.full((80, 2), 0.5)).fit(), "the prediction is NaN"),
    ],
    ids=[
        "several outputs",
        "no predict",
        "not fitted",
        "dates",
        "one probability a row",
        "too few probabilities",
        "texts for probabilities",
        "not to be pickled",
        "never a number",
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(model, sentence, tmp_path):
    with pytest.raises(NotServableError, match=sentence):
        candidate(model, tmp_path)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (["a\tb", "b"], "is no name of a feature"),
        (["a" * 251, "b"], "is no name of a feature"),
        ([" ", "b"], "is no name of a feature"),
        (["1", 1], "has two columns with the name '1'"),
        ([("a", "b"), ("a", "c")], "neither a text nor a number"),
    ],
)
def test_columns_whose_names_no_record_can_have_are_refused(columns, problem):
    rows = pd.DataFrame([[1.0, 2.0]])
    rows.columns = pd.Index(columns, tupleize_cols=False)
    with pytest.raises(InvalidInputError, match=problem):
        table_of(rows, "train")


@pytest.mark.parametrize("name", ["a=b", "a/b", "a:b", "tab\there", "n" * 251, ""])
def test_a_name_that_no_record_can_have_is_refused_before_anything_is_asked(name):
    settings = Settings({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    with pytest.raises(InvalidInputError, match="is no name of a model"):
        register_model(None, name=name, train=ROWS, test=ROWS, settings=settings)


class Files(Settings):
    """Settings of an MLflow that is a file, which no deployed stack has."""

    mlflow_tracking_uri = Setting("", "", str)


def test_a_step_that_fails_leaves_no_version_and_moves_no_alias(tmp_path, monkeypatch):
    # the version's artifacts are files here, which the store for them on S3 refuses
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.chdir(tmp_path)
    settings = Files(
        {
            "MLFLOW_TRACKING_URI": uri,
            "MODEL_BUCKET": "models",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
    )
    client = MlflowClient(uri)
    model = DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    for existing in (False, True):
        if existing:
            client.create_registered_model("wine")
            made = client.create_model_version("wine", str(tmp_path))
            client.set_registered_model_alias("wine", "production", made.version)
        steps = []
        with pytest.raises(ModelwatchError):
            register_model(
                model, name="wine", train=ROWS, test=ROWS, settings=settings, step=steps.append
            )
        assert steps[-1] == "storing manifest, schema and reference"
        versions = [each.version for each in client.search_model_versions("name='wine'")]
        assert [str(each) for each in versions] == (["1"] if existing else [])
        assert len(client.search_registered_models()) == existing
    assert str(client.get_model_version_by_alias("wine", "production").version) == "1"


def test_the_packages_of_a_model_are_found_in_it():
    model = make_pipeline(FunctionTransformer(np.sqrt), DecisionTreeClassifier().fit(ROWS, GOOD))
    found = {each.partition("==")[0] for each in requirements_of(modules_of(model))}
    assert {"scikit-learn", "skops", "numpy", "pandas"} <= found


def test_types_are_trusted_that_are_in_the_model_and_no_others():
    model = RandomForestClassifier(2, random_state=0).fit(ROWS, GOOD)
    first, second = savings_of(model)
    assert first.arguments["serialization_format"] == "skops"
    assert first.arguments["skops_trusted_types"] == ["sklearn.tree._tree.Tree"]
    assert second.arguments["serialization_format"] == "cloudpickle"
