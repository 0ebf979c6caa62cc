"""What is kept of an analysis, beside its result, so that it can be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from modelwatch.domain.constraints import decode_constraints, encode_constraints
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.importance import Importance
from modelwatch.domain.past.calibration import Calibration
from modelwatch.domain.past.relations import Pair
from modelwatch.domain.profiles import Profile, Slice, decode_slices, encode_slices
from modelwatch.domain.segments import EVERYTHING, SegmentKey
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.sides import Reference
from modelwatch.domain.windows import Window
from modelwatch.errors import EvidenceError, InvalidInputError, ProfileFormatError

FORMAT = 1
"""Version of the manifest and of the reference's document; another one is refused."""


class CodeVersion(msgspec.Struct, frozen=True):
    """Which code it was: the package's version, and the git revision where packaging knew it."""

    version: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.version} ({self.revision})" if self.revision else self.version


class ReadWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of the window.

    Attributes
    ----------
    start, end
        The window.
    rows
        Distinct records, of all variants or of the result's.
    objects
        Names of the stored objects that they come from.
    profile_sha256
        Digest of their merged profiles; empty when there were too few rows to keep them.
    has_segments
        Whether its segments were asked for.
    relations
        The watched relations: their two columns, the rank correlation, and of how many rows it is.
    """

    start: datetime
    end: datetime
    rows: int
    objects: tuple[str, ...] = ()
    profile_sha256: str = ""
    has_segments: bool = False
    relations: tuple[tuple[Pair, float, int], ...] = ()


class ReadReference(msgspec.Struct, frozen=True, kw_only=True):
    """What the window was compared with.

    Attributes
    ----------
    title
        What it is, in words.
    rows
        Rows of its profile.
    start, end
        When it was captured; None for training data.
    same_version
        Whether it was captured of the analyzed version.
    objects
        Names of the stored objects that a rolling reference comes from.
    sha256
        Digest of profile, constraints and importances, as `encode_reference` writes them.
    """

    title: str
    rows: int
    sha256: str
    start: datetime | None = None
    end: datetime | None = None
    same_version: bool = True
    objects: tuple[str, ...] = ()

    @property
    def is_shared(self) -> bool:
        """Whether it is the reference of many windows; a rolling one is of one only."""
        return not self.objects


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an analysis was made of: enough, with the kept profiles, to make it again.

    Attributes
    ----------
    result
        Name of the result.
    code
        The code that made it.
    rules
        The rules that were in force.
    window, reference
        What was read; the reference is None when there was none, or too few rows to ask for one.
    past
        What windows of the past said of this one; None when they were not asked.
    """

    result: str
    code: CodeVersion
    rules: AnalysisRules
    window: ReadWindow
    reference: ReadReference | None = None
    past: Calibration | None = None
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Evidence:
    """A manifest, and the documents whose digests it has; empty where it has none.

    ``window`` is as `encode_window` writes it, ``reference`` as `encode_reference` does.
    """

    manifest: Manifest
    window: bytes = b""
    reference: bytes = b""

    @property
    def digest(self) -> str:
        """Digest of the manifest as it is written down, and so of everything."""
        return sha256(encode_manifest(self.manifest))


class _Reference(msgspec.Struct, array_like=True):
    format: int
    profile: bytes
    constraints: bytes
    importance: Importance | None


_decode_manifest = msgspec.json.Decoder(Manifest).decode
_decode_reference = msgspec.msgpack.Decoder(_Reference).decode


def sha256(payload: bytes) -> str:
    """Return the digest of a document, in hexadecimal."""
    return hashlib.sha256(payload).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """Write a manifest down as JSON; equal ones give equal bytes."""
    return msgspec.json.encode(manifest)


def decode_manifest(payload: bytes) -> Manifest:
    """Read what `encode_manifest` wrote.

    Raises
    ------
    EvidenceError
        When it is something else, or of another format.
    """
    try:
        manifest = _decode_manifest(payload)
    except (*UNREADABLE, ValueError) as error:
        raise EvidenceError(f"the manifest is damaged: {error}") from error
    _check_format("manifest", manifest.format)
    return manifest


def encode_reference(reference: Reference) -> bytes:
    """Write down those parts of a reference that a verdict uses; `ReadReference` has the rest."""
    return msgspec.msgpack.encode(
        _Reference(
            FORMAT,
            encode_window(reference.profile, reference.segments),
            encode_constraints(reference.constraints),
            reference.importance,
        )
    )


def decode_reference(payload: bytes, read: ReadReference) -> Reference:
    """Read what `encode_reference` wrote; raises as `decode_manifest` does."""
    try:
        found = _decode_reference(payload)
        _check_format("reference", found.format)
        profile, segments = _profiles(found.profile)
        return Reference(
            title=read.title,
            profile=profile,
            constraints=decode_constraints(found.constraints),
            importance=found.importance,
            same_version=read.same_version,
            window=Window(read.start, read.end) if read.start and read.end else None,
            objects=read.objects,
            segments=segments,
        )
    except (*UNREADABLE, ProfileFormatError, InvalidInputError) as error:
        raise EvidenceError(f"the reference is damaged: {error}") from error


def encode_window(profile: Profile, segments: Mapping[SegmentKey, Profile]) -> bytes:
    """Write down the profile of all rows, and those of segments; no sample of rows."""
    slices = [Slice("", 0, replace(profile, sample=None))]
    return encode_slices([*slices, *(Slice("", 0, each, key) for key, each in segments.items())])


def decode_window(payload: bytes) -> tuple[Profile, dict[SegmentKey, Profile]]:
    """Read what `encode_window` wrote; raises as `decode_manifest` does."""
    try:
        return _profiles(payload)
    except ProfileFormatError as error:
        raise EvidenceError(f"the profile of the window is damaged: {error}") from error


def _profiles(payload: bytes) -> tuple[Profile, dict[SegmentKey, Profile]]:
    found = {each.segment: each.profile for each in decode_slices(payload)}
    if EVERYTHING not in found:
        raise ProfileFormatError("there is no profile of all rows")
    return found.pop(EVERYTHING), found


def _check_format(what: str, found: int) -> None:
    if found != FORMAT:
        raise EvidenceError(f"the {what} has format {found}; this code reads {FORMAT}")
