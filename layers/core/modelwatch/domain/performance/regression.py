"""Metrics of predicted numbers from `Residuals`."""

from __future__ import annotations

import math

import numpy as np

from modelwatch.domain.performance.estimates import Estimate, around, mean_of
from modelwatch.domain.performance.residuals import Residuals


def regression_metrics(residuals: Residuals) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Return the metrics of predicted numbers, and why others are missing.

    The mean absolute error and the bias (mean of predicted less actual) are means, and the interval
    of the root mean squared error is the root of that of a mean: all by the central limit theorem.
    R^2 = 1 - mean(e^2) / var(y) is a ratio of means, with an interval by the delta method.

    Returns
    -------
    tuple
        Estimates by name (``mae``, ``rmse``, ``r2``, ``bias``), and reasons by name.

    Examples
    --------
    >>> metrics, _ = regression_metrics(Residuals.of([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]))
    >>> metrics["mae"].value, round(metrics["r2"].value, 4)
    (0.5, 0.9486)
    """
    n = residuals.n
    squared = mean_of(n, float(residuals.squares[0]), residuals.fourths)
    metrics = {
        "mae": mean_of(n, residuals.absolute, float(residuals.squares[0])),
        "rmse": Estimate(
            math.sqrt(squared.value), math.sqrt(squared.low), math.sqrt(squared.high), "normal"
        ),
        "bias": mean_of(n, residuals.signed, float(residuals.squares[0]), -math.inf),
    }
    if n < 2 or residuals.variance == 0:
        return metrics, {"r2": "the labels are all the same"}
    metrics["r2"] = _r2(residuals)
    return metrics, {}


def mean_predictor(residuals: Residuals) -> tuple[float, dict[str, float]]:
    """Return the mean of the true numbers, and what predicting it always would give.

    The mean absolute error is missing: it does not follow from sums.

    Examples
    --------
    >>> mean_predictor(Residuals.of([0.0, 0.0], [1.0, 3.0]))
    (2.0, {'rmse': 1.0, 'r2': 0.0, 'bias': 0.0})
    """
    spread = math.sqrt(residuals.variance)
    return residuals.mean, {"rmse": spread, "r2": 0.0, "bias": 0.0}


def _r2(residuals: Residuals) -> Estimate:
    centred = residuals.around(residuals.mean)
    n = centred.n
    v1, v2 = centred.labels[2] / n, centred.labels[4] / n
    u1, u2 = centred.squares[0] / n, centred.fourths / n
    unexplained = u1 / v1
    # of the ratio u / v: var(u - ratio v) / mean(v)^2 / n
    spread = (
        (u2 - u1**2)
        - 2 * unexplained * (centred.squares[2] / n - u1 * v1)
        + unexplained**2 * (v2 - v1**2)
    )
    error = float(np.sqrt(max(spread, 0.0) / n) / v1)
    return around(1 - float(unexplained), error, "delta", highest=1.0)
