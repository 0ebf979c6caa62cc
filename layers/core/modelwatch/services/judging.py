"""Judging a window by its profile: enough rows, drift, data quality."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch.domain.analysis_rules import AnalysisRules
from modelwatch.domain.baselines import refusal
from modelwatch.domain.constraints import check
from modelwatch.domain.decisions import decide
from modelwatch.domain.drift import AnalysisResult
from modelwatch.domain.profiles import Profile
from modelwatch.domain.segments import SegmentKey
from modelwatch.domain.windows import Window
from modelwatch.services.feature_judging import distributions, features_judged
from modelwatch.services.references import Reference
from modelwatch.services.segment_judging import SegmentedWindow, with_segments

_MONITORS = 3
"""Features, outputs and data quality have an even share each of what false alarms are allowed."""


def why_unknown(
    profile: Profile,
    reference: Reference | None,
    asked: AnalysisResult,
    rules: AnalysisRules,
    objects: tuple[str, ...] = (),
) -> str:
    """Return why the window of ``asked`` cannot be judged; empty when it can."""
    window = Window(asked.window_start, asked.window_end)
    if profile.rows < rules.min_rows:
        return f"{profile.rows} rows in the window; {rules.min_rows} are needed"
    age_seconds = (window.end_ms - profile.last_ms) / 1000
    if age_seconds > rules.stale.total_seconds():
        return f"the newest record is {age_seconds / 3600:.1f} hours old at the window's end"
    loss = profile.lost / (profile.rows + profile.lost)
    if loss > rules.max_loss:
        return f"{loss:.1%} of the window's records were lost; at most {rules.max_loss:.1%} may be"
    if reference is None:
        return (
            f"no reference: `modelwatch adopt {asked.model_name} --version {asked.model_version} "
            "--reference train.parquet` gives the version one, `modelwatch baseline` takes captures"
        )
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
    segments: Mapping[SegmentKey, Profile] | None = None,
) -> AnalysisResult:
    """Return ``asked``, which says what window it is about, with the answer; nothing is read.

    ``segments`` are what the window has of the declared segments; None: nobody asks for them.
    """
    result = msgspec.structs.replace(
        asked,
        status="unknown",
        reason=why_unknown(profile, reference, asked, rules, objects),
        rows=profile.rows,
        reference_rows=reference.profile.rows if reference else 0,
        reference=reference.title if reference else "",
        policy=rules.policy,
    )
    level = rules.alpha
    watched = None
    if segments is not None and rules.segments:
        watched = SegmentedWindow(segments, reference, rules, result.reason)
        level = watched.all_rows_level
    if not result.reason and reference is not None:
        result = judged(result, profile, reference, rules, level)
    return with_segments(result, watched.results()) if watched else result


def judged(
    result: AnalysisResult,
    profile: Profile,
    reference: Reference,
    rules: AnalysisRules,
    level: float,
) -> AnalysisResult:
    """Return ``result`` with the verdict about a window that can be judged.

    ``level``: probability, 0 to 1, of a false alarm of any monitor.
    """
    policy = rules.policy
    level /= _MONITORS
    judged_features = features_judged(
        reference.profile, profile, reference.importance, policy, level
    )
    verdict = judged_features.verdict
    quality = check(reference.constraints, profile, level=level, min_rows=min(rules.min_rows, 30))
    failed = next((each for each in quality.violations if each.check == "failed"), None)
    if failed and verdict.status == "ok":
        # where a model fails, the data may look as ever, and nothing is ok
        verdict = msgspec.structs.replace(verdict, status="unknown", reason=failed.sentence)
    before, now = reference.profile.answers, profile.answers
    outputs = [name for name in now if name in before]
    return msgspec.structs.replace(
        result,
        status=verdict.status,
        reason=verdict.reason,
        drift_share=verdict.drift_share,
        drifted_features=judged_features.drifted_features,
        headline=judged_features.headline,
        features=judged_features.features,
        outputs=tuple(
            decide(
                distributions({name: before[name] for name in outputs}),
                distributions({name: now[name] for name in outputs}),
                policy,
                level,
            )
        ),
        quality=quality,
    )
