"""The two-sample Kolmogorov-Smirnov test, in numpy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from modelwatch.domain.statistics.distributions import Distribution, Pair, cdf_differences
from modelwatch.domain.statistics.significance import PValue
from modelwatch.domain.statistics.special import log_factorial

EXACT_SIZE = 10_000
"""Up to this size of the larger sample the probability is exact; scipy has the same limit."""


def ks(reference: Distribution, window: Distribution) -> float:
    """Return the p-value of the two-sample Kolmogorov-Smirnov test."""
    return two_sample_sf(ks_statistic(reference, window), reference.size, window.size)


def ks_statistic(reference: Distribution, window: Distribution) -> float:
    """Return the largest difference between the two cumulative distribution functions.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> ks_statistic(numbers([1.0, 2.0]), numbers([2.0, 3.0]))
    0.5
    """
    _, differences = cdf_differences(reference, window)
    return float(np.abs(differences).max()) if len(differences) else 0.0


def ks_chances(pairs: Sequence[Pair]) -> list[PValue]:
    """Return what chance makes of the test's p-value: itself, less what a sketch's error may be."""
    found = []
    for reference, window in pairs:
        # the largest difference is just where a sketch errs most
        error = math.hypot(reference.error, window.error)
        statistic = max(0.0, ks_statistic(reference, window) - error)
        found.append(PValue(two_sample_sf(statistic, reference.size, window.size)))
    return found


@lru_cache(maxsize=4096)
def two_sample_sf(statistic: float, first: int, second: int) -> float:
    """Return how likely a difference of ``statistic`` or more is between two empirical cdfs.

    Both samples, of ``first`` and ``second`` values, come from the same continuous distribution;
    ties make the truth smaller.

    Exact by Hodges' recursion (*The significance probability of the Smirnov two-sample test*,
    1958), for large samples that of one sample of ``first * second / (first + second)``, as scipy.

    Examples
    --------
    >>> round(two_sample_sf(1.0, 5, 5), 6)
    0.007937
    """
    common = math.lcm(first, second)
    steps = round(statistic * common)
    if steps <= 0:
        return 1.0
    if max(first, second) > EXACT_SIZE:
        return one_sample_sf(statistic, max(1, round(first * second / (first + second))))
    if first == second:
        return min(1.0, _outside_square(first, steps))
    return min(1.0, _outside(max(first, second), min(first, second), steps))


def one_sample_sf(statistic: float, size: int) -> float:
    """Return how likely a sample's cdf is ``statistic`` or more from the true one.

    Twice the one-sided probability (Birnbaum and Tingey 1951) where both sides hardly ever
    happen at once, else the series of Pelz and Good (1976): as recommended by Simard and L'Ecuyer,
    *Computing the Two-Sided Kolmogorov-Smirnov Distribution* (2011).
    """
    if statistic >= 1.0:
        return 0.0
    if size * statistic <= 0.5:
        return 1.0
    if size * statistic**2 >= 2.2 or statistic >= 0.5:
        return min(1.0, 2.0 * _one_sided_sf(statistic, size))
    return min(1.0, max(0.0, 1.0 - _pelz_good(size, statistic)))


def _one_sided_sf(statistic: float, size: int) -> float:
    if size > 100_000:
        return math.exp(-((6.0 * size * statistic + 1.0) ** 2) / (18.0 * size))
    k = np.arange(math.floor(size * (1.0 - statistic)) + 1.0)
    after = 1.0 - statistic - k / size
    k, after = k[after > 0], after[after > 0]
    logs = (
        log_factorial(np.array([float(size)]))
        - log_factorial(k)
        - log_factorial(size - k)
        + (k - 1.0) * np.log(statistic + k / size)
        + (size - k) * np.log(after)
    )
    return float(np.exp(logs + math.log(statistic)).sum())


def _outside_square(size: int, steps: int) -> float:
    """Gnedenko and Korolyuk's closed form for samples of equal ``size``, by Horner's scheme."""
    probability = 0.0
    indexes = np.arange(steps, dtype=np.float64)
    for k in range(size // steps, -1, -1):
        factor = np.prod((size - k * steps - indexes) / (size + k * steps + indexes + 1.0))
        probability = float(factor) * (1.0 - probability)
    return 2.0 * probability


def _outside(larger: int, smaller: int, steps: int) -> float:
    """Return the share of lattice paths that leave the band, by one diagonal after the other."""
    divisor = math.gcd(larger, smaller)
    a, b = larger // divisor, smaller // divisor
    # the chance that a path has left the band when it has j of the smaller sample behind it
    chance = np.zeros(smaller + 1)
    for step in range(1, larger + smaller + 1):
        # outside is |b * i - a * j| >= steps, with i = step - j of the larger sample
        low = max(0, step - larger, math.floor((b * step - steps) / (a + b)) + 1)
        high = min(smaller, step, math.ceil((b * step + steps) / (a + b)) - 1)
        if high < low:
            return 1.0
        j = np.arange(low, high + 1)
        before = chance[j - 1] if low else np.concatenate([[0.0], chance[:high]])
        inside = ((step - j) * chance[j] + j * before) / step
        if low:
            chance[low - 1] = 1.0
        if high < smaller:
            chance[high + 1] = 1.0
        chance[low : high + 1] = inside
    return float(chance[smaller])


def _pelz_good(size: int, statistic: float) -> float:
    z = math.sqrt(size) * statistic
    q = -(math.pi**2) / 8 / z**2
    if q < -700:
        return 0.0
    pi2, z2, z4, z6 = math.pi**2, z**2, z**4, z**6
    odd = 2.0 * np.arange(1, math.ceil(16 * z / math.pi) + 1) - 1.0
    odd2 = odd**2
    decay = np.exp(q * odd2)
    whole2 = np.arange(1.0, len(odd) + 1) ** 2
    slow = np.exp(-pi2 / 2 / z2 * whole2)
    k0 = decay.sum() / z
    k1 = ((-z2 + pi2 / 4 * odd2) * decay).sum() / (6 * z4)
    k2 = (
        (
            6 * z6 + 2 * z4
            + (2 * z4 - 5 * z2) * pi2 / 4 * odd2
            + pi2**2 * (1 - 2 * z2) / 16 * odd2**2
        )
        * decay
    ).sum() / (72 * z**7) - (whole2 * slow).sum() * pi2 / (36 * z**3)  # fmt: skip
    k3 = (
        (
            -30 * z6 - 90 * z**8
            + pi2 * (135 * z4 - 96 * z6) / 4 * odd2
            + pi2**2 * (-60 * z2 + 212 * z4) / 16 * odd2**2
            + pi2**3 * (5 - 30 * z2) / 64 * odd2**3
        )
        * decay
    ).sum() / (6480 * z**10) + (
        (3 * z2 - pi2 * whole2) * whole2 * slow
    ).sum() * pi2 / (216 * z6)  # fmt: skip
    terms = (k0, k1 / math.sqrt(size), k2 / size, k3 / size**1.5)
    return math.sqrt(2 * math.pi) * float(sum(terms))
