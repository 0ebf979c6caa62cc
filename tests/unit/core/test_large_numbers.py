"""Distances of the largest numbers: right, or unknown with the reason, and never a quiet 0."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.domain.profiles import number_column
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy

BIG = [1e154, 1e300, 1.7e308]
NUMERICAL = sorted(name for name, method in METHODS.items() if "numerical" in method.kinds)
SHARES = np.random.default_rng(0).uniform(0, 1, 300)


def evaluate(reference, window, method, mode):
    numbers = Distribution.of_numbers
    policy = DriftPolicy(mode=mode, numerical_method=method)
    with np.errstate(all="raise", under="ignore"):
        (found,) = evaluate_columns(
            {"a": numbers(reference)}, {"a": numbers(window)}, policy, level=0.001
        )
    return found


@pytest.mark.parametrize("big", BIG)
@pytest.mark.parametrize("method", NUMERICAL)
@pytest.mark.parametrize("mode", ["classic", "calibrated"])
def test_what_is_far_apart_is_a_drift_or_unknown(big, method, mode):
    for reference, window in (
        (SHARES * big, -SHARES * big),
        (SHARES, (SHARES * 2 - 1) * big),
        (np.zeros(300), np.full(300, big)),
        (np.full(300, big), np.full(300, -big)),
    ):
        found = evaluate(reference, window, method, mode)
        if found.status == "unknown":
            assert (found.score, found.reason) == (
                None,
                "no finite distance: the values are too large",
            )
            assert method == "wasserstein"
            assert big > 1e307
        else:
            assert (found.status, np.isfinite(found.score)) == ("drift", True)


@pytest.mark.parametrize("big", BIG)
@pytest.mark.parametrize("method", NUMERICAL)
@pytest.mark.parametrize("mode", ["classic", "calibrated"])
def test_the_same_values_have_no_distance(big, method, mode):
    mixed = (SHARES * 2 - 1) * big
    found = evaluate(mixed, mixed, method, mode)
    assert found.status == "ok"
    assert found.score == (1.0 if METHODS[method].low_is_drift else 0.0)


@pytest.mark.parametrize("far", [1e300, -1e300, 1e18, 1e6, 1000.0])
@pytest.mark.parametrize("method", NUMERICAL)
@pytest.mark.parametrize("mode", ["classic", "calibrated"])
@pytest.mark.parametrize("where", ["reference", "window", "both"])
@pytest.mark.parametrize("rows", [60, 1000])
def test_one_far_value_hides_no_drift_of_the_others(far, method, mode, where, rows):
    generator = np.random.default_rng(3)
    reference, window = generator.normal(size=rows), generator.normal(2, 1, size=rows)
    if where in ("reference", "both"):
        reference = np.append(reference, far)
    if where in ("window", "both"):
        window = np.append(window, far)
    assert evaluate(reference, window, method, mode).status == "drift"


@pytest.mark.parametrize("method", NUMERICAL)
@pytest.mark.parametrize("where", ["reference", "window", "both"])
def test_one_far_value_is_no_drift_of_the_others(method, where):
    generator = np.random.default_rng(3)
    reference, window = generator.normal(size=1000), generator.normal(size=1000)
    if where in ("reference", "both"):
        reference = np.append(reference, 1e300)
    if where in ("window", "both"):
        window = np.append(window, 1e300)
    assert evaluate(reference, window, method, "calibrated").status == "ok"


@pytest.mark.parametrize("method", NUMERICAL)
@pytest.mark.parametrize("far", [[1e18], [1e300, -1e300, 1e18]])
def test_far_values_in_a_sketch_hide_no_drift_either(method, far):
    generator = np.random.default_rng(3)
    reference = np.concatenate([generator.normal(size=100_000), far])
    policy = DriftPolicy(mode="calibrated", numerical_method=method)
    sides = [
        {"a": Distribution.of_column(number_column(values))}
        for values in (reference, generator.normal(1, 1, size=20_000))
    ]
    (found,) = evaluate_columns(*sides, policy, level=0.001)
    assert found.status == "drift"


def test_a_rare_value_of_a_constant_column_still_counts():
    rare = np.repeat([0.0, 1.0], [999, 1])
    often = np.repeat([0.0, 1.0], [700, 300])
    for mode in ("classic", "calibrated"):
        assert evaluate(rare, often, "wasserstein", mode).status == "drift"
        assert evaluate(rare, rare, "wasserstein", mode).status == "ok"
