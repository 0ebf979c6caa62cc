"""Many columns of numbers profiled at once: the same profiles, with a loop over no column."""

from __future__ import annotations

import numpy as np

from modelwatch.domain.profiles.columns import ColumnProfile, is_plain, number_column
from modelwatch.domain.profiles.distinct import registers_of_rows
from modelwatch.domain.profiles.hashes import hash_numbers
from modelwatch.domain.profiles.quantiles import Floats, QuantileSketch


def number_columns(matrix: Floats) -> list[ColumnProfile]:
    """Profile each row of ``matrix`` as `number_column` does.

    Parameters
    ----------
    matrix
        A row a column to be profiled; NaN is a missing value.

    Examples
    --------
    >>> columns = number_columns(np.array([[1.0, 3.0], [np.nan, 2.0]]))
    >>> [(column.mean, column.nulls) for column in columns]
    [(2.0, 0), (2.0, 1)]
    """
    rows = matrix.shape[1]
    plain = is_plain(matrix)
    if not rows or not plain.any():
        return [number_column(values) for values in matrix]
    chosen = matrix if plain.all() else matrix[plain]
    means = chosen.mean(axis=1)
    squares = np.square(chosen - means[:, None]).sum(axis=1)
    found = iter(
        ColumnProfile(
            rows=rows, numbers=rows, mean=mean, square=square, sketch=sketch, registers=registers
        )
        for mean, square, sketch, registers in zip(
            means.tolist(),
            squares.tolist(),
            QuantileSketch.of_each(chosen),
            registers_of_rows(hash_numbers(chosen)),
            strict=True,
        )
    )
    return [
        next(found) if is_one else number_column(values)
        for is_one, values in zip(plain.tolist(), matrix, strict=True)
    ]
