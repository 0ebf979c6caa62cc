"""The exact statistics of shares, held against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from examples import examples
from modelwatch.domain.binomial import fisher_tail, upper_bound, upper_tail

counts = st.integers(1, 10_000_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))

small = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.floats(1e-9, 1 - 1e-9))
def test_the_tail_is_scipys(pair, share):
    count, rows = pair
    expected = stats.binom.sf(count - 1, rows, share)
    assert upper_tail(count, rows, share) == pytest.approx(expected, rel=1e-5, abs=1e-12)


@settings(deadline=None, max_examples=examples(50))
@given(counts, st.floats(0.5, 1 - 1e-7))
def test_the_bound_is_clopper_and_pearsons(pair, confidence):
    count, rows = pair
    upper = 1.0 if count == rows else stats.beta.ppf(confidence, count + 1, rows - count)
    assert upper_bound(count, rows, confidence) == pytest.approx(upper, rel=1e-5, abs=1e-12)


@settings(deadline=None, max_examples=examples(50))
@given(small, small)
def test_the_test_is_fishers(window, reference):
    (count, rows), (broken, reference_rows) = window, reference
    table = [[count, rows - count], [broken, reference_rows - broken]]
    found = fisher_tail(count, rows, broken, reference_rows)
    if count * reference_rows > broken * rows:
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-300)
    else:
        assert found == 1


def test_fishers_test_of_many_rows():
    expected = stats.hypergeom.sf(10_199, 1_100_000, 100_000 + 10_200, 100_000)
    assert fisher_tail(10_200, 100_000, 100_000, 1_000_000) == pytest.approx(expected, rel=1e-4)


def test_what_is_beyond_the_extremes_of_a_reference_is_by_chance_as_often_as_it_says():
    rng = np.random.default_rng(1)
    draws = rng.standard_cauchy((20_000, 60))
    reference, window = draws[:, :40], draws[:, 40:]
    low, high = reference.min(axis=1), reference.max(axis=1)
    beyond = ((window < low[:, None]) | (window > high[:, None])).sum(axis=1)
    for count in (1, 2, 4):
        chance = fisher_tail(count, 20, 1, 40)
        assert np.mean(beyond >= count) == pytest.approx(chance, abs=0.012)


def test_nothing_is_known_of_no_rows():
    assert upper_bound(0, 0, 0.99) == 1
    assert upper_tail([0, 1], 0, 0.1).tolist() == [1, 0]


def test_certain_shares():
    assert upper_tail([0, 1, 3], 3, 0.0).tolist() == [1, 0, 0]
    assert upper_tail([0, 1, 3, 4], 3, 1.0).tolist() == [1, 1, 1, 0]


def test_ten_thousand_columns_take_a_moment():
    rng = np.random.default_rng(0)
    count = rng.integers(0, 1000, 10_000)
    assert upper_bound(count, 100_000, 0.999999).shape == (10_000,)
