"""The past of a version on its way to a verdict: learned in parts, kept, and part of a replay."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from analysis_stage import AnalysisStage
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.results.past import S3PastStore
from modelwatch.domain.baselines import Baseline, CapturedWindow, RollingWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.services.backtest import Backtester
from modelwatch.services.learning import HOURS_AT_ONCE
from modelwatch.services.replay import evaluate_again, replay

DAY = timedelta(days=1)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
KEY = "analyses/wine/1/.past/P1D"


def a_day(day: int, *, version: str = "1", warmer: float = 0.0, factor: float = 1.0, rows=30):
    """Return the records of a day: it gets warmer, slowly, and no day is as the one before."""
    rng = np.random.default_rng(day)
    middle = 10 + day / 10 + rng.normal(0, 1.5) + warmer
    return [
        Record(
            event_id=new_event_id(1000 * day + place),
            captured_at=FIRST + day * DAY + timedelta(hours=12, milliseconds=place),
            model_name="wine",
            model_version=version,
            variant="production",
            features={"alcohol": factor * float(value), "colour": "red"},
            prediction=1,
        )
        for place, value in enumerate(rng.normal(middle, 1, rows))
    ]


def after(days: int, **rules) -> AnalysisStage:
    """Return a stage with so many days of captures; then the clock stands at midnight."""
    stage = AnalysisStage(plans=(WindowPlan(DAY, DAY),), **rules)
    for day in range(days):
        stage.store.write(a_day(day))
    stage.now = FIRST + days * DAY
    stage.training.tables["1"] = trained_on(0, 5, 10, 15, rows=200)
    return stage


def trained_on(*days: int, rows: int, timed: bool = False, factor: float = 1.0):
    """Return training rows of these days; not ``timed``, no one gave their times."""
    some = [record for day in days for record in a_day(day, rows=rows, factor=factor)]
    if not timed:
        some = [msgspec.structs.replace(each, captured_at=FIRST) for each in some]
    return records_table(some)


def of_day(stage: AnalysisStage, day: int):
    (result,) = stage.analyze(window_end=FIRST + (day + 1) * DAY).results
    return result


def learned(stage: AnalysisStage, day: int):
    """Let runs learn until there is nothing new, and return the result of the day."""
    for _ in range(10):
        result = of_day(stage, day)
    return result


def test_a_season_is_ok_where_independent_draws_alarm_and_a_change_of_unit_is_drift():
    stage = after(50)
    result = learned(stage, 49)
    assert (result.status, result.past_days, result.learning) == ("ok", 42, "")
    alcohol = result.features[0]
    assert alcohol.critical_from == "past windows"
    assert alcohol.threshold < alcohol.score < alcohol.critical_score
    assert alcohol.reason == "far enough, but windows of the past are as far"
    (draws,) = after(50, history_days=0).analyze(window_end=FIRST + 50 * DAY).results
    assert (draws.status, draws.past_days, draws.learning) == ("drift", 0, "")
    assert draws.features[0].critical_from == "independent draws"

    stage.store.write(a_day(50, factor=1.8, warmer=32 / 1.8))
    changed = of_day(stage, 50)
    assert changed.drifted_features == ("alcohol",)
    assert changed.features[0].score > changed.features[0].critical_score
    assert "looks like x 1.8 + 32" in changed.features[0].reason


def test_what_a_distance_does_not_show_is_named():
    stage = after(50)
    stage.store.write([replace_feature(each, 14.9) for each in a_day(50)])
    result = learned(stage, 50)
    (alcohol,) = (each for each in result.features if each.feature == "alcohol")
    assert alcohol.status == "drift"
    # of a value that is stuck there is no spread to tell
    assert [each.words for each in alcohol.changes] == ["stuck at 14.9"]
    assert "stuck at 14.9 (spike 1, critical 0.0" in alcohol.reason


def test_a_new_category_is_said_once_and_one_that_replaces_all_is_stuck():
    stage = after(50)
    some, every = a_day(50), a_day(51)
    for each in (*some[::3], *every):
        each.features["colour"] = "blue"
    stage.store.write(some + every)
    for day, words in ((50, "33 % unseen.* 'blue'"), (51, "stuck at 'blue'; 100 % unseen.*")):
        (colour,) = (each for each in learned(stage, day).features if each.feature == "colour")
        assert re.fullmatch(words, "; ".join(each.words for each in colour.changes))


def replace_feature(record: Record, value: float) -> Record:
    return msgspec.structs.replace(record, features={**record.features, "alcohol": value})


@pytest.mark.parametrize("days", [1, 8, 12, 30])
def test_knowing_less_makes_no_louder_alarm(days):
    result = learned(after(days), days - 1)
    assert result.learning == f"{max(0, days - 8)} of 28 days"
    (draws,) = after(days, history_days=0).analyze(window_end=FIRST + days * DAY).results
    assert set(result.drifted_features) <= set(draws.drifted_features)
    for one, other in zip(result.features, draws.features, strict=True):
        assert one.critical_score >= other.critical_score
        assert not one.changes


def test_a_run_reads_a_bounded_part_of_the_past_and_none_of_it_twice():
    stage = after(60)
    reads: list[Window] = []
    read = stage.profiles.profiles
    stage.profiles.profiles = lambda name, version, window: (  # type: ignore[method-assign]
        reads.append(window) or read(name, version, window)
    )
    learning = []
    for _ in range(9):
        result = of_day(stage, 59)
        learning.append(result.past_days)
    at_once = HOURS_AT_ONCE // 24
    assert learning[:8] == [at_once * run for run in range(1, 8)] + [52]
    past = [window for window in reads if window.end <= FIRST + 52 * DAY]
    assert sorted(window.start for window in past) == [FIRST + day * DAY for day in range(52)]
    assert len(reads) == 52 + 9, "and the window itself with each run"
    # the next day, one more window is due
    stage.store.write(a_day(60))
    reads.clear()
    assert of_day(stage, 60).past_days == 53
    assert len(reads) == 2


def test_what_is_still_to_be_learned_is_said_in_days():
    """Four weeks are enough for a verdict, but not those of the wrong season."""
    stage = after(50)
    stage.rules = replace(stage.rules, plans=(WindowPlan(7 * DAY, 7 * DAY),))
    said = [stage.analyze(window_end=FIRST + 49 * DAY).results[0].learning for _ in range(6)]
    assert said[:4] == [f"{7 * run} of 35 days" for run in range(1, 5)]
    assert said[4:] == ["5 of 20 windows"] * 2


def test_a_length_that_is_not_scheduled_has_no_past():
    stage = after(40)
    of_day(stage, 30)
    kept = [key for key in stage.s3.objects if "/.past/" in key]
    for hours in (2, 7, 25):
        result = stage.analyze(window_seconds=3600 * hours).results[0]
        assert (result.past_days, result.learning) == (0, "")
    assert [key for key in stage.s3.objects if "/.past/" in key] == kept != []


def test_captures_that_come_late_are_learned_too():
    stage = after(50)
    stage.store.groups = {
        key: group
        for key, group in stage.store.groups.items()
        if group[0].captured_at >= FIRST + 40 * DAY
    }
    assert learned(stage, 49).learning == "2 of 28 days"
    for day in range(40):
        stage.store.write(a_day(day))
    assert learned(stage, 49).past_days == 42


def test_what_captures_no_longer_say_stays_learned():
    stage = after(50)
    learned(stage, 49)
    for key, group in list(stage.store.groups.items()):
        if group[0].captured_at < FIRST + 30 * DAY:
            del stage.store.groups[key]
    assert of_day(stage, 49).past_days == 42


def test_a_past_of_small_numbers_is_learned_anew_once():
    stage = after(20)
    stage.training.tables["1"] = trained_on(0, rows=200, factor=1e-6)
    assert learned(stage, 19).past_days == 12
    document = stage.pasts.load("wine", "1", DAY)
    assert document.reference.endswith(" small")
    # as an earlier release knew it
    earlier = msgspec.structs.replace(document, reference=document.reference.removesuffix(" small"))
    stage.pasts.save("wine", "1", DAY, earlier)
    assert of_day(stage, 19).past_days == HOURS_AT_ONCE // 24
    assert learned(stage, 19).past_days == 12


def test_another_reference_is_another_past():
    stage = after(50)
    learned(stage, 49)
    stage.training.tables["1"] = trained_on(20, rows=200)
    assert of_day(stage, 49).past_days == HOURS_AT_ONCE // 24
    assert learned(stage, 49).past_days == 42


def test_windows_of_the_baseline_itself_are_no_past_of_it():
    stage = after(50)
    window = Window(FIRST, FIRST + 10 * DAY)
    profile = stage.profiles.profiles("wine", "1", window).variants["production"]
    stage.baselines.create(
        Baseline(
            name="spring",
            model_name="wine",
            origin=CapturedWindow("1", window.start, window.end),
            made_at=FIRST,
            rows=300,
        ),
        profile,
        learn_constraints(profile),
    )
    stage.baselines.use("wine", "spring")
    result = learned(stage, 49)
    assert result.reference.startswith("baseline spring")
    assert result.past_days == 32


def test_a_reference_that_rolls_along_has_no_past():
    stage = after(50)
    rolling = Baseline(
        name="week", model_name="wine", origin=RollingWindow("P7D"), made_at=FIRST, rows=0
    )
    profile = stage.training.profile(stage.registry.version("wine", "1"))
    stage.baselines.create(rolling, profile, learn_constraints(profile))
    stage.baselines.use("wine", "week")
    result = of_day(stage, 49)
    assert (result.status != "unknown", result.learning) == (True, "")
    assert KEY not in stage.s3.objects


def test_a_variant_is_as_far_as_all_rows_were_and_has_no_other_changes():
    stage = after(50)
    others = [msgspec.structs.replace(each, variant="canary") for each in a_day(50)]
    ours = [replace_feature(each, 14.9) for each in a_day(51)]
    for place, group in enumerate((others, ours)):
        moved = [
            msgspec.structs.replace(
                each,
                event_id=new_event_id(10**6 + 1000 * place + number),
                captured_at=FIRST + 50 * DAY + timedelta(hours=12, milliseconds=number),
            )
            for number, each in enumerate(group)
        ]
        stage.store.write(moved)
    for _ in range(8):
        results = stage.analyze(window_end=FIRST + 51 * DAY).results
    by_variant = {each.variant: each for each in results}
    assert by_variant["canary"].features[0].critical_from == "past windows"
    assert not any(each.changes for each in by_variant["production"].features)
    assert any(each.changes for each in by_variant[""].features)


def test_a_result_replays_with_the_past_that_it_had():
    stage = after(50)
    given = learned(stage, 49)
    stage.s3.objects.clear()
    stage.store.groups.clear()
    done = replay(stage.reports, given.name, stage.code)
    assert (done.same, done.differences) == (True, ())
    assert done.manifest.past.days == 42
    # without the past it would have been drift
    rules = replace(stage.rules, history_days=0)
    assert evaluate_again(given, stage.reports.evidence(given), rules).status == "drift"
    (series,) = Backtester(stage.reports, rules).run([given.name])
    assert (series.given, series.other) == ({"ok": 1}, {"drift": 1})


def test_a_damaged_past_is_learned_again(caplog):
    stage = after(50)
    learned(stage, 49)
    stage.s3.put_object(Bucket="reports", Key=KEY, Body=b"no past")
    assert of_day(stage, 49).past_days == HOURS_AT_ONCE // 24
    assert f"{KEY} is learned again" in caplog.text


def test_the_store_keeps_a_past_by_length():
    stage = after(10)
    of_day(stage, 9)
    store = S3PastStore(stage.s3, "reports")
    assert store.load("wine", "1", DAY).names[:3] == ("alcohol", "colour", "\x00prediction")
    assert store.load("wine", "1", timedelta(hours=1)) is None
    assert store.load("wine", "2", DAY) is None


def test_the_past_before_an_accepted_episode_is_not_asked():
    """Against the new normal each window before it is far: such scores would hide every drift."""
    stage = after(15)
    for day in range(15, 27):
        stage.store.write(a_day(day, factor=1.8))
    stage.now = FIRST + 27 * DAY
    window = Window(FIRST + 15 * DAY, FIRST + 18 * DAY)
    read = stage.profiles.profiles("wine", "1", window).variants["production"]
    origin = CapturedWindow("1", window.start, window.end)
    for name, episode in (("plain", ""), ("accepted", "1-20260512T000000Z")):
        baseline = Baseline(
            name=name,
            model_name="wine",
            origin=origin,
            made_at=stage.now,
            rows=read.rows,
            episode=episode,
        )
        stage.baselines.create(baseline, read, learn_constraints(read))
    stage.baselines.use("wine", "plain")
    of_day(stage, 26)
    hidden = of_day(stage, 26).features[0].critical_score
    stage.baselines.use_for("wine", "1", "accepted")
    result = of_day(stage, 26)
    assert result.learning == "1 of 28 days"
    assert result.features[0].critical_score < hidden / 2
