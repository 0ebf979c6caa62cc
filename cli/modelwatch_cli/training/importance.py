"""How much a trained model depends on each of its features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from modelwatch.domain.importance import Importance
from modelwatch_cli.training.onnx_export import Estimator

SEED = 42
MOST_ROWS = 1000
REPETITIONS = 5


def measure_importance(model: Estimator, rows: pd.DataFrame) -> Importance:
    """Measure how far predictions move when a feature is shuffled; see `Importance`.

    That is permutation importance (Breiman, *Random Forests*, Machine Learning 45 (2001) 5) with
    the model's own predictions for the truth: labels are not needed, and a feature that the model
    leans on wrongly counts, too. The same model and rows give the same numbers.

    Parameters
    ----------
    model
        A fitted scikit-learn model.
    rows
        Feature columns; of more than `MOST_ROWS`, as many are drawn.
    """
    if len(rows) > MOST_ROWS:
        rows = rows.sample(MOST_ROWS, random_state=SEED)
    rows = rows.reset_index(drop=True)
    predict, measure = _predictor(model, rows)
    before = predict(rows)

    def minus_distance(_model: Any, shuffled: pd.DataFrame, _target: Any) -> float:
        return -float(np.mean(np.abs(predict(shuffled) - before)))

    found = permutation_importance(
        model,
        rows,
        np.zeros(len(rows)),
        scoring=minus_distance,
        n_repeats=REPETITIONS,
        random_state=SEED,
    )
    means = np.maximum(found["importances_mean"], 0.0).tolist()
    return Importance(
        features=dict(zip(map(str, rows.columns), means, strict=True)),
        rows=len(rows),
        repetitions=REPETITIONS,
        measure=measure,
    )


def _predictor(model: Any, rows: pd.DataFrame) -> tuple[Any, str]:
    """Return what gives numbers whose mean absolute difference is the distance, and its name."""
    if hasattr(model, "predict_proba"):
        # half the sum over the classes, and the mean over them comes after
        classes = model.predict_proba(rows.head(1)).shape[1]
        return lambda frame: model.predict_proba(frame) * classes / 2, "total variation"
    predicted = np.asarray(model.predict(rows))
    if predicted.dtype.kind == "f":
        scale = float(predicted.std()) or 1.0
        return lambda frame: np.asarray(model.predict(frame)) / scale, "standard deviations"
    return (
        lambda frame: (np.asarray(model.predict(frame)) != predicted).astype(float),
        "share of other predictions",
    )
