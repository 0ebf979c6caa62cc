"""Replay: what a result was made of is kept beside it, and gives the same result again."""

from __future__ import annotations

import msgspec

from modelwatch.domain.differences import Difference, differences
from modelwatch.domain.past.calibration import Calibration
from modelwatch.domain.profiles import Profile
from modelwatch.domain.segments import SegmentKey
from modelwatch.domain.verdict.evidence import (
    CodeVersion,
    Evidence,
    Manifest,
    ReadReference,
    ReadWindow,
    decode_reference,
    decode_window,
    encode_reference,
    encode_window,
    sha256,
)
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.verdict.window import evaluate_window
from modelwatch.domain.windows import Window
from modelwatch.errors import EvidenceError
from modelwatch.ports.analysis import ReportStore


def evidence_of(
    name: str,
    found: WindowProfiles,
    reference: Reference | None,
    rules: AnalysisRules,
    code: CodeVersion,
    past: Calibration | None = None,
) -> Evidence:
    """Return what the result ``name`` is made of: all that `evaluate_window` gets.

    Of a window with too few rows for a verdict no profile is kept, unless it has segments.
    """
    enough = found.profile.rows >= rules.min_rows or found.segments
    window = encode_window(found.profile, found.segments or {}) if enough else b""
    kept = b""
    read = None
    if reference is not None:
        kept = encode_reference(reference)
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
        result=name,
        code=code,
        rules=rules,
        window=ReadWindow(
            start=found.window.start,
            end=found.window.end,
            rows=found.profile.rows,
            objects=found.objects,
            profile_sha256=sha256(window) if window else "",
            has_segments=found.segments is not None,
            relations=tuple((pair, *known) for pair, known in found.relations.items()),
        ),
        reference=read,
        past=past,
    )
    return Evidence(manifest, window, kept)


def evaluate_again(
    given: AnalysisResult, evidence: Evidence, rules: AnalysisRules | None = None
) -> AnalysisResult:
    """Return ``given`` with the verdict that follows from its evidence now.

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
        raise EvidenceError(f"the manifest of {given.name} belongs to {manifest.result}")
    rules = manifest.rules if rules is None else rules
    # a window with too few rows has no stored profile: only its number of rows matters
    profile = Profile(rows=manifest.window.rows)
    segments: dict[SegmentKey, Profile] = {}
    if not evidence.window and profile.rows >= rules.min_rows:
        raise EvidenceError(f"{given.name} has no stored profile: too few rows")
    if evidence.window:
        profile, segments = decode_window(evidence.window)
    found = WindowProfiles(
        model_name=given.model_name,
        model_version=given.model_version,
        window=Window(given.window_start, given.window_end),
        profile=profile,
        objects=manifest.window.objects,
        segments=segments if manifest.window.has_segments else None,
        relations={pair: (value, rows) for pair, value, rows in manifest.window.relations},
    )
    read = manifest.reference
    reference = decode_reference(evidence.reference, read) if read else None
    verdict = evaluate_window(found, reference, rules, manifest.past)
    return msgspec.structs.replace(given, **msgspec.structs.asdict(verdict))


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a replay.

    Attributes
    ----------
    result
        Name of the result.
    same
        Whether every number and word is the same, to the last bit.
    differences
        Where it is not.
    given_by, replayed_by
        The code that made the result, and this code.
    manifest
        What the result was made of.
    """

    result: str
    same: bool
    differences: tuple[Difference, ...]
    given_by: CodeVersion
    replayed_by: CodeVersion
    manifest: Manifest


def replay(reports: ReportStore, name: str, code: CodeVersion) -> Replay:
    """Make the result ``name`` again, and say what is different.

    No capture, registry or baseline is read. ``code`` is this code.

    Raises
    ------
    NotFoundError
        When there is no such result.
    EvidenceError
        When what it was made of was not kept, or is missing or damaged.
    """
    given = reports.result(name)
    evidence = reports.evidence(given)
    found = differences(given, evaluate_again(given, evidence))
    return Replay(
        result=name,
        same=not found,
        differences=found,
        given_by=evidence.manifest.code,
        replayed_by=code,
        manifest=evidence.manifest,
    )
