"""What is said of a window without its labels: by us, by NannyML, and by those who look no more."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from modelwatch.domain.performance.calibration import estimate_performance, learn_calibration
from modelwatch.domain.performance.estimates import Estimate
from modelwatch.domain.performance.profile import PerformanceProfile, merge_performance
from modelwatch.domain.performance.rows import outcomes

ROOT = Path(__file__).parents[2]
RIVALS = ROOT / ".envs" / "rivals" / "bin" / "python"
METRICS = ("accuracy", "roc_auc")
HOURS = 24
MIN_ROWS = 100
Performance = dict[str, float]


def profile_of(scores: np.ndarray, labels: np.ndarray | None = None) -> PerformanceProfile:
    """Return the profile of rows as the monitor has it: merged from those of a day's hours."""
    known = np.full(len(scores), None, object) if labels is None else labels.astype(object)
    return merge_performance(
        PerformanceProfile.of(
            outcomes(
                (scores[place] > 0.5).astype(int).tolist(),
                known[place].tolist(),
                np.column_stack([1 - scores[place], scores[place]]),
            ),
            ("0", "1"),
        )
        for place in np.array_split(np.arange(len(scores)), HOURS)
    )


def ours(
    scores: np.ndarray, reference: tuple[np.ndarray, np.ndarray] | None = None
) -> dict[str, Estimate]:
    """Return our estimate, with the calibration that ``reference`` (scores, labels) teaches."""
    curves = {} if reference is None else learn_calibration(profile_of(*reference))
    found = estimate_performance(profile_of(scores), curves, MIN_ROWS)
    assert found.accuracy
    assert found.roc_auc
    return {"accuracy": found.accuracy, "roc_auc": found.roc_auc}


def by_labels(scores: np.ndarray, labels: np.ndarray) -> Performance:
    """Return what labels show."""
    return {
        "accuracy": float(((scores > 0.5) == labels).mean()),
        "roc_auc": float(roc_auc_score(labels, scores)),
    }


def nannyml(
    cases: list[tuple[np.ndarray, np.ndarray, list[np.ndarray]]],
) -> list[list[Performance]]:
    """Return NannyML's estimates (CBPE) of the windows of each case, in its own environment.

    A case has the scores and labels of the reference, and the scores of each window, all of one
    size; each window is a chunk.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cases.npz"
        arrays: dict[str, Any] = {}
        for number, (scores, labels, windows) in enumerate(cases):
            arrays[f"{number}.scores"] = scores
            arrays[f"{number}.labels"] = labels
            arrays[f"{number}.windows"] = np.stack(windows)
        np.savez(path, **arrays)
        program = ROOT / "benchmarks" / "rivals" / "performance_estimates.py"
        printed = subprocess.run(
            [RIVALS, program, path], check=True, capture_output=True, text=True, cwd=ROOT
        ).stdout
    estimates: list[list[dict[str, float]]] = json.loads(printed.splitlines()[-1])
    return estimates
