"""Estimates without labels against the truth, in short; the whole: bench-performance-estimation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def summary() -> dict:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.performance_estimation"),
            *("--repetitions", "3", "--without-nannyml"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


METRICS = pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])


def errors(summary, metric, classifier):
    return {row["shift"]: row for row in summary["rows"][metric] if row["classifier"] == classifier}


@METRICS
@pytest.mark.parametrize("classifier", ["calibrated", "sharpened"])
def test_where_one_curve_sets_it_right_estimates_hold_as_features_drift(
    summary, metric, classifier
):
    for shift, row in errors(summary, metric, classifier).items():
        assert row["ours"] < (0.015 if shift <= 2 else 0.03)


@METRICS
def test_a_classifier_that_is_too_sure_needs_labels_of_the_reference(summary, metric):
    for classifier in ("sharpened", "overfitted"):
        means = summary["mean_absolute_error"][metric][classifier]
        assert means["ours, uncalibrated"] > 0.08
        assert means["ours"] < means["ours, uncalibrated"] / 3


@METRICS
def test_what_the_curve_cannot_know_grows_with_the_shift(summary, metric):
    rows = errors(summary, metric, "overfitted")
    assert rows[0.0]["ours"] < 0.015
    assert rows[1.0]["ours"] < 0.03
    assert rows[3.0]["ours"] > 2 * rows[1.0]["ours"]


@METRICS
def test_an_estimate_is_better_than_to_look_no_more(summary, metric):
    for means in summary["mean_absolute_error"][metric].values():
        assert means["ours"] < means["as on reference"]
