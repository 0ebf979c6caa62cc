"""The few special functions that the statistics need, in numpy alone.

The scheduled handler does not import scipy for them. On top of numpy, `import scipy.special` takes
0.3 s of CPU and 31 MB, this module and `kolmogorov` 5 ms and less than 1 MB (medians of 9
processes). The tests hold each of them to scipy's.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TABLE = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, 256.0)))])


def log_factorial(numbers: Floats) -> Floats:
    """Return ``log(numbers!)``, elementwise, of numbers of at least 0, whole or not.

    By Stirling's series; small ones are moved up by 16 first, where the series is exact to 1e-15.

    Examples
    --------
    >>> log_factorial(np.array([0.0, 1.0, 4.0])).round(6).tolist()
    [0.0, 0.0, 3.178054]
    """
    numbers = np.asarray(numbers, dtype=np.float64)
    whole = (numbers < len(_TABLE)) & (numbers == np.floor(numbers))
    small = (numbers < 16.0) & ~whole
    moved = np.where(small, numbers + 16.0, np.maximum(numbers, 1.0)) + 1.0
    inverse = 1.0 / moved
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    result = (moved - 0.5) * np.log(moved) - moved + 0.5 * math.log(2 * math.pi) + series
    if small.any():
        steps = np.add.outer(numbers[small], np.arange(1.0, 17.0))
        result[small] -= np.log(steps).sum(axis=-1)
    return np.where(whole, _TABLE[np.where(whole, numbers, 0).astype(np.int64)], result)


def chi_square_sf(statistic: float, freedom: int) -> float:
    """Return the probability that chi-square of ``freedom`` degrees exceeds ``statistic``.

    A finite sum for whole degrees of freedom (Abramowitz and Stegun 1964, 26.4.4 and 26.4.5).
    With no degree of freedom left there is nothing to differ in: 1.

    Examples
    --------
    >>> round(chi_square_sf(3.841459, 1), 6)
    0.05
    """
    if freedom < 1 or not statistic > 0:
        return 1.0
    if math.isinf(statistic):
        return 0.0
    half = statistic / 2
    odd = freedom % 2
    powers: Floats = np.arange(freedom // 2, dtype=np.float64) + odd / 2
    terms = float(np.exp(powers * math.log(half) - half - log_factorial(powers)).sum())
    return min(1.0, terms + (math.erfc(math.sqrt(half)) if odd else 0.0))


@lru_cache(maxsize=4096)
def chi_square_isf(probability: float, freedom: int) -> float:
    """Return the statistic that chi-square of ``freedom`` degrees exceeds with ``probability``."""
    if freedom < 1 or probability >= 1.0:
        return 0.0
    low, high = 0.0, freedom + 10.0
    while chi_square_sf(high, freedom) > probability:
        low, high = high, high * 2
        if high > 1e6:
            break
    for _ in range(60):
        middle = (low + high) / 2
        if chi_square_sf(middle, freedom) > probability:
            low = middle
        else:
            high = middle
    return high


def normal_isf(probabilities: Floats) -> Floats:
    """Return what a standard normal variable exceeds with each of ``probabilities`` (0 to 1).

    Wichura, *Algorithm AS 241: the percentage points of the normal distribution*, 1988; relative
    accuracy 1e-15.

    Examples
    --------
    >>> normal_isf(np.array([0.5, 0.025])).round(6).tolist()
    [0.0, 1.959964]
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    centred = probabilities - 0.5
    tail = np.minimum(probabilities, 1.0 - probabilities)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(-np.log(tail))
        near = centred * _ratio(0.180625 - centred * centred, _CENTRE)
        far = np.where(
            root <= 5.0, _ratio(root - 1.6, _MIDDLE), _ratio(np.minimum(root, 50.0) - 5.0, _FAR)
        )
    return np.where(np.abs(centred) <= 0.425, 0.0 - near, np.where(centred < 0, far, 0.0 - far))


_Coefficients = tuple[tuple[float, ...], tuple[float, ...]]


def _ratio(x: Floats, coefficients: _Coefficients) -> Floats:
    upper, lower = coefficients
    return np.asarray(np.polyval(upper, x) / np.polyval(lower, x), dtype=np.float64)


_CENTRE: _Coefficients = (
    (
        2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
        4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
        1.3314166789178437745e2, 3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
        2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
        4.2313330701600911252e1, 1.0,
    ),
)  # fmt: skip
_MIDDLE: _Coefficients = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
        1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
        4.63033784615654529590e0, 1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
        1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
        2.05319162663775882187e0, 1.0,
    ),
)  # fmt: skip
_FAR: _Coefficients = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
        2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
        5.46378491116411436990e0, 6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
        7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
        5.99832206555887937690e-1, 1.0,
    ),
)  # fmt: skip
