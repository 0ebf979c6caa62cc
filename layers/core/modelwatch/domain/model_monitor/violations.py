"""``constraint_violations.json``: broken rules and drift in Model Monitor's form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelwatch.domain.constraints import Quality
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.verdict.results import FeatureDrift

CHECK_TYPES = {
    "kind": "data_type_check",
    "whole": "data_type_check",
    "infinite": "data_type_check",
    "missing": "completeness_check",
    "failed": "completeness_check",
    "missing_column": "missing_column_check",
    "extra_column": "extra_column_check",
    "unseen_categories": "categorical_values_check",
    # Model Monitor has no check of its own for how values lie
    "vanished_categories": "baseline_drift_check",
    "range": "baseline_drift_check",
    "non_negative": "baseline_drift_check",
    "constant": "baseline_drift_check",
    "varying": "baseline_drift_check",
}
"""Model Monitor's check by the name of ours."""


def violations_document(
    quality: Quality | None, features: Iterable[FeatureDrift] = ()
) -> dict[str, Any]:
    """Return the violations of a window as the content of ``constraint_violations.json``.

    Parameters
    ----------
    quality
        The verdict on its quality, if there is one.
    features
        The verdicts on drift. Those that drifted are violations, whose descriptions end in
        ``distance: <score> exceeds threshold: <threshold>`` where the score is a distance, as
        readers of Model Monitor's files expect it.

    Examples
    --------
    >>> alcohol = FeatureDrift(feature="alcohol", kind="numerical", status="drift",
    ...                        method="wasserstein", threshold=0.1, score=0.25)
    >>> violations_document(None, [alcohol])["violations"][0]["description"]
    'wasserstein distance: 0.25 exceeds threshold: 0.1'
    """
    found = [
        _violation(each.feature, CHECK_TYPES[each.check], each.sentence)
        for each in (quality.violations if quality else ())
    ]
    found += [
        _violation(each.feature, "baseline_drift_check", _distance(each))
        for each in features
        if each.status == "drift"
    ]
    return {"violations": found}


def _violation(feature: str, check_type: str, description: str) -> dict[str, str]:
    return {
        "feature_name": feature,
        "constraint_check_type": check_type,
        "description": description,
    }


def _distance(feature: FeatureDrift) -> str:
    method = METHODS.get(feature.method)
    if method and method.low_is_drift:
        return f"{feature.method} p-value: {feature.score} is at most {feature.threshold}"
    return f"{feature.method} distance: {feature.score} exceeds threshold: {feature.threshold}"
