"""How likely a distance is by chance alone: one entry for all methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelwatch.domain.statistics.distances import Method, ks_statistic
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.statistics.homogeneity import homogeneity_chance
from modelwatch.domain.statistics.kolmogorov import two_sample_sf
from modelwatch.domain.statistics.transport import transport_chances


class Chance(Protocol):
    """What chance makes of the distance of two distributions.

    ``p_value`` is how likely a distance like theirs, or a larger one, is when both are samples of
    the same distribution.
    """

    @property
    def p_value(self) -> float: ...

    def distance_at(self, level: float) -> float:
        """Return the score that chance alone passes with a probability of about ``level``."""


@dataclass(frozen=True, slots=True)
class _RankChance:
    p_value: float

    def distance_at(self, level: float) -> float:
        """Return ``level``: the score is a p-value itself."""
        return level


def chances(method: Method, pairs: Sequence[tuple[Distribution, Distribution]]) -> Sequence[Chance]:
    """Return what chance makes of the distance by ``method`` of each pair (reference, window).

    Examples
    --------
    >>> from modelwatch.domain.statistics.distances import METHODS
    >>> numbers = Distribution.of_numbers
    >>> near, far = chances(METHODS["wasserstein"], [
    ...     (numbers(range(40)), numbers(range(2, 42))),
    ...     (numbers(range(40)), numbers(range(40, 80)))])
    >>> near.p_value > 0.05, far.p_value < 1e-6
    (True, True)
    """
    if method.family == "transport":
        return transport_chances(pairs)
    if method.family == "ranks":
        return [_RankChance(_kolmogorov(*pair)) for pair in pairs]
    return [homogeneity_chance(*pair, method.name) for pair in pairs]


def _kolmogorov(reference: Distribution, window: Distribution) -> float:
    # the largest difference is just where a sketch errs most
    error = math.hypot(reference.error, window.error)
    statistic = max(0.0, ks_statistic(reference, window) - error)
    return two_sample_sf(statistic, reference.size, window.size)
