"""Performance from mergeable profiles, held against scikit-learn on the same rows."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from examples import examples
from modelwatch.domain.performance.calibration import (
    estimate_performance,
    isotonic,
    learn_calibration,
)
from modelwatch.domain.performance.classification import (
    classes_performance,
    classification_metrics,
    majority,
)
from modelwatch.domain.performance.encoding import HourPerformance, decode_hour, encode_hour
from modelwatch.domain.performance.estimates import wilson
from modelwatch.domain.performance.profile import MAX_CLASSES, PerformanceProfile, merge_performance
from modelwatch.domain.performance.regression import mean_predictor, regression_metrics
from modelwatch.domain.performance.residuals import Residuals
from modelwatch.domain.performance.results import PerformancePolicy, evaluate_performance
from modelwatch.domain.performance.rows import outcomes
from modelwatch.domain.performance.scores import (
    MAX_BINS,
    Histogram,
    bins_of,
    merge_histograms,
    roc_auc,
    roc_auc_slopes,
)

seeds = st.integers(0, 2**32 - 1)


def classified(seed, rows, width, skill=1.5):
    """Rows of a classifier whose probabilities are calibrated, and its labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, skill, (rows, width))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actual = (probabilities.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return probabilities.argmax(axis=1), actual, probabilities


def in_parts(seed, rows, parts):
    edges = np.sort(np.random.default_rng(seed).integers(0, len(rows) + 1, parts - 1))
    places = np.split(np.arange(len(rows)), edges)
    return [
        PerformanceProfile.of(rows.part(place), ("0", "1", "2")[: width_of(rows)])
        for place in places
    ]


def width_of(rows):
    return rows.probabilities.shape[1]


@settings(max_examples=examples(60), deadline=None)
@given(seeds, st.integers(20, 400), st.sampled_from([2, 3]), st.integers(1, 5))
def test_merged_profiles_give_the_metrics_of_scikit_learn(seed, count, width, parts):
    predicted, actual, probabilities = classified(seed, count, width)
    rows = outcomes(predicted.tolist(), actual.tolist(), probabilities)
    profile = merge_performance(in_parts(seed, rows, parts))
    found, missing = classification_metrics(profile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = sorted({*predicted, *actual})
        expected = {
            "accuracy": sk.accuracy_score(actual, predicted),
            "precision": sk.precision_score(actual, predicted, average="macro", zero_division=0),
            "recall": sk.recall_score(actual, predicted, average="macro", zero_division=0),
            "f1": sk.f1_score(actual, predicted, average="macro", zero_division=0),
            "log_loss": sk.log_loss(actual, probabilities, labels=range(width)),
        }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-12)
    assert all(each.low <= each.value <= each.high for each in found.values())
    if len(set(actual)) == width:
        area = (
            sk.roc_auc_score(actual, probabilities[:, 1])
            if width == 2
            else sk.roc_auc_score(actual, probabilities, multi_class="ovr", average="macro")
        )
        assert found["roc_auc"].value == pytest.approx(area, abs=1e-3)
        assert missing == {}
    by_class = sk.precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
    for index, each in enumerate(classes_performance(profile)):
        assert (each.precision, each.recall, each.f1, each.actual) == pytest.approx(
            [column[index] for column in by_class]
        )


@settings(max_examples=examples(40), deadline=None)
@given(seeds, st.integers(2, 200), st.integers(1, 4))
def test_the_area_of_bins_is_that_of_the_rows_within_its_rounding(seed, count, decimals):
    random = np.random.default_rng(seed)
    actual = random.integers(0, 2, count)
    scores = np.round(random.random(count) ** 4, decimals)
    of_class, others = Histogram.of(bins_of(scores), actual, 1 - actual, level=8).sums
    area = roc_auc(of_class, others)
    if 0 < actual.sum() < count:
        assert abs(area.value - sk.roc_auc_score(actual, scores)) <= area.rounding + 1e-12
    else:
        assert area is None


@settings(max_examples=examples(20), deadline=None)
@given(seeds, st.integers(1, 6))
def test_many_bins_are_joined_and_no_order_of_merging_matters(seed, parts):
    random = np.random.default_rng(seed)
    scores = random.random(9000)
    bins, ones = bins_of(scores), np.ones(len(scores))
    whole = Histogram.of(bins, ones, scores)
    pieces = [
        Histogram.of(bins[place], ones[place], scores[place])
        for place in np.array_split(random.permutation(len(scores)), parts)
    ]
    merged = merge_histograms(pieces)
    nested = merge_histograms([merge_histograms(pieces[:2]), *pieces[2:]])
    assert len(whole.bins) <= MAX_BINS
    for each in (merged, nested):
        assert each.level == whole.level
        assert each.bins.tolist() == whole.bins.tolist()
        assert each.sums == pytest.approx(whole.sums)


@settings(max_examples=examples(60), deadline=None)
@given(seeds, st.integers(2, 300), st.sampled_from([0.0, 5.0, 1e6]), st.integers(1, 4))
def test_merged_residuals_give_the_metrics_of_scikit_learn(seed, count, offset, parts):
    random = np.random.default_rng(seed)
    actual = random.normal(offset, 2, count)
    predicted = actual + random.normal(0.3, 1, count)
    total = sum(
        (
            Residuals.of(predicted[place], actual[place])
            for place in np.array_split(np.arange(count), parts)
        ),
        start=Residuals.of([], []),
    )
    found, _ = regression_metrics(total)
    expected = {
        "mae": sk.mean_absolute_error(actual, predicted),
        "rmse": sk.root_mean_squared_error(actual, predicted),
        "r2": sk.r2_score(actual, predicted),
        "bias": float(np.mean(predicted - actual)),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, rel=1e-6)
    assert all(each.low <= each.value <= each.high for each in found.values())
    mean, constant = mean_predictor(total)
    assert mean == pytest.approx(actual.mean())
    assert constant["rmse"] == pytest.approx(np.std(actual), rel=1e-6)


@settings(max_examples=examples(20), deadline=None)
@given(seeds, st.integers(1, 120), st.integers(2, 3))
def test_a_profile_survives_its_encoding(seed, count, width):
    predicted, actual, probabilities = classified(seed, count, width)
    rows = outcomes(predicted.tolist(), [None, *actual.tolist()[1:]], probabilities)
    hour = HourPerformance({"": PerformanceProfile.of(rows)}, "c", "l", ())
    again = decode_hour(encode_hour(hour))
    assert encode_hour(again) == encode_hour(hour)
    assert again.variants[""].confusion == hour.variants[""].confusion
    assert again.variants[""].labelled == count - 1


@settings(max_examples=examples(30), deadline=None)
@given(seeds, st.integers(2, 100))
def test_isotonic_regression_is_that_of_scikit_learn(seed, count):
    random = np.random.default_rng(seed)
    values, weights = random.random(count), random.integers(1, 9, count)
    expected = IsotonicRegression().fit(np.arange(count), values, weights).predict(np.arange(count))
    assert isotonic(values, weights) == pytest.approx(expected)


def covered(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    runs, held = (
        300,
        dict.fromkeys(["accuracy", "f1", "precision", "recall", "roc_auc", "log_loss"], 0),
    )
    predicted, actual, probabilities = classified(7, 400_000, 3)
    whole, _ = classification_metrics(
        PerformanceProfile.of(outcomes(predicted.tolist(), actual.tolist(), probabilities))
    )
    for run in range(runs):
        sample = slice(run * 250, (run + 1) * 250)
        rows = outcomes(predicted[sample].tolist(), actual[sample].tolist(), probabilities[sample])
        found, _ = classification_metrics(PerformanceProfile.of(rows, ("0", "1", "2")))
        for name in held:
            held[name] += covered(found[name], whole[name].value)
    shares = {name: count / runs for name, count in held.items()}
    # the area's interval is wide on purpose: it is the sum of its classes' errors
    assert all(share > 0.91 for share in shares.values()), shares
    assert all(share < 0.99 for name, share in shares.items() if name != "roc_auc"), shares


def test_intervals_of_regression_hold_the_truth_about_as_often_as_they_say():
    runs, held = 300, {"mae": 0, "rmse": 0, "r2": 0, "bias": 0}
    random = np.random.default_rng(3)
    for _ in range(runs):
        actual = random.normal(10, 2, 400)
        found, _ = regression_metrics(Residuals.of(actual + random.normal(0, 1, 400), actual))
        truth = {"mae": np.sqrt(2 / np.pi), "rmse": 1.0, "r2": 0.75, "bias": 0.0}
        for name in held:
            held[name] += covered(found[name], truth[name])
    assert all(0.91 < count / runs < 0.99 for count in held.values()), held


def test_few_rows_without_an_error_do_not_prove_that_there_is_none():
    profile = PerformanceProfile.of(outcomes([0, 1] * 10, [0, 1] * 10))
    found, _ = classification_metrics(profile)
    for name in ("accuracy", "f1", "precision", "recall"):
        assert (found[name].value, found[name].high) == (1.0, 1.0)
        assert 0.7 < found[name].low < 0.95
    assert wilson(1.0, 20).low == pytest.approx(0.8389, abs=1e-4)


def test_labels_are_compared_in_the_kind_of_the_predictions():
    profile = PerformanceProfile.of(
        outcomes([1, 0, True, False, "a", 2], [True, False, 1, True, "a", 2.0])
    )
    assert (profile.comparable, profile.correct) == (6, 5)


def test_a_prediction_without_a_label_or_without_itself_is_not_compared():
    profile = PerformanceProfile.of(outcomes([1, None, 1], [1, 1, None]))
    assert (profile.records, profile.labelled, profile.comparable) == (3, 2, 1)


def test_numbers_with_fractions_are_measured_and_not_counted():
    profile = PerformanceProfile.of(outcomes([1.5, 2.0], [1, 2]))
    assert profile.confusion is None
    assert profile.residuals.n == 2
    assert merge_performance([profile, PerformanceProfile.of(outcomes([1], [1]))]).confusion is None


def test_too_many_classes_leave_the_accuracy():
    names = [f"class {number}" for number in range(MAX_CLASSES + 1)]
    halves = [PerformanceProfile.of(outcomes(part, part)) for part in (names[:150], names[100:])]
    merged = merge_performance(halves)
    found, missing = classification_metrics(merged)
    assert found["accuracy"].value == 1
    assert merged.confusion is None
    assert "f1" in missing


def test_a_class_that_the_model_does_not_have_spoils_the_log_loss_alone():
    predicted, actual, probabilities = classified(1, 50, 2)
    labels = ["new", *(str(each) for each in actual[1:])]
    rows = outcomes([str(each) for each in predicted], labels, probabilities)
    found, missing = classification_metrics(PerformanceProfile.of(rows))
    assert "log_loss" not in found
    assert missing["log_loss"] == "1 labels of classes that the model does not have"
    assert {"accuracy", "roc_auc"} <= found.keys()


def test_the_majority_class_is_what_a_dummy_classifier_gives():
    actual = [0] * 70 + [1] * 20 + [2] * 10
    profile = PerformanceProfile.of(outcomes([0] * 50 + [1] * 30 + [2] * 20, actual))
    name, constant = majority(profile.confusion)
    always = [0] * 100
    assert name == "0"
    assert constant["accuracy"] == sk.accuracy_score(actual, always)
    assert constant["f1"] == pytest.approx(sk.f1_score(actual, always, average="macro"))
    assert constant["log_loss"] == pytest.approx(
        sk.log_loss(actual, np.tile([0.7, 0.2, 0.1], (100, 1)))
    )


@pytest.mark.parametrize("width", [2, 3])
def test_performance_is_foreseen_from_calibrated_probabilities(width):
    predicted, actual, probabilities = classified(11, 40_000, width)
    shown = PerformanceProfile.of(outcomes(predicted.tolist(), [None] * len(actual), probabilities))
    foreseen = estimate_performance(shown, {}, 100)
    truth = sk.accuracy_score(actual, predicted)
    assert (foreseen.status, foreseen.calibration, foreseen.rows) == ("ok", "none", 40_000)
    # without a curve it is the mean of the greatest probabilities, row by row
    assert foreseen.accuracy.value == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-9)
    assert foreseen.accuracy.value == pytest.approx(truth, abs=0.01)
    assert foreseen.metrics["f1"] == pytest.approx(
        sk.f1_score(actual, predicted, average="macro"), abs=0.01
    )
    area = sk.roc_auc_score(
        actual, probabilities[:, 1] if width == 2 else probabilities, multi_class="ovr"
    )
    assert foreseen.metrics["roc_auc"] == pytest.approx(area, abs=0.01)


def expected_area(scores, chances):
    """The ROC AUC of rows that count for the class with their chance, and against it with the rest:
    pair by pair."""
    ahead = np.where(scores[:, None] > scores, 1.0, np.where(scores[:, None] == scores, 0.5, 0.0))
    pairs = chances[:, None] * (1 - chances)
    return (pairs * ahead).sum() / pairs.sum()


@settings(max_examples=examples(25), deadline=None)
@given(seeds, st.integers(2, 30))
def test_the_slopes_of_the_area_are_its_differences(seed, bins):
    generator = np.random.default_rng(seed)
    rows, shares = generator.integers(1, 50, bins), generator.uniform(0.05, 0.95, bins)

    def area(moved):
        return roc_auc(rows * moved, rows * (1 - moved)).value

    steps = 1e-5 * np.eye(bins)
    differences = [(area(shares + step) - area(shares - step)) / 2e-5 for step in steps]
    found = rows * roc_auc_slopes(rows * shares, rows * (1 - shares))
    assert found == pytest.approx(differences, abs=1e-6)


@settings(max_examples=examples(25), deadline=None)
@given(seeds, st.integers(100, 400), st.sampled_from([2, 3]), st.integers(1, 5), st.booleans())
def test_the_expected_area_is_that_of_the_rows(seed, count, width, parts, learned):
    predicted, actual, honest = classified(seed, count + 400, width)
    sure = honest**2 / (honest**2).sum(axis=1, keepdims=True)
    rows = outcomes(predicted.tolist(), actual.tolist(), sure)
    reference, window = rows.part(np.arange(400)), rows.part(np.arange(400, count + 400))
    names = ("0", "1", "2")[:width]
    curves = learn_calibration(PerformanceProfile.of(reference, names)) if learned else {}
    profile = merge_performance(in_parts(seed, window, parts))
    foreseen = estimate_performance(profile, curves, 100)
    areas = []
    for column in range(width)[width == 2 :]:
        p = window.probabilities[:, column]
        areas.append(expected_area(p, curves[str(column)](p) if learned else p))
    assert foreseen.metrics["roc_auc"] == pytest.approx(np.mean(areas), abs=0.004)


def test_labels_that_come_later_are_within_the_interval_of_what_was_foreseen():
    predicted, actual, probabilities = classified(13, 75_000, 2)
    held = {"accuracy": 0, "roc_auc": 0}
    for sample in np.split(np.arange(75_000), 300):
        rows = outcomes(predicted[sample].tolist(), actual[sample].tolist(), probabilities[sample])
        profile = PerformanceProfile.of(rows, ("0", "1"))
        foreseen = estimate_performance(profile, {}, 100)
        found, _ = classification_metrics(profile)
        held["accuracy"] += covered(foreseen.accuracy, found["accuracy"].value)
        held["roc_auc"] += covered(foreseen.roc_auc, found["roc_auc"].value)
    assert min(held.values()) / 300 > 0.93, held


def test_the_interval_knows_how_few_rows_taught_the_calibration():
    drawn = classified(17, 100 * 1500, 2)
    held = {"accuracy": 0, "roc_auc": 0}
    for sample in np.split(np.arange(100 * 1500), 100):
        few, many = (
            PerformanceProfile.of(outcomes(*(each[part] for each in drawn)), ("0", "1"))
            for part in np.split(sample, [500])
        )
        foreseen = estimate_performance(many, learn_calibration(few), 100)
        shown, _ = classification_metrics(many)
        for name in held:
            held[name] += covered(getattr(foreseen, name), shown[name].value)
    # by the rows of the window alone 0.78 and 0.70
    assert held["accuracy"] >= 93, held
    assert held["roc_auc"] >= 88, held


@pytest.mark.parametrize("width", [2, 3])
def test_a_reference_with_labels_calibrates_a_model_that_is_too_sure(width):
    predicted, actual, honest = classified(5, 20_000, width, skill=1.0)
    sure = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    half = slice(0, 10_000), slice(10_000, None)
    reference = PerformanceProfile.of(
        outcomes(predicted[half[0]].tolist(), actual[half[0]].tolist(), sure[half[0]])
    )
    window = PerformanceProfile.of(
        outcomes(predicted[half[1]].tolist(), [None] * 10_000, sure[half[1]])
    )
    truth = sk.accuracy_score(actual[half[1]], predicted[half[1]])
    believed = estimate_performance(window, {}, 100)
    calibrated = estimate_performance(window, learn_calibration(reference), 100)
    assert believed.accuracy.value > truth + 0.1
    assert calibrated.calibration == "reference"
    assert calibrated.accuracy.value == pytest.approx(truth, abs=0.015)


def test_what_cannot_be_foreseen_is_unknown_with_a_reason():
    plain = PerformanceProfile.of(outcomes([1, 0], [None, None]))
    assert "no probabilities" in estimate_performance(plain, {}, 1).reason
    unsaid = PerformanceProfile.of(outcomes([1, 1], [None, None], [[0.1, 0.9]] * 2))
    assert "which probability" in estimate_performance(unsaid, {}, 1).reason
    few = PerformanceProfile.of(outcomes([1, 0], [None, None], [[0.1, 0.9], [0.9, 0.1]]))
    assert "2 rows with probabilities; 100" in estimate_performance(few, {}, 100).reason


@pytest.mark.parametrize(
    ("predicted", "actual", "probabilities", "status"),
    [
        ([True, False], ["yes", "no"], None, "unknown"),
        ([1, 0], ["1.5", "0.5"], None, "unknown"),
        (["red", "white"], ["Red", "White"], None, "unknown"),
        (["red", "red"], ["Red", "Red"], [[0.9, 0.1]], "unknown"),
        (["red", "white"], ["white", "red"], None, "ok"),  # wrong each time
        (["red", "red"], ["white", "white"], None, "ok"),  # it may only say so
        (["red", "white"], ["white", "Red"], None, "ok"),
        (["red", "red"], ["white", "white"], [[0.9, 0.1]], "ok"),
    ],
)
def test_labels_in_other_words_than_the_classes_are_no_accuracy(
    predicted, actual, probabilities, status
):
    rows = outcomes(predicted * 50, actual * 50, probabilities and probabilities * 100)
    profile = PerformanceProfile.of(rows, ("red", "white") if probabilities else ())
    verdict = evaluate_performance(profile, PerformancePolicy(min_labels=10))
    assert verdict.status == status
    assert ("no label is a class" in verdict.reason) == (status == "unknown")
    assert ("accuracy" in verdict.metrics) == (status == "ok")
