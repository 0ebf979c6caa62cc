"""What chance makes of a distance over cells: the test that two samples fill them alike.

Jensen-Shannon, PSI, Kullback-Leibler and Hellinger are, for small differences, one statistic in
different units: Pearson's chi-square (for PSI: Yurdakul, *Statistical properties of the population
stability index*, 2018). Where cells hold few values, Pearson's statistic and the likelihood ratio
err to different sides, so the smaller of them counts. Cells with few values join to groups of at
least five expected ones; those that hardly have any are counted together, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from modelwatch.domain.statistics.cells import Cells, cells_of
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.statistics.significance import Chance, NullDistribution, PValue
from modelwatch.domain.statistics.special import chi_square_isf, chi_square_sf, log_factorial

FEWEST_EXPECTED = 5.0
"""So many values a group of cells is expected to have in the smaller sample."""

RARE = 1.0
"""Cells that are expected to have fewer values than this are the rare ones."""

CELL_ERROR = 0.25
"""Shares of cells count as different from this share of the sketches' error on (as by `CLIP`)."""

_SEED = 1


@dataclass(frozen=True, slots=True)
class CellChance:
    """What chance makes of a distance over cells; ``score_of`` is as for `cell_chances`."""

    p_value: float
    freedom: int
    effective: float
    score_of: Callable[[float], float]

    def score_at(self, level: float) -> float:
        """Return the distance that chance exceeds with a probability of about ``level``."""
        return self.score_of(chi_square_isf(level, self.freedom) / self.effective)


def cell_chances(score_of: Callable[[float], float] | None = None) -> NullDistribution:
    """Return the null distribution of a method that compares cells.

    Parameters
    ----------
    score_of
        What the method gives for small differences, by chi-square per effective row; None for a
        method whose score is a p-value.

    Examples
    --------
    >>> counts = Distribution.of_counts
    >>> pair = counts({"red": 50, "white": 50}), counts({"red": 70, "white": 30})
    >>> (chance,) = cell_chances(lambda x: math.sqrt(x / 8))([pair])
    >>> round(chance.p_value, 4), round(chance.score_at(0.01), 2)
    (0.0039, 0.13)
    """
    return lambda pairs: [_chance(*pair, score_of) for pair in pairs]


def _chance(
    reference: Distribution, window: Distribution, score_of: Callable[[float], float] | None
) -> Chance:
    cells = cells_of(reference, window)
    if reference.rest or window.rest:
        cells = _with_rest(cells, reference, window)
    sizes = (float(cells.reference.sum()), float(cells.window.sum()))
    error = CELL_ERROR * 2 * math.hypot(reference.error, window.error)
    smaller = min(sizes) / sum(sizes)
    expected = smaller * (cells.reference + cells.window)
    rare = expected < RARE
    if reference.kind == "categorical":
        # categories come by their rows in the reference: in this order, groups of equally frequent
        # ones would be of those that it has by luck, and of those that the window has
        mixed = np.random.default_rng(_SEED).permutation(len(expected))
        order = mixed[np.argsort(-expected[mixed], kind="stable")]
        cells, expected = Cells(cells.reference[order], cells.window[order]), expected[order]
        rare = rare[order]
    old, new = _grouped(cells.reference[~rare], cells.window[~rare], expected[~rare])
    p_value = chi_square_sf(_smaller_statistic(old, new, error), len(old) - 1)
    in_rare = (float(cells.reference[rare].sum()), float(cells.window[rare].sum()))
    if sum(in_rare) and not error:
        by_rare = _binomial_two_sided(in_rare[1], sum(in_rare), sizes[1] / sum(sizes))
        p_value = min(1.0, 2 * min(p_value, by_rare))
    effective = sizes[0] * sizes[1] / sum(sizes)
    if score_of is None:
        return PValue(p_value)
    return CellChance(p_value, max(len(old) - 1, 1), effective, score_of)


def _with_rest(cells: Cells, reference: Distribution, window: Distribution) -> Cells:
    """Join categories to the uncounted rows, the last cell, that may be counted by luck alone.

    Of many rare categories a side counts those that came more often than the others there, and
    they come less often elsewhere. So those stay apart that, by their rows of both sides, both
    sides count but for three deviations of chance.
    """
    both = cells.reference + cells.window
    part = window.size / (reference.size + window.size)
    chance = 3 * np.sqrt(both * part * (1 - part))
    stay = both * (1 - part) - chance > reference.error * reference.size
    if window.rest:
        stay &= both * part - chance > window.error * window.size
    stay[-1] = False
    old, new = (
        np.append(side[stay], side[~stay].sum()) for side in (cells.reference, cells.window)
    )
    return Cells(old, new)


def _grouped(old: Floats, new: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Join neighbours until each group has enough; what is left at the end joins the last one."""
    starts: list[int] = []
    together = FEWEST_EXPECTED
    for index, one in enumerate(expected):
        if together >= FEWEST_EXPECTED:
            starts.append(index)
            together = 0.0
        together += float(one)
    if together < FEWEST_EXPECTED and len(starts) > 1:
        starts.pop()
    if not starts:
        return np.empty(0), np.empty(0)
    return np.add.reduceat(old, starts), np.add.reduceat(new, starts)


def _smaller_statistic(old: Floats, new: Floats, error: float) -> float:
    """Return Pearson's statistic or the likelihood ratio's, less what a sketch's error may be."""
    first, second = float(old.sum()), float(new.sum())
    if not first or not second:
        return 0.0
    pooled = (old + new) / (first + second)
    difference = new / second - old / first
    difference = np.sign(difference) * np.maximum(np.abs(difference) - error, 0.0)
    pearson = float(np.sum(difference**2 / pooled)) * first * second / (first + second)
    shifted = (
        pooled - difference * second / (first + second),
        pooled + difference * first / (first + second),
    )
    likelihood = 2 * sum(
        size * float(np.sum(_x_log_x(share / pooled) * pooled))
        for size, share in zip((first, second), shifted, strict=True)
    )
    return min(pearson, likelihood)


def _x_log_x(x: Floats) -> Floats:
    positive = np.maximum(x, 1e-300)
    return np.where(x > 0, x * np.log(positive), 0.0)


def _binomial_two_sided(count: float, trials: float, share: float) -> float:
    """Return twice the smaller tail of a binomial ``count``, as a split of rare values has it."""
    k = np.arange(trials + 1.0)
    logs = (
        float(log_factorial(np.array([trials]))[0]) - log_factorial(k) - log_factorial(trials - k)
        + k * math.log(share) + (trials - k) * math.log1p(-share)
    )  # fmt: skip
    chances = np.exp(logs)
    whole = round(count)
    tails = float(chances[whole:].sum()), float(chances[: whole + 1].sum())
    return min(1.0, 2 * min(tails))
