"""Traffic with a week, with days and nights, or with neither: what windows are compared with."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec
import numpy as np
import pytest

from modelwatch.domain.past.calibration import Calibration, calibrate
from modelwatch.domain.past.history import (
    JOINS_AFTER,
    Past,
    PastDocument,
    decode_past,
    encode_past,
)
from modelwatch.domain.past.phases import phases_of
from modelwatch.domain.past.scores import trace_of
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import PastColumns, evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.domain.windows import Window

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
METHODS_OF = ("wasserstein", "jensenshannon")
LEVEL = 1 / 730

type Rows = dict[str, Distribution]
type Traffic = Callable[[np.random.Generator, datetime], Rows]


def categories(rng: np.random.Generator, shares: list[float], rows: int) -> Distribution:
    counts = rng.multinomial(rows, rng.dirichlet(np.array(shares) * 300))
    return Distribution.of_counts({f"c{place}": int(each) for place, each in enumerate(counts)})


def numbers(rng: np.random.Generator, middle: float, spread: float, rows: int) -> Distribution:
    return Distribution.of_numbers(rng.normal(middle, spread, rows).round(1))


def shop(rng: np.random.Generator, at: datetime) -> Rows:
    """Return a day of which weekends are another world, but for two columns."""
    is_weekend = at.weekday() >= 5
    return {
        "amount": numbers(rng, (80 if is_weekend else 50) + rng.normal(0, 2), 10, 200),
        "basket": numbers(rng, 3 + rng.normal(0, 0.3), 1, 200),
        "channel": categories(rng, [0.1, 0.2, 0.7] if is_weekend else [0.7, 0.25, 0.05], 200),
        "region": categories(rng, [0.5, 0.3, 0.2], 200),
    }


def nights(rng: np.random.Generator, at: datetime) -> Rows:
    """Return an hour of which the night has other categories."""
    return {"kind": categories(rng, [0.1, 0.1, 0.8] if at.hour < 6 else [0.6, 0.3, 0.1], 100)}


def plain(rng: np.random.Generator, _: datetime) -> Rows:
    rows = shop(rng, MONDAY)
    return {name: rows[name] for name in ("basket", "region")}


def distance(reference: Distribution, rows: Distribution) -> float:
    method = METHODS_OF[reference.kind == "categorical"]
    return float(METHODS[method].score(reference, rows))


@cache
def reference_of(traffic: Traffic, length: timedelta) -> Rows:
    """Return the rows of four weeks of days, or of a week of hours, together."""
    rng = np.random.default_rng(0)
    parts = [traffic(rng, MONDAY + place * length) for place in range(28 if length == DAY else 168)]
    together = {}
    for name, first in parts[0].items():
        some = [part[name] for part in parts]
        together[name] = (
            Distribution.of_numbers(
                np.concatenate([np.repeat(each.values, each.weights.astype(int)) for each in some])
            )
            if first.kind == "numerical"
            else Distribution.of_counts(
                {text: sum(each.counts.get(text, 0) for each in some) for text in first.counts}
            )
        )
    return together


def traces(traffic: Traffic, length: timedelta, rows: Rows) -> dict[str, np.ndarray]:
    reference = reference_of(traffic, length)
    return {
        name: trace_of(known, rows[name], distance(known, rows[name]))
        for name, known in reference.items()
    }


@cache
def past_of(traffic: Traffic, length: timedelta, count: int, seed: int = 1) -> Past:
    rng, past = np.random.default_rng(seed), Past()
    for place in range(count):
        start = MONDAY + place * length
        found = traces(traffic, length, traffic(rng, start))
        past = past.add(start, length, 200, found)
    return past


def calibration(past: Past, start: datetime, length: timedelta, **asked) -> Calibration:
    known = past.until(start - JOINS_AFTER)
    return calibrate(known, Window(start, start + length), METHODS_OF, 14, **asked)


def drifted(traffic: Traffic, length: timedelta, known: Calibration, rows: Rows) -> dict[str, str]:
    found = evaluate_columns(
        reference_of(traffic, length), rows, DriftPolicy(), LEVEL, PastColumns(known, 200)
    )
    return {each.feature: each.reason for each in found if each.status == "drift"}


def test_a_shop_with_weekends_has_a_week_and_sees_a_tuesday_that_looks_like_a_sunday():
    past, tuesday = past_of(shop, DAY, 98), MONDAY + 99 * DAY
    known = calibration(past, tuesday, DAY)
    assert known.phase == "week"
    rng = np.random.default_rng(2)
    assert drifted(shop, DAY, known, shop(rng, tuesday)) == {}
    found = drifted(shop, DAY, known, shop(rng, tuesday + 5 * DAY))
    assert sorted(found) == ["amount", "channel"]
    assert "shift" in found["amount"]
    # of all days weekends are the largest scores
    everything = calibration(past, tuesday, DAY, phase="none")
    assert drifted(shop, DAY, everything, shop(rng, tuesday + 5 * DAY)) == {}


def test_columns_without_a_week_are_as_without_phases():
    past, tuesday = past_of(shop, DAY, 98), MONDAY + 99 * DAY
    by_week, by_none = (calibration(past, tuesday, DAY, phase=each) for each in ("auto", "none"))
    for name in ("basket", "region"):
        assert by_week.columns[name] == by_none.columns[name]
    for place, score in ((0, "channel"), (1, "amount")):
        one, other = (each.columns[score].critical[place] for each in (by_week, by_none))
        assert one < 0.8 * other


def test_traffic_without_a_phase_keeps_the_usual_one():
    past, start = past_of(plain, DAY, 98), MONDAY + 98 * DAY
    assert calibration(past, start, DAY) == calibration(past, start, DAY, phase="none")


def test_an_hour_at_noon_that_looks_like_night_is_seen():
    past, noon = past_of(nights, HOUR, 23 * 24), MONDAY + 23 * DAY + 12 * HOUR
    known = calibration(past, noon, HOUR)
    rng = np.random.default_rng(2)
    assert known.phase == "day"
    assert drifted(nights, HOUR, known, nights(rng, noon)) == {}
    assert set(drifted(nights, HOUR, known, nights(rng, noon - 10 * HOUR))) == {"kind"}
    night = calibration(past, noon - 10 * HOUR, HOUR)
    assert drifted(nights, HOUR, night, nights(rng, noon - 10 * HOUR)) == {}
    everything = calibration(past, noon, HOUR, phase="none")
    assert drifted(nights, HOUR, everything, nights(rng, noon - 10 * HOUR)) == {}


@pytest.mark.parametrize(
    ("length", "asked", "expected"),
    [
        (HOUR, "none", "none"), (HOUR, "day", "day"), (HOUR, "week", "week"),
        (DAY, "none", "none"), (DAY, "day", "none"), (DAY, "week", "week"),
        (WEEK, "day", "none"), (WEEK, "week", "none"), (WEEK, "auto", "none"),
    ],
)  # fmt: skip
def test_a_phase_that_is_asked_for_is_the_one_where_windows_are_shorter(length, asked, expected):
    count = {HOUR: 23 * 24, DAY: 98, WEEK: 30}[length]
    past = past_of(nights if length == HOUR else shop, length, count)
    assert calibration(past, MONDAY + count * length, length, phase=asked).phase == expected


def test_a_phase_of_few_windows_is_not_known_yet():
    # the first window with two before it at the same time of the week is the 22nd
    for days, expected in ((21 + 19 + 7, "none"), (21 + 20 + 7, "week")):
        found = calibration(past_of(shop, DAY, 98), MONDAY + days * DAY, DAY, phase="week")
        assert (found.learning, found.phase) == ("", expected)


def test_what_is_not_learned_has_the_usual_phase():
    past, noon = past_of(nights, HOUR, 23 * 24), MONDAY + 16 * DAY + 12 * HOUR
    found = calibration(past, noon, HOUR)
    assert (found.learning, found.phase) == ("10 of 14 days", "day")
    assert found == calibration(
        replace(past, phased=np.empty((len(past.ends), 1, 0, 6))), noon, HOUR
    )


def before_phases(past: Past) -> Past:
    """Return a past as it was learned before there were phases."""
    document = PastDocument(reference="a1", methods=METHODS_OF, seen=MONDAY)
    old = msgspec.structs.replace(document.holding(past, MONDAY, ()), phased=b"")
    return decode_past(encode_past(old)).past()


@pytest.mark.parametrize("length", [HOUR, DAY, WEEK])
def test_what_was_learned_before_there_were_phases_is_read_and_learns_them(length):
    traffic, count = (nights, 23 * 24) if length == HOUR else (shop, 50)
    old = before_phases(past_of(traffic, length, count))
    end = MONDAY + (count + 30) * length + JOINS_AFTER
    known = calibration(old, end, length)
    assert known == calibration(old, end, length, phase="week")
    assert known.phase == phases_of(length)[0]
    rng = np.random.default_rng(3)
    for place in range(count, count + 30):
        start = MONDAY + place * length
        old = old.add(start, length, 200, traces(traffic, length, traffic(rng, start)))
    assert old.phased.shape[:3] == (len(old.ends), len(old.names), len(phases_of(length)))
    expected = "week" if length < WEEK else "none"
    assert calibration(old, end, length, phase="week").phase == expected


def test_the_scores_by_phase_are_read_as_they_were_written():
    past = past_of(shop, DAY, 50)
    document = PastDocument(reference="a1", methods=METHODS_OF, seen=MONDAY)
    read = decode_past(encode_past(document.holding(past, MONDAY, ()))).past()
    assert np.array_equal(read.phased, past.phased.astype("<f4"), equal_nan=True)
    assert read.phased.shape == past.phased.shape


def test_weekly_traffic_is_quiet():
    rng, past = np.random.default_rng(10), past_of(shop, DAY, 98)
    days = [MONDAY + place * DAY for place in range(60, 105)]
    known = {day: calibration(past, day, DAY) for day in days}
    assert {each.phase for each in known.values()} == {"week"}
    alarms = sum(bool(drifted(shop, DAY, known[day], shop(rng, day))) for day in days)
    assert alarms <= 1
