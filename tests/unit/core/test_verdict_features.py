"""Verdicts on features: every odd column has one, and chance is no drift at any size."""

import time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from modelwatch.domain.profiles import number_column
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import benjamini_hochberg, evaluate_columns
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift
from modelwatch.domain.verdict.rules import DriftPolicy, FeatureRule, run_level

numbers, counts = Distribution.of_numbers, Distribution.of_counts
CALIBRATED, CLASSIC = DriftPolicy(mode="calibrated"), DriftPolicy(mode="classic")
LARGEST = 1.7e308


def evaluate(reference, window, policy=CALIBRATED, level=0.001):
    (feature,) = evaluate_columns({"a": reference}, {"a": window}, policy, level)
    return feature


def test_a_small_window_of_the_same_is_ok_where_the_threshold_alone_says_drift():
    generator = np.random.default_rng(1)
    reference, window = numbers(generator.normal(size=142)), numbers(generator.normal(size=50))
    assert evaluate(reference, window, CLASSIC).status == "drift"
    calibrated = evaluate(reference, window)
    assert calibrated.status == "ok"
    assert calibrated.score >= calibrated.threshold
    assert "chance" in calibrated.reason
    assert calibrated.critical_score > calibrated.score


def test_a_shift_is_drift_and_as_far_as_needed():
    generator = np.random.default_rng(2)
    reference = numbers(generator.normal(size=142))
    drifted = evaluate(reference, numbers(generator.normal(1.2, size=50)))
    assert drifted.status == "drift"
    assert drifted.score >= drifted.critical_score >= drifted.threshold
    assert drifted.p_value < 0.001
    assert drifted.reason == ""


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e12])
def test_the_size_of_numbers_makes_no_difference(scale):
    generator = np.random.default_rng(2)
    before, now = generator.normal(5, size=142), generator.normal(6.2, size=50)
    found, known = (evaluate(numbers(each * before), numbers(each * now)) for each in (scale, 1.0))
    assert found.status == known.status == "drift"
    assert (found.score, found.p_value) == pytest.approx((known.score, known.p_value))
    assert found.critical_score == pytest.approx(known.critical_score)


def test_a_rule_of_one_feature_holds_for_it_alone():
    generator = np.random.default_rng(4)
    before = {name: numbers(generator.normal(size=500)) for name in ("a", "b", "c", "offer")}
    now = {name: numbers(generator.normal(1, size=500)) for name in before}
    rules = {
        "a": FeatureRule(threshold=9),
        "b": FeatureRule(threshold=0.01, method="ks"),
        "offer": FeatureRule(ignore=True),
        "none": FeatureRule(threshold=1),
    }
    for mode in ("calibrated", "classic"):
        found = evaluate_columns(before, now, DriftPolicy(mode=mode, features=rules), 0.001)
        said = [(each.feature, each.status, each.method, each.threshold) for each in found]
        assert said == [
            ("a", "ok", "wasserstein", 9),
            ("b", "drift", "ks", 0.01),
            ("c", "drift", "wasserstein", 0.1),
        ]


def test_a_rules_method_for_another_kind_is_unknown_with_the_reason():
    policy = DriftPolicy(features={"a": FeatureRule(method="ks", threshold=0.05)})
    colours = counts({"red": 50, "blue": 50})
    found = evaluate(colours, colours, policy)
    assert found.status == "unknown"
    assert found.reason == "its rule's method ks is not for categorical features"


def test_a_significant_difference_that_does_not_matter_is_ok():
    generator = np.random.default_rng(3)
    reference = numbers(generator.normal(size=100_000))
    tiny = evaluate(reference, numbers(generator.normal(0.04, size=100_000)))
    assert tiny.p_value < 1e-6
    assert tiny.status == "ok"
    assert tiny.critical_score == tiny.threshold


@pytest.mark.parametrize("method", [n for n, m in METHODS.items() if "categorical" in m.kinds])
def test_categories_by_every_method(method):
    threshold = METHODS[method].threshold
    policy = DriftPolicy(
        mode="calibrated", categorical_method=method, categorical_threshold=threshold
    )
    old = counts({"red": 500, "white": 300, "rosé": 20})
    same = evaluate(old, counts({"red": 52, "white": 28, "rosé": 1}), policy)
    moved = evaluate(old, counts({"red": 20, "white": 40, "rosé": 40}), policy)
    assert (same.status, moved.status) == ("ok", "drift")


@pytest.mark.parametrize("method", [n for n, m in METHODS.items() if "numerical" in m.kinds])
def test_numbers_by_every_method(method):
    generator = np.random.default_rng(4)
    policy = DriftPolicy(
        mode="calibrated", numerical_method=method, numerical_threshold=METHODS[method].threshold
    )
    old = numbers(generator.normal(size=3000))
    same = evaluate(old, numbers(generator.normal(size=500)), policy)
    moved = evaluate(old, numbers(generator.normal(1.0, size=500)), policy)
    assert (same.status, moved.status) == ("ok", "drift")


def test_a_category_that_was_never_seen_is_drift_although_it_is_rare():
    old = counts({"red": 60_000, "white": 40_000})
    assert evaluate(old, counts({"red": 57, "white": 38, "blue": 5})).status == "drift"


@pytest.mark.parametrize(
    ("reference", "window", "reason"),
    [
        (numbers([]), numbers(range(99)), "the reference has no value in it"),
        (numbers(range(99)), numbers([np.nan] * 50), "the window has no value in it"),
        (numbers(range(99)), numbers([np.inf] * 50), "the window has no value in it"),
        (numbers(range(99)), numbers([4.0]), "1 values in the window; 10 are needed"),
        (numbers([4.0]), numbers(range(99)), "1 values in the reference; 10 are needed"),
        (numbers(range(99)), counts({"red": 50}), "numbers on one side, other values on the other"),
    ],
)
@pytest.mark.parametrize("policy", [CALIBRATED, CLASSIC])
def test_what_cannot_be_compared_is_unknown(reference, window, reason, policy):
    feature = evaluate(reference, window, policy)
    assert (feature.status, feature.reason, feature.score) == ("unknown", reason, None)


def test_a_column_of_one_side_is_unknown():
    one, other = evaluate_columns(
        {"a": numbers(range(9))}, {"b": numbers(range(9))}, CALIBRATED, 0.01
    )
    assert (one.feature, one.status) == ("a", "unknown")
    assert one.reason == "the window has no such column"
    assert one.missing_ratio == 1.0
    assert (other.feature, other.reason) == ("b", "the reference has no such column")


@pytest.mark.parametrize(
    ("reference", "window", "status"),
    [
        (numbers([5.0] * 60), numbers([5.0] * 60), "ok"),
        (numbers([5.0] * 60), numbers([6.0] * 60), "drift"),
        (counts({"a": 60}), counts({"a": 60}), "ok"),
        (counts({"a": 60}), counts({"b": 60}), "drift"),
        (numbers([0.0, 1.0] * 30), numbers([0.0, 1.0] * 30 + [np.inf] * 9), "ok"),
        (numbers([-LARGEST, LARGEST] * 30), numbers([-LARGEST, LARGEST] * 30), "ok"),
        (numbers([0.0, 5e-324] * 30), numbers([0.0, 5e-324] * 30), "ok"),
    ],
)
def test_odd_columns(reference, window, status):
    assert evaluate(reference, window).status == status


@settings(max_examples=examples(80), deadline=None)
@given(
    reference=st.lists(st.floats(allow_nan=True), max_size=40),
    window=st.lists(st.floats(allow_nan=True), max_size=40),
    method=st.sampled_from([n for n, m in METHODS.items() if "numerical" in m.kinds]),
)
def test_any_column_has_a_verdict(reference, window, method):
    policy = DriftPolicy(mode="calibrated", numerical_method=method, min_values=1)
    feature = evaluate(numbers(reference), numbers(window), policy)
    assert feature.status in ("ok", "drift", "unknown")
    assert (feature.status == "unknown") == bool(feature.score is None)
    if feature.p_value is not None:
        assert 0 <= feature.p_value <= 1
        assert feature.critical_score >= 0


@settings(max_examples=examples(60), deadline=None)
@given(
    values=st.lists(st.integers(-1000, 1000), min_size=20, max_size=60),
    factor=st.sampled_from([1e-3, 7.0, 1e6]),
)
def test_the_unit_of_a_column_does_not_matter_to_its_p_value(values, factor):
    half = len(values) // 2
    one = evaluate(numbers(values[:half]), numbers(values[half:]))
    scaled = np.array(values) * factor
    other = evaluate(numbers(scaled[:half]), numbers(scaled[half:]))
    assert one.p_value == pytest.approx(other.p_value, rel=0.02, abs=0.002)


def test_the_budget_is_shared_out_among_the_verdicts():
    assert run_level(1, 720) == pytest.approx(1 / 720)
    assert run_level(3, 720) == pytest.approx(3 / 720)
    assert run_level(10, 1) == 0.05


def test_benjamini_and_hochberg():
    p_values = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]
    # the first two pass: 0.008 <= 0.05 * 2 / 10
    assert benjamini_hochberg(p_values, 0.05) == pytest.approx(0.01)
    assert benjamini_hochberg([], 0.05) == 0.05


def test_the_noise_of_sketches_never_alarms():
    """A million rows on both sides: what is left of chance is the sketches' error."""
    generator = np.random.default_rng(7)
    policy = DriftPolicy(mode="calibrated", numerical_threshold=0.0)
    for draw in (generator.normal, generator.lognormal, lambda size: generator.random(size) ** 9):
        sides = [Distribution.of_column(number_column(draw(size=10**6))) for _ in range(2)]
        for method in ("wasserstein", "ks", "jensenshannon", "psi"):
            threshold = 1.0 if METHODS[method].low_is_drift else 0.0
            feature = evaluate(
                *sides,
                msgspec.structs.replace(
                    policy, numerical_method=method, numerical_threshold=threshold
                ),
            )
            assert feature.p_value > 0.5
            assert feature.status == "ok"


def test_thousands_of_columns_take_seconds():
    generator = np.random.default_rng(8)
    old = [Distribution.of_column(number_column(generator.normal(size=5000))) for _ in range(40)]
    new = [Distribution.of_column(number_column(generator.normal(size=2000))) for _ in range(40)]
    reference = {f"f{i}": old[i % 40] for i in range(2_000)}
    window = {f"f{i}": new[i % 40] for i in range(2_000)}
    began = time.process_time()
    features = evaluate_columns(reference, window, CALIBRATED, 0.001)
    assert time.process_time() - began < 30  # 1.3 s on a quiet core
    assert len(features) == 2_000


def test_results_of_before_still_decode():
    stored = b"""{"name":"w","model_name":"w","model_version":"1",
    "window_start":"2026-01-01T00:00:00Z","window_end":"2026-01-01T01:00:00Z","status":"ok","reason":"","rows":5,"reference_rows":9,
    "features":[{"feature":"a","kind":"numerical","status":"ok","method":"wasserstein",
    "threshold":0.2,"score":0.1,"missing_ratio":0.0,"reason":""}],
    "policy":{"numerical_method":"wasserstein","numerical_threshold":0.2,
    "categorical_method":"jensenshannon","categorical_threshold":0.2,"share_threshold":0.5}}"""
    assert msgspec.json.decode(stored, type=AnalysisResult).features[0].p_value is None


def test_the_critical_score_is_read_and_written_by_its_old_name_too():
    stored = b"""{"feature":"a","kind":"numerical","status":"ok","method":"wasserstein",
    "threshold":0.2,"score":0.1,"p_value":0.5,"needed":0.3}"""
    found = msgspec.json.decode(stored, type=FeatureDrift)
    assert found.critical_score == found.needed == 0.3
    written = msgspec.json.decode(msgspec.json.encode(found))
    assert written["critical_score"] == written["needed"] == 0.3
    changed = msgspec.structs.replace(found, critical_score=0.4)
    assert msgspec.json.decode(msgspec.json.encode(changed))["needed"] == 0.4
