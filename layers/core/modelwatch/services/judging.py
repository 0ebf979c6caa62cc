"""Judging a window by its profile: enough rows, drift, data quality."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch.domain.analysis_rules import AnalysisRules
from modelwatch.domain.baselines import refusal
from modelwatch.domain.constraints import check
from modelwatch.domain.decisions import decide
from modelwatch.domain.drift import AnalysisResult, FeatureDrift, judge
from modelwatch.domain.importance import drift_headline, rank_drift
from modelwatch.domain.profiles import ColumnProfile, Profile
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.windows import Window
from modelwatch.services.references import Reference

_NOT_COMPARED = {"latency_ms"}
"""Outputs that say something about the function, not about the data."""


def why_unknown(
    profile: Profile,
    reference: Reference | None,
    window: Window,
    rules: AnalysisRules,
    objects: tuple[str, ...] = (),
) -> str:
    """Return why a window cannot be judged; empty when it can."""
    if profile.rows < rules.min_rows:
        return f"{profile.rows} rows in the window; {rules.min_rows} are needed"
    age_seconds = (window.end_ms - profile.last_ms) / 1000
    if age_seconds > rules.stale.total_seconds():
        return f"the newest record is {age_seconds / 3600:.1f} hours old at the window's end"
    if reference is None:
        return "the version has no reference data"
    return refusal(
        reference_rows=reference.profile.rows,
        min_rows=min(rules.min_rows, 30),
        window=window,
        reference_window=reference.window,
        same_version=reference.same_version,
        objects=objects,
        reference_objects=reference.objects,
    )


def answered(
    asked: AnalysisResult,
    profile: Profile,
    reference: Reference | None,
    rules: AnalysisRules,
    objects: tuple[str, ...] = (),
) -> AnalysisResult:
    """Return ``asked``, which says what window it is about, with the answer; nothing is read."""
    window = Window(asked.window_start, asked.window_end)
    result = msgspec.structs.replace(
        asked,
        status="unknown",
        reason=why_unknown(profile, reference, window, rules, objects),
        rows=profile.rows,
        reference_rows=reference.profile.rows if reference else 0,
        reference=reference.title if reference else "",
        policy=rules.policy,
    )
    if result.reason or reference is None:
        return result
    return judged(result, profile, reference, rules)


def judged(
    result: AnalysisResult, profile: Profile, reference: Reference, rules: AnalysisRules
) -> AnalysisResult:
    """Return ``result`` with the verdict about a window that can be judged."""
    policy = rules.policy
    features = decide(
        _distributions(reference.profile.features),
        _distributions(profile.features),
        policy,
        rules.alpha,
    )
    outputs = [
        name
        for name in profile.outputs
        if name in reference.profile.outputs and name not in _NOT_COMPARED
    ]
    verdict = judge(features, policy.share_threshold)
    ranked = rank_drift(
        {each.feature: _strength(each) for each in features if each.status == "drift"},
        reference.importance,
    )
    return msgspec.structs.replace(
        result,
        status=verdict.status,
        reason=verdict.reason,
        drift_share=verdict.drift_share,
        drifted_features=tuple(each.feature for each in ranked),
        headline=drift_headline(ranked),
        features=tuple(features),
        outputs=tuple(
            decide(
                _distributions({name: reference.profile.outputs[name] for name in outputs}),
                _distributions({name: profile.outputs[name] for name in outputs}),
                policy,
                rules.alpha,
            )
        ),
        quality=check(
            reference.constraints, profile, level=rules.alpha, min_rows=min(rules.min_rows, 30)
        ),
    )


def _strength(answer: FeatureDrift) -> float:
    """Return how far a feature drifted, in multiples of its threshold."""
    score, threshold = answer.score or 0.0, answer.threshold
    far, near = (threshold, score) if METHODS[answer.method].low_is_drift else (score, threshold)
    return far / max(near, 1e-300)


def _distributions(columns: Mapping[str, ColumnProfile]) -> dict[str, Distribution]:
    return {name: Distribution.of_column(column) for name, column in columns.items()}
