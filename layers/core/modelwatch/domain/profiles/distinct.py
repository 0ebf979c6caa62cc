"""How many different values there are: HyperLogLog.

Flajolet et al., *HyperLogLog* (AofA 2007), with the estimator of Ertl, *New cardinality estimation
algorithms for HyperLogLog sketches* (arXiv:1702.01284), which needs no table and no case of its
own for few values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.profiles.hashes import Hashes

Registers = NDArray[np.uint8]

_BITS = 10
_REGISTERS = 1 << _BITS
_REST = 64 - _BITS

RELATIVE_ERROR = 1.04 / math.sqrt(_REGISTERS)
"""Standard deviation of the estimate, relative: 3.25 %."""


def registers_of(hashes: Hashes) -> Registers:
    """Return the registers (1024 of uint8) after values with these uniform 64-bit hashes."""
    return registers_of_rows(hashes[None, :])[0]


def registers_of_rows(hashes: NDArray[np.uint64]) -> list[Registers]:
    """Return the registers of each row of ``hashes``; see `registers_of`."""
    rest = hashes & np.uint64((1 << _REST) - 1)
    # 54 bits do not fit a double; what the lowest one would show is never seen
    _, exponents = np.frexp((rest >> np.uint64(1)).astype(np.float64))
    lengths = (_REST - exponents).astype(np.uint8)
    starts = np.arange(len(hashes), dtype=np.uint64)[:, None] << np.uint64(_BITS)
    registers = np.zeros(len(hashes) * _REGISTERS, np.uint8)
    np.maximum.at(registers, ((hashes >> np.uint64(_REST)) + starts).ravel(), lengths.ravel())
    return list(registers.reshape(-1, _REGISTERS))


def distinct_estimate(registers: Registers) -> float:
    """Return how many different values the registers have seen."""
    longest = _REST + 1
    counts = np.bincount(registers, minlength=longest + 1).astype(float)
    total = _REGISTERS * _tau(1 - counts[longest] / _REGISTERS)
    for length in range(longest - 1, 0, -1):
        total = 0.5 * (total + counts[length])
    total += _REGISTERS * _sigma(counts[0] / _REGISTERS)
    return 0.0 if math.isinf(total) else _REGISTERS**2 / (2 * math.log(2)) / total


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, total = 1.0, x
    while True:
        x *= x
        before = total
        total += x * y
        y += y
        if total == before:
            return total


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, total = 1.0, 1 - x
    while True:
        x = math.sqrt(x)
        before = total
        y *= 0.5
        total -= (1 - x) ** 2 * y
        if total == before:
            return total / 3
