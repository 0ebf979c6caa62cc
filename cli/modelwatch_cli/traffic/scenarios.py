"""Scenarios: how simulated rows differ from the reference they are drawn from.

Every scenario draws rows from the reference with replacement and adds a little noise; the
drifting ones then change some features, in units of their standard deviation.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from modelwatch.errors import InvalidInputError

NOISE = 0.05
"""Standard deviation of the noise on every number, in standard deviations of its feature."""

_Generator = np.random.Generator
_Progress = np.ndarray
_Change = Callable[[pd.DataFrame, pd.DataFrame, _Generator, _Progress], pd.DataFrame]

UNSEEN = "never seen before"
"""The category of `unseen_categories`."""

UNSEEN_SHARE = 0.2

CHUNK_ROWS = 10_000
"""Number of rows per draw."""

ENDLESS_ROWS = 1000
"""Without an end, a scenario develops over this number of rows, and then stays the same."""

MISTYPED = "n/a"
"""The text that `data_quality` sends in place of a number."""

MISTYPED_SHARE = 0.05
OUT_OF_RANGE_SHARE = 0.2

LARGEST = float(np.finfo(float).max)
"""No number of a request is larger: JSON has no infinity."""

SEGMENT_SHARE = 0.1
"""So small that 1 std more within the segment is little over all rows: 0.1 std."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows with a category; or, if it is None, with a number of ``at_least`` or more."""

    column: str
    category: str | None = None
    at_least: float = 0.0

    @property
    def expression(self) -> str:
        """The same as an expression of `modelwatch.domain.segments`.

        >>> Segment("proline", at_least=1265.5).expression
        '`proline` >= 1265.5'
        """
        if self.category is None:
            return f"`{self.column}` >= {self.at_least!r}"
        return f"`{self.column}` == {json.dumps(self.category, ensure_ascii=False)}"

    def of(self, rows: pd.DataFrame) -> pd.Series:
        """Return for each row whether it is in the segment."""
        values = rows[self.column]
        return values >= self.at_least if self.category is None else values == self.category


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named way to change rows.

    ``meaning`` is its help text, ``paced`` says that it keeps a rate, and ``refused`` that the API
    must refuse some rows with 400.
    """

    name: str
    meaning: str
    change: _Change
    paced: bool = True
    refused: bool = False

    @property
    def statuses(self) -> frozenset[str]:
        """The expected statuses."""
        return frozenset({"200", "400"} if self.refused else {"200"})


def draw_rows(
    scenario: Scenario, reference: pd.DataFrame, count: int | None, seed: int
) -> Iterator[dict[str, object]]:
    """Yield the rows of `simulate_rows`, a part at a time; None for ``count``: without an end."""
    total = count or ENDLESS_ROWS
    for number, first in enumerate(itertools.count(0, CHUNK_ROWS)):
        if count is not None and first >= count:
            return
        size = CHUNK_ROWS if count is None else min(CHUNK_ROWS, count - first)
        progress = np.minimum(np.arange(first, first + size) / max(1, total - 1), 1.0)
        generator = np.random.default_rng([seed, number] if number else seed)
        yield from _draw(scenario, reference, generator, progress)


def is_mistyped(row: Mapping[str, object]) -> bool:
    """Return whether `data_quality` made a row that the API must refuse."""
    return MISTYPED in row.values()


def simulate_rows(
    scenario: Scenario, reference: pd.DataFrame, count: int, seed: int
) -> list[dict[str, object]]:
    """Return ``count`` rows of ``scenario``, the same for the same seed.

    Parameters
    ----------
    reference
        Feature columns to draw from: numbers, strings and booleans, NaN or None for missing.

    Returns
    -------
    list of dict
        Value by feature name; missing values are None.
    """
    return list(draw_rows(scenario, reference, count, seed))


@np.errstate(over="ignore")  # what is too large becomes the largest number
def _draw(
    scenario: Scenario, reference: pd.DataFrame, generator: _Generator, progress: _Progress
) -> list[dict[str, object]]:
    count = len(progress)
    rows = reference.iloc[generator.integers(0, len(reference), count)].reset_index(drop=True)
    for name in _numbers(reference):
        noise = generator.normal(0, NOISE, count) * _spread(reference[name])
        rows[name] = (rows[name] + noise).clip(-LARGEST, LARGEST)
    rows = scenario.change(rows, reference, generator, progress)
    for name in _floats(rows):
        rows[name] = rows[name].clip(-LARGEST, LARGEST)
    plain = rows.astype(object).where(rows.notna(), None)
    for name in _whole(reference):
        # a fraction in a column of whole numbers would be another kind of data, or be refused
        whole = _whole_of(reference[name]) if name in _integers(reference) else _rounded
        values = [whole(each) if isinstance(each, float) else each for each in plain[name]]
        # pandas would make NaN of None
        plain[name] = pd.Series(values, dtype=object)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def segment_of(reference: pd.DataFrame) -> Segment:
    """Return the segment that `segment_drift` moves.

    The rarest category of the first column that has some; without one, the tenth of the rows with
    the largest values of the last number.
    """
    for name in _categories(reference):
        return Segment(name, category=str(reference[name].value_counts().index[-1]))
    name = _numbers(reference)[-1]
    return Segment(name, at_least=float(reference[name].quantile(1 - SEGMENT_SHARE)))


def _categories(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if pd.api.types.is_string_dtype(frame[name].dropna())]


def _numbers(frame: pd.DataFrame) -> list[str]:
    return [
        name
        for name in frame
        if pd.api.types.is_numeric_dtype(frame[name])
        and not pd.api.types.is_bool_dtype(frame[name])
    ]


def _integers(frame: pd.DataFrame) -> list[str]:
    return [name for name in _numbers(frame) if pd.api.types.is_integer_dtype(frame[name])]


def _whole(frame: pd.DataFrame) -> list[str]:
    """Return the numbers without fractions, of any type."""
    return [name for name in _numbers(frame) if (frame[name].dropna() % 1 == 0).all()]


def _rounded(value: float) -> float:
    return float(round(value))


def _whole_of(column: pd.Series) -> Callable[[float], int]:
    """Return what makes a number one of the column's type, which has a smallest and a largest."""
    bounds = np.iinfo(getattr(column.dtype, "numpy_dtype", column.dtype))
    return lambda value: min(max(round(value), int(bounds.min)), int(bounds.max))


def _floats(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if pd.api.types.is_float_dtype(frame[name])]


def _spread(column: pd.Series) -> float:
    """Return the standard deviation, or 1 without one; no square is too large or too small."""
    values = column.astype(float)
    _, exponent = np.frexp(values.abs().max())
    spread = float(np.ldexp(np.ldexp(values, -exponent).std(), exponent))
    return spread if spread > 0 else 1.0


def first_share(frame: pd.DataFrame, share: float) -> list[str]:
    """Return the first features, a ``share`` of all, that a drift moves."""
    return list(frame.columns[: max(1, round(len(frame.columns) * share))])


def missing_features(reference: pd.DataFrame) -> list[str]:
    """Return the features whose values are left out.

    Only features for which the model accepts a missing value: numbers that may be NaN.
    """
    return [name for name in first_share(reference, 0.4) if name in _floats(reference)]


def out_of_range_feature(reference: pd.DataFrame) -> str:
    """Return the number for which `data_quality` sends values outside the reference's range.

    Raises InvalidInputError when the model has no numbers.
    """
    numbers = _numbers(reference)
    if not numbers:
        raise InvalidInputError("--scenario", "data_quality: the model has no numbers")
    return numbers[-1]


def _shift(
    rows: pd.DataFrame, reference: pd.DataFrame, names: list[str], size: np.ndarray
) -> pd.DataFrame:
    """Move numbers up by ``size`` standard deviations; make categories one where size is >= 1."""
    numbers = _numbers(reference)
    for name in names:
        if name in numbers:
            rows[name] = rows[name] + size * _spread(reference[name])
        else:
            rarest = reference[name].value_counts().index[-1]
            rows[name] = rows[name].where(size < 1, rarest)
    return rows


def _unchanged(
    rows: pd.DataFrame, _reference: pd.DataFrame, _generator: _Generator, _progress: _Progress
) -> pd.DataFrame:
    return rows


def _gradual(
    rows: pd.DataFrame, reference: pd.DataFrame, _generator: _Generator, progress: _Progress
) -> pd.DataFrame:
    return _shift(rows, reference, first_share(rows, 0.6), 2.5 * progress)


def _sudden(
    rows: pd.DataFrame, reference: pd.DataFrame, _generator: _Generator, progress: _Progress
) -> pd.DataFrame:
    return _shift(rows, reference, list(rows.columns), np.where(progress < 0.5, 0.0, 3.0))


def _all_along(share: float, size: float) -> _Change:
    """Return a change of a share of the features by ``size`` standard deviations, in all rows."""

    def change(
        rows: pd.DataFrame, reference: pd.DataFrame, _generator: _Generator, _progress: _Progress
    ) -> pd.DataFrame:
        return _shift(rows, reference, first_share(rows, share), np.full(len(rows), size))

    return change


def _missing(
    rows: pd.DataFrame, reference: pd.DataFrame, generator: _Generator, _progress: _Progress
) -> pd.DataFrame:
    for name in missing_features(reference):
        rows[name] = rows[name].where(generator.random(len(rows)) >= 0.35, np.nan)
    return rows


def _data_quality(
    rows: pd.DataFrame, reference: pd.DataFrame, generator: _Generator, progress: _Progress
) -> pd.DataFrame:
    beyond = out_of_range_feature(reference)
    rows = _missing(rows, reference, generator, progress)
    reach = float(reference[beyond].max()) - float(reference[beyond].min()) or 1.0
    is_beyond = generator.random(len(rows)) < OUT_OF_RANGE_SHARE
    rows[beyond] = rows[beyond].where(~is_beyond, float(reference[beyond].max()) + reach)
    mistyped = _numbers(reference)[0]
    is_mistyped = generator.random(len(rows)) < MISTYPED_SHARE
    rows[mistyped] = rows[mistyped].astype(object).where(~is_mistyped, MISTYPED)
    return rows


def _segment(
    rows: pd.DataFrame, reference: pd.DataFrame, _generator: _Generator, _progress: _Progress
) -> pd.DataFrame:
    segment = segment_of(reference)
    others = [name for name in _numbers(reference) if name != segment.column]
    return _shift(rows, reference, others, np.where(segment.of(rows), 1.0, 0.0))


def _unseen(
    rows: pd.DataFrame, reference: pd.DataFrame, generator: _Generator, _progress: _Progress
) -> pd.DataFrame:
    names = _categories(reference)
    if not names:
        raise InvalidInputError("--scenario", "unseen_categories: the model has no categories")
    for name in names:
        rows[name] = rows[name].where(generator.random(len(rows)) >= UNSEEN_SHARE, UNSEEN)
    return rows


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("normal", "rows like the reference", _unchanged),
        Scenario("slight_drift", "20% of the features are 0.8 std higher", _all_along(0.2, 0.8)),
        Scenario("moderate_drift", "60% of the features are 1.5 std higher", _all_along(0.6, 1.5)),
        Scenario("severe_drift", "90% of the features are 2 std higher", _all_along(0.9, 2.0)),
        Scenario("gradual_drift", "60% of the features move, from 0 to 2.5 std", _gradual),
        Scenario("sudden_shift", "all features jump by 3 std half-way", _sudden),
        Scenario("missing_values", "35% missing values in 40% of the features", _missing),
        Scenario(
            "data_quality",
            "missing values, numbers out of range, and text for numbers",
            _data_quality,
            refused=True,
        ),
        Scenario("segment_drift", "one segment, a tenth of the rows, is 1 std higher", _segment),
        Scenario("unseen_categories", "20% of each category are one never seen", _unseen),
        Scenario("stress", "rows like the reference, as fast as possible", _unchanged, paced=False),
    )
}
"""Every scenario by name."""
