"""The verdict on a window: enough rows, features, outputs, data quality, segments."""

from __future__ import annotations

import msgspec

from modelwatch.domain.baselines import refusal
from modelwatch.domain.constraints import check
from modelwatch.domain.past.calibration import Calibration
from modelwatch.domain.past.traffic import is_chance, totals_of, words_of_jump
from modelwatch.domain.profiles import Profile
from modelwatch.domain.verdict.features import evaluate_features, evaluate_outputs
from modelwatch.domain.verdict.results import Change, SegmentResult, WindowVerdict
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.segments import evaluate_segments
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.verdict.status import drifted_outputs
from modelwatch.domain.verdict.time_columns import without_time

_MONITORS = 3
"""Features, outputs and data quality each have an equal share of the budget of false alarms; so do
the rows as a whole (how many, and whether values repeat) and the relations between two features,
where the past says what is usual."""

_NAMED = 5
"""So many drifting segments or outputs are named in one line."""


def evaluate_window(
    found: WindowProfiles,
    reference: Reference | None,
    rules: AnalysisRules,
    past: Calibration | None = None,
) -> WindowVerdict:
    """Return the verdict on a window; it follows from the arguments alone, to the bit.

    ``past`` is what windows of the past say of its features and outputs; None when they are not
    asked.
    """
    problem = why_unknown(found, reference, rules)
    past = past if rules.history_days else None
    segments, level = evaluate_segments(found.segments, reference, rules, problem, past)
    if problem or reference is None:
        return WindowVerdict(
            status="unknown",
            reason=problem,
            rows=found.profile.rows,
            reference_rows=reference.profile.rows if reference else 0,
            reference=reference.title if reference else "",
            segments=segments,
            policy=rules.policy,
        )
    if past:
        level /= _MONITORS + past.watches_rows + past.watches_relations
    else:
        level /= _MONITORS
    verdict = evaluate_features(
        reference.profile, found.profile, reference.importance, rules.policy, level, past,
        found.relations,
    )  # fmt: skip
    quality = check(
        without_time(reference.constraints, found.profile, past),
        found.profile,
        level=level,
        min_rows=rules.min_reference_rows,
    )
    outputs = evaluate_outputs(reference.profile, found.profile, rules.policy, level, past)
    traffic = _traffic(found.profile, past, level)
    status, reason, headline = verdict.status, verdict.reason, verdict.headline
    if moved := drifted_outputs(outputs, rules.policy):
        status = "drift"
        reason += f"; the prediction drifted ({', '.join(moved[:_NAMED])})"
        headline += f"; {moved[0]} drifted"
    failed = next((each for each in quality.violations if each.check == "failed"), None)
    if failed and status == "ok":
        # where a model fails, the data may look as ever, and nothing is ok
        status, reason = "unknown", failed.sentence
    drifting = sorted(
        (each for each in segments if each.status == "drift"), key=lambda each: -each.drift_share
    )
    if drifting:
        reason += f"; drift in the segment{_names(drifting)}"
        headline += f"; in the segment {drifting[0].name}: {drifting[0].headline}"
    if traffic:
        reason += "".join(f"; {each}" for each in traffic)
        headline += "".join(f"; {each.words}" for each in traffic)
    said = msgspec.structs.asdict(verdict)
    return WindowVerdict(
        **said | {"status": status, "reason": reason, "headline": headline},
        reference=reference.title,
        outputs=outputs,
        segments=segments,
        quality=quality,
        traffic=traffic,
        policy=rules.policy,
        past_days=past.days if past else 0,
        learning=past.learning if past else "",
        trained_days=past.trained_days if past else 0,
        phase=past.phase if past else "",
    )


def _traffic(profile: Profile, past: Calibration | None, level: float) -> tuple[Change, ...]:
    """Return what is unusual of the rows as a whole: a warning, for it may be no harm."""
    if past is None or not past.watches_rows:
        return ()
    totals = totals_of(profile)
    return tuple(
        Change(
            name=name,
            words=words_of_jump(name, totals, before),
            score=score,
            critical_score=critical,
        )
        for name, score, critical, before in past.jumps(totals)
        if not is_chance(name, profile, before, level)
    )


def why_unknown(found: WindowProfiles, reference: Reference | None, rules: AnalysisRules) -> str:
    """Return why there can be no verdict on the window; empty when there can."""
    profile, window = found.profile, found.window
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
            f"no reference: `modelwatch adopt {found.model_name} --version {found.model_version} "
            "--reference train.parquet` gives the version one, `modelwatch baseline create NAME "
            f"--model {found.model_name} --version {found.model_version} --rolling P7D` takes "
            "captures"
        )
    return refusal(
        reference_rows=reference.profile.rows,
        min_rows=rules.min_reference_rows,
        window=window,
        reference_window=reference.window,
        same_version=reference.same_version,
        objects=found.objects,
        reference_objects=reference.objects,
    )


def _names(drifting: list[SegmentResult]) -> str:
    names = ", ".join(each.name for each in drifting[:_NAMED])
    if len(drifting) > _NAMED:
        names += f" and {len(drifting) - _NAMED} more"
    return f"{'s' if len(drifting) > 1 else ''} {names}"
