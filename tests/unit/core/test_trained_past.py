"""Training rows with times: a past that is known before anything was captured."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from analysis_stage import AnalysisStage
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.captures.trained_windows import MOST_PARTS, trained_windows
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.past.calibration import OUTPUT
from modelwatch.domain.past.scores import DISTANCE
from modelwatch.domain.records import Record
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.services.learning import TRAINED_AT_ONCE
from modelwatch.services.replay import replay

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TRAINED = 42
"""So many days the model was trained on."""


def of_a_day(day: int, rows: int = 60, factor: float = 1.0, hours: int = 24) -> list[Record]:
    """Return the records of a day: on Sundays wine is stronger."""
    rng = np.random.default_rng(day)
    middle = 13.0 if day % 7 == 6 else 10.0
    return [
        Record(
            event_id=new_event_id(1000 * day + place),
            captured_at=MONDAY + day * DAY + place * hours * HOUR / rows,
            model_name="wine",
            model_version="1",
            variant="production",
            features={"alcohol": factor * float(value), "colour": "red"},
            prediction=float(value > 12),
        )
        for place, value in enumerate(rng.normal(middle, 0.5, rows))
    ]


def of_days(days: int, rows: int = 60) -> list[Record]:
    return [record for day in range(days) for record in of_a_day(day, rows)]


def stage_of(*, with_times: bool, **rules) -> AnalysisStage:
    """Return a stage at the end of the first Sunday that was served."""
    stage = AnalysisStage(**{"plans": (WindowPlan(DAY, DAY),), **rules})
    rows = of_days(TRAINED)
    if not with_times:
        rows = [msgspec.structs.replace(each, captured_at=MONDAY) for each in rows]
    stage.training.tables["1"] = records_table(rows)
    return stage


def serve(stage: AnalysisStage, *days: int, **given):
    """Capture these days; return the result of the last one."""
    for day in days:
        stage.store.write(of_a_day(day, **given))
    stage.now = MONDAY + (days[-1] + 1) * DAY
    (result,) = stage.analyze(window_end=stage.now).results
    return result


def test_a_weekly_season_is_quiet_on_the_first_day_if_training_rows_have_times():
    sunday = TRAINED + 6
    without = serve(stage_of(with_times=False), sunday)
    assert (without.status, without.learning) == ("drift", "0 of 28 days")
    stage = stage_of(with_times=True)
    known = serve(stage, sunday)
    assert (known.status, known.drifted_features, known.learning) == ("ok", (), "")
    assert (known.past_days, known.trained_days) == (TRAINED, TRAINED)
    alcohol = known.features[0]
    assert (alcohol.critical_from, alcohol.score > alcohol.threshold) == ("past windows", True)
    assert known.phase == "week"
    assert known.calibrated_by == (
        "Critical scores are from past windows of 42 days (42 of the training rows, 0 of "
        "captures); columns that have a week are beside the same time of the week"
    )
    assert replay(stage.reports, known.name, stage.code).same


def test_another_phase_is_asked_for_without_learning_the_past_anew():
    stage = stage_of(with_times=True)
    assert serve(stage, TRAINED).phase == "week"
    learned = stage.pasts.load("wine", "1", DAY)
    stage.rules = replace(stage.rules, phase="none")
    stage.make_service()
    changed = serve(stage, TRAINED + 1)
    assert (changed.phase, changed.past_days) == ("none", TRAINED)
    assert changed.calibrated_by.endswith("captures), beside all windows just before")
    kept = stage.pasts.load("wine", "1", DAY)
    assert (kept.ends, kept.scores, kept.phased) == (learned.ends, learned.scores, learned.phased)
    assert replay(stage.reports, changed.name, stage.code).same


def test_a_change_is_found_on_the_first_day():
    (alcohol, *_) = serve(stage_of(with_times=True), TRAINED, factor=1.8).features
    assert alcohol.status == "drift"
    assert alcohol.score >= alcohol.critical_score


def test_captures_join_the_training_rows_when_they_are_a_week_old():
    stage = stage_of(with_times=True)
    result = serve(stage, *range(TRAINED, TRAINED + 11))
    assert (result.past_days, result.trained_days) == (TRAINED + 3, TRAINED)
    assert result.calibrated_by.startswith(
        "Critical scores are from past windows of 45 days (42 of the training rows, 3 of captures)"
    )


def test_captures_of_the_days_of_the_training_rows_are_no_second_past():
    stage = stage_of(with_times=True)
    for day in range(20, TRAINED):
        stage.store.write(of_a_day(day, factor=3))
    reads = []
    read = stage.profiles.profiles
    stage.profiles.profiles = lambda name, version, window: (  # type: ignore[method-assign]
        reads.append(window) or read(name, version, window)
    )
    result = serve(stage, TRAINED + 10)
    assert (result.past_days, result.learning) == (TRAINED, "")
    assert reads == [Window(stage.now - DAY, stage.now)]


def test_the_reference_of_a_training_window_has_none_of_its_week():
    table = records_table(of_days(TRAINED))
    sunday = Window(MONDAY + 13 * DAY, MONDAY + 14 * DAY)
    ((found, profile, others),) = trained_windows(table, [sunday])
    assert found == sunday
    values = [record.features["alcohol"] for record in of_a_day(13)]
    assert profile.features["alcohol"].mean == pytest.approx(np.mean(values))
    assert others.rows == (TRAINED - 7) * 60
    # a window over the end of a week leaves out both
    ((_, _, fewer),) = trained_windows(table, [Window(MONDAY + 13 * DAY, MONDAY + 15 * DAY)])
    assert fewer.rows == others.rows - 7 * 60


def test_of_outputs_on_training_rows_only_distances_are_kept():
    stage = stage_of(with_times=True)
    serve(stage, TRAINED)
    (key,) = (key for key in stage.s3.objects if "/.past/" in key)
    document = stage.pasts.load("wine", "1", DAY)
    assert key.endswith("P1D")
    past = document.past()
    place = past.names.index(f"{OUTPUT}prediction")
    known = np.isfinite(past.traces[:, place])
    assert known[:, DISTANCE].all()
    assert not np.delete(known, DISTANCE, axis=1).any()


def test_training_rows_are_a_past_however_old_they_are():
    stage = stage_of(with_times=True)
    later = TRAINED + 7 * 60 + 6  # a Sunday, more than a year on
    first = serve(stage, later)
    assert (first.status, first.trained_days, first.learning) == ("ok", TRAINED, "")
    second = serve(stage, *range(later + 1, later + 10))
    assert (second.trained_days, second.past_days) == (TRAINED, TRAINED + 2)
    assert second.drifted_features == ()


def test_training_rows_of_one_week_are_no_past():
    stage = stage_of(with_times=True)
    stage.training.tables["1"] = records_table(of_days(7))
    result = serve(stage, TRAINED)
    assert (result.learning, result.trained_days) == ("0 of 28 days", 0)
    assert "training rows" not in result.calibrated_by


def test_windows_that_training_rows_do_not_fill_are_no_past():
    rows = of_days(TRAINED)[30:-30]  # from noon to noon
    rng = np.random.default_rng(1)
    table = records_table([rows[place] for place in rng.permutation(len(rows))])
    days = [Window(MONDAY + day * DAY, MONDAY + (day + 1) * DAY) for day in range(-1, TRAINED + 1)]
    found = [window for window, _, _ in trained_windows(table, days)]
    assert found == days[2:-2]


def test_of_dates_no_hour_is_known():
    """A row of the 3rd may be of any hour: midnight is no time of it."""
    rows = [
        msgspec.structs.replace(each, captured_at=each.captured_at.replace(hour=0, minute=0))
        for each in of_days(TRAINED)
    ]
    table = records_table(rows)
    day = Window(MONDAY + 3 * DAY, MONDAY + 4 * DAY)
    assert [window for window, _, _ in trained_windows(table, [day])] == [day]
    hours = [Window(day.start + hour * HOUR, day.start + (hour + 1) * HOUR) for hour in range(24)]
    assert list(trained_windows(table, hours)) == []
    last = Window(MONDAY + (TRAINED - 1) * DAY, MONDAY + TRAINED * DAY)
    assert [window for window, _, _ in trained_windows(table, [last])] == [last]


def test_long_times_have_parts_of_several_weeks():
    rows = [
        msgspec.structs.replace(each, captured_at=MONDAY + day * 70 * DAY)
        for day in range(100)
        for each in of_a_day(day, rows=4)
    ]
    window = Window(MONDAY, MONDAY + 70 * DAY)
    ((_, profile, others),) = trained_windows(records_table(rows), [window])
    weeks_of_part = -(-(99 * 10 + 1) // MOST_PARTS)
    assert profile.rows == 4
    assert others.rows == 400 - 4 * -(-weeks_of_part // 10)


@pytest.mark.parametrize("runs", [1, 2])
def test_a_run_learns_a_bounded_part_of_training_rows_and_says_so(runs):
    days = TRAINED_AT_ONCE // 24 + 4
    stage = AnalysisStage(plans=(WindowPlan(HOUR),), min_rows=4)
    stage.training.tables["1"] = records_table(of_days(days, rows=24 * 5))
    stage.store.write(of_a_day(days, rows=24 * 5))
    stage.now = MONDAY + days * DAY + 12 * HOUR
    for _ in range(runs):
        (result,) = stage.analyze(window_end=stage.now).results
    if runs == 1:
        assert result.learning == f"{TRAINED_AT_ONCE // 24} of {days} days"
    else:
        assert (result.learning, result.past_days) == ("", days)
