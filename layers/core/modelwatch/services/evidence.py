"""Keeping what an answer was made of, and answering from it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from modelwatch.domain.analysis_rules import AnalysisRules
from modelwatch.domain.drift import AnalysisResult
from modelwatch.domain.evidence import (
    CodeVersion,
    Evidence,
    KeptReference,
    Manifest,
    ReadReference,
    ReadWindow,
    decode_reference,
    decode_window,
    encode_reference,
    encode_window,
    sha256,
)
from modelwatch.domain.profiles import Profile
from modelwatch.domain.segments import SegmentKey
from modelwatch.domain.windows import Window
from modelwatch.errors import EvidenceError
from modelwatch.services.judging import answered
from modelwatch.services.references import Reference

if TYPE_CHECKING:
    import pyarrow as pa


def evidence_of(
    result: AnalysisResult,
    profile: Profile,
    reference: Reference | None,
    rules: AnalysisRules,
    objects: tuple[str, ...],
    segments: Mapping[SegmentKey, Profile] | None,
    code: CodeVersion,
) -> Evidence:
    """Return what ``result`` was made of, all that `answered` got.

    Of a window with too few rows for a verdict no profile is kept, unless it has segments.
    """
    enough = profile.rows >= rules.min_rows or segments
    window = encode_window(profile, segments or {}) if enough else b""
    kept = b""
    read = None
    if reference is not None:
        kept = encode_reference(
            KeptReference(
                reference.profile,
                reference.constraints,
                reference.importance,
                reference.segments,
            )
        )
        read = ReadReference(
            title=reference.title,
            rows=reference.profile.rows,
            sha256=sha256(kept),
            start=reference.window.start if reference.window else None,
            end=reference.window.end if reference.window else None,
            same_version=reference.same_version,
            objects=reference.objects,
        )
    manifest = Manifest(
        result=result.name,
        code=code,
        rules=rules,
        window=ReadWindow(
            start=result.window_start,
            end=result.window_end,
            rows=profile.rows,
            objects=objects,
            profile_sha256=sha256(window) if window else "",
            has_segments=segments is not None,
        ),
        reference=read,
    )
    return Evidence(manifest, window, kept)


def answered_again(
    given: AnalysisResult, evidence: Evidence, rules: AnalysisRules | None = None
) -> AnalysisResult:
    """Return the answer about the same window by the same reference.

    Parameters
    ----------
    rules
        Other ones than those that were in force.

    Raises
    ------
    EvidenceError
        When what was kept is damaged.
    """
    manifest = evidence.manifest
    if manifest.result != given.name:
        raise EvidenceError(f"the manifest of {given.name} is that of {manifest.result}")
    rules = manifest.rules if rules is None else rules
    # of what was too little to be kept, the number of rows is all that matters
    profile = Profile(rows=manifest.window.rows)
    segments: Mapping[SegmentKey, Profile] = {}
    if not evidence.window and profile.rows >= rules.min_rows:
        raise EvidenceError(f"of {given.name} no profile was kept: it had too few rows")
    if evidence.window:
        profile, segments = decode_window(evidence.window)
    asked = AnalysisResult(
        name=given.name,
        model_name=given.model_name,
        model_version=given.model_version,
        variant=given.variant,
        window=given.window,
        window_start=given.window_start,
        window_end=given.window_end,
        status="unknown",
        reason="",
        rows=0,
        reference_rows=0,
    )
    again = answered(
        asked,
        profile,
        _reference(evidence),
        rules,
        manifest.window.objects,
        segments if manifest.window.has_segments else None,
    )
    # what no profile tells
    return msgspec.structs.replace(
        again,
        repeated=given.repeated,
        performance=given.performance,
        late=given.late,
        duration_seconds=given.duration_seconds,
        has_report=given.has_report,
        manifest=given.manifest,
    )


def _reference(evidence: Evidence) -> Reference | None:
    read = evidence.manifest.reference
    if read is None:
        return None
    kept = decode_reference(evidence.reference)
    return Reference(
        read.title,
        kept.profile,
        kept.constraints,
        _no_rows,
        importance=kept.importance,
        same_version=read.same_version,
        window=Window(read.start, read.end) if read.start and read.end else None,
        objects=read.objects,
        segments=kept.segments,
    )


def _no_rows(_limit: int) -> pa.Table:
    raise EvidenceError("of this reference only the profile was kept")
