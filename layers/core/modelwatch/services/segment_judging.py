"""Judging the segments of a window, each against the same segment of the reference.

The budget of false alarms of a run is shared: half of it is for all rows, and half for the segments
that can be compared, evenly. By the union bound they raise no more false alarms together than the
run may, however much the segments overlap; within one, the procedure of Benjamini and Hochberg
holds its part over the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from modelwatch.domain.analysis_rules import AnalysisRules
from modelwatch.domain.drift import AnalysisResult, SegmentResult
from modelwatch.domain.profiles import Profile
from modelwatch.domain.segments import SegmentKey, parse_segments
from modelwatch.services.feature_judging import features_judged
from modelwatch.services.references import Reference

FEWEST_REFERENCE_ROWS = 30
"""Rows that a reference needs, or ``min_rows`` where those are fewer."""

_NAMED = 5
"""So many drifting segments are named in one line."""

ALL_ROWS_SHARE = 0.5
"""Of the budget, beside segments."""


@dataclass(frozen=True, slots=True)
class SegmentedWindow:
    """The segments of a window beside those of its reference.

    Parameters
    ----------
    profiles
        What the window has of each.
    reference
        What it is compared with, if there is anything.
    rules
        With the declared segments.
    problem
        Why the window cannot be judged at all; empty when it can.
    """

    profiles: Mapping[SegmentKey, Profile]
    reference: Reference | None
    rules: AnalysisRules
    problem: str = ""

    @property
    def all_rows_level(self) -> float:
        """Level of the verdict on all rows."""
        return self.rules.alpha * (ALL_ROWS_SHARE if self._comparable() else 1.0)

    def results(self) -> tuple[SegmentResult, ...]:
        """Return the answers for all segments, as they are declared."""
        comparable = self._comparable()
        level = self.rules.alpha * (1 - ALL_ROWS_SHARE) / max(len(comparable), 1)
        return tuple(self._result(key, level) for key in self._keys())

    @property
    def _known(self) -> Mapping[SegmentKey, Profile]:
        return self.reference.segments if self.reference else {}

    def _keys(self) -> list[SegmentKey]:
        declared = parse_segments(self.rules.segments)
        # what is left of the reference's column says nothing about this window
        known = [key for key in self._known if not key.is_rest]
        return declared.in_order([*declared.named, *self.profiles, *known])

    def _comparable(self) -> list[SegmentKey]:
        return [key for key in self._keys() if not self._problem(key)]

    def _problem(self, key: SegmentKey) -> str:
        if self.problem or self.reference is None:
            return self.problem or "no reference"
        rows, needed = self._rows(key), self.rules.min_rows
        if rows < needed:
            return f"{rows} rows in the window; {needed} are needed"
        if key.is_rest:
            return "it is made of other values in every window"
        if key not in self.reference.segments:
            since = "" if self.reference.window is None else ", or was made before it was declared"
            return f"the reference has no rows of it{since}"
        rows, needed = self._reference_rows(key), min(needed, FEWEST_REFERENCE_ROWS)
        if rows < needed:
            return f"the reference has {rows} rows of it; {needed} are needed"
        return ""

    def _rows(self, key: SegmentKey) -> int:
        return self.profiles[key].rows if key in self.profiles else 0

    def _reference_rows(self, key: SegmentKey) -> int:
        return self._known[key].rows if key in self._known else 0

    def _result(self, key: SegmentKey, level: float) -> SegmentResult:
        problem = self._problem(key)
        result = SegmentResult(
            name=key.name,
            column=key.column,
            status="unknown",
            reason=problem,
            rows=self._rows(key),
            reference_rows=self._reference_rows(key),
        )
        if problem or self.reference is None:
            return result
        judged = features_judged(
            self.reference.segments[key],
            self.profiles[key],
            self.reference.importance,
            self.rules.policy,
            level,
        )
        return msgspec.structs.replace(
            result,
            status=judged.verdict.status,
            reason=judged.verdict.reason,
            drift_share=judged.verdict.drift_share,
            drifted_features=judged.drifted_features,
            headline=judged.headline,
            features=judged.features,
        )


def with_segments(result: AnalysisResult, segments: tuple[SegmentResult, ...]) -> AnalysisResult:
    """Return ``result`` with its segments; those that drift are named in reason and headline."""
    drifting = [each for each in segments if each.status == "drift"]
    drifting.sort(key=lambda each: -each.drift_share)
    result = msgspec.structs.replace(result, segments=segments)
    if not drifting:
        return result
    names = ", ".join(each.name for each in drifting[:_NAMED])
    if len(drifting) > _NAMED:
        names += f" and {len(drifting) - _NAMED} more"
    first, plural = drifting[0], "s" if len(drifting) > 1 else ""
    return msgspec.structs.replace(
        result,
        reason=f"{result.reason}; drift in the segment{plural} {names}",
        headline=f"{result.headline}; in the segment {first.name}: {first.headline}",
    )
