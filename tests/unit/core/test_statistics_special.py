"""The special functions beside scipy's."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.domain.statistics.kolmogorov import one_sample_sf, two_sample_sf
from modelwatch.domain.statistics.special import (
    chi_square_isf,
    chi_square_sf,
    log_factorial,
    normal_isf,
)


@given(st.lists(st.floats(0, 1e7) | st.integers(0, 300), min_size=1, max_size=30))
def test_log_factorials(numbers):
    expected = scipy.special.gammaln(np.array(numbers, dtype=float) + 1)
    np.testing.assert_allclose(log_factorial(np.array(numbers)), expected, rtol=1e-12, atol=1e-12)


@given(st.floats(0.001, 3000), st.integers(1, 1200))
def test_chi_square(statistic, freedom):
    expected = scipy.stats.chi2.sf(statistic, freedom)
    assert chi_square_sf(statistic, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.floats(1e-15, 0.999), st.integers(1, 1200))
def test_chi_square_backwards(probability, freedom):
    expected = scipy.stats.chi2.isf(probability, freedom)
    assert chi_square_isf(probability, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.floats(1e-200, 1 - 1e-12))
def test_normal_backwards(probability):
    found = float(normal_isf(np.array([probability]))[0])
    assert found == pytest.approx(scipy.stats.norm.isf(probability), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("size", [30, 142, 1_000, 20_000])
@pytest.mark.parametrize("scaled", [0.4, 0.8, 1.2, 1.47, 1.5, 2.5, 4.0])
def test_kolmogorov_of_one_sample(size, scaled):
    statistic = scaled / np.sqrt(size)
    expected = scipy.stats.kstwo.sf(statistic, size)
    assert one_sample_sf(statistic, size) == pytest.approx(expected, rel=2e-3)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 3600))
def test_kolmogorov_of_two_samples(first, second, step):
    lattice = np.lcm(first, second)
    statistic = min(step, lattice) / lattice
    expected = exact_tail(first, second, statistic)
    assert two_sample_sf(statistic, first, second) == pytest.approx(expected, rel=1e-9)


def exact_tail(first: int, second: int, statistic: float) -> float:
    """Count lattice paths with whole numbers: those that reach the difference, of all."""
    inside = [[0] * (second + 1) for _ in range(first + 1)]
    for i in range(first + 1):
        for j in range(second + 1):
            if abs(i * second - j * first) >= round(statistic * first * second):
                continue
            before = (inside[i - 1][j] if i else 0) + (inside[i][j - 1] if j else 0)
            inside[i][j] = before if i or j else 1
    paths = scipy.special.comb(first + second, first, exact=True)
    return (paths - inside[first][second]) / paths


@pytest.mark.parametrize(("statistic", "size"), [(1.0, 20), (0.02, 20), (0.0, 5)])
def test_one_sample_at_its_ends(statistic, size):
    assert one_sample_sf(statistic, size) == scipy.stats.kstwo.sf(statistic, size)


@pytest.mark.parametrize("statistic", [0.0, np.inf])
def test_chi_square_at_its_ends(statistic):
    assert chi_square_sf(statistic, 3) == scipy.stats.chi2.sf(statistic, 3)
