"""A real series with a clock, profiled by the hour: weeks with an even number are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.inspection import permutation_importance
from sklearn.tree import DecisionTreeRegressor

from modelwatch.adapters.captures.arrow_profiles import profile_column
from modelwatch.domain.importance import Importance
from modelwatch.domain.profiles import (
    MOST_ROWS,
    ColumnProfile,
    Profile,
    RowSample,
    merge_profiles,
)
from modelwatch.domain.profiles.hashes import hash_numbers
from modelwatch.domain.profiles.sample import sample_of, sampled_rows

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
WEEKS = 52

type Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def some(column: str, share: float, value: object) -> Change:
    """Put ``value`` into a share of the rows of a column."""
    return lambda rows, rng: rows.assign(
        **{column: rows[column].mask(rng.random(len(rows)) < share, value)}
    )


def each(column: str, value: Callable[[pd.Series], object]) -> Change:
    """Change all values of a column."""
    return lambda rows, _: rows.assign(**{column: value(rows[column])})


def swapped(one: str, other: str) -> Change:
    """Swap two columns."""
    return lambda rows, _: rows.assign(**{one: rows[other], other: rows[one]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A year of rows.

    Attributes
    ----------
    read
        Takes the folder of the packages' data; gives rows with hour (``at``) and ``week``.
    changes
        What is put in, by name: the columns that change, and how.
    label
        A number that a model predicts from the others; empty without labels.
    fewest
        Fewest rows of a window.
    """

    name: str
    read: Callable[[Path], pd.DataFrame]
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    changes: Mapping[str, tuple[tuple[str, ...], Change]]
    label: str = ""
    fewest: int = 30
    lengths: tuple[timedelta, ...] = (HOUR, DAY, WEEK)

    @property
    def columns(self) -> tuple[str, ...]:
        """The features."""
        return self.numbers + self.texts


class Model:
    """A tree that predicts the label of a series, of its known weeks, and what it depends on."""

    def __init__(self, series: Series, rows: pd.DataFrame) -> None:
        known = rows[rows.week % 2 == 0]
        self._series = series
        self._texts = {name: sorted(known[name].unique()) for name in series.texts}
        self._tree = DecisionTreeRegressor(min_samples_leaf=20, random_state=1)
        given = self._numbers(known)
        self._tree.fit(given, known[series.label])
        found = permutation_importance(
            self._tree, given, known[series.label], n_repeats=5, random_state=1
        )
        means = np.maximum(found.importances_mean, 0).tolist()
        self.importance = Importance(
            features=dict(zip(series.columns, means, strict=True)),
            rows=len(known),
            repetitions=5,
            measure="fall of R squared",
        )

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the predictions of rows."""
        return np.asarray(self._tree.predict(self._numbers(rows)))

    def _numbers(self, rows: pd.DataFrame) -> np.ndarray:
        columns = [rows[name].to_numpy(float) for name in self._series.numbers]
        for name, values in self._texts.items():
            columns.append(rows[name].map({value: at for at, value in enumerate(values)}))
        return np.column_stack(columns).astype(float)


@dataclass(frozen=True, slots=True)
class Hour:
    """The rows of one hour; ``changed`` has its profile by change, of watched hours."""

    at: datetime
    week: int
    profile: Profile
    changed: Mapping[str, Profile]


def hours(
    rows: pd.DataFrame,
    series: Series,
    weeks: int = WEEKS,
    model: Model | None = None,
    seed: int = 1,
) -> Iterator[Hour]:
    """Profile rows hour by hour, in the order of time.

    Parameters
    ----------
    rows
        As `Series.read` gives them.
    model
        Makes the predictions, where there are labels.
    """
    rng = np.random.default_rng(seed)
    for (at, week), part in rows[rows.week < weeks].groupby(["at", "week"], sort=True):
        moment = at.to_pydatetime().replace(tzinfo=UTC)
        ms = int(moment.timestamp()) * 1000
        profile = Profile(
            rows=len(part),
            estimated_rows=float(len(part)),
            first_ms=ms,
            last_ms=ms + 3_599_000,
            features=_columns(part, series.columns),
            outputs=_outputs(model, part),
            sample=_sample(part, series.numbers),
        )
        changed = {}
        for name, (columns, change) in series.changes.items() if week % 2 else ():
            other = change(part, rng)
            changed[name] = replace(
                profile,
                features={**profile.features, **_columns(other, columns)},
                outputs=_outputs(model, other),
                sample=_sample(other, series.numbers),
            )
        yield Hour(moment, int(week), profile, changed)


def merged(some: list[Hour], change: str = "") -> Profile:
    """Return the profile of hours together, with a change; with "" as they are."""
    return merge_profiles([hour.changed[change] if change else hour.profile for hour in some])


def _outputs(model: Model | None, rows: pd.DataFrame) -> dict[str, ColumnProfile]:
    return {} if model is None else {"prediction": _profile(model.predict(rows))}


def _columns(rows: pd.DataFrame, names: tuple[str, ...]) -> dict[str, ColumnProfile]:
    return {name: _profile(rows[name].to_numpy()) for name in names}


def _sample(rows: pd.DataFrame, names: tuple[str, ...]) -> RowSample:
    hashes = hash_numbers(rows.index.to_numpy(np.float64))
    places = sampled_rows(hashes, MOST_ROWS)
    columns = ((name, rows[name].to_numpy(float)[places]) for name in names)
    return sample_of(columns, hashes[places], len(rows))


def _profile(values: np.ndarray) -> ColumnProfile:
    return profile_column(pa.chunked_array([pa.array(values, from_pandas=True)]))
