"""False alarms and power on a synthetic season, in short: `make bench-seasonal` has a real year."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmarks.seasonal.flights import FLIGHTS
from benchmarks.seasonal.measures import measure
from benchmarks.seasonal.series import DAY, hours

CHANGES = ("fahrenheit_to_celsius", "stuck")


def season(weeks: int = 12, rows: int = 50) -> pd.DataFrame:
    """Return rows of two hours a day: the weather goes with the season, and its own way."""
    rng = np.random.default_rng(4)
    moments = [
        pd.Timestamp("2013-01-01") + pd.Timedelta(days=day, hours=hour)
        for day in range(weeks * 7)
        for hour in (8, 16)
    ]
    days = np.array([each.dayofyear for each in moments])
    weather = rng.normal(size=len(moments)) + 3 * np.sin(days / 365 * 2 * np.pi)

    def near(middle: float, of_weather: float, spread: float) -> np.ndarray:
        return middle + of_weather * weather[:, None] + rng.normal(0, spread, (len(days), rows))

    columns = {
        "hour": np.array([each.hour for each in moments])[:, None] + np.zeros(rows),
        "distance": rng.choice([200.0, 500.0, 1400.0, 2475.0], (len(days), rows)),
        "flight": rng.integers(1, 5000, (len(days), rows)).astype(float),
        "temp": near(55, 7, 2),
        "humid": near(60, -8, 3),
        "wind_speed": near(13, 1, 4),
        "visib": near(9, 0.2, 1),
        "pressure": near(1017, -4, 2),
        "carrier": rng.choice(["UA", "AA", "DL"], (len(days), rows), p=[0.5, 0.3, 0.2]),
        "origin": rng.choice(["EWR", "JFK", "LGA"], (len(days), rows)),
        "dest": rng.choice(["ORD", "ATL", "LAX", "BOS"], (len(days), rows)),
    }
    found = pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})
    found["at"] = np.repeat(moments, rows)
    found["week"] = (found["at"].dt.dayofyear - 1) // 7
    return found


@pytest.fixture(scope="module")
def summary() -> dict[str, float]:
    changes = {name: FLIGHTS.changes[name] for name in CHANGES}
    series = replace(FLIGHTS, lengths=(DAY,), changes=changes)
    return measure(list(hours(season(), series)), series)


def test_a_season_that_draws_alarm_for_is_quiet(summary):
    assert summary["independent_draws__false__days_any"] > 0.5
    assert summary["false__days_any"] <= 0.05
    assert summary["false__status_per_month"] == 0


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_found(summary, change):
    assert summary[f"power__day1__{change}"] >= 0.9
    assert summary[f"power__week__{change}"] == 1.0
