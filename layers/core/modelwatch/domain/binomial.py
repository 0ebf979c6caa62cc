"""Exact statistics of shares: how likely a count is, and what a count says of its share.

Everything is the regularised incomplete beta function, by Lentz's continued fraction (Press et al.,
Numerical Recipes, 3rd ed., section 6.4). scipy has it too; importing it would cost the scheduled
function more time than all its verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TINY = 1e-300
_ROUNDS = 100
_MOST_TERMS = 5000
_lgamma: Callable[[Floats], Floats] = np.vectorize(math.lgamma, otypes=[np.float64])


def upper_tail(count: npt.ArrayLike, rows: npt.ArrayLike, share: npt.ArrayLike) -> Floats:
    """Return how likely ``count`` or more of ``rows`` independent rows are, each with ``share``.

    Parameters
    ----------
    count, rows, share
        Arrays that broadcast: whole numbers of 0 or more, and shares from 0 to 1.

    Examples
    --------
    >>> upper_tail([0, 1, 3], 3, 0.5).round(4).tolist()
    [1.0, 0.875, 0.125]
    """
    k, n, p = np.broadcast_arrays(
        np.asarray(count, np.float64), np.asarray(rows, np.float64), np.asarray(share, np.float64)
    )
    tail = np.where(k <= 0, 1.0, np.where((k > n) | (p <= 0), 0.0, 1.0))
    inner = (k > 0) & (k <= n) & (p > 0) & (p < 1)
    if inner.any():
        tail[inner] = _beta_cdf(p[inner], k[inner], n[inner] - k[inner] + 1)
    return tail


def upper_bound(count: npt.ArrayLike, rows: npt.ArrayLike, confidence: npt.ArrayLike) -> Floats:
    """Return the largest share that ``count`` of ``rows`` leave possible (Clopper and Pearson).

    The true share is at most this with ``confidence`` (one-sided), whatever it is. Of no rows
    nothing is known: 1.

    References
    ----------
    C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404.

    Examples
    --------
    >>> upper_bound([0, 0, 10, 3], [100, 1000, 100, 3], 0.95).round(4).tolist()
    [0.0295, 0.003, 0.1637, 1.0]
    """
    given = np.broadcast_arrays(
        np.asarray(count, np.float64),
        np.asarray(rows, np.float64),
        np.asarray(confidence, np.float64),
    )
    shape = given[0].shape
    # thousands of columns share few pairs
    distinct, back = np.unique(
        np.stack([each.ravel() for each in given]), axis=1, return_inverse=True
    )
    k, n, level = distinct
    bound = np.ones(k.shape)
    inner = (n > 0) & (k < n)
    if inner.any():
        bound[inner] = _solve(np.maximum(k[inner], 0), n[inner], level[inner])
    return bound[back.ravel()].reshape(shape)


def fisher_tail(
    count: npt.ArrayLike,
    rows: npt.ArrayLike,
    reference_count: npt.ArrayLike,
    reference_rows: npt.ArrayLike,
) -> Floats:
    """Return how likely ``count`` or more are by chance, of as many among both (Fisher's test).

    The one-sided exact test of whether the share of ``count`` in ``rows`` is above that of
    ``reference_count`` in ``reference_rows``: both samples, whatever their sizes, are taken as
    they are, and nothing is assumed of the true share. With ``reference_count`` = 1 it is also
    the exact chance that ``count`` of ``rows`` new draws are beyond the least and the greatest of
    ``reference_rows`` old ones, whatever the distribution.

    References
    ----------
    R. A. Fisher, J. R. Stat. Soc. 98 (1935) 39; S. S. Wilks, Ann. Math. Statist. 12 (1941) 91.

    Examples
    --------
    >>> fisher_tail([0, 2, 5], 100, 0, 142).round(4).tolist()
    [1.0, 0.1697, 0.0113]
    """
    k, n, x, size = np.broadcast_arrays(
        np.asarray(count, np.float64),
        np.asarray(rows, np.float64),
        np.asarray(reference_count, np.float64),
        np.asarray(reference_rows, np.float64),
    )
    tail = np.where(k > n, 0.0, 1.0)
    # a share that is not above the reference's is likely; its sum would be long
    inner = (k > 0) & (k <= n) & (k * size > x * n)
    if inner.any():
        tail[inner] = _hypergeometric_tail(k[inner], n[inner], x[inner], size[inner])
    return tail


def _hypergeometric_tail(k: Floats, n: Floats, x: Floats, size: Floats) -> Floats:
    both = x + k
    term = np.exp(_log_choose(n, k) + _log_choose(size, x) - _log_choose(size + n, both))
    tail = term.copy()
    for j in range(_MOST_TERMS):
        at = k + j
        ratio = np.maximum((both - at) * (n - at), 0) / ((at + 1) * (size - both + at + 1))
        # the ratios fall, so that what is left is less than a geometric series
        left = term * ratio / np.maximum(1 - ratio, 1e-12)
        if np.all(left <= 1e-9 * tail):
            break
        term = term * ratio
        tail = tail + term
    return np.minimum(tail + left, 1.0)


def _log_choose(n: Floats, k: Floats) -> Floats:
    return _lgamma(n + 1) - _lgamma(k + 1) - _lgamma(n - k + 1)


def _solve(k: Floats, n: Floats, confidence: Floats) -> Floats:
    """Solve P(Beta(k + 1, n - k) <= q) = confidence for q.

    By Newton's method on the logarithm of the tail: the tail of a beta distribution is
    log-concave, so that from the second step on it comes down to the solution and never passes it.
    """
    a, b = k + 1, n - k
    target = np.log1p(-confidence)
    log_norm = _lgamma(a + b) - _lgamma(a) - _lgamma(b)
    low, high = k / n, np.ones(k.shape)
    q = (k + 0.5) / (n + 0.5)
    for _ in range(_ROUNDS):
        tail = np.maximum(_beta_cdf(1 - q, b, a), _TINY)
        excess = np.log(tail) - target
        low, high = np.where(excess > 0, q, low), np.where(excess > 0, high, q)
        slope = np.exp(log_norm + k * np.log(q) + (b - 1) * np.log1p(-q)) / tail
        step = q + excess / np.maximum(slope, _TINY)
        step = np.where((step > low) & (step < high), step, (low + high) / 2)
        done = np.all(np.abs(step - q) <= 1e-12 * q)
        q = step
        if done:
            break
    return q


def _beta_cdf(x: Floats, a: Floats, b: Floats) -> Floats:
    """Regularised incomplete beta function of 0 < x < 1 and positive a, b."""
    # the fraction converges fast on one side of the mean; the other side is its mirror
    mirrored = x > (a + 1) / (a + b + 2)
    x1 = np.where(mirrored, 1 - x, x)
    a1, b1 = np.where(mirrored, b, a), np.where(mirrored, a, b)
    with np.errstate(divide="ignore", under="ignore"):
        front = np.exp(
            _lgamma(a1 + b1) - _lgamma(a1) - _lgamma(b1) + a1 * np.log(x1) + b1 * np.log1p(-x1)
        )
    value: Floats = front * _fraction(x1, a1, b1) / a1
    cdf: Floats = np.clip(np.where(mirrored, 1 - value, value), 0.0, 1.0)
    return cdf


def _fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    c = np.ones(x.shape)
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    h = d
    # it takes about sqrt(max(a, b)) rounds where it is slowest, in the middle
    for m in range(1, 100 + 10 * math.isqrt(int(max(a.max(), b.max())))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + even * d)
        c = _away_from_zero(1 + even / c)
        h = h * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + odd * d)
        c = _away_from_zero(1 + odd / c)
        step = d * c
        h = h * step
        if np.all(np.abs(step - 1) < 1e-13):
            break
    return h


def _away_from_zero(value: Floats) -> Floats:
    return np.where(np.abs(value) < _TINY, _TINY, value)
