"""The verdict on features: of all rows, or of a segment's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelwatch.domain.decisions import decide
from modelwatch.domain.drift import DriftPolicy, FeatureDrift, Verdict, judge
from modelwatch.domain.importance import Importance, drift_headline, rank_drift
from modelwatch.domain.profiles import ColumnProfile, Profile
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution


@dataclass(frozen=True, slots=True)
class JudgedFeatures:
    """A verdict, the features it is made of, and those that drifted, what matters most first."""

    verdict: Verdict
    features: tuple[FeatureDrift, ...]
    drifted_features: tuple[str, ...]
    headline: str


def features_judged(
    reference: Profile,
    window: Profile,
    importance: Importance | None,
    policy: DriftPolicy,
    level: float,
) -> JudgedFeatures:
    """Decide for the features of rows that can be compared, at a ``level`` (0 to 1) for all."""
    features = decide(
        distributions(reference.features), distributions(window.features), policy, level
    )
    ranked = rank_drift(
        {each.feature: _strength(each) for each in features if each.status == "drift"}, importance
    )
    return JudgedFeatures(
        judge(features, policy.share_threshold),
        tuple(features),
        tuple(each.feature for each in ranked),
        drift_headline(ranked),
    )


def distributions(columns: Mapping[str, ColumnProfile]) -> dict[str, Distribution]:
    """Return what is compared of each column."""
    return {name: Distribution.of_column(column) for name, column in columns.items()}


def _strength(answer: FeatureDrift) -> float:
    """Return how far a feature drifted, in multiples of its threshold."""
    score, threshold = answer.score or 0.0, answer.threshold
    far, near = (threshold, score) if METHODS[answer.method].low_is_drift else (score, threshold)
    return far / max(near, 1e-300)
