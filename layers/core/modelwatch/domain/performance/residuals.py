"""Sums over predicted numbers and what was true, from which every regression metric follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Mergeable sums over pairs of a true number y and an error e = predicted - y.

    Powers of y are taken around an origin near its mean, since sums of raw powers would cancel.

    Attributes
    ----------
    n
        Number of pairs.
    origin
        What is subtracted of y below.
    labels
        Sums of (y - origin)^k for k = 0 to 4; shape (5,).
    squares
        Sums of e^2 (y - origin)^k for k = 0 to 2; shape (3,).
    absolute, signed, fourths
        Sums of abs(e), e and e^4.
    """

    n: int
    origin: float
    labels: Floats
    squares: Floats
    absolute: float
    signed: float
    fourths: float

    @classmethod
    def of(cls, predicted: npt.ArrayLike, actual: npt.ArrayLike) -> Residuals:
        """Return the sums over pairs of finite numbers; two arrays of shape (n,)."""
        y = np.asarray(actual, np.float64)
        e = np.asarray(predicted, np.float64) - y
        origin = float(y.mean()) if len(y) else 0.0
        z = y - origin
        return cls(
            len(y),
            origin,
            np.array([float((z**k).sum()) for k in range(5)]),
            np.array([float((e**2 * z**k).sum()) for k in range(3)]),
            float(np.abs(e).sum()),
            float(e.sum()),
            float((e**4).sum()),
        )

    def around(self, origin: float) -> Residuals:
        """Return the same sums around another origin, by the binomial theorem."""
        shift = self.origin - origin

        def moved(sums: Floats) -> Floats:
            return np.array(
                [
                    sum(math.comb(k, j) * sums[j] * shift ** (k - j) for j in range(k + 1))
                    for k in range(len(sums))
                ]
            )

        return Residuals(
            self.n,
            origin,
            moved(self.labels),
            moved(self.squares),
            self.absolute,
            self.signed,
            self.fourths,
        )

    def __add__(self, other: Residuals) -> Residuals:
        """Return the sums over the pairs of both."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        mean = (self.mean * self.n + other.mean * other.n) / n
        one, two = self.around(mean), other.around(mean)
        return Residuals(
            n,
            mean,
            one.labels + two.labels,
            one.squares + two.squares,
            one.absolute + two.absolute,
            one.signed + two.signed,
            one.fourths + two.fourths,
        )

    @property
    def mean(self) -> float:
        """Mean of the true numbers; 0 of none."""
        return self.origin + float(self.labels[1]) / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Variance of the true numbers, with n in the denominator; 0 of none."""
        if not self.n:
            return 0.0
        first, second = self.labels[1:3] / self.n
        return max(float(second - first**2), 0.0)


NO_RESIDUALS = Residuals(0, 0.0, np.zeros(5), np.zeros(3), 0.0, 0.0, 0.0)
