"""Training data as a reference: under a policy it says what captures of the same rows say."""

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.models.training_references import TrainingReferences
from modelwatch.domain.capture_policy import CapturePlan, read_policy
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.records import Record
from modelwatch.domain.schemas import Column, Schema
from modelwatch.domain.segments import parse_segments
from wine_records import numbered_id, wine_record

KEY = "a key of this test, long enough"
SCHEMA = Schema((Column("age", "long"), Column("income", "double"), Column("email", "string")))
VERSION = ModelVersion("wine", "1", "s3://models/1")

rows = st.fixed_dictionaries(
    {
        "age": st.integers(-100, 100),
        "income": st.none() | st.floats(-1e6, 1e6),
        "email": st.sampled_from(["ada@example.org", "bob@example.org"]),
    }
)
outcomes = st.one_of(
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.lists(st.sampled_from(["red", "white"]), min_size=4, max_size=4),
    st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4),
)
words = ["keep", "drop", "hash"]
buckets = [{"bucket": 10}, {"bucket": 0.5}, {"bucket": [0, 7, 20]}]
policies = st.fixed_dictionaries(
    {},
    optional={
        "age": st.sampled_from(words + buckets),
        "income": st.sampled_from(words + buckets),
        "email": st.sampled_from(words),
        "prediction": st.sampled_from(words + buckets),
        "probabilities": st.sampled_from(["keep", "drop", {"bucket": 0.5}]),
    },
)


class Artifacts:
    """The reference data of every version."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def reference(self, _version: ModelVersion) -> pa.Table:
        return self.table


def record(number: int, **fields: object) -> Record:
    return wine_record(event_id=numbered_id(number), **fields)


@given(st.lists(rows, min_size=4, max_size=4), outcomes, policies)
def test_training_data_becomes_what_captures_of_it_would_be(features, predictions, declared):
    policy = read_policy(json.dumps(declared), KEY)
    plan = CapturePlan(policy, SCHEMA)
    pairs = list(enumerate(zip(map(SCHEMA.row, features), predictions, strict=True)))
    raw = [
        record(number, features=row, prediction=prediction, probabilities=[0.25, 0.75], types="lds")
        for number, (row, prediction) in pairs
    ]
    captured = [
        record(
            number,
            features=plan.features(row),
            prediction=plan.prediction(prediction),
            probabilities=plan.probabilities([0.25, 0.75]),
            types=plan.types,
        )
        for number, (row, prediction) in pairs
    ]
    reference = TrainingReferences(Artifacts(records_table(raw)), lambda _: policy).reference(
        VERSION
    )
    expected = records_table(captured)
    assert set(reference.column_names) == set(expected.column_names)
    for name in expected.column_names:
        assert reference[name].to_pylist() == expected[name].to_pylist(), name


def test_what_lies_beside_its_column_is_under_the_policy_too():
    untyped = [record(0, features={"age": 1, "email": "ada@example.org"}, prediction=1)]
    policy = read_policy(json.dumps({"email": "hash", "age": "drop"}), KEY)
    reference = TrainingReferences(Artifacts(records_table(untyped)), lambda _: policy).reference(
        VERSION
    )
    plan = CapturePlan(policy, SCHEMA)
    hashed = plan.features({"age": 1, "income": None, "email": "ada@example.org"})["email"]
    assert reference["feature_email"].to_pylist() == [hashed]
    features = {name for name in reference.column_names if name.endswith(("_email", "_age"))}
    assert features == {"feature_email"}


def test_segments_of_training_rows_follow_what_is_declared_for_the_model():
    rows = [record(n, features={"age": n, "email": "a"}, prediction=1) for n in range(4)]
    declared = ["age > 1"]
    references = TrainingReferences(
        Artifacts(records_table(rows)),
        lambda _: read_policy("", ""),
        lambda _: parse_segments(declared[-1]),
    )
    assert {key.name: each.rows for key, each in references.segments(VERSION).items()} == {
        "age > 1": 2
    }
    declared.append("email; old: age > 2")
    assert {key.name: each.rows for key, each in references.segments(VERSION).items()} == {
        "email=a": 4,
        "old": 1,
    }
    declared.append("")
    assert references.segments(VERSION) == {}
