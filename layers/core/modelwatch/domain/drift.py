"""Answers about drift: of a feature, and of a model version in a window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

Status = Literal["ok", "drift", "unknown"]
"""The three answers. ``unknown`` is never to be shown as ``ok``."""

FeatureKind = Literal["numerical", "categorical"]


class DriftPolicy(msgspec.Struct, frozen=True):
    """Which method and threshold decide.

    A feature drifts when its score reaches the threshold of its kind; the model version drifts
    when ``share_threshold`` of the features with an answer do. Methods are Evidently's names of
    distances (a high score means drift).
    """

    numerical_method: str = "wasserstein"
    numerical_threshold: float = 0.2
    categorical_method: str = "jensenshannon"
    categorical_threshold: float = 0.2
    share_threshold: float = 0.5

    def method(self, kind: FeatureKind) -> str:
        """Return the method for features of ``kind``."""
        return self.numerical_method if kind == "numerical" else self.categorical_method

    def threshold(self, kind: FeatureKind) -> float:
        """Return the threshold for features of ``kind``."""
        return self.numerical_threshold if kind == "numerical" else self.categorical_threshold


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one feature; ``score`` is None and ``reason`` set when it is unknown."""

    feature: str
    kind: FeatureKind
    status: Status
    method: str
    threshold: float
    score: float | None = None
    missing_ratio: float = 0.0
    reason: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """The answer for a model version: status, share of drifted features (0 to 1), and why."""

    status: Status
    drift_share: float
    drifted_features: tuple[str, ...]
    reason: str


class AnalysisResult(msgspec.Struct, frozen=True, kw_only=True):
    """One analysis: what `result.json` holds."""

    name: str
    model_name: str
    model_version: str
    window_start: datetime
    window_end: datetime
    status: Status
    reason: str
    rows: int
    reference_rows: int
    drift_share: float = 0.0
    drifted_features: tuple[str, ...] = ()
    features: tuple[FeatureDrift, ...] = ()
    policy: DriftPolicy = DriftPolicy()
    duration_seconds: float = 0.0
    has_report: bool = False


def judge(features: Sequence[FeatureDrift], share_threshold: float) -> Verdict:
    """Decide for a model version from its features' answers.

    Features whose answer is unknown do not count, neither way; if all are, so is the verdict.

    Examples
    --------
    >>> drifted = FeatureDrift(feature="a", kind="numerical", status="drift",
    ...                        method="wasserstein", threshold=0.2, score=0.9)
    >>> judge([drifted], share_threshold=0.5).status
    'drift'
    >>> judge([], share_threshold=0.5).status
    'unknown'
    """
    answered = [feature for feature in features if feature.status != "unknown"]
    if not answered:
        return Verdict("unknown", 0.0, (), "no feature can be compared")
    drifted = tuple(feature.feature for feature in answered if feature.status == "drift")
    share = len(drifted) / len(answered)
    status: Status = "drift" if share >= share_threshold else "ok"
    reason = f"{len(drifted)} of {len(answered)} features drifted"
    return Verdict(status, share, drifted, f"{reason}; drift from a share of {share_threshold:g}")


def result_name(model_name: str, model_version: str, window_end: datetime) -> str:
    """Return the name under which a result is listed and fetched.

    Examples
    --------
    >>> from datetime import UTC
    >>> result_name("wine", "3", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    'wine.3.20260102T030405Z'
    """
    return f"{model_name}.{model_version}.{window_end:%Y%m%dT%H%M%SZ}"
