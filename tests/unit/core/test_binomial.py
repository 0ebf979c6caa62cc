"""The exact statistics of shares, held against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelwatch.domain.binomial import lower_bound, upper_bound, upper_tail

counts = st.integers(1, 10_000_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.floats(1e-9, 1 - 1e-9))
def test_the_tail_is_scipys(pair, share):
    count, rows = pair
    expected = stats.binom.sf(count - 1, rows, share)
    assert upper_tail(count, rows, share) == pytest.approx(expected, rel=1e-5, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(counts, st.floats(0.5, 1 - 1e-7))
def test_the_bounds_are_clopper_and_pearsons(pair, confidence):
    count, rows = pair
    upper = 1.0 if count == rows else stats.beta.ppf(confidence, count + 1, rows - count)
    lower = 0.0 if count == 0 else stats.beta.ppf(1 - confidence, count, rows - count + 1)
    assert upper_bound(count, rows, confidence) == pytest.approx(upper, rel=1e-5, abs=1e-12)
    assert lower_bound(count, rows, confidence) == pytest.approx(lower, rel=1e-5, abs=1e-9)


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
