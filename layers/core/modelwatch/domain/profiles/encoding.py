"""How profiles are written down: MessagePack.

Numbers are transposed so that bytes of the same rank stand together, which compresses: doubles, or,
where all of them are decimals of few places, the differences of whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.profiles.columns import ColumnProfile
from modelwatch.domain.profiles.profile import Profile, Slice
from modelwatch.domain.profiles.quantiles import Floats, QuantileSketch
from modelwatch.domain.profiles.sample import RowSample
from modelwatch.domain.segments.keys import EVERYTHING, SegmentKey
from modelwatch.errors import ProfileFormatError

FORMAT = 3
"""Version of what `encode_slices` writes; in the first, numbers were doubles alone, and up to the
second there were no samples."""

_MOST_PLACES = 6
_NO_NUMBER = 2**16 - 1
_EXACT = 2.0**53


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
    exponent: int = 0


class _Sample(msgspec.Struct, array_like=True):
    features: tuple[int, ...]
    limit: int
    hashes: bytes
    values: bytes


class _Profile(msgspec.Struct, array_like=True):
    rows: int
    estimated_rows: float
    first_ms: int
    last_ms: int
    features: dict[str, _Column]
    outputs: dict[str, _Column]
    lost: int = 0
    sample: _Sample | None = None


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


class Head(msgspec.Struct, array_like=True, frozen=True):
    """What slices say of themselves: their format, and what they were made again by, if they were.

    Their content is left alone.
    """

    format: int
    slices: msgspec.Raw
    made_by: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Document)
_head_decoder = msgspec.msgpack.Decoder(Head)


def encode_slices(slices: Sequence[Slice], made_by: str = "") -> bytes:
    """Write slices down, with the version of the format; ``made_by`` is for `head_of`."""
    document = (FORMAT, [_slice_out(each) for each in slices])
    return _encoder.encode((*document, made_by) if made_by else document)


def head_of(data: bytes) -> Head:
    """Return what slices say of themselves; raises ProfileFormatError as `decode_slices` does."""
    try:
        return _head_decoder.decode(data)
    except UNREADABLE as error:
        raise ProfileFormatError(str(error)) from error


def decode_slices(data: bytes) -> list[Slice]:
    """Read what `encode_slices` wrote.

    Raises ProfileFormatError when it is something else, or of another version.
    """
    try:
        document = _decoder.decode(data)
        if not 1 <= document.format <= FORMAT:
            raise ProfileFormatError(f"has format {document.format}; this code reads {FORMAT}")
        return [
            Slice(
                each.variant,
                each.minute_ms,
                _profile_in(each.profile, document.format),
                SegmentKey(*each.segment),
            )
            for each in document.slices
        ]
    except (*UNREADABLE, ValueError, IndexError, TypeError) as error:
        raise ProfileFormatError(str(error)) from error


def encode_profile(profile: Profile) -> bytes:
    """Write one profile down."""
    return encode_slices([Slice("", 0, profile)])


def decode_profile(data: bytes) -> Profile:
    """Read what `encode_profile` wrote; raises as `decode_slices` does."""
    slices = decode_slices(data)
    if len(slices) != 1:
        raise ProfileFormatError(f"{len(slices)} slices, expected one profile")
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
        _sample_out(profile.sample, profile.features) if profile.sample else None,
    )


def _profile_in(profile: _Profile, written: int) -> Profile:
    features = {name: _column_in(column, written) for name, column in profile.features.items()}
    return Profile(
        rows=profile.rows,
        estimated_rows=profile.estimated_rows,
        lost=profile.lost,
        first_ms=profile.first_ms,
        last_ms=profile.last_ms,
        features=features,
        outputs={name: _column_in(column, written) for name, column in profile.outputs.items()},
        sample=_sample_in(profile.sample, features) if profile.sample else None,
    )


def _sample_out(sample: RowSample, features: Mapping[str, ColumnProfile]) -> _Sample:
    """Write a sample: of each number its place in the column's sketch, a byte or two."""
    names = list(features)
    places = np.full((len(sample.names), len(sample)), _NO_NUMBER, "<u2")
    for row, (name, values) in enumerate(zip(sample.names, sample.values.T, strict=True)):
        held = _held(features[name])
        known = np.flatnonzero(~np.isnan(values))
        if len(held) and len(known):
            order = np.argsort(held, kind="stable")
            places[row, known] = order[_nearest(held[order], values[known])]
    return _Sample(
        tuple(map(names.index, sample.names)),
        sample.limit,
        sample.hashes.astype("<u4").tobytes(),
        places.view(np.uint8).reshape(-1, 2).T.tobytes(),
    )


def _sample_in(sample: _Sample, features: Mapping[str, ColumnProfile]) -> RowSample:
    names = list(features)
    hashes = np.frombuffer(sample.hashes, "<u4").astype(np.uint32)
    flat = np.frombuffer(sample.values, np.uint8).reshape(2, -1).T.tobytes()
    places = np.frombuffer(flat, "<u2").reshape(len(sample.features), len(hashes))
    values = np.full(places.shape[::-1], np.nan)
    for row, (feature, column) in enumerate(zip(sample.features, places, strict=True)):
        known = column != _NO_NUMBER
        values[known, row] = _held(features[names[feature]])[column[known]]
    return RowSample(
        names=tuple(names[place] for place in sample.features),
        hashes=hashes,
        values=values,
        limit=sample.limit,
    )


def _held(column: ColumnProfile) -> Floats:
    """Return the values of a column's sketch, level by level."""
    levels = column.sketch.levels
    return np.concatenate(levels) if levels else np.empty(0)


def _nearest(ordered: Floats, values: Floats) -> NDArray[np.intp]:
    """Return the places of the nearest of some ascending numbers."""
    above = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    below = np.maximum(above - 1, 0)
    # halves: no difference of doubles is too large
    far = [np.abs(ordered[each] / 2 - values / 2) for each in (below, above)]
    return np.where(far[0] < far[1], below, above)


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
        _numbers_out(np.concatenate(levels)) if levels else b"",
        dict(column.counts),
        column.rest,
        column.undercount,
        column.registers.tobytes(),
        column.exponent,
    )


def _column_in(column: _Column, written: int) -> ColumnProfile:
    values = _untransposed(column.values) if written == 1 else _numbers_in(column.values)
    ends = np.cumsum(column.levels, dtype=int)
    if int(sum(column.levels)) != len(values):
        raise ProfileFormatError("a sketch does not have as many values as it says")
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
        exponent=column.exponent,
    )


def _numbers_out(values: Floats) -> bytes:
    """Write numbers: a byte that says how many decimal places they have, 255 for doubles."""
    whole = _as_whole(values)
    if whole is None:
        return b"\xff" + _transposed(values)
    places, numbers = whole
    numbers[1:] = numbers[1:] - numbers[:-1]
    return bytes([places]) + _transposed(numbers.view(np.float64))


def _numbers_in(data: bytes) -> Floats:
    if data[:1] == b"\xff" or not data:
        return _untransposed(data[1:])
    numbers = np.cumsum(_untransposed(data[1:]).view(np.int64))
    return numbers / 10.0 ** data[0]


def _as_whole(values: Floats) -> tuple[int, NDArray[np.int64]] | None:
    """Return the decimal places of all values, by a look at some, and these without the point."""
    places = max(len(f"{value!r}".partition(".")[2]) for value in values[:4].tolist())
    scale = 10.0 ** min(places, _MOST_PLACES)
    if scale == 10.0 and (np.rint(values) == values).all():
        scale = 1.0
    # finite, and no infinity comes of the product: `places` follows from the values
    if not max(-values.min(), values.max()) < _EXACT / scale:
        return None
    numbers = np.rint(values * scale).astype(np.int64)
    # bit for bit: -0.0 is another number than 0.0
    if (numbers / scale).tobytes() != values.tobytes():
        return None
    return round(math.log10(scale)), numbers


def _transposed(values: Floats) -> bytes:
    return values.astype("<f8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _untransposed(data: bytes) -> Floats:
    flat = np.frombuffer(data, np.uint8).reshape(8, -1).T.tobytes()
    return np.frombuffer(flat, "<f8").astype(np.float64)
