"""A task whose truth is known, classifiers of three kinds, and windows that drift away.

Rows have four normal features and belong to class 1 with a known probability; a shift moves the
means of the features and leaves that probability as it is (covariate shift, nothing else).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

FEATURES = 4
DIRECTION = np.array([0.7, 0.5, 0.1, -0.5])
"""Where the means go, of length 1: over the border of the classes, and to where c says less."""

TOO_SURE = 3.0
"""The sharpened classifier multiplies its logits by this."""

Model = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Draw:
    """Rows with what is known of them: the chance of class 1, and the class that chance gave."""

    features: np.ndarray
    chances: np.ndarray
    labels: np.ndarray


def draw(generator: np.random.Generator, rows: int, shift: float = 0.0) -> Draw:
    """Draw rows whose means are ``shift`` standard deviations from those of the reference."""
    features = generator.normal(size=(rows, FEATURES)) + shift * DIRECTION
    a, b, c, d = features.T
    chances = expit(-2.0 + 1.2 * a + 0.9 * b + 0.8 * c + 0.7 * c * d)
    return Draw(features, chances, (generator.random(rows) < chances).astype(int))


def classifiers(training: Draw) -> dict[str, Model]:
    """Return what is learned from ``training``: from features to the probability of class 1.

    ``calibrated`` is of the family that the truth is of, and learns it. ``sharpened`` is the same,
    too sure of itself alike everywhere: one curve sets it right. ``overfitted`` are boosted trees
    that learned the training rows by heart: how far they are too sure depends on the row, so that
    a curve from the reference is right for rows like the reference's.
    """
    fitted = make_pipeline(PolynomialFeatures(2, include_bias=False), LogisticRegression(C=10.0))
    fitted.fit(training.features, training.labels)
    trees = GradientBoostingClassifier(
        n_estimators=120, learning_rate=0.3, max_depth=4, random_state=0
    ).fit(training.features, training.labels)

    def calibrated(features: np.ndarray) -> np.ndarray:
        return np.asarray(fitted.predict_proba(features)[:, 1])

    return {
        "calibrated": calibrated,
        "sharpened": lambda features: expit(TOO_SURE * logit(calibrated(features))),
        "overfitted": lambda features: trees.predict_proba(features)[:, 1],
    }


def true_performance(scores: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    """Return what labels would show of these rows on average, whichever they turn out to be.

    The ROC AUC is the share of pairs, one of each class, that are in the right order.
    """
    order = np.argsort(scores, kind="stable")
    _, first, count = np.unique(scores[order], return_index=True, return_counts=True)
    of_class = np.add.reduceat(chances[order], first)
    others = count - of_class
    ahead = np.cumsum(others) - others / 2
    return {
        "accuracy": float(np.where(scores > 0.5, chances, 1 - chances).mean()),
        "roc_auc": float(of_class @ ahead / of_class.sum() / others.sum()),
    }
