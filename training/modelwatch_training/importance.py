"""How much a trained model depends on each of its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import batched

import numpy as np
import pandas as pd

from modelwatch.domain.importance import Importance
from modelwatch.domain.models import Predictions

SEED = 42
MOST_ROWS = 1000
LEAST_ROWS = 100
REPETITIONS = 5

MOST_VALUES = 200_000
"""Of wide tables fewer rows are taken: each feature costs a prediction of all columns."""

VALUES_AT_ONCE = 2_000_000
"""So many values are predicted in one call, which costs a model much by itself."""

Predict = Callable[[pd.DataFrame], Predictions]


def measure_importance(predict: Predict, rows: pd.DataFrame) -> Importance:
    """Measure how far predictions move when a feature is shuffled; see `Importance`.

    That is permutation importance (Breiman, *Random Forests*, Machine Learning 45 (2001) 5) with
    the model's own predictions in place of labels. So no labels are needed, and a feature counts
    even if the model depends on it wrongly. The same model and rows give the same numbers.

    Parameters
    ----------
    predict
        Returns a fitted model's predictions for a table.
    rows
        Feature columns; of more than `MOST_ROWS`, as many are drawn, and of wide tables as many as
        have `MOST_VALUES`, but not fewer than `LEAST_ROWS`.
    """
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_VALUES // rows.shape[1]))
    if len(rows) > most:
        rows = rows.sample(most, random_state=SEED)
    rows = rows.reset_index(drop=True)
    distance, measure = _distance(predict(rows))
    draw = np.random.default_rng(SEED)

    def shuffled(name: str) -> pd.DataFrame:
        order = draw.permutation(len(rows))
        return rows.assign(**{name: rows[name].take(order).reset_index(drop=True)})

    names = (name for name in rows.columns for _ in range(REPETITIONS))
    moved: list[float] = []
    for some in batched(names, max(1, VALUES_AT_ONCE // rows.size), strict=False):
        now = predict(pd.concat([shuffled(name) for name in some], ignore_index=True))
        moved += [distance(part) for part in _parts(now, len(rows))]
    means = np.mean(np.reshape(moved, (-1, REPETITIONS)), axis=1)
    return Importance(
        features=dict(zip(rows.columns, means.tolist(), strict=True)),
        rows=len(rows),
        repetitions=REPETITIONS,
        measure=measure,
    )


def _parts(found: Predictions, rows: int) -> Iterator[Predictions]:
    """Yield the predictions of each table of so many rows."""
    for start in range(0, len(found.values), rows):
        part = slice(start, start + rows)
        shares = found.probabilities
        yield Predictions(found.values[part], None if shares is None else shares[part])


def _distance(before: Predictions) -> tuple[Callable[[Predictions], float], str]:
    """Return a measure of the distance of predictions from those ``before``, and its name."""
    if before.probabilities is not None:
        first = np.asarray(before.probabilities, np.float64)
        return lambda now: _mean(
            np.abs(np.asarray(now.probabilities, np.float64) - first).sum(axis=1) / 2
        ), "total variation"
    if all(isinstance(value, float) for value in before.values):
        numbers = np.asarray(before.values, np.float64)
        known = numbers[np.isfinite(numbers)]
        # squares of large numbers overflow, of tiny ones vanish
        size = float(np.max(np.abs(known), initial=0.0)) or 1.0
        scale = float(np.std(known / size)) if len(known) else 1.0
        return lambda now: _mean(
            np.abs(np.asarray(now.values, np.float64) / size - numbers / size) / (scale or 1 / size)
        ), "standard deviations"
    return lambda now: _mean(
        [one != other for one, other in zip(before.values, now.values, strict=True)]
    ), "share of other predictions"


def _mean(distances: object) -> float:
    known = np.asarray(distances, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else 0.0
