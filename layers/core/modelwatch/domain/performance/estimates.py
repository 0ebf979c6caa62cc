"""Values with the interval that the number of rows leaves."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec

CONFIDENCE = 0.95


class Estimate(msgspec.Struct, frozen=True):
    """A metric of a window, as an estimate of what the model is worth on such data.

    Attributes
    ----------
    value
        The metric over the window's rows.
    low, high
        Interval around it, of `CONFIDENCE`.
    method
        How the interval was made: ``wilson``, ``delta``, ``delong``, ``normal`` or ``losses``.
    """

    value: float
    low: float
    high: float
    method: str


def z_of(confidence: float = CONFIDENCE) -> float:
    """Return the normal quantile of a two-sided interval.

    >>> round(z_of(0.95), 4)
    1.96
    """
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(share: float, rows: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share of independent rows with Wilson's score interval.

    References
    ----------
    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22
    (1927) 209.

    Examples
    --------
    >>> estimate = wilson(0.9, 100)
    >>> round(estimate.low, 4), round(estimate.high, 4)
    (0.8256, 0.9448)
    """
    z = z_of(confidence)
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    # rounding must not put the share outside
    low, high = min(share, middle - half), max(share, middle + half)
    return Estimate(share, max(0.0, low), min(1.0, high), "wilson")


def around(
    value: float,
    error: float,
    method: str,
    lowest: float = -math.inf,
    highest: float = math.inf,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return a value with the interval that a standard error gives, within its range."""
    half = z_of(confidence) * error
    return Estimate(value, max(lowest, value - half), min(highest, value + half), method)


def widened(estimate: Estimate, error: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share with a further standard error, of what it was made with, in its interval.

    Examples
    --------
    >>> wide = widened(wilson(0.9, 100), 0.04)
    >>> round(wide.low, 4), round(wide.high, 4)
    (0.7919, 0.9903)
    """
    further = z_of(confidence) * error
    return msgspec.structs.replace(
        estimate,
        low=max(0.0, estimate.value - math.hypot(estimate.value - estimate.low, further)),
        high=min(1.0, estimate.value + math.hypot(estimate.high - estimate.value, further)),
    )


def mean_of(rows: float, total: float, squares: float, lowest: float = 0.0) -> Estimate:
    """Return a mean with the interval of the central limit theorem, from sums.

    Examples
    --------
    >>> mean_of(4, 10.0, 30.0).value
    2.5
    """
    mean = total / rows
    variance = max(squares / rows - mean**2, 0.0) * rows / max(rows - 1, 1)
    return around(mean, math.sqrt(variance / rows), "normal", lowest)
