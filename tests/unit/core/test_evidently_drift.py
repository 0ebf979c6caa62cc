"""The drift detector, on Evidently itself."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import wasserstein_distance

from modelwatch.adapters.evidently_drift import EvidentlyDriftDetector
from modelwatch.domain.drift import DriftPolicy

RNG = np.random.default_rng(7)


def table(**columns: object) -> pa.Table:
    return pa.table({f"feature_{name}": values for name, values in columns.items()})


@pytest.fixture(scope="module")
def comparison():
    old = RNG.normal(10, 2, 300)
    moved = RNG.normal(13, 2, 200)
    colours = np.array(["red", "white"])
    reference = table(
        same=old, moved=old, colour=colours[RNG.integers(0, 2, 300)], empty=[1.0] * 300,
        constant=[5.0] * 300, gone=old, mixed=old,
    )  # fmt: skip
    current = table(
        same=RNG.normal(10, 2, 200), moved=moved, colour=["red"] * 200,
        empty=pa.array([None] * 200, pa.float64()), constant=[5.0] * 200, new=moved,
        mixed=["x"] * 200,
    )  # fmt: skip
    detector = EvidentlyDriftDetector()
    result = detector.compare(reference, current, DriftPolicy())
    return {f.feature: f for f in result.features}, result, old, moved


def test_every_feature_has_its_own_answer(comparison):
    features, *_ = comparison
    assert {name: feature.status for name, feature in features.items()} == {
        "same": "ok",
        "moved": "drift",
        "colour": "drift",
        "empty": "unknown",
        "constant": "ok",
        "gone": "unknown",
        "new": "unknown",
        "mixed": "unknown",
    }
    assert features["empty"].reason == "the window has no value in it"
    assert features["empty"].missing_ratio == 1.0
    assert features["gone"].reason == "the window has no such column"
    assert features["colour"].method == "jensenshannon"


def test_the_score_is_the_distance_in_standard_deviations(comparison):
    features, _, old, moved = comparison
    expected = wasserstein_distance(old, moved) / np.std(old)
    assert features["moved"].score == pytest.approx(expected, rel=0.01)


def test_the_report_is_one_page(comparison):
    html = comparison[1].html()
    assert b"<html" in html
    assert b"moved" in html


def test_nothing_to_compare_is_no_failure():
    result = EvidentlyDriftDetector().compare(table(a=[1.0]), table(b=[1.0]), DriftPolicy())
    assert [feature.status for feature in result.features] == ["unknown", "unknown"]
    assert b"No feature" in result.html()
