"""What a loss model leads to expect of an hour's errors, as sums that add up over hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwatch.domain.performance.losses import TARGETS, Floats, LossModel


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedLosses:
    """Sums over a variant's rows of an hour, from a sample of them; they add up over hours.

    Attributes
    ----------
    rows
        Predictions that are numbers.
    sampled
        Those of them that were looked at.
    sums
        By group and last of the coarse estimate: sums of `TARGETS` and of the product of the
        prediction and e; shape (groups + 1, 5).
    variances
        Of the sums of abs(e) and e^2: what remains open when the means are right; shape (2,).
    predictions
        Sums of the prediction and its square, less the model's ``origin``; shape (2,).
    known
        By feature, rows of the sample that the model can place; see `LossModel.known`.
    """

    rows: int
    sampled: int
    sums: Floats
    variances: Floats
    predictions: Floats
    known: Floats

    @classmethod
    def of(cls, model: LossModel, matrix: Floats, rows: int) -> ExpectedLosses:
        """Return the sums over ``rows`` rows, of which ``matrix`` has a uniform sample."""
        n = len(matrix)
        if not n:
            shape = (model.groups + 1, len(TARGETS) + 1)
            return cls(0, 0, np.zeros(shape), np.zeros(2), np.zeros(2), np.zeros(matrix.shape[1]))
        weight = rows / n
        fine, coarse = model.losses(matrix)
        levels = np.concatenate([fine, coarse.mean(axis=0, keepdims=True)])
        predicted = matrix[:, -1] - model.origin
        products = (levels[:, :, 2] * predicted).sum(axis=1)
        means = fine.mean(axis=0)
        squares = means[:, [1, 3]]
        # of a row around its mean, and of the rows that were drawn for the others
        noise = rows * np.maximum(squares - means[:, [0, 1]] ** 2, 0.0).mean(axis=0)
        drawn = rows**2 / n * (1 - n / rows) * means[:, [0, 1]].var(axis=0)
        return cls(
            rows,
            n,
            weight * np.column_stack([levels.sum(axis=1), products]),
            noise + drawn,
            weight * np.array([predicted.sum(), (predicted**2).sum()]),
            model.known(matrix),
        )

    def __add__(self, other: ExpectedLosses) -> ExpectedLosses:
        """Return the sums over the rows of both."""
        if self.sums.shape != other.sums.shape or self.known.shape != other.known.shape:
            # hours of a model that is no longer this one
            return self if self.rows >= other.rows else other
        return ExpectedLosses(
            self.rows + other.rows,
            self.sampled + other.sampled,
            self.sums + other.sums,
            self.variances + other.variances,
            self.predictions + other.predictions,
            self.known + other.known,
        )
