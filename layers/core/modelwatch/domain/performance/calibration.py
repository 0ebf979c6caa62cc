"""Performance without labels: what a classifier's probabilities lead to expect.

Confidence-based performance estimation (CBPE): a prediction that is calibrated to be right with
80 % counts as 0.8 rows that are right and 0.2 that are wrong. The sum over the window's rows is the
confusion matrix to expect, and from it follow the metrics.

It holds while the probabilities stay calibrated: while the features drift and what follows from
them does not. When that changes (concept drift), only labels can show it.

References
----------
J. Kivimäki, J. Białek, W. Kuberski, J. K. Nurminen, Performance Estimation in Binary Classification
Using Calibrated Confidence, 2025, arXiv:2505.05295; of the accuracy: J. Kivimäki, J. Białek, J. K.
Nurminen, W. Kuberski, Confidence-based Estimators for Predictive Performance in Model Monitoring,
2024, arXiv:2407.08649; of more classes: NannyML's documentation of CBPE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from modelwatch.domain.performance.classification import confusion_matrix, macro_auc, macro_metrics
from modelwatch.domain.performance.estimates import Estimate, widened, wilson
from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.performance.rows import Floats, sorted_classes
from modelwatch.domain.performance.scores import Histogram, merge_histograms, roc_auc_slopes

MIN_CALIBRATION_ROWS = 100
"""With fewer labelled rows nothing is learned about the calibration."""


class EstimatedPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """What the probabilities of a window, or a regression's rows, lead to expect.

    Attributes
    ----------
    status, reason
        ``unknown`` where nothing can be estimated, and why.
    rows
        Predictions that went into it.
    calibration
        ``reference``: learned from labels of the reference; ``none``: probabilities taken as they
        are.
    accuracy, roc_auc
        With the interval that so many rows here and in the reference leave, if a probability means
        the same in both; see `estimate_performance` and `expected_roc_auc`.
    mae, rmse
        Of a regression, with an interval for what labels would show; see `expected_metrics`.
    metrics
        All of them by name: ``accuracy``, ``precision``, ``recall``, ``f1`` and ``roc_auc``; of a
        regression ``mae``, ``rmse``, ``bias`` and ``r2``.
    thresholds
        Of a regression by metric: mean and three standard deviations of chunks of the reference.
    alarms
        Metrics whose whole interval is beyond their threshold.
    """

    status: Literal["ok", "unknown"]
    reason: str = ""
    rows: int = 0
    calibration: Literal["reference", "none"] = "none"
    accuracy: Estimate | None = None
    roc_auc: Estimate | None = None
    mae: Estimate | None = None
    rmse: Estimate | None = None
    metrics: dict[str, float] = {}
    thresholds: dict[str, float] = {}
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A rising curve from a model's probability of a class to the share that is of the class.

    It is linear between its points and flat beyond them; shape (p,) each. ``rows``: so many rows of
    the reference each point has.
    """

    probabilities: Floats
    shares: Floats
    rows: Floats

    def __call__(self, probabilities: npt.ArrayLike) -> Floats:
        """Return the calibrated probabilities."""
        return np.interp(np.asarray(probabilities, np.float64), self.probabilities, self.shares)

    def error_of(self, probabilities: npt.ArrayLike, slopes: npt.ArrayLike) -> float:
        """Return the standard error that the curve gives a number which follows from it.

        Points of one share are a block: its share is that of its rows, which are binomial draws.
        Half a row more of either kind: a block that saw no error is not certain.

        Parameters
        ----------
        probabilities, slopes
            Where the curve is read, and how fast the number grows with what is read; shape (b,).

        Examples
        --------
        >>> curve = Calibration(np.array([0.2, 0.8]), np.array([0.1, 0.9]), np.array([24.0, 99.0]))
        >>> round(curve.error_of([0.1, 0.2], [0.5, 0.5]), 3)
        0.065
        """
        places = np.interp(
            np.asarray(probabilities, np.float64), self.probabilities, np.arange(len(self.shares))
        )
        below = places.astype(np.int64)
        above = np.minimum(below + 1, len(self.shares) - 1)
        part, slope = places - below, np.asarray(slopes, np.float64)
        shares, block = np.unique(self.shares, return_inverse=True)
        pulls = np.bincount(block[below], slope * (1 - part), len(shares))
        pulls += np.bincount(block[above], slope * part, len(shares))
        rows = np.bincount(block, self.rows, len(shares))
        smoothed = (shares * rows + 0.5) / (rows + 1)
        return float(np.sqrt((pulls**2 * smoothed * (1 - smoothed) / rows).sum()))


def learn_calibration(profile: PerformanceProfile) -> dict[str, Calibration]:
    """Return the calibration of each class from labelled rows; empty when they are too few.

    It is the isotonic regression (B. Zadrozny, C. Elkan, Transforming classifier scores into
    accurate multiclass probability estimates, KDD 2002) of the bins' shares in their mean
    probabilities. The rows must be others than the model was trained on: on those, a forest is
    always right and always sure.
    """
    curves = {}
    for name, histogram in profile.scores.items():
        of_class, others, total = histogram.sums
        rows = of_class + others
        if rows.sum() >= MIN_CALIBRATION_ROWS:
            curves[name] = Calibration(total / rows, isotonic(of_class / rows, rows), rows)
    return curves


def isotonic(values: npt.ArrayLike, weights: npt.ArrayLike) -> Floats:
    """Return the rising sequence nearest to ``values`` in weighted squares.

    Source: pool adjacent violators (M. Ayer et al., Ann. Math. Statist. 26, 1955, 641).

    Examples
    --------
    >>> isotonic([1.0, 3.0, 2.0, 4.0], [1.0, 1.0, 3.0, 1.0]).tolist()
    [1.0, 2.25, 2.25, 4.0]
    """
    blocks: list[tuple[float, float, int]] = []
    pairs = zip(
        np.asarray(values, np.float64).tolist(),
        np.asarray(weights, np.float64).tolist(),
        strict=True,
    )
    for value, weight in pairs:
        count = 1
        while blocks and blocks[-1][0] >= value:
            before, its_weight, its_count = blocks.pop()
            value = (value * weight + before * its_weight) / (weight + its_weight)
            weight += its_weight
            count += its_count
        blocks.append((value, weight, count))
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def estimate_performance(
    profile: PerformanceProfile, calibrations: Mapping[str, Calibration], min_rows: int
) -> EstimatedPerformance:
    """Return what the probabilities of all rows, labelled or not, lead to expect.

    The expected counts of a predicted class are scaled to the number of its rows, since curves
    that are learned class by class need not sum to 1. The interval is Wilson's, which is no
    narrower than that of rows with different chances, widened by the error of the curves: the
    reference has only so many rows, and few of them where a window drifts to.

    Parameters
    ----------
    profile
        Of the window.
    calibrations
        By class; a class without one is taken at the model's word only where none has one.
    min_rows
        Fewest rows that allow an estimate.
    """
    problem = _problem(profile, calibrations, min_rows)
    if problem:
        return EstimatedPerformance(status="unknown", reason=problem)
    expected: dict[tuple[str, str], float] = {}
    rows: dict[str, float] = {}
    variance = 0.0
    for (predicted, name), histogram in profile.expected.items():
        curve = calibrations.get(name)
        counts, means, shares = _shares(histogram, curve)
        expected[predicted, name] = float(counts @ shares)
        rows[predicted] = float(counts.sum())
        if curve is not None and predicted == name:
            variance += curve.error_of(means, counts) ** 2
    names, matrix = confusion_matrix(expected)
    totals = matrix.sum(axis=1)
    wanted = np.array([rows.get(name, 0.0) for name in names])
    matrix = matrix * np.where(totals > 0, wanted / np.where(totals > 0, totals, 1.0), 0.0)[:, None]
    count = float(matrix.sum())
    accuracy = widened(
        wilson(min(float(np.trace(matrix)) / count, 1.0), count), math.sqrt(variance) / count
    )
    metrics = {"accuracy": accuracy.value, **macro_metrics(matrix)}
    area = expected_roc_auc(profile, calibrations)
    if area is not None:
        metrics["roc_auc"] = area.value
    return EstimatedPerformance(
        status="ok",
        rows=round(count),
        calibration="reference" if calibrations else "none",
        accuracy=accuracy,
        roc_auc=area,
        metrics=metrics,
    )


def _problem(
    profile: PerformanceProfile, calibrations: Mapping[str, Calibration], min_rows: int
) -> str:
    if not profile.probabilities:
        return "the predictions have no probabilities"
    if not profile.expected:
        return "it is not known which probability is of which class"
    names = {name for _, name in profile.expected}
    rows = sum(each.sums[0].sum() for each in profile.expected.values()) / len(names)
    if rows < min_rows:
        return f"{rows:.0f} rows with probabilities; {min_rows} are needed"
    if calibrations and not names <= calibrations.keys():
        missing = ", ".join(sorted_classes(names - calibrations.keys()))
        return f"the reference has no labels to calibrate class {missing}"
    return ""


def expected_roc_auc(
    profile: PerformanceProfile, calibrations: Mapping[str, Calibration]
) -> Estimate | None:
    """Return the ROC AUC to expect: of two classes that of the second, of more the mean.

    Rows are ranked by the model's probability of the class, as with labels, and each counts for the
    class with its calibrated share and against it with the rest. The share of pairs in the
    right order follows from the sums by bin; rows of one bin count as tied, so that the area
    is a little too small: by 0.0003 where probabilities spread over 40 bins, by 0.002 over 14. The
    interval is DeLong's for as many rows of each class as are expected, widened by the error of the
    curves.

    Returns
    -------
    Estimate | None
        None when no class is expected to have rows of it and of others.

    References
    ----------
    NannyML's documentation of CBPE (ROC AUC from the expected confusion matrix at every threshold),
    and Kivimäki et al., arXiv:2505.05295.
    """
    scores, errors = {}, {}
    for name in {name for _, name in profile.expected}:
        merged = merge_histograms(
            [each for (_, of), each in profile.expected.items() if of == name]
        )
        curve = calibrations.get(name)
        counts, means, shares = _shares(merged, curve)
        sums = np.stack([counts * shares, counts * (1 - shares)])
        scores[name] = Histogram(merged.level, merged.bins, sums)
        slopes = counts * roc_auc_slopes(*sums)
        errors[name] = 0.0 if curve is None else curve.error_of(means, slopes)
    area = macro_auc(scores)
    if area is None:
        return None
    # of two classes it is the area of one; of more, errors count as if they all went one way
    known = [errors[name] for name in sorted_classes(set(errors))]
    return widened(area, known[1] if len(known) == 2 else sum(known) / len(known))


def _shares(histogram: Histogram, calibration: Calibration | None) -> tuple[Floats, Floats, Floats]:
    """Return by bin the rows, their mean probability, and the share of them of the class."""
    counts, totals = histogram.sums
    means = np.clip(totals / counts, 0.0, 1.0)
    return counts, means, means if calibration is None else calibration(means)
