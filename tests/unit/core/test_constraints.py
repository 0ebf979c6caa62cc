"""Constraints: learned, written down, read again, and held against windows."""

import math
import time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.domain.binomial import fisher_tail
from modelwatch.domain.constraints import (
    CategoryRule,
    ColumnConstraints,
    ConstantRule,
    Constraints,
    ExtraRule,
    FailedRule,
    InfiniteRule,
    KindRule,
    Margins,
    MissingRule,
    Quality,
    RangeRule,
    Seen,
    VaryingRule,
    WholeRule,
    check,
    decode_constraints,
    encode_constraints,
    learn_constraints,
)
from modelwatch.domain.profiles import Profile, merge_columns, number_column, text_column
from modelwatch.errors import InvalidInputError

RNG = np.random.default_rng(7)
ROWS = 2000


def profile(rows: int = ROWS, **features) -> Profile:
    return Profile(rows=rows, features=features)


def numbers(rows: int = ROWS, shift: float = 0.0):
    return number_column(RNG.normal(13 + shift, 0.8, rows))


def colours(rows: int = ROWS, nulls: int = 0):
    return text_column({"red": rows // 2, "white": rows - rows // 2}, nulls=nulls)


def violations(reference: Profile, window: Profile, **options) -> dict[tuple[str, str], int]:
    quality = check(learn_constraints(reference), window, **options)
    assert quality.status == ("violated" if quality.violations else "ok")
    return {(each.feature, each.check): each.rows for each in quality.violations}


def test_the_same_again_is_ok():
    reference = profile(a=numbers(), c=colours(), k=number_column(np.full(ROWS, 3.0)))
    quality = check(learn_constraints(reference), reference)
    assert (quality.status, quality.violations, quality.not_evaluated) == ("ok", (), ())
    assert quality.evaluated > 10


def with_missing(rows: int, nulls: int) -> Profile:
    values = np.r_[RNG.normal(size=rows - nulls), np.full(nulls, np.nan)]
    return profile(rows, a=number_column(values))


def test_missing_values_count_from_where_chance_ends():
    reference = with_missing(ROWS, 100)
    rule = learn_constraints(reference).columns["a"].missing
    assert (rule.allowed_share, rule.reference.broken) == (0.0625, 100)
    assert violations(reference, with_missing(200, 18)) == {}
    assert violations(reference, with_missing(200, 40)) == {("a", "missing"): 40}


def test_a_small_reference_proves_less_than_a_large_one():
    window = with_missing(100, 12)
    assert violations(with_missing(30, 0), window) == {}
    assert violations(with_missing(3000, 0), window) == {("a", "missing"): 12}


def test_what_is_proved_may_be_of_no_interest():
    reference, window = with_missing(1_000_000, 10_000), with_missing(1_000_000, 11_000)
    assert fisher_tail(11_000, 1_000_000, 10_000, 1_000_000) < 1e-9
    assert violations(reference, window) == {}
    assert violations(reference, with_missing(1_000_000, 14_000)).keys() == {("a", "missing")}


def test_who_allows_less_than_the_reference_shows_means_it():
    learned = learn_constraints(with_missing(50, 0))
    rule = msgspec.structs.replace(learned.columns["a"].missing, allowed_share=0.0)
    column = msgspec.structs.replace(learned.columns["a"], missing=rule)
    strict = msgspec.structs.replace(learned, columns={"a": column})
    assert check(learned, with_missing(1000, 1)).status == "ok"
    assert check(strict, with_missing(1000, 1)).violations[0].rows == 1


def test_types_that_change():
    reference = profile(a=numbers(), c=colours(), flag=text_column({"true": 900, "false": 1100}, 0))
    window = profile(
        100,
        a=merge_columns([numbers(60), text_column({"13.5": 40}, 0)], 100),
        c=numbers(100),
        flag=text_column({"yes": 50, "no": 50}, 0),
    )
    found = violations(reference, window)
    assert found["a", "kind"] == 40
    assert found["c", "kind"] == 100
    assert found["flag", "unseen_categories"] == 100


def test_numbers_out_of_range_are_counted_from_the_sketch():
    reference = profile(a=numbers())
    window = profile(50_000, a=number_column(np.r_[RNG.normal(13, 0.8, 45_000), [-999.0] * 5000]))
    found = violations(reference, window)
    assert found.keys() == {("a", "range"), ("a", "non_negative")}
    assert found["a", "range"] == pytest.approx(5000, abs=0.02 * 50_000)


def test_a_strict_range_is_broken_by_one_row():
    rule = RangeRule(minimum=0, maximum=1, allowed_share=0.0)
    constraints = Constraints(columns={"a": ColumnConstraints(range=rule)})
    window = profile(100_000, a=number_column(np.r_[RNG.random(99_999), 1.5]))
    (violation,) = check(constraints, window).violations
    assert violation.sentence == (
        f"a: {violation.rows} of 100000 rows are not from 0 to 1 "
        f"({100 * violation.found:.3g} %; allowed: 0 %)"
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 0.037, 1.0, 12_345.6, 1e9, 1e17, 1e290])
@pytest.mark.parametrize("shift", [-3.3, 0.0, 1e6])
def test_a_range_is_rounded_outward_and_little(scale, shift):
    values = scale * (RNG.random(100) + shift)
    rule = learn_constraints(profile(100, a=number_column(values))).columns["a"].range
    tolerance = 0.05 * (values.max() - values.min())
    slack = 0.02 * tolerance + 1e-12 * abs(values).max()
    assert values.min() - tolerance - slack <= rule.minimum <= values.min() - 0.9 * tolerance or (
        rule.minimum == 0
    )
    assert values.max() + 0.9 * tolerance <= rule.maximum <= values.max() + tolerance + slack


@pytest.mark.parametrize("tolerance", [0.0, 1e-12, 0.05])
@pytest.mark.parametrize("scale", [1e-300, 0.037, 1.0, 12_345.678901, 1e16, 1e290])
def test_the_references_own_extremes_keep_the_range(tolerance, scale):
    for _ in range(50):
        values = scale * (RNG.random(30) - 0.5)
        reference = profile(30, a=number_column(values))
        margins = Margins(range_tolerance=tolerance)
        rule = learn_constraints(reference, margins).columns["a"].range
        assert rule.minimum <= values.min() <= values.max() <= rule.maximum
        if not tolerance:
            assert (rule.minimum, rule.maximum) == (values.min(), values.max())
        strict = msgspec.structs.replace(rule, allowed_share=0.0)
        constraints = Constraints(columns={"a": ColumnConstraints(range=strict)})
        read = decode_constraints(encode_constraints(constraints))
        assert check(read, reference).violations == ()


def test_a_bound_is_shown_with_every_digit():
    rule = RangeRule(minimum=0, maximum=1234567.25, allowed_share=0.0)
    constraints = Constraints(columns={"a": ColumnConstraints(range=rule)})
    window = profile(100, a=number_column(np.r_[RNG.random(99), 1234567.5]))
    (violation,) = check(constraints, window).violations
    assert "are not from 0 to 1234567.25" in violation.sentence


def test_whole_numbers_that_are_no_more():
    reference = profile(n=number_column(RNG.integers(0, 50, ROWS).astype(float)))
    learned = learn_constraints(reference).columns["n"]
    assert learned.whole is not None
    assert learned.range.maximum == int(learned.range.maximum)
    window = profile(5000, n=number_column(RNG.integers(0, 40, 5000) + 0.5))
    assert violations(reference, window) == {("n", "whole"): 5000}


def test_categories_that_come_and_go():
    reference = profile(c=text_column({"red": 1200, "white": 799, "rare": 1}, 0))
    found = violations(reference, profile(300, c=text_column({"red": 250, "blue": 50}, 0)))
    assert found == {("c", "unseen_categories"): 50, ("c", "vanished_categories"): 300}
    # the rare one may well be away
    assert violations(reference, profile(300, c=text_column({"red": 180, "white": 120}, 0))) == {}


def test_names_of_things_are_no_categories():
    column = text_column({f"id{i}": 1 for i in range(900)}, 0)
    assert learn_constraints(profile(900, c=column)).columns["c"].categories is None
    many = text_column({f"id{i}": 5 for i in range(1200)}, 0)
    assert learn_constraints(profile(6000, c=many)).columns["c"].categories is None


def test_columns_that_come_and_go():
    reference = profile(a=numbers(), c=colours())
    window = profile(100, a=numbers(100), extra=numbers(100))
    assert violations(reference, window) == {
        ("c", "missing_column"): 100,
        ("extra", "extra_column"): 100,
    }


def test_constant_columns():
    reference = profile(k=number_column(np.full(ROWS, 3.0)), a=numbers(), flag=colours())
    window = profile(
        200,
        k=number_column(np.r_[np.full(100, 3.0), np.full(100, 4.0)]),
        a=number_column(np.full(200, 13.0)),
        flag=text_column({"red": 200}, 0),
    )
    assert violations(reference, window).keys() == {
        ("k", "constant"),
        ("a", "varying"),
        ("flag", "varying"),
        ("flag", "vanished_categories"),
    }


def test_a_column_of_nulls_and_infinities():
    reference = profile(a=numbers(), none=number_column(np.full(ROWS, np.nan)))
    infinite = np.r_[RNG.normal(13, 0.8, 100), [np.inf] * 60, [-np.inf] * 40]
    window = profile(200, a=number_column(infinite), none=numbers(200))
    found = violations(reference, window)
    assert found == {("a", "infinite"): 100, ("none", "kind"): 200}
    nothing = profile(200, a=number_column(np.full(200, np.nan)), none=number_column(infinite[:0]))
    assert violations(reference, nothing) == {("a", "missing"): 200}


def test_no_rows_say_nothing():
    quality = check(learn_constraints(profile(a=numbers())), Profile())
    assert (quality.status, quality.evaluated) == ("unknown", 0)
    assert quality.not_evaluated[0].reason == "the window has no rows"


@pytest.mark.parametrize("names", [("evaluated", "not_evaluated"), ("decided", "undecided")])
def test_a_quality_result_is_read_and_written_by_new_names_and_old(names):
    found = {"feature": "a", "checks": ["range"], "reason": "no rows"}
    quality = msgspec.convert(
        {"status": "ok", **dict(zip(names, (3, [found]), strict=True))}, Quality
    )
    written = msgspec.json.decode(msgspec.json.encode(quality))
    assert written["evaluated"] == written["decided"] == 3
    assert written["not_evaluated"] == written["undecided"] == [found]


def test_few_rows_are_unknown_but_a_proof_is_a_proof():
    constraints = learn_constraints(profile(a=numbers()))
    assert check(constraints, profile(1, a=numbers(1)), min_rows=30).status == "unknown"
    assert check(constraints, profile(29, a=numbers(29)), min_rows=30).status == "unknown"
    assert check(constraints, profile(30, a=numbers(30)), min_rows=30).status == "ok"
    broken = check(constraints, profile(10, a=number_column(np.full(10, np.nan))), min_rows=30)
    assert broken.status == "violated"
    assert broken.not_evaluated[0].reason == "10 rows in the window; 30 are needed"


def test_what_not_even_all_rows_would_prove_is_not_evaluated():
    rule = MissingRule(allowed_share=0.9)
    constraints = Constraints(columns={"a": ColumnConstraints(missing=rule)})
    (found,) = check(constraints, profile(40, a=numbers(40))).not_evaluated
    assert found.reason == "40 rows: even if all were wrong, it might be by chance"


def test_a_column_that_is_mostly_missing_is_not_evaluated_rather_than_ok():
    values = np.where(RNG.random(ROWS) < 0.99, np.nan, 1.0 + RNG.random(ROWS))
    mostly = profile(a=number_column(values), b=numbers())
    quality = check(learn_constraints(mostly), mostly, min_rows=50)
    assert quality.status == "ok"
    assert {each.feature for each in quality.not_evaluated} == {"a"}
    assert any("range" in each.checks for each in quality.not_evaluated)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_a_reference(rows):
    learned = learn_constraints(profile(rows, a=numbers(rows), c=colours(rows)))
    assert check(learned, profile(100, a=numbers(100, shift=50), c=colours(100))).status in (
        "ok",
        "unknown",
    )
    assert decode_constraints(encode_constraints(learned)) == learned


def test_the_largest_numbers():
    extreme = number_column(np.array([-1.7e308, 1.7e308]))
    learned = learn_constraints(profile(2, a=extreme))
    assert math.isfinite(learned.columns["a"].range.maximum)
    assert decode_constraints(encode_constraints(learned)) == learned
    assert check(learned, profile(2, a=extreme), min_rows=1).violations == ()


def test_ten_thousand_columns_take_about_a_second():
    columns = [number_column(np.where(RNG.random(500) < p, np.nan, RNG.random(500))) for p in
               np.linspace(0, 0.5, 100)]  # fmt: skip
    wide = profile(500, **{f"f{i}": columns[i % 100] for i in range(10_000)})
    began = time.process_time()
    quality = check(learn_constraints(wide), wide)
    assert time.process_time() - began < 5  # it is 0.4 s
    assert quality.status == "ok"


@pytest.mark.parametrize(("reference_rows", "rows"), [(100, 100), (100, 5000), (2000, 500)])
def test_false_alarms_stay_within_the_level(reference_rows, rows):
    """Missing, heavy tails, rare texts: of 100 windows like the reference one may be violated."""
    rng = np.random.default_rng(3)
    shares = 1 / np.arange(1, 60) ** 1.3
    shares /= shares.sum()

    def draw(size):
        texts, counts = np.unique(rng.choice(59, size=size, p=shares), return_counts=True)
        by_text = {f"t{text}": int(count) for text, count in zip(texts, counts, strict=True)}
        values = rng.lognormal(0, 2, size)
        with_gaps = np.where(rng.random(size) < 0.05, np.nan, values)
        return Profile(
            rows=size,
            features={
                "heavy": number_column(values),
                "missing": number_column(with_gaps),
                "texts": text_column(by_text, 0),
            },
        )

    verdicts = [check(learn_constraints(draw(reference_rows)), draw(rows)) for _ in range(100)]
    assert sum(each.status == "violated" for each in verdicts) <= 4  # 1 % + 1 %, with 99 %


# --- the document --------------------------------------------------------------------------------

shares = st.floats(0, 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
columns = st.builds(
    ColumnConstraints,
    kind=st.none()
    | st.builds(
        KindRule,
        kind=st.sampled_from(["numbers", "texts", "truth values", "empty"]),
        allowed_share=shares,
    ),
    missing=st.none()
    | st.builds(
        MissingRule,
        allowed_share=shares,
        reference=st.none() | st.builds(Seen, broken=st.integers(0, 9), rows=st.integers(9, 10**9)),
    ),
    infinite=st.none() | st.builds(InfiniteRule, allowed_share=shares),
    whole=st.none() | st.builds(WholeRule, allowed_share=shares),
    range=st.none()
    | st.tuples(finite, finite).flatmap(
        lambda ends: st.builds(
            RangeRule,
            minimum=st.just(min(ends)),
            maximum=st.just(max(ends)),
            non_negative=st.booleans(),
            allowed_share=shares,
        )
    ),
    categories=st.none()
    | st.builds(
        CategoryRule, known=st.dictionaries(st.text(max_size=5), shares), allowed_share=shares
    ),
    constant=st.none()
    | st.builds(ConstantRule, value=finite | st.text() | st.booleans(), allowed_share=shares),
)


@settings(deadline=None)
@given(
    st.builds(
        Constraints,
        columns=st.dictionaries(st.text(max_size=8), columns, max_size=3),
        extra_columns=st.none() | st.builds(ExtraRule, allowed_share=shares),
        failed_predictions=st.none() | st.builds(FailedRule, allowed_share=shares),
        reference_rows=st.integers(0, 10**9),
    )
)
def test_what_is_written_is_read(constraints):
    assert decode_constraints(encode_constraints(constraints)) == constraints


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "Input data was truncated"),
        ('{"columns": {}}', "Object missing required field 'format'; its fields are format, "
         "columns, extra_columns, failed_predictions, reference_rows"),
        ('{"format": 2, "columns": {}}', "format: is 2; this code reads 1"),
        ('{"format": 1, "columns": {}, "extra": 1}', "Object contains unknown field 'extra'; its "
         "fields are format, columns, extra_columns, failed_predictions, reference_rows"),
        ('{"format": 1, "columns": {"a": {"mising": {}}}}',
         "columns.a: Object contains unknown field 'mising'; its fields are kind, missing, "
         "infinite, whole, range, categories, constant, varying"),
        ('{"format": 1, "columns": {"a": {"range": {"minimum": 1, "allowed_share": 0}}}}',
         "columns.a.range: Object missing required field 'maximum'; its fields are "
         "allowed_share, reference, minimum, maximum, non_negative"),
        ('{"format": 1, "columns": {"a": {"missing": {"allowed_share": 0, "reference": '
         '{"broken": 3, "rows": 2}}}}}', "columns.a.missing.reference: has 3 broken rows of 2"),
        ('{"format": 1, "columns": {"a": {"missing": {"allowed_share": 0, "reference": '
         '{"broken": 3}}}}}', "columns.a.missing.reference: Object missing required field 'rows'; "
         "its fields are broken, rows"),
        ('{"format": 1, "columns": {"a": {"range": {"minimum": 2, "maximum": 1, '
         '"allowed_share": 0}}}}', "columns.a.range: the minimum 2 is above the maximum 1"),
        ('{"format": 1, "columns": {"a": {"kind": {"kind": "int", "allowed_share": 0}}}}',
         "columns.a.kind.kind: Invalid enum value 'int'; it is one of numbers, texts, truth "
         "values, empty"),
        ('{"format": 1, "columns": {"a": {"missing": {"allowed_share": "5 %"}}}}',
         "columns.a.missing.allowed_share: Expected 'float', got 'str'"),
        ('{"format": 1, "columns": {"a": {"categories": {"known": {"red": 2}, '
         '"allowed_share": 0}}}}', "columns.a.categories.known.red: 2 is not a share, from 0 to 1"),
        ('{"format": 1, "columns": {"a": {"varying": {"largest_share": 1}, "constant": '
         '{"value": 1, "allowed_share": 0}}}}',
         "columns.a.varying: contradicts 'constant'; leave one of them out"),
    ],
)  # fmt: skip
def test_errors_name_the_field_and_what_would_be_right(document, sentence):
    with pytest.raises(InvalidInputError) as raised:
        decode_constraints(document.encode())
    assert str(raised.value) == sentence


def test_a_rule_that_is_left_out_is_not_asked_for():
    constraints = learn_constraints(profile(a=numbers()))
    lenient = msgspec.structs.replace(
        constraints, columns={"a": ColumnConstraints(varying=VaryingRule(largest_share=0.5))}
    )
    window = profile(100, a=number_column(np.full(100, np.nan)))
    assert check(constraints, window).status == "violated"
    assert check(lenient, window).status == "unknown"
