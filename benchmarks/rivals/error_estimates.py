"""Estimate MAE and RMSE without labels with NannyML's DLE; print them as JSON.

    python error_estimates.py FOLDER TASKS WINDOW_ROWS

Runs in the environment `rivals`. Of task N the folder has `N.reference.csv` and `N.windows.csv`, so
many rows a window; the estimates come in the same order.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import pandas as pd
from nannyml import DLE

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

METRICS = ["mae", "rmse"]


def estimates(folder: Path, number: int, rows: int) -> list[dict[str, float]]:
    """Return the estimates of each window."""
    reference = pd.read_csv(folder / f"{number}.reference.csv")
    watched = pd.read_csv(folder / f"{number}.windows.csv").drop(columns="label")
    estimator = DLE(
        feature_column_names=[n for n in reference if n not in ("prediction", "label")],
        y_pred="prediction",
        y_true="label",
        metrics=METRICS,
        chunk_size=rows,
    )
    estimator.fit(reference)
    found = estimator.estimate(watched).filter(period="analysis").to_df()
    return [
        {name: float(value) for name, value in zip(METRICS, row, strict=True)}
        for row in found[[(name, "value") for name in METRICS]].to_numpy()
    ]


folder, tasks, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print(json.dumps([estimates(folder, number, rows) for number in range(tasks)]))
