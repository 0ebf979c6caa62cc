"""The capture policy: how it is declared, and what it makes of values."""

import hashlib
import hmac
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.domain.capture_policy import CapturePlan, CapturePolicy, apply_policy, read_policy
from modelwatch.domain.capture_rules import Bucket, Hash
from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import SettingError

KEY = "a key of this test, long enough"
SCHEMA = Schema(
    (
        Column("name", "string"),
        Column("email", "string"),
        Column("age", "long", required=False),
        Column("income", "double"),
        Column("member", "boolean"),
    )
)
ROW = {"name": "Ada", "email": "ada@example.org", "age": 37, "income": 1234.5, "member": True}


def policy(**rules: object) -> CapturePolicy:
    return read_policy(json.dumps(rules), KEY)


def plan(**rules: object) -> CapturePlan:
    return CapturePlan(policy(**rules), SCHEMA)


class TestDeclaration:
    @pytest.mark.parametrize("text", ["", "  ", "{}"])
    def test_nothing_declared_keeps_everything(self, text):
        assert CapturePlan(read_policy(text), SCHEMA).features(ROW) is ROW

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "is not JSON"),
            ("email=hash", "is not JSON"),
            ('["email"]', "is JSON, but no object"),
            ('{"email": "hsah"}', 'field \'email\': expected "keep", "drop", "hash" or'),
            ('{"email": null}', "found null"),
            ('{"email": "drop", "email": "keep"}', "field 'email' is there twice"),
            ('{"age": {"buckets": 10}}', "field 'age': expected"),
            ('{"age": {"bucket": 10, "hash": 1}}', "field 'age': expected"),
            ('{"age": {"bucket": 0}}', "a width of more than 0"),
            ('{"age": {"bucket": -1}}', "a width of more than 0"),
            ('{"age": {"bucket": true}}', "a width of more than 0"),
            ('{"age": {"bucket": "10"}}', "a width of more than 0"),
            ('{"age": {"bucket": 1e999}}', "a width of more than 0"),
            ('{"age": {"bucket": NaN}}', "a width of more than 0"),
            ('{"age": {"bucket": 1%s}}' % ("0" * 400), "a width of more than 0"),
            ('{"age": {"bucket": [18]}}', "two or more ascending edges"),
            ('{"age": {"bucket": [18, null]}}', "two or more ascending edges"),
            ('{"age": {"bucket": [18, 18]}}', "field 'age': the edges of its buckets do not"),
            ('{"probabilities": "hash"}', "'probabilities' cannot be hashed"),
        ],
    )
    def test_what_is_wrong_is_said_with_the_field(self, text, said):
        with pytest.raises(SettingError, match="setting CAPTURE_POLICY: ") as caught:
            read_policy(text, KEY)
        assert said in str(caught.value)

    @pytest.mark.parametrize(("key", "said"), [("", "is not set"), ("short", "fewer than 16")])
    def test_hashes_want_a_key(self, key, said):
        with pytest.raises(SettingError, match=f"setting CAPTURE_HASH_KEY: .*{said}") as caught:
            read_policy('{"email": "hash"}', key)
        assert "short" not in str(caught.value)
        assert read_policy('{"email": "drop"}', key)

    def test_the_key_is_not_shown(self):
        assert KEY not in repr(policy(email="hash"))

    def test_rules_that_no_served_model_can_mean_are_found(self):
        other = Schema((Column("alcohol", "double"),))
        rules = policy(
            emial="drop", alcohol="drop", name={"bucket": 1}, prediction="hash", age={"bucket": 1}
        )
        assert rules.problems([SCHEMA, other]) == [
            "'emial' is no feature of the model; its features are name, email, age, income, "
            "member, alcohol",
            "'name' is of type string, and only numbers have buckets",
        ]


class TestFeatures:
    def test_each_rule_and_the_types_it_leaves(self):
        made = plan(name="drop", email="hash", age={"bucket": 10}, income={"bucket": 0.5})
        captured = made.features(ROW)
        assert list(captured) == ["email", "age", "income", "member"]
        assert captured["email"] != ROW["email"]
        assert (captured["age"], captured["income"], captured["member"]) == (30, 1234.5, True)
        assert made.types == "sldb"
        assert ROW["name"] == "Ada"

    def test_the_types_of_a_plan_without_rules(self):
        assert plan().types == "ssldb"

    def test_a_fractional_bucket_makes_whole_numbers_real(self):
        made = plan(age={"bucket": 2.5})
        assert (made.features(ROW)["age"], made.types) == (35.0, "ssddb")
        assert plan(age={"bucket": [0, 0.5]}).types == "ssddb"

    def test_missing_values_stay_missing(self):
        made = plan(email="hash", age={"bucket": 10}, income={"bucket": 10})
        missing = made.features({**dict.fromkeys(ROW), "name": "Ada"})
        assert missing == {**dict.fromkeys(ROW), "name": "Ada"}

    def test_a_star_is_for_all_that_is_not_named(self):
        made = plan(**{"*": "drop", "income": "keep"})
        assert (made.features(ROW), made.types) == ({"income": 1234.5}, "d")

    def test_everything_may_be_dropped(self):
        made = plan(**{"*": "drop"})
        assert (made.features(ROW), made.types) == ({}, "")

    def test_a_bucket_for_what_is_no_number_lets_nothing_out(self):
        # `modelwatch deploy` refuses it; a version that is loaded later may be another
        assert plan(email={"bucket": 10}).features(ROW)["email"] is None


class TestOutputs:
    def test_outputs_are_kept_where_they_are_not_named(self):
        made = plan(**{"*": "drop"})
        assert (made.prediction("no"), made.probabilities([0.1, 0.9])) == ("no", [0.1, 0.9])

    def test_outputs_under_rules(self):
        made = plan(prediction="drop", probabilities="drop")
        assert (made.prediction("no"), made.probabilities([0.1, 0.9])) == (None, None)
        made = plan(prediction={"bucket": 100}, probabilities={"bucket": 0.1})
        assert made.prediction(1234.5) == 1200.0
        assert made.prediction("no") is None
        assert made.probabilities([0.05, 0.3, 1.0]) == [0.0, 0.3, 1.0]
        assert made.probabilities(None) is None
        assert plan(prediction="hash").prediction(3) == Hash(KEY.encode(), "prediction")(3)

    def test_a_feature_of_an_outputs_name_shares_its_rule(self):
        made = CapturePlan(policy(prediction="drop"), Schema((Column("prediction", "double"),)))
        assert (made.features({"prediction": 1.0}), made.prediction(1.0)) == ({}, None)


class TestHash:
    def test_it_is_the_hmac_that_the_documentation_says(self):
        message = b"email\0ada@example.org"
        expected = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()[:16]
        assert Hash(KEY.encode(), "email")("ada@example.org") == expected

    def test_equal_values_are_equal_and_others_are_not(self):
        hashed = Hash(KEY.encode(), "id")
        assert hashed(13) == hashed(13.0) == hashed("13")
        assert hashed(-0.0) == hashed(0)
        assert len({hashed(each) for each in (13, 13.5, True, False, "x", 1e300, "")}) == 7

    def test_field_and_key_matter(self):
        values = {Hash(key, name)("x") for key in (b"k", b"l") for name in ("a", "b")}
        assert len(values) == 4

    @given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
    def test_it_takes_everything(self, value):
        hashed = Hash(KEY.encode(), "id")(value)
        missing = value is None or value != value
        assert (hashed is None) == missing
        assert missing or (len(hashed) == 16 and int(hashed, 16) >= 0)

    def test_text_that_is_no_unicode_can_be_hashed(self):
        assert Hash(KEY.encode(), "id")("\ud800")


numbers = st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12)
widths = st.integers(1, 10**6) | st.sampled_from([0.001, 0.01, 0.1, 0.25, 0.5, 2.5, 12.5])


class TestBucket:
    @given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 10**6))
    def test_whole_numbers_are_exact(self, value, width):
        edge = Bucket(width)(value)
        assert isinstance(edge, int)
        assert edge % width == 0
        assert edge <= value < edge + width

    @given(st.floats(-1e6, 1e6), widths)
    def test_a_real_number_is_in_its_bucket(self, value, width):
        edge = Bucket(width)(value)
        assert isinstance(edge, float)
        assert edge <= value < edge + width * (1 + 1e-6)
        assert Bucket(width)(edge) == edge

    @given(st.integers(-1000, 1000), st.sampled_from([0.1, 0.01, 0.25]))
    def test_an_edge_as_it_is_written_is_its_own(self, steps, width):
        written = float(f"{steps * width:.2f}")
        assert Bucket(width)(written) == written

    @given(numbers, numbers, widths)
    def test_order_is_kept(self, one, other, width):
        low, high = sorted((one, other))
        assert Bucket(width)(low) <= Bucket(width)(high)

    @given(numbers, st.lists(st.integers(-100, 100), min_size=2, unique=True).map(sorted))
    def test_edges(self, value, edges):
        edge = Bucket(edges=tuple(edges))(value)
        below = [each for each in edges if each <= value]
        assert edge == (below[-1] if below else edges[0])
        assert type(edge) is type(value)

    @pytest.mark.parametrize("value", [1e308, -1e308, math.inf, -math.inf])
    def test_numbers_without_end_are_taken(self, value):
        assert Bucket(0.1)(value) == value
        assert Bucket(edges=(0, 10))(value) in (0, 10)

    @pytest.mark.parametrize("value", ["12", True, None, math.nan])
    def test_what_is_no_number_is_missing(self, value):
        assert Bucket(10)(value) is None


values = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5)
rules = st.sampled_from(["keep", "drop", "hash", {"bucket": 10}, {"bucket": [0, 0.5, 7]}])


@given(
    st.lists(st.tuples(*[values] * 3), max_size=5),
    st.dictionaries(st.sampled_from(["a", "b", "c", "*"]), rules),
)
def test_reference_columns_become_what_is_captured(rows, declared):
    chosen = read_policy(json.dumps(declared), KEY)
    schema = Schema(tuple(Column(name, "double") for name in "abc"))
    captured = [
        CapturePlan(chosen, schema).features(dict(zip("abc", row, strict=True))) for row in rows
    ]
    columns = {name: [row[place] for row in rows] for place, name in enumerate("abc")}
    applied = apply_policy(chosen, columns)
    for name in "abc":
        assert applied.get(name, []) == [row[name] for row in captured if name in row]
