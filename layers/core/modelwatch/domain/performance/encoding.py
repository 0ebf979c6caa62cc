"""Performance profiles as bytes, with what they were made from."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime

import msgspec
import numpy as np

from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.performance.expected import ExpectedLosses
from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.performance.residuals import Residuals
from modelwatch.domain.performance.scores import Histogram
from modelwatch.errors import ProfileFormatError

FORMAT = 1


class HourPerformance(msgspec.Struct, frozen=True):
    """The performance of a version in one hour.

    Attributes
    ----------
    variants
        Profile by the alias under which it served.
    captures, labels
        Digests of the names of the objects that it was made from.
    label_hours
        Hours whose labels these are: that of the predictions, and others that follow from the ids
        of predictions at its edges.
    made_ms
        When, in milliseconds since 1970.
    classes
        The class of each probability; empty where nothing in this hour showed it.
    """

    variants: Mapping[str, PerformanceProfile]
    captures: str
    labels: str
    label_hours: tuple[datetime, ...]
    made_ms: int = 0
    classes: tuple[str, ...] = ()


class LabelledHour(msgspec.Struct, frozen=True):
    """The labels of one hour: how many, how many of no captured prediction, from what, and when."""

    labels: int
    unknown: int
    made_from: str
    made_ms: int = 0


class _Bins(msgspec.Struct, array_like=True):
    key: tuple[str, ...]
    level: int
    quantities: int
    bins: bytes
    sums: bytes


class _Losses(msgspec.Struct, array_like=True):
    rows: int
    sampled: int
    sums: list[tuple[float, float, float, float, float]]
    variances: tuple[float, float]
    predictions: tuple[float, float]
    known: list[float]


class _Profile(msgspec.Struct, array_like=True):
    counts: tuple[int, int, int, int, int, int, int]
    confusion: list[tuple[str, str, int]] | None
    pairs: int
    residuals: tuple[float, ...]
    log_loss: tuple[float, float, float]
    scores: list[_Bins]
    expected: list[_Bins]
    losses: _Losses | None = None


class _Hour(msgspec.Struct, array_like=True):
    format: int
    captures: str
    labels: str
    label_hours: list[datetime]
    made_ms: int
    classes: list[str]
    variants: dict[str, _Profile]


_decoder = msgspec.msgpack.Decoder(_Hour)


def encode_hour(hour: HourPerformance) -> bytes:
    """Return ``hour`` as bytes: compressed MessagePack of `FORMAT`."""
    variants = {name: _packed(profile) for name, profile in hour.variants.items()}
    packed = _Hour(
        FORMAT,
        hour.captures,
        hour.labels,
        list(hour.label_hours),
        hour.made_ms,
        list(hour.classes),
        variants,
    )
    return zlib.compress(msgspec.msgpack.encode(packed))


def decode_hour(payload: bytes) -> HourPerformance:
    """Return what `encode_hour` was given.

    Raises ProfileFormatError when it is something else, or of another format.
    """
    try:
        packed = _decoder.decode(zlib.decompress(payload))
        if packed.format != FORMAT:
            raise ProfileFormatError(
                f"the performance profile has format {packed.format}; this code reads {FORMAT}"
            )
        variants = {name: _unpacked(profile) for name, profile in packed.variants.items()}
    except (zlib.error, *UNREADABLE, ValueError) as error:
        raise ProfileFormatError(f"no performance profile: {error}") from error
    return HourPerformance(
        variants,
        packed.captures,
        packed.labels,
        tuple(packed.label_hours),
        packed.made_ms,
        tuple(packed.classes),
    )


def _packed(profile: PerformanceProfile) -> _Profile:
    residuals = profile.residuals
    confusion = profile.confusion
    return _Profile(
        (
            profile.records,
            profile.labelled,
            profile.comparable,
            profile.correct,
            profile.texts,
            profile.probabilities,
            profile.unscored,
        ),
        None if confusion is None else [(*pair, n) for pair, n in sorted(confusion.items())],
        residuals.n,
        (
            residuals.origin,
            *residuals.labels.tolist(),
            *residuals.squares.tolist(),
            residuals.absolute,
            residuals.signed,
            residuals.fourths,
        ),
        tuple(profile.log_loss.tolist()),
        [_bins((name,), histogram) for name, histogram in sorted(profile.scores.items())],
        [_bins(pair, histogram) for pair, histogram in sorted(profile.expected.items())],
        None if profile.losses is None else _losses(profile.losses),
    )


def _unpacked(packed: _Profile) -> PerformanceProfile:
    records, labelled, comparable, correct, texts, probabilities, unscored = packed.counts
    numbers = np.array(packed.residuals, np.float64)
    absolute, signed, fourths = numbers[9:].tolist()
    confusion = packed.confusion
    return PerformanceProfile(
        records=records,
        labelled=labelled,
        comparable=comparable,
        correct=correct,
        confusion=None if confusion is None else {(p, a): n for p, a, n in confusion},
        texts=texts,
        residuals=Residuals(
            packed.pairs,
            float(numbers[0]),
            numbers[1:6],
            numbers[6:9],
            absolute,
            signed,
            fourths,
        ),
        probabilities=probabilities,
        log_loss=np.array(packed.log_loss),
        unscored=unscored,
        scores={each.key[0]: _histogram(each) for each in packed.scores},
        expected={(each.key[0], each.key[1]): _histogram(each) for each in packed.expected},
        losses=None if packed.losses is None else _expected(packed.losses),
    )


def _losses(losses: ExpectedLosses) -> _Losses:
    return _Losses(
        losses.rows,
        losses.sampled,
        losses.sums.tolist(),
        tuple(losses.variances.tolist()),
        tuple(losses.predictions.tolist()),
        losses.known.tolist(),
    )


def _expected(packed: _Losses) -> ExpectedLosses:
    return ExpectedLosses(
        packed.rows,
        packed.sampled,
        np.array(packed.sums, np.float64).reshape(-1, 5),
        np.array(packed.variances, np.float64),
        np.array(packed.predictions, np.float64),
        np.array(packed.known, np.float64),
    )


def _bins(key: tuple[str, ...], histogram: Histogram) -> _Bins:
    return _Bins(
        key,
        histogram.level,
        len(histogram.sums),
        histogram.bins.astype("<i4").tobytes(),
        histogram.sums.astype("<f8").tobytes(),
    )


def _histogram(packed: _Bins) -> Histogram:
    bins = np.frombuffer(packed.bins, "<i4").astype(np.int32)
    sums = np.frombuffer(packed.sums, "<f8").astype(np.float64)
    return Histogram(packed.level, bins, sums.reshape(packed.quantities, len(bins)))
