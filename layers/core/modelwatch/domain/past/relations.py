"""Relations between two columns: rank correlations from a sample of rows, beside those of the past.

A join that shuffles a column, two columns that are swapped in some rows, a unit that is right for a
part of the rows: no single column shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from modelwatch.domain.past.scores import FEWEST, margin_of
from modelwatch.domain.profiles import RowSample
from modelwatch.domain.statistics.distributions import Floats

MOST_PAIRS = 8
"""So many relations of a reference are watched: its strongest."""

LEAST_RELATION = 0.3
"""A rank correlation of the reference that makes a relation."""

THRESHOLD = 0.2
"""The practical one: by so much a rank correlation has to change."""

FEWEST_ROWS = 30
"""Rows of a sample that have both values; fewer say nothing."""

_FIELLER = 1.06
_BY_CHANCE = 4.0

type Pair = tuple[str, str]
type Relations = Mapping[Pair, tuple[float, int]]
"""By pair of columns the rank correlation, and of how many rows it is."""

NO_RELATIONS: Relations = MappingProxyType({})


class RelationPast(msgspec.Struct, frozen=True, array_like=True):
    """What the past says of a relation.

    Attributes
    ----------
    pair
        Its columns.
    before
        The rank correlation of the windows just before; None where there is none.
    rows
        How many rows' correlation is as exact.
    critical
        By how much more than chance a window has to differ from it; None where that is not known.
    """

    pair: Pair
    before: float | None
    rows: float
    critical: float | None

    @property
    def is_known(self) -> bool:
        """Whether a window can be compared with it."""
        return self.before is not None and self.critical is not None


def strongest(sample: RowSample | None) -> tuple[Pair, ...]:
    """Return the strongest relations of a reference: none of a column that most rows lack.

    Examples
    --------
    >>> from modelwatch.domain.profiles.sample import sample_of
    >>> rng = np.random.default_rng(1)
    >>> x, z = rng.normal(size=(2, 100))
    >>> rows = {"x": x, "twice": 2 * x, "alone": z, "constant": np.ones(100)}
    >>> strongest(sample_of(rows.items(), np.arange(100, dtype=np.uint64), 100))
    (('x', 'twice'),)
    """
    if sample is None or len(sample) < FEWEST_ROWS:
        return ()
    centred = np.zeros(sample.values.shape)
    for place in range(len(sample.names)):
        values = sample.values[:, place]
        known = ~np.isnan(values)
        if 2 * known.sum() >= len(sample):
            centred[known, place] = _centred_ranks(values[known])
    lengths = np.sqrt(np.square(centred).sum(axis=0))
    centred /= np.where(lengths > 0, lengths, 1.0)
    # a product of matrices rounds as its library does: what follows must not depend on it
    found = np.round(np.abs(np.einsum("ij,ik->jk", centred, centred)), 6)
    pairs = [
        (-float(found[one, other]), one, other)
        for one, other in zip(*np.triu_indices(len(sample.names), 1), strict=True)
        if found[one, other] >= LEAST_RELATION
    ]
    return tuple(
        (sample.names[one], sample.names[other]) for _, one, other in sorted(pairs)[:MOST_PAIRS]
    )


def relations_of(sample: RowSample | None, pairs: Sequence[Pair]) -> Relations:
    """Return the relations of a window; of pairs alone that enough rows of the sample have."""
    found: dict[Pair, tuple[float, int]] = {}
    if sample is None:
        return found
    for pair in pairs:
        one, other = map(sample.column, pair)
        both = ~(np.isnan(one) | np.isnan(other))
        rows = int(both.sum())
        if rows < FEWEST_ROWS:
            continue
        ranks = _centred_ranks(one[both]), _centred_ranks(other[both])
        lengths = math.sqrt(float(np.square(ranks[0]).sum()) * float(np.square(ranks[1]).sum()))
        if lengths:
            found[pair] = (round(float((ranks[0] * ranks[1]).sum()) / lengths, 6), rows)
    return found


def as_arrays(relations: Relations, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """Return the rank correlations of pairs, NaN where there is none, and their rows."""
    found = [relations.get(pair, (np.nan, 0)) for pair in pairs]
    return np.array([each[0] for each in found]), np.array([float(each[1]) for each in found])


def explained(before: Floats, rows: Floats) -> Floats:
    """Return how far a rank correlation of so many rows goes by chance: four standard errors.

    So windows of few rows do not say how far relations go.
    """
    error = (1 - np.square(before)) * np.sqrt(_FIELLER / np.maximum(rows - 3, 1.0))
    return np.asarray(_BY_CHANCE * error)


def large_breaks(past: Floats) -> Floats:
    """Return how far relations go in the past; inf where too few windows say it.

    Parameters
    ----------
    past
        By window and pair, by how much more they changed than `explained`; NaN is no relation.
    """
    count = np.isfinite(past).sum(axis=0)
    largest = np.where(np.isfinite(past), past, 0.0).max(axis=0, initial=0.0)
    return np.where(count >= FEWEST, largest * margin_of(np.maximum(count, 1)), np.inf)


def words_of_break(other: str, correlation: float, before: float) -> str:
    """Return what a broken relation says of one of its columns.

    Examples
    --------
    >>> words_of_break("humidity", 0.021, -0.55)
    'relation to humidity: rank correlation 0.02, -0.55 before'
    """
    return f"relation to {other}: rank correlation {correlation:.2f}, {before:.2f} before"


def chance_of(correlation: float, rows: int, before: float, rows_before: float) -> float:
    """Return how likely two samples of one relation differ so much.

    By Fisher's transformation of rank correlations: Fieller, Hartley, Pearson, *Tests for rank
    correlation coefficients*, Biometrika 44 (1957) 470.
    """
    far = abs(math.atanh(_inside(correlation)) - math.atanh(_inside(before)))
    variance = _FIELLER / (rows - 3) + _FIELLER / max(rows_before - 3, 1.0)
    return math.erfc(far / math.sqrt(2 * variance))


def _centred_ranks(values: Floats) -> Floats:
    """Return the ranks of values, the mean of those that are equal, less the mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places] - (len(values) + 1) / 2)


def _inside(correlation: float) -> float:
    return min(max(correlation, -0.9999), 0.9999)
