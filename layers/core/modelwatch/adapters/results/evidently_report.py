"""Evidently's report: it explains, on samples, the verdict that profiles of all rows gave.

By itself Evidently picks p-values or distances by the number of reference rows; here it always gets
the method, and for each feature the threshold of the verdict. A method that Evidently lacks is ours
there too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from modelwatch.adapters.captures.feature_columns import as_one, feature_names
from modelwatch.adapters.results.report_heading import heading
from modelwatch.domain.profiles import Profile
from modelwatch.domain.statistics.distances import METHODS, Method
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import drift_strength
from modelwatch.domain.verdict.results import FeatureDrift, WindowVerdict
from modelwatch.domain.verdict.rules import DriftPolicy

if TYPE_CHECKING:
    import pandas as pd

MOST_FEATURES = 200
"""So many features are in a report, those that drifted most: a page has to open."""

_NOTHING = b"<!doctype html><title>No report</title><body><p>No feature can be compared.</p>"


class EvidentlyReporter:
    """Makes reports; see `modelwatch.ports.analysis.DriftReporter`."""

    def html(
        self,
        reference: pa.Table,
        current: pa.Table,
        verdict: WindowVerdict,
        title: str,
        notes: Sequence[str] = (),
        profiles: tuple[Profile, Profile] | None = None,
    ) -> bytes:
        """Return the verdict and the report of the features that have a score, as one page."""
        snapshot = run_preset(reference, current, verdict.features, verdict.policy)
        above = heading(title, verdict, current.num_rows, notes, profiles)
        if snapshot is None:
            return _NOTHING + above
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            snapshot.save_html(str(path))
            before, body, after = path.read_bytes().partition(b"<body>")
            return before + body + above + after


def run_preset(
    reference: pa.Table,
    current: pa.Table,
    features: Sequence[FeatureDrift],
    policy: DriftPolicy,
    most: int = MOST_FEATURES,
) -> Any:
    """Run Evidently's drift preset on the ``most`` drifted; None when no feature has values."""
    # takes seconds and 300 MB, and most analyses need no report
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numerical = {each.feature for each in features if each.kind == "numerical"}
    old, new = _frame(reference, numerical), _frame(current, numerical)
    known = [
        feature
        for feature in sorted(features, key=drift_strength, reverse=True)
        if feature.score is not None and _has_values(old, new, feature.feature)
    ][:most]
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
        per_column_method={feature.feature: feature.method for feature in known},
        per_column_threshold={feature.feature: feature.threshold for feature in known},
        drift_share=policy.share_threshold,
    )
    columns = list(kinds)
    for name in {policy.numerical_method, policy.categorical_method, *(f.method for f in known)}:
        _register(METHODS[name])
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


def evidently_has(method: Method) -> bool:
    """Whether Evidently has a method of this name for these kinds of features."""
    from evidently.legacy.calculations.stattests import registry

    try:
        for kind in _column_types(method):
            registry.get_registered_stattest(method.name, kind)
    except (registry.StatTestNotFoundError, registry.StatTestInvalidFeatureTypeError):
        return False
    return True


def _register(method: Method) -> None:
    """Give Evidently a method that it lacks."""
    from evidently.legacy.calculations.stattests import registry

    def score_of(
        reference: pd.Series, window: pd.Series, kind: Any, threshold: float
    ) -> tuple[float, bool]:
        numbers = kind is registry.ColumnType.Numerical
        score = method.score(_distribution(reference, numbers), _distribution(window, numbers))
        return score, method.reaches(score, threshold)

    if not evidently_has(method):
        test = registry.StatTest(method.name, method.name, _column_types(method), method.threshold)
        registry.register_stattest(test, score_of)


def _column_types(method: Method) -> list[Any]:
    from evidently.legacy.core import ColumnType

    return [ColumnType[kind.capitalize()] for kind in method.kinds]


def _distribution(values: pd.Series, numbers: bool) -> Distribution:
    if numbers:
        return Distribution.of_numbers(values.to_numpy())
    return Distribution.of_counts(values.value_counts().to_dict())


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
