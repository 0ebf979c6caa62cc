"""Estimate accuracy and ROC AUC without labels with NannyML's CBPE; print them as JSON.

    python performance_estimates.py CASES.npz

Runs in the environment `rivals`. Of case N the file holds `N.scores` and `N.labels` of the
reference and `N.windows`, one row of scores a window; the estimates come in the same order.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd
from nannyml import CBPE

warnings.simplefilter("ignore")


def frame(scores: np.ndarray) -> pd.DataFrame:
    """Return rows as NannyML wants them."""
    return pd.DataFrame({"score": scores, "prediction": (scores > 0.5).astype(int)})


def estimates(
    scores: np.ndarray, labels: np.ndarray, windows: np.ndarray
) -> list[dict[str, float]]:
    """Return the estimates of each window."""
    estimator = CBPE(
        metrics=["accuracy", "roc_auc"],
        y_pred_proba="score",
        y_pred="prediction",
        y_true="label",
        problem_type="classification_binary",
        chunk_size=windows.shape[1],
    )
    estimator.fit(frame(scores).assign(label=labels))
    found = estimator.estimate(frame(windows.ravel())).filter(period="analysis").to_df()
    return [
        {name: float(value) for name, value in zip(("accuracy", "roc_auc"), row, strict=True)}
        for row in found[[("accuracy", "value"), ("roc_auc", "value")]].to_numpy()
    ]


with np.load(sys.argv[1]) as arrays:
    count = len(arrays.files) // 3
    found = [
        estimates(*(arrays[f"{number}.{part}"] for part in ("scores", "labels", "windows")))
        for number in range(count)
    ]
print(json.dumps(found))
