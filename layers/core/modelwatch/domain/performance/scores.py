"""Histograms of probabilities: mergeable, fine where probabilities are near 0 and 1.

The axis is the logit, ``log(p / (1 - p))``, cut into `FINE_BINS` equal bins between -`LOGIT_LIMIT`
and `LOGIT_LIMIT` and one open bin at each end: ranks of rare classes, whose probabilities crowd
near 0, survive. A histogram holds only the bins that are not empty, and when these are more than
`MAX_BINS`, it joins neighbours, two and two: a few thousand rows are kept one by one, and of
millions the bins in the middle are 0.0025 wide, those near 0 or 1 a hundredth of what is left to
the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bins = npt.NDArray[np.int32]

LOGIT_LIMIT = 20.48
FINE_BINS = 2**20
MAX_BINS = 4096

COARSE_LEVEL = 12
"""Level (256 bins) of what is only averaged over: mean probabilities are kept beside counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Sums by bin.

    Attributes
    ----------
    level
        How often neighbours were joined: there are ``FINE_BINS >> level`` bins.
    bins
        Numbers of the bins that are not empty, rising; shape (b,).
    sums
        What was summed in them, one row a quantity; shape (q, b).
    """

    level: int
    bins: Bins
    sums: Floats

    @classmethod
    def of(cls, bins: Bins, *quantities: npt.ArrayLike, level: int = 0) -> Histogram:
        """Return the sums of ``quantities``, one value a row each, by the rows' `bins_of`.

        ``level`` is the lowest that it may have.
        """
        sums = np.stack([np.asarray(quantity, np.float64) for quantity in quantities])
        return cls(level, *_summed(_joined(bins, level), sums))._within_limit()

    def at(self, level: int) -> Histogram:
        """Return the same at a level that is not lower."""
        if level == self.level:
            return self
        return Histogram(level, *_summed(_joined(self.bins, level - self.level), self.sums))

    def _within_limit(self) -> Histogram:
        histogram = self
        while len(histogram.bins) > MAX_BINS:
            histogram = histogram.at(histogram.level + 1)
        return histogram


def merge_histograms(histograms: Sequence[Histogram]) -> Histogram:
    """Return the histogram of all that went into ``histograms``, whatever their order.

    Examples
    --------
    >>> one = Histogram.of(np.array([7, 3, 7], np.int32), [1, 1, 1])
    >>> merged = merge_histograms([one, one])
    >>> merged.bins.tolist(), merged.sums.tolist()
    ([3, 7], [[2.0, 4.0]])
    """
    level = max(each.level for each in histograms)
    alike = [each.at(level) for each in histograms]
    bins = np.concatenate([each.bins for each in alike])
    sums = np.concatenate([each.sums for each in alike], axis=1)
    return Histogram(level, *_summed(bins, sums))._within_limit()


def bins_of(probabilities: npt.ArrayLike) -> Bins:
    """Return the bin of each probability at level 0; values outside 0 to 1 are clipped.

    Examples
    --------
    >>> bins_of([0, 1e-12, 0.5, 1]).tolist()
    [0, 0, 524289, 1048577]
    """
    p = np.clip(np.asarray(probabilities, np.float64), 0.0, 1.0)
    with np.errstate(divide="ignore"):
        logit = np.log(p) - np.log1p(-p)
    scaled = (np.clip(logit, -2 * LOGIT_LIMIT, 2 * LOGIT_LIMIT) / LOGIT_LIMIT + 1) / 2 * FINE_BINS
    bins: Bins = np.clip(np.floor(scaled) + 1, 0, FINE_BINS + 1).astype(np.int32)
    return bins


@dataclass(frozen=True, slots=True)
class RocAuc:
    """Area under the receiver operating characteristic.

    Attributes
    ----------
    value
        The area; ties, and what shares a bin, count half.
    error
        Standard error of it, by DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988, 837).
    rounding
        The area of the rows themselves differs from that of their bins by at most this.
    """

    value: float
    error: float
    rounding: float


def roc_auc(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> RocAuc | None:
    """Return the area from counts by rising score; None without positives or negatives.

    Parameters
    ----------
    positives, negatives
        Weight of the rows that are of the class, and of those that are not, by bin; shape (b,).

    Examples
    --------
    >>> round(roc_auc([0, 1, 1], [2, 1, 0]).value, 4)
    0.9167
    """
    of_class = np.asarray(positives, np.float64)
    others = np.asarray(negatives, np.float64)
    m, n = float(of_class.sum()), float(others.sum())
    if m <= 0 or n <= 0:
        return None
    # of a positive in a bin: the share of the negatives that it is ahead of, and the reverse
    ahead = (np.cumsum(others) - others / 2) / n
    behind = 1 - (np.cumsum(of_class) - of_class / 2) / m
    area = float(of_class @ ahead / m)
    spread = float(of_class @ (ahead - area) ** 2 / max(m - 1, 1) / m)
    spread += float(others @ (behind - area) ** 2 / max(n - 1, 1) / n)
    return RocAuc(area, float(np.sqrt(spread)), float(of_class @ others / m / n / 2))


def roc_auc_slopes(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> Floats:
    """Return how fast the area grows when a row of a bin becomes one of the class; shape (b,).

    Examples
    --------
    >>> roc_auc_slopes([1, 1], [1, 1]).round(3).tolist()
    [-0.25, 0.25]
    """
    of_class = np.asarray(positives, np.float64)
    others = np.asarray(negatives, np.float64)
    m, n = float(of_class.sum()), float(others.sum())
    if m <= 0 or n <= 0:
        return np.zeros(len(of_class))
    ahead = (np.cumsum(others) - others / 2) / n
    behind = 1 - (np.cumsum(of_class) - of_class / 2) / m
    area = float(of_class @ ahead / m)
    return np.asarray((ahead - area) / m - (behind - area) / n)


def _joined(bins: Bins, levels: int) -> Bins:
    # the bins between the two open ones are counted from 1
    return ((bins - 1) >> levels) + 1


def _summed(bins: Bins, sums: Floats) -> tuple[Bins, Floats]:
    found, place = np.unique(bins, return_inverse=True)
    summed = np.stack([np.bincount(place, row, len(found)) for row in sums])
    return found.astype(np.int32), summed
