"""Plans: what a change of monitors would have done to past windows, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from analysis_stage import NOW, AnalysisStage, records, stage_with_a_drift
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.alarms import AlarmSpan
from modelwatch.domain.monitors import Monitor, MonitorChange, monitor_changes
from modelwatch.domain.verdict.rules import DriftPolicy, FeatureRule
from modelwatch.services.backtest import Alarm, Series
from modelwatch_cli.monitors.planning import Planner, sentences
from modelwatch_cli.settings import Settings

DAY = timedelta(days=1)
MAY = datetime(2026, 5, 14, 10, tzinfo=UTC)


def planned(stage, windows=6, features=None, **rules):
    settings = {"DRIFT_MODE": "classic", **rules}
    wanted = {"wine": Monitor(stage="local", settings=settings, features=features or {})}
    changes = monitor_changes({}, wanted)
    rules_of_all = {"ANALYSIS_MIN_ROWS": "20", "ANALYSIS_WINDOWS": "PT1H"}
    planner = Planner(Settings(rules_of_all), stage.reports, wanted)
    names = planner.windows(changes, NOW - DAY, NOW + DAY)
    seen = []
    plan = planner.plan("wine", names["wine"], changes, lambda: seen.append(1))
    assert len(seen) == len(names["wine"]) == windows
    return plan


def test_a_higher_threshold_would_not_have_found_the_drift():
    plan = planned(stage_with_a_drift(), DRIFT_NUMERICAL_THRESHOLD="5")
    assert plan.sentences == [
        "version 1, PT1H, 6 windows: 1 alarm becomes 0",
        "  the drift of 2026-11-23 12:00 is not found",
    ]
    assert plan.notes == []


def test_a_rule_of_one_feature_is_a_rule_of_the_plan():
    high = {"alcohol": FeatureRule(threshold=5)}
    plan = planned(stage_with_a_drift(), features=high)
    assert plan.sentences[1:] == ["  the drift of 2026-11-23 12:00 is not found"]
    before, after = (Monitor(stage="local", features=each) for each in ({}, high))
    (change,) = monitor_changes({"wine": before}, {"wine": after})
    assert (change.field, change.before, change.after) == ("features.alcohol.threshold", None, "5")
    planner = Planner(Settings({}), AnalysisStage().reports, {"wine": after})
    assert planner.windows([change], NOW - DAY, NOW).keys() == {"wine"}


def test_what_the_plan_says_is_what_then_happens():
    rules = {"DRIFT_NUMERICAL_THRESHOLD": "5", "DRIFT_MODE": "classic"}
    (before,) = planned(stage_with_a_drift(), **rules).series
    again = AnalysisStage(policy=DriftPolicy(mode="classic"))
    again.training.tables["1"] = records_table(records(100, 0.5) + records(100, 1.5))
    again.apply(wine=Monitor(stage="local", settings=rules))
    found = []
    for hour in range(6):
        value = 1.4 if hour in (2, 3) else 1.0
        for each in (value - 0.5, value + 0.5):
            again.store.write(records(20, each, age_seconds=60 - 3600 * hour))
        found += again.run_after(hours=1 if hour else 0).results
    assert [each.status for each in found] == [each.other.status for each in before.windows]


def test_a_change_of_owner_looks_at_no_window():
    owner = MonitorChange(model_name="wine", field="owner", before=None, after="team")
    labels = MonitorChange(
        model_name="wine", field="rules.performance_min_labels", before="1", after="2"
    )
    stage = AnalysisStage()
    planner = Planner(Settings({}), stage.reports, {"wine": Monitor(stage="local")})
    assert planner.windows([owner, labels], NOW - DAY, NOW) == {}


def test_what_the_past_cannot_show_is_said():
    plan = planned(stage_with_a_drift(), ANALYSIS_WINDOWS="PT1H,P7D")
    assert plan.notes == ["the past has no results of windows of P7D: they are not shown"]
    same = planned(stage_with_a_drift(), ANALYSIS_WINDOWS="PT1H", ANALYSIS_MIN_ROWS="30")
    assert same.notes == []


def test_windows_that_cannot_be_evaluated_again_are_no_quiet_ones():
    stage = AnalysisStage(min_rows=50)
    stage.store.write(records(20, 1.0))
    stage.run_after(hours=0)
    plan = planned(stage, windows=1, ANALYSIS_MIN_ROWS="10")
    assert plan.sentences == ["version 1, PT1H, 1 window: none can be evaluated again"]
    (note,) = plan.notes
    assert note.startswith("1 window cannot be evaluated again; first reason: ")
    assert "too few rows" in note


def test_alarms_in_words():
    def episode(hours: float) -> AlarmSpan:
        at = MAY + timedelta(hours=hours)
        return AlarmSpan(
            begins=at, ends=at + DAY, windows=2, is_over=True, drifted_features=("alcohol",)
        )

    series = Series(
        model_version="3",
        variant="",
        window="PT1H",
        windows=(),
        given={},
        other={},
        not_evaluated=0,
        untold=0,
        alarms=(
            Alarm(given=episode(0), other=episode(2)),
            Alarm(given=episode(60), other=None),
            Alarm(given=episode(120), other=None),
        ),
    )
    assert list(sentences(series)) == [
        "version 3, PT1H, 0 windows: 3 alarms become 1",
        "  the drift of 2026-05-14 10:00 is still found, 2 hours later",
        "  the drift of 2026-05-16 22:00 is not found",
        "  the drift of 2026-05-19 10:00 is not found",
    ]
    new = msgspec.structs.replace(series, alarms=(Alarm(given=None, other=episode(1)),))
    assert list(sentences(new))[1] == "  a new alarm at 2026-05-14 11:00"
