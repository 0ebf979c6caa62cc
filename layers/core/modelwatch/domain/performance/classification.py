"""Metrics of a classifier from counts by (predicted, actual), and from histograms of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np

from modelwatch.domain.performance.estimates import Estimate, around, mean_of, wilson
from modelwatch.domain.performance.profile import PerformanceProfile, classes_of
from modelwatch.domain.performance.rows import Floats, sorted_classes
from modelwatch.domain.performance.scores import Histogram, roc_auc

Average = Literal["precision", "recall", "f1"]


class ClassPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """How a class fares.

    ``actual`` and ``predicted`` count the labelled rows that are of the class, and that were said
    to be; a share of nothing is 0, as scikit-learn has it. ``roc_auc`` sets the class against all
    others; None where nothing can be ranked.
    """

    name: str
    actual: int
    predicted: int
    precision: float
    recall: float
    f1: float
    roc_auc: Estimate | None = None


def classification_metrics(
    profile: PerformanceProfile,
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Return the metrics of labelled predictions, and why others are missing.

    Accuracy has Wilson's interval; the macro averages of precision, recall and F1 have one by the
    delta method (see `macro_average`); ROC AUC has DeLong's, and the log loss that of a mean.

    Returns
    -------
    tuple
        Estimates by name (``accuracy``, ``precision``, ``recall``, ``f1``, ``roc_auc``,
        ``log_loss``), and reasons by name.
    """
    metrics: dict[str, Estimate] = {}
    missing: dict[str, str] = {}
    metrics["accuracy"] = wilson(profile.correct / profile.comparable, profile.comparable)
    averages: tuple[Average, ...] = ("precision", "recall", "f1")
    if profile.confusion is None:
        missing |= dict.fromkeys(averages, "too many classes to count")
    else:
        _, matrix = confusion_matrix(profile.confusion)
        metrics |= {name: macro_average(matrix, name) for name in averages}
    if not profile.probabilities:
        missing |= dict.fromkeys(("roc_auc", "log_loss"), "the predictions have no probabilities")
        return metrics, missing
    area = macro_auc(profile.scores)
    if area is None:
        missing["roc_auc"] = "no class with labels of it and of others"
    else:
        metrics["roc_auc"] = area
    count, total, squares = profile.log_loss.tolist()
    if count and profile.unscored == 0:
        metrics["log_loss"] = mean_of(count, total, squares)
    else:
        missing["log_loss"] = f"{profile.unscored} labels of classes that the model does not have"
    return metrics, missing


def classes_performance(profile: PerformanceProfile) -> tuple[ClassPerformance, ...]:
    """Return precision, recall, F1 and ROC AUC by class, in the order of the classes."""
    names, matrix = confusion_matrix(profile.confusion or {})
    hits, predicted, actual = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return tuple(
        ClassPerformance(
            name=name,
            actual=int(actual[i]),
            predicted=int(predicted[i]),
            precision=_share(hits[i], predicted[i]),
            recall=_share(hits[i], actual[i]),
            f1=_share(2 * hits[i], predicted[i] + actual[i]),
            roc_auc=_auc(profile.scores.get(name)),
        )
        for i, name in enumerate(names)
    )


def confusion_matrix(confusion: Mapping[tuple[str, str], float]) -> tuple[list[str], Floats]:
    """Return the classes in order, and counts with a row a predicted and a column an actual one.

    Examples
    --------
    >>> names, matrix = confusion_matrix({("1", "1"): 3, ("1", "0"): 1})
    >>> names, matrix.tolist()
    (['0', '1'], [[0.0, 0.0], [1.0, 3.0]])
    """
    names = sorted_classes(classes_of(confusion))
    place = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)))
    for (predicted, actual), count in confusion.items():
        matrix[place[predicted], place[actual]] += count
    return names, matrix


def macro_average(matrix: Floats, metric: Average) -> Estimate:
    """Return the unweighted mean over the classes of a metric, with its interval.

    The interval is the delta method's: the metric's slopes in the multinomial shares of the cells
    give its variance (for F1: K. Takahashi et al., Confidence interval for micro-averaged F1 and
    macro-averaged F1 scores, Applied Intelligence 52, 2022, 4961). The slopes are taken where half
    a row more is in every cell, so that a few rows without an error do not seem to prove that there
    is none.

    Parameters
    ----------
    matrix
        Counts with a row a predicted and a column an actual class; shape (k, k).

    Examples
    --------
    >>> round(macro_average(np.array([[40.0, 10.0], [0.0, 50.0]]), "f1").value, 4)
    0.899
    """
    value, _ = _macro(matrix, metric)
    smoothed = matrix + 0.5
    rows = smoothed.sum()
    _, slopes = _macro(smoothed / rows, metric)
    shares = smoothed / rows
    variance = float((shares * slopes**2).sum() - (shares * slopes).sum() ** 2)
    error = math.sqrt(max(variance, 0.0) / max(float(matrix.sum()), 1.0))
    return around(value, error, "delta", 0.0, 1.0)


def _macro(matrix: Floats, metric: Average) -> tuple[float, Floats]:
    """Return the average over the classes, and its slope in every cell."""
    hits, predicted, actual = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    by_row, by_column, factor = {
        "precision": (predicted, 0 * actual, 1.0),
        "recall": (0 * predicted, actual, 1.0),
        "f1": (predicted, actual, 2.0),
    }[metric]
    whole = by_row + by_column
    safe = np.where(whole > 0, whole, 1.0)
    value = float((factor * hits / safe).mean()) if len(matrix) else 0.0
    drop = factor * hits / safe**2
    slopes = np.diag(factor / safe)
    # a further row of a cell is one more in the sums that stand below the line
    if metric != "recall":
        slopes = slopes - drop[:, None]
    if metric != "precision":
        slopes = slopes - drop[None, :]
    return value, slopes / max(len(matrix), 1)


def macro_auc(scores: Mapping[str, Histogram]) -> Estimate | None:
    """Return the ROC AUC: of two classes that of the second, of more the mean of one against rest.

    Of the mean, the interval is that of errors which all go one way, since what the classes' areas
    have in common is not known: it is wide enough.

    Returns
    -------
    Estimate | None
        None without a class that has labels of it and of others.
    """
    names = sorted_classes(set(scores))
    if len(names) == 2:
        names = names[1:]
    found = [
        area for name in names if (area := roc_auc(scores[name].sums[0], scores[name].sums[1]))
    ]
    if not found:
        return None
    count = len(found)
    value = sum(area.value for area in found) / count
    error = sum(area.error for area in found) / count
    return around(value, error, "delong", 0.0, 1.0)


def macro_metrics(matrix: Floats) -> dict[str, float]:
    """Return the macro averages of precision, recall and F1 of a confusion matrix, by name."""
    averages: tuple[Average, ...] = ("precision", "recall", "f1")
    return {name: _macro(matrix, name)[0] for name in averages}


def majority(confusion: Mapping[tuple[str, str], int]) -> tuple[str, dict[str, float]]:
    """Return the class that is true most often, and what predicting it always would give.

    The log loss is that of predicting the classes' shares. Everything takes the window's own labels
    for granted, which no model can: it is the best that a constant could have done.

    Examples
    --------
    >>> name, metrics = majority({("0", "0"): 5, ("0", "1"): 3})
    >>> name, metrics["accuracy"], round(metrics["f1"], 4)
    ('0', 0.625, 0.3846)
    """
    names, matrix = confusion_matrix(confusion)
    actual = matrix.sum(axis=0)
    best = int(actual.argmax())
    constant = np.zeros_like(matrix)
    constant[best] = actual
    present = actual[actual > 0] / actual.sum()
    metrics = {
        "accuracy": float(actual[best] / actual.sum()),
        **macro_metrics(constant),
        "roc_auc": 0.5,
        "log_loss": float(-(present * np.log(present)).sum()),
    }
    return names[best], metrics


def _auc(histogram: Histogram | None) -> Estimate | None:
    area = None if histogram is None else roc_auc(histogram.sums[0], histogram.sums[1])
    return None if area is None else around(area.value, area.error, "delong", 0.0, 1.0)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0
