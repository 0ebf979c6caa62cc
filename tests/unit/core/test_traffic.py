"""How many rows come, and whether they repeat, beside the same time of the weeks before."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from analysis_stage import AnalysisStage
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.past.history import Past, PastDocument, decode_past, encode_past
from modelwatch.domain.past.traffic import FEWEST, is_chance, jumps_of, large_jumps, totals_of
from modelwatch.domain.profiles import Profile, number_column, text_column
from modelwatch.domain.records import Record
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.services.replay import evaluate_again, replay

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
LEARNED = 50
"""So many days are captured before: 43 of them are a week old."""


def usual(day: int) -> int:
    """Return how many rows a day has: on Sundays a third."""
    return 40 if day % 7 == 6 else 120


def of_a_day(day: int, rows: int = 0, copies: int = 1, rate: float = 1.0) -> list[Record]:
    rng = np.random.default_rng(day)
    count = rows or usual(day)
    values = np.repeat(rng.normal(10, 1, -(-count // copies)), copies)[:count]
    return [
        Record(
            event_id=new_event_id(10_000 * day + place),
            captured_at=MONDAY + day * DAY + timedelta(hours=12, milliseconds=place),
            model_name="wine",
            model_version="1",
            variant="production",
            features={"alcohol": float(value), "colour": "red"},
            prediction=1,
            sample_rate=rate,
        )
        for place, value in enumerate(values)
    ]


def result_of(days: int = LEARNED, **given):
    """Return what the next day's rows are found to be, after so many usual days."""
    stage = AnalysisStage(plans=(WindowPlan(DAY, DAY),))
    rows = [msgspec.structs.replace(each, captured_at=MONDAY) for each in of_a_day(1, rows=400)]
    stage.training.tables["1"] = records_table(rows)
    for day in range(days):
        stage.store.write(of_a_day(day))
    stage.store.write(of_a_day(days, **given))
    stage.now = MONDAY + (days + 1) * DAY
    for _ in range(9):
        (result,) = stage.analyze(window_end=stage.now).results
    return stage, result


@pytest.mark.parametrize("days", [LEARNED, LEARNED + 5])  # a Tuesday, and a Sunday
def test_as_many_rows_as_on_this_day_of_the_weeks_before_are_no_news(days):
    _, result = result_of(days)
    assert (result.severity, result.traffic, result.learning) == ("ok", (), "")


def test_many_rows_are_a_warning_with_a_name_and_no_drift():
    stage, result = result_of(rows=360)
    (change,) = result.traffic
    assert (change.name, result.status, result.severity) == ("rows", "ok", "warning")
    assert change.words == "3 times the rows of this time in the weeks before"
    assert change.score == pytest.approx(math.log(3))
    assert change.score > change.critical_score >= math.log(1.5)
    assert result.reason.endswith(str(change))
    assert change.words in result.headline
    assert replay(stage.reports, result.name, stage.code).same
    rules = replace(stage.rules, history_days=0)
    assert evaluate_again(result, stage.reports.evidence(result), rules).traffic == ()


def test_a_usual_weekday_s_rows_are_many_on_a_sunday():
    _, result = result_of(LEARNED + 5, rows=120)
    assert [each.name for each in result.traffic] == ["rows"]


def test_few_rows_are_a_warning():
    _, result = result_of(rows=40)
    assert [each.words for each in result.traffic] == [
        "0.33 times the rows of this time in the weeks before"
    ]


def test_rows_that_come_three_times_are_named():
    _, result = result_of(copies=3)
    (change,) = result.traffic
    assert (change.name, result.severity) == ("repeats", "warning")
    assert change.words.endswith("% of the values repeat in every feature, 0% before")
    assert change.score == pytest.approx(2 / 3, abs=0.05)


def test_other_sampling_is_no_other_number_of_rows():
    _, result = result_of(rows=40, rate=1 / 3)
    assert result.traffic == ()


def test_while_the_past_is_learned_nothing_is_said():
    _, result = result_of(days=20, rows=1200)
    assert (result.learning != "", result.traffic) == (True, ())


def test_what_chance_alone_does_is_no_news():
    before = np.array([40.0, 0.0])
    assert is_chance("rows", Profile(rows=70, estimated_rows=70), before, 1e-4)
    assert not is_chance("rows", Profile(rows=700, estimated_rows=700), before, 1e-4)
    # seven sampled rows of seven hundred show less
    assert is_chance("rows", Profile(rows=7, estimated_rows=700), np.array([400.0, 0.0]), 1e-4)
    assert not is_chance("repeats", Profile(), before, 1e-4)


def test_the_feature_with_the_most_different_values_says_what_repeats():
    columns = {
        "id": number_column(np.arange(100.0)),
        "colour": text_column({"red": 50, "white": 50}, 0),
        "empty": number_column(np.full(100, np.nan)),
    }
    rows, repeats = totals_of(Profile(rows=100, estimated_rows=400, features=columns))
    assert rows == 400
    assert repeats == pytest.approx(0, abs=0.05)
    del columns["id"]
    assert totals_of(Profile(rows=100, features=columns))[1] == pytest.approx(0.98, abs=0.01)
    assert np.isnan(totals_of(Profile())[1])


def test_critical_scores_need_enough_windows_and_have_a_margin():
    some = np.full((FEWEST, 2), [1.0, 0.5])
    assert np.isinf(large_jumps(some[1:])).all()
    assert (large_jumps(some) == np.array([1.0, 0.5]) * (1.15 + 0.8 / FEWEST**0.5)).all()
    assert np.isnan(jumps_of(np.array([5.0, 0.1]), np.full(2, np.nan))).all()


def test_a_jump_stays_critical_and_a_past_without_totals_is_read():
    past = Past()
    for day in range(60):
        surge = 50 if day == 45 else 1
        past = past.add(MONDAY + day * DAY, DAY, 100, {}, np.array([100.0 * surge, 0.0]))
    assert np.nanmax(past.jumps[:, 0]) == 0
    assert np.isnan(past.jumps[-15, 0])
    assert past.totals_before(MONDAY + 59 * DAY, DAY).tolist() == [100, 0]
    document = PastDocument(reference="", methods=("", ""), seen=MONDAY).holding(past, MONDAY, ())
    read = decode_past(encode_past(document)).past()
    assert np.array_equal(read.jumps, past.jumps, equal_nan=True)
    old = msgspec.structs.replace(document, totals=b"", jumps=b"").past()
    assert np.isnan(old.totals).all()
    assert old.totals.shape == past.totals.shape
