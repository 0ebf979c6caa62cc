"""Profiles of captured rows: merge them, and write them down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from modelwatch.domain.profiles.columns import ColumnProfile, merge_columns
from modelwatch.domain.profiles.folding import folded
from modelwatch.domain.profiles.quantiles import Floats, QuantileSketch
from modelwatch.domain.segments.keys import EVERYTHING, SegmentKey
from modelwatch.errors import ProfileFormatError

FORMAT = 1
"""Version of what `encode_slices` writes."""

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is kept of rows of one model version, in place of the rows.

    Attributes
    ----------
    rows
        Number of rows.
    estimated_rows
        Number of predictions that they stand for: the sum of ``1 / sample_rate``.
    lost
        Records that their senders could not hand over, as far as they could tell later.
    first_ms, last_ms
        Earliest and latest ``captured_at``, in milliseconds since 1970; 0 without rows.
    features
        Column by feature name.
    outputs
        ``prediction`` (numbers), ``prediction_label`` (texts: of classes), ``probability_0`` and
        so on by class, ``latency_ms``.
    """

    rows: int = 0
    estimated_rows: float = 0.0
    lost: int = 0
    first_ms: int = 0
    last_ms: int = 0
    features: Mapping[str, ColumnProfile] = field(default_factory=dict)
    outputs: Mapping[str, ColumnProfile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """The profile of one variant's rows in one UTC minute, or longer where they were merged.

    ``minute_ms`` is when the minute begins, in milliseconds since 1970. Of a ``segment`` it is the
    rows that belong to it; they are among all rows as well, and may be in several.
    """

    variant: str
    minute_ms: int
    profile: Profile
    segment: SegmentKey = EVERYTHING


@dataclass(frozen=True, slots=True)
class WindowProfile:
    """The profiles of a model version in a window, by variant.

    ``objects`` are the names of the objects that they come from, and ``repeated`` is how many
    records were there again and are not counted twice. ``segments`` are of all variants together;
    of each the rows that were captured since it is declared.
    """

    variants: Mapping[str, Profile]
    objects: tuple[str, ...] = ()
    repeated: int = 0
    segments: Mapping[SegmentKey, Profile] = field(default_factory=dict)


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all rows together; equal to profiling them at once within the error.

    The same profiles in the same order give the same result to the bit. No profiles give an empty
    one; a column that some of them lack is missing in their rows.
    """
    profiles = [profile for profile in profiles if profile.rows]
    if not profiles:
        return Profile()
    rows = sum(profile.rows for profile in profiles)
    return Profile(
        rows=rows,
        estimated_rows=math.fsum(profile.estimated_rows for profile in profiles),
        lost=sum(profile.lost for profile in profiles),
        first_ms=min(profile.first_ms for profile in profiles),
        last_ms=max(profile.last_ms for profile in profiles),
        features=_merge_named([profile.features for profile in profiles], rows),
        outputs=_merge_named([profile.outputs for profile in profiles], rows),
    )


def merge_slices(slices: Sequence[Slice]) -> list[Slice]:
    """Merge slices of the same segment, variant and minute; sorted by those, all rows first."""
    groups: dict[tuple[SegmentKey, str, int], list[Profile]] = {}
    for piece in slices:
        key = (piece.segment, piece.variant, piece.minute_ms)
        groups.setdefault(key, []).append(piece.profile)
    return [
        Slice(variant, minute_ms, merge_profiles(profiles), segment)
        for (segment, variant, minute_ms), profiles in sorted(
            groups.items(), key=lambda each: each[0]
        )
    ]


def merge_segments(parts: Iterable[tuple[SegmentKey, Profile]]) -> dict[SegmentKey, Profile]:
    """Merge profiles of segments; of a column with too many values, the rarer ones together."""
    parts = list(parts)
    counted_as = folded((key, profile.rows) for key, profile in parts)
    groups: dict[SegmentKey, list[Profile]] = {}
    for key, profile in parts:
        groups.setdefault(counted_as[key], []).append(profile)
    return {key: merge_profiles(profiles) for key, profiles in sorted(groups.items())}


def _merge_named(
    parts: Sequence[Mapping[str, ColumnProfile]], rows: int
) -> dict[str, ColumnProfile]:
    columns: dict[str, list[ColumnProfile]] = {}
    for part in parts:
        for name, column in part.items():
            columns.setdefault(name, []).append(column)
    return {name: merge_columns(found, rows) for name, found in columns.items()}


# --- how they are written down: MessagePack; numbers as little-endian doubles, transposed so that
# --- bytes of the same rank stand together, which compresses


class _Column(msgspec.Struct, array_like=True):
    rows: int
    nulls: int
    numbers: int
    booleans: int
    strings: int
    infinities: int
    mean: float
    square: float
    minimum: float
    maximum: float
    levels: tuple[int, ...]
    values: bytes
    counts: dict[str, int]
    rest: int
    undercount: int
    registers: bytes


class _Profile(msgspec.Struct, array_like=True):
    rows: int
    estimated_rows: float
    first_ms: int
    last_ms: int
    features: dict[str, _Column]
    outputs: dict[str, _Column]
    lost: int = 0


class _Slice(msgspec.Struct, array_like=True):
    variant: str
    minute_ms: int
    profile: _Profile


class _SegmentSlice(_Slice, array_like=True):
    """One that may be of a segment; what ends before that is of all rows."""

    segment: tuple[str, ...] = ()


class _Document(msgspec.Struct, array_like=True):
    format: int
    slices: list[_SegmentSlice]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Document)


def encode_slices(slices: Sequence[Slice]) -> bytes:
    """Write slices down, with the version of the format."""
    return _encoder.encode((FORMAT, [_slice_out(each) for each in slices]))


def decode_slices(data: bytes) -> list[Slice]:
    """Read what `encode_slices` wrote.

    Raises
    ------
    ProfileFormatError
        When it is something else, or of another version.
    """
    try:
        document = _decoder.decode(data)
        if document.format != FORMAT:
            raise ProfileFormatError(f"format {document.format}, and this code reads {FORMAT}")
        return [
            Slice(
                each.variant,
                each.minute_ms,
                _profile_in(each.profile),
                SegmentKey(*each.segment),
            )
            for each in document.slices
        ]
    except (msgspec.DecodeError, ValueError, IndexError, TypeError) as error:
        raise ProfileFormatError(str(error)) from error


def encode_profile(profile: Profile) -> bytes:
    """Write one profile down."""
    return encode_slices([Slice("", 0, profile)])


def decode_profile(data: bytes) -> Profile:
    """Read what `encode_profile` wrote; raises as `decode_slices` does."""
    slices = decode_slices(data)
    if len(slices) != 1:
        raise ProfileFormatError(f"{len(slices)} slices in place of one profile")
    return slices[0].profile


def _slice_out(piece: Slice) -> _Slice:
    parts = (piece.variant, piece.minute_ms, _profile_out(piece.profile))
    if piece.segment == EVERYTHING:
        return _Slice(*parts)
    return _SegmentSlice(*parts, tuple(piece.segment))


def _profile_out(profile: Profile) -> _Profile:
    return _Profile(
        profile.rows,
        profile.estimated_rows,
        profile.first_ms,
        profile.last_ms,
        {name: _column_out(column) for name, column in profile.features.items()},
        {name: _column_out(column) for name, column in profile.outputs.items()},
        profile.lost,
    )


def _profile_in(profile: _Profile) -> Profile:
    return Profile(
        rows=profile.rows,
        estimated_rows=profile.estimated_rows,
        lost=profile.lost,
        first_ms=profile.first_ms,
        last_ms=profile.last_ms,
        features={name: _column_in(column) for name, column in profile.features.items()},
        outputs={name: _column_in(column) for name, column in profile.outputs.items()},
    )


def _column_out(column: ColumnProfile) -> _Column:
    levels = column.sketch.levels
    return _Column(
        column.rows,
        column.nulls,
        column.numbers,
        column.booleans,
        column.strings,
        column.infinities,
        column.mean,
        column.square,
        column.sketch.minimum,
        column.sketch.maximum,
        tuple(map(len, levels)),
        _transposed(np.concatenate(levels)) if levels else b"",
        dict(column.counts),
        column.rest,
        column.undercount,
        column.registers.tobytes(),
    )


def _column_in(column: _Column) -> ColumnProfile:
    values = _untransposed(column.values)
    ends = np.cumsum(column.levels, dtype=int)
    if int(sum(column.levels)) != len(values):
        raise ProfileFormatError("a sketch holds another number of values than it says")
    levels = np.split(values, ends[:-1]) if column.levels else []
    return ColumnProfile(
        rows=column.rows,
        nulls=column.nulls,
        numbers=column.numbers,
        booleans=column.booleans,
        strings=column.strings,
        infinities=column.infinities,
        mean=column.mean,
        square=column.square,
        sketch=QuantileSketch(levels, column.minimum, column.maximum),
        counts=column.counts,
        rest=column.rest,
        undercount=column.undercount,
        registers=np.frombuffer(column.registers, np.uint8),
    )


def _transposed(values: Floats) -> bytes:
    return values.astype("<f8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _untransposed(data: bytes) -> Floats:
    flat = np.frombuffer(data, np.uint8).reshape(8, -1).T.tobytes()
    return np.frombuffer(flat, "<f8").astype(np.float64)
