"""Evidently's report: it explains, on samples, the verdict that profiles of all rows gave.

By itself Evidently picks p-values or distances by the number of reference rows; here it always gets
the method, and for each feature the threshold of the verdict.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from modelwatch.adapters.captures.feature_columns import as_one, feature_names
from modelwatch.domain.verdict.results import FeatureDrift
from modelwatch.domain.verdict.rules import DriftPolicy

if TYPE_CHECKING:
    import pandas as pd

MOST_FEATURES = 200
"""So many features are in a report, those that drifted most: a page has to open."""

_NOTHING = b"<!doctype html><title>No report</title><p>No feature can be compared.</p>"


class EvidentlyReporter:
    """Makes reports; see `modelwatch.ports.analysis.DriftReporter`."""

    def html(
        self,
        reference: pa.Table,
        current: pa.Table,
        features: Sequence[FeatureDrift],
        policy: DriftPolicy,
    ) -> bytes:
        """Return the report of the features that have a score, as one HTML page."""
        snapshot = run_preset(reference, current, features, policy)
        if snapshot is None:
            return _NOTHING
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            snapshot.save_html(str(path))
            return path.read_bytes()


def run_preset(
    reference: pa.Table, current: pa.Table, features: Sequence[FeatureDrift], policy: DriftPolicy
) -> Any:
    """Run Evidently's drift preset; None when no feature has values on both sides."""
    # takes seconds and 300 MB, and most analyses need no report
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numerical = {each.feature for each in features if each.kind == "numerical"}
    old, new = _frame(reference, numerical), _frame(current, numerical)
    known = [
        feature
        for feature in sorted(features, key=lambda each: -(each.score or 0.0))
        if feature.score is not None and _has_values(old, new, feature.feature)
    ][:MOST_FEATURES]
    if not known:
        return None
    kinds = {feature.feature: feature.kind for feature in known}
    definition = DataDefinition(
        numerical_columns=[name for name, kind in kinds.items() if kind == "numerical"],
        categorical_columns=[name for name, kind in kinds.items() if kind == "categorical"],
    )
    preset = DataDriftPreset(
        columns=list(kinds),
        num_method=policy.numerical_method,
        cat_method=policy.categorical_method,
        per_column_threshold={feature.feature: feature.threshold for feature in known},
        drift_share=policy.share_threshold,
    )
    columns = list(kinds)
    return Report([preset]).run(
        Dataset.from_pandas(new[columns], definition), Dataset.from_pandas(old[columns], definition)
    )


def scores_of(snapshot: Any) -> dict[str, float]:
    """Return Evidently's score of each feature of a snapshot."""
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }


def _frame(table: pa.Table, numerical: AbstractSet[str]) -> pd.DataFrame:
    """Return the features as the profiles know them: booleans are the texts true and false."""
    return pa.table(
        {
            name: as_one(table, name, numbers=name in numerical)
            for name in feature_names(table.column_names)
        }
    ).to_pandas()


def _has_values(old: pd.DataFrame, new: pd.DataFrame, name: str) -> bool:
    return all(name in frame and frame[name].notna().any() for frame in (old, new))
