"""Drift by Evidently, with pinned methods and thresholds.

Evidently picks p-values or distances by the number of reference rows when it is not told; here it
is always told, so that a score means the same in every window.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from modelwatch.adapters.parquet import FEATURE_PREFIX
from modelwatch.domain.drift import DriftPolicy, FeatureDrift, FeatureKind, Status


@dataclass(frozen=True, slots=True)
class EvidentlyComparison:
    """Evidently's snapshot (None when no feature could be compared), and our reading of it."""

    features: Sequence[FeatureDrift]
    snapshot: Any

    def html(self) -> bytes:
        """Return Evidently's report; a page that says so when no feature could be compared."""
        if self.snapshot is None:
            return b"<!doctype html><title>No report</title><p>No feature can be compared.</p>"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            self.snapshot.save_html(str(path))
            return path.read_bytes()


class EvidentlyDriftDetector:
    """Compares the ``feature_*`` columns of two tables with Evidently's drift preset."""

    def compare(
        self, reference: pa.Table, current: pa.Table, policy: DriftPolicy
    ) -> EvidentlyComparison:
        """Compare two tables; see `DriftDetector.compare`.

        A column that one side lacks, or that has no value on one side, is ``unknown``.
        """
        old, new = _frame(reference), _frame(current)
        kinds = {
            name: _kind(old, new, name) for name in dict.fromkeys([*old.columns, *new.columns])
        }
        problems = {name: _problem(old, new, name) for name in kinds}
        comparable = [name for name, problem in problems.items() if not problem]
        snapshot: Any = None
        scores: dict[str, float] = {}
        if comparable:
            snapshot, scores = _run(old[comparable], new[comparable], kinds, policy)
        features = []
        for name, kind in kinds.items():
            score = scores.get(name)
            threshold = policy.threshold(kind)
            if score is None or not np.isfinite(score):
                score = None
                status: Status = "unknown"
            else:
                status = "drift" if score >= threshold else "ok"
            features.append(
                FeatureDrift(
                    feature=name,
                    kind=kind,
                    status=status,
                    method=policy.method(kind),
                    threshold=threshold,
                    score=score,
                    missing_ratio=float(new[name].isna().mean()) if name in new else 1.0,
                    reason=problems[name] or ("" if score is not None else "no finite score"),
                )
            )
        return EvidentlyComparison(features, snapshot)


def _frame(table: pa.Table) -> pd.DataFrame:
    names = [name for name in table.column_names if name.startswith(FEATURE_PREFIX)]
    frame = table.select(names).to_pandas()
    frame.columns = [name.removeprefix(FEATURE_PREFIX) for name in names]
    return frame


def _kind(old: pd.DataFrame, new: pd.DataFrame, name: str) -> FeatureKind:
    column = old[name] if name in old else new[name]
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return "numerical" if numeric else "categorical"


def _problem(old: pd.DataFrame, new: pd.DataFrame, name: str) -> str:
    for frame, side in ((old, "the reference"), (new, "the window")):
        if name not in frame:
            return f"{side} has no such column"
        if frame[name].notna().sum() == 0:
            return f"{side} has no value in it"
    if pd.api.types.is_numeric_dtype(old[name]) != pd.api.types.is_numeric_dtype(new[name]):
        return "numbers on one side, other values on the other"
    return ""


def _run(
    old: pd.DataFrame, new: pd.DataFrame, kinds: dict[str, FeatureKind], policy: DriftPolicy
) -> tuple[Any, dict[str, float]]:
    definition = DataDefinition(
        numerical_columns=[name for name in old if kinds[name] == "numerical"],
        categorical_columns=[name for name in old if kinds[name] == "categorical"],
    )
    preset = DataDriftPreset(
        num_method=policy.numerical_method,
        num_threshold=policy.numerical_threshold,
        cat_method=policy.categorical_method,
        cat_threshold=policy.categorical_threshold,
        drift_share=policy.share_threshold,
    )
    snapshot = Report([preset]).run(
        Dataset.from_pandas(new, definition), Dataset.from_pandas(old, definition)
    )
    scores = {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }
    return snapshot, scores
