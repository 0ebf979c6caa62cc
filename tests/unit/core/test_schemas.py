"""A row of features against a model's schema."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.domain.schemas import Column, Schema, schema_from_signature
from modelwatch.errors import InvalidInputError

SCHEMA = Schema(
    (
        Column("alcohol", "double"),
        Column("bottles", "long"),
        Column("colour", "string"),
        Column("organic", "boolean"),
        Column("note", "string", required=False),
    )
)
ROW = {"alcohol": 13.0, "bottles": 2, "colour": "red", "organic": True, "note": None}


def test_a_list_follows_the_order_of_the_schema():
    assert SCHEMA.row([13, 2.0, "red", True, None]) == ROW


def test_named_values_may_come_in_any_order_and_leave_out_optional_ones():
    names = ["organic", "colour", "bottles", "alcohol"]
    assert SCHEMA.row([True, "red", 2, 13], names) == ROW
    mapping = {"organic": True, "colour": "red", "bottles": 2, "alcohol": 13}
    assert list(SCHEMA.row(mapping)) == list(ROW)


def test_a_real_number_may_be_missing():
    assert SCHEMA.row({**ROW, "alcohol": None})["alcohol"] is None


@pytest.mark.parametrize(
    ("features", "names", "field", "problem"),
    [
        ([1, 2], None, "features", "found 2 values, expected 5"),
        ([1, 2], ["alcohol", "alcohol"], "feature_names", "twice"),
        ({**ROW, "age": 3}, None, "features.age", "is not a feature of this model"),
        ({"alcohol": 1}, None, "features.bottles", "is missing"),
        ({**ROW, "alcohol": "13"}, None, "features.alcohol", "found a string, expected a number"),
        ({**ROW, "alcohol": True}, None, "features.alcohol", "found true"),
        ({**ROW, "alcohol": 10**400}, None, "features.alcohol", "too large"),
        ({**ROW, "alcohol": 2**53 + 1}, None, "features.alcohol", "that no double equals"),
        ({**ROW, "bottles": 2.5}, None, "features.bottles", "with a fraction"),
        ({**ROW, "bottles": None}, None, "features.bottles", "found null, expected a whole number"),
        ({**ROW, "bottles": 2**63}, None, "features.bottles", "out of range"),
        ({**ROW, "colour": 3}, None, "features.colour", "expected a string"),
        ({**ROW, "organic": 1}, None, "features.organic", "expected true or false"),
        (ROW, ["alcohol"], "feature_names", "only for a list"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(features, names, field, problem):
    with pytest.raises(InvalidInputError) as caught:
        SCHEMA.row(features, names)
    assert caught.value.field == field
    assert problem in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.lists(json_values) | st.dictionaries(st.sampled_from([*ROW, "other"]), json_values))
def test_whatever_comes_gives_a_row_or_a_refusal(features):
    try:
        row = SCHEMA.row(features)
    except InvalidInputError:
        return
    assert list(row) == list(ROW)


def test_a_signature_that_is_not_a_table_is_refused():
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]
    for signature in ([], tensor, [{"type": "double"}], [{"type": "datetime", "name": "at"}]):
        with pytest.raises(ValueError, match="signature"):
            schema_from_signature(signature)
    assert schema_from_signature([{"type": "double", "name": "a"}]).names == ("a",)


def test_numbered_columns_are_named_by_their_numbers():
    schema = schema_from_signature([{"name": n, "type": "double"} for n in (0, 1)])
    assert schema.names == ("0", "1")
    assert schema.row({"0": 1.5, "1": 2}) == {"0": 1.5, "1": 2.0}


def test_a_column_whose_name_no_record_can_have_is_refused():
    with pytest.raises(ValueError, match="is no name of a feature"):
        schema_from_signature([{"name": "a\tb", "type": "double"}])


def test_a_number_that_the_columns_type_does_not_hold_is_refused():
    single, double = Column("age", "float"), Column("age", "double")
    assert single.check(3.4028234663852886e38) == double.check(3.4028234663852886e38)
    assert double.check(1e39) == 1e39
    with pytest.raises(InvalidInputError, match="the number is too large"):
        single.check(1e39)
