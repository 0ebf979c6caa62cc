"""Distances of the largest numbers: right, or unknown with the reason, and never a quiet 0."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy

BIG = [1e154, 1e300, 1.7e308]
NUMERICAL = sorted(name for name, method in METHODS.items() if "numerical" in method.kinds)
SHARES = np.random.default_rng(0).uniform(0, 1, 300)


def decided(reference, window, method, mode):
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
        found = decided(reference, window, method, mode)
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
    found = decided(mixed, mixed, method, mode)
    assert found.status == "ok"
    assert found.score == (1.0 if METHODS[method].low_is_drift else 0.0)
