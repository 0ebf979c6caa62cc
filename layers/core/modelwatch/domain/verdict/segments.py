"""The verdicts on the segments of a window, each against the same segment of the reference.

The budget of false alarms of a run is shared: half of it is for all rows, and half for the segments
that can be compared, evenly. By the union bound they raise no more false alarms together than the
run may, however much the segments overlap; within one, the procedure of Benjamini and Hochberg
holds its part over the features.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch.domain.past.calibration import Calibration
from modelwatch.domain.profiles import Profile
from modelwatch.domain.segments import SegmentKey, parse_segments
from modelwatch.domain.verdict.features import evaluate_features
from modelwatch.domain.verdict.results import SegmentResult, Verdict
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.sides import Reference

ALL_ROWS_SHARE = 0.5
"""The share of the budget for all rows if segments are declared."""

_NO_ROWS = Profile()


def evaluate_segments(
    profiles: Mapping[SegmentKey, Profile] | None,
    reference: Reference | None,
    rules: AnalysisRules,
    problem: str,
    past: Calibration | None = None,
) -> tuple[tuple[SegmentResult, ...], float]:
    """Return the verdicts on all declared segments, and the level that is left for all rows.

    Parameters
    ----------
    profiles
        What the window has of each segment; None when no verdict on them is wanted.
    problem
        Why there can be no verdict on the window at all; empty when there can.
    past
        What windows of the past say of all rows.
    """
    if profiles is None or not rules.segments:
        return (), rules.level
    declared = parse_segments(rules.segments)
    known = reference.segments if reference else {}
    # what is left of the reference's column says nothing about this window
    mentioned = [*profiles, *(key for key in known if not key.is_rest)]
    keys = declared.in_order([*declared.named, *mentioned])
    problems = {
        key: problem or _problem(key, profiles.get(key, _NO_ROWS), reference, rules) for key in keys
    }
    comparable = sum(not each for each in problems.values())
    level = rules.level * (1 - ALL_ROWS_SHARE) / max(comparable, 1)
    of_segments = past.of_a_segment() if past else None
    results = []
    for key in keys:
        now, before = profiles.get(key, _NO_ROWS), known.get(key, _NO_ROWS)
        verdict = Verdict(
            status="unknown", reason=problems[key], rows=now.rows, reference_rows=before.rows
        )
        if not problems[key] and reference is not None:
            verdict = evaluate_features(
                before, now, reference.importance, rules.policy, level, of_segments
            )
        said = msgspec.structs.asdict(verdict)
        results.append(SegmentResult(name=key.name, column=key.column, **said))
    return tuple(results), rules.level * (ALL_ROWS_SHARE if comparable else 1.0)


def _problem(
    key: SegmentKey, profile: Profile, reference: Reference | None, rules: AnalysisRules
) -> str:
    if reference is None:
        return "no reference"
    if profile.rows < rules.min_rows:
        return f"{profile.rows} rows in the window; {rules.min_rows} are needed"
    if key.is_rest:
        return "the rest has other values in every window"
    if key not in reference.segments:
        since = "" if reference.window is None else ", or was made before it was declared"
        return f"the reference has no rows of it{since}"
    rows, fewest = reference.segments[key].rows, rules.min_reference_rows
    if rows < fewest:
        return f"the reference has {rows} rows of it; {fewest} are needed"
    return ""
