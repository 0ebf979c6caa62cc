"""The verdicts of other rules on windows of the past."""

import inspect
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_stage import AnalysisStage, records, stage_with_a_drift
from modelwatch.adapters.results import analysis_settings
from modelwatch.domain.alarms import WindowStatus, alarm_spans
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.errors import InvalidInputError
from modelwatch.services.backtest import Backtester
from modelwatch_cli.monitoring.backtest import parse_changes

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def stage() -> AnalysisStage:
    return stage_with_a_drift()


def run(stage: AnalysisStage, **policy):
    rules = replace(stage.rules, policy=DriftPolicy(**{"mode": "classic", **policy}))
    tester = Backtester(stage.reports, rules)
    return tester.run(tester.names("wine", START - timedelta(days=1), START + timedelta(days=1)))


def test_the_same_rules_give_the_same_verdicts(stage):
    (series,) = run(stage)
    given = [each.given.status for each in series.windows]
    assert given == ["ok", "ok", "drift", "drift", "ok", "ok"]
    assert [each.other for each in series.windows] == [each.given for each in series.windows]
    (alarm,) = series.alarms
    assert alarm.given == alarm.other
    assert (alarm.given.windows, alarm.given.is_over) == (2, True)
    assert alarm.given.drifted_features == ("alcohol",)


def test_a_higher_threshold_raises_no_alarm_and_a_lower_one_more(stage):
    (series,) = run(stage, numerical_threshold=5.0)
    assert (series.given_alarms, series.other_alarms) == (1, 0)
    assert series.alarms[0].other is None
    assert series.other == {"ok": 6}
    (series,) = run(stage, numerical_threshold=0.0, share_threshold=0.1)
    assert series.other == {"drift": 6}
    assert (series.given_alarms, series.other_alarms) == (1, 1)


def test_nothing_but_results_and_what_they_were_made_of_is_read(stage):
    stage.store.groups.clear()
    stage.training.tables.clear()
    stage.registry = None
    (series,) = run(stage)
    assert series.not_evaluated == 0


def test_what_was_not_kept_is_not_evaluated_and_not_ok(stage):
    name = next(iter(stage.reports.kept))
    del stage.reports.kept[name]
    (series,) = run(stage)
    assert (series.not_evaluated, series.untold, series.other["ok"]) == (1, 1, 3)
    (problem,) = {each.problem for each in series.windows if each.problem}
    assert problem == f"{name} has no stored evidence"


def test_windows_that_were_too_small_stay_unknown_under_a_lower_minimum():
    stage = AnalysisStage()
    stage.store.write(records(12, 1.0))
    stage.run_after(seconds=0)
    tester = Backtester(stage.reports, replace(stage.rules, min_rows=10))
    (series,) = tester.run(list(stage.reports.saved))
    assert series.windows[0].problem.endswith("has no stored profile: too few rows")
    tester = Backtester(stage.reports, replace(stage.rules, min_rows=15))
    (series,) = tester.run(list(stage.reports.saved))
    assert series.other == {"unknown": 1}


def test_versions_and_variants_are_separated(stage):
    stage.training.tables["2"] = stage.training.tables["1"]
    stage.store.write(records(40, 9.0, version="2", age_seconds=60 - 6 * 3600))
    stage.store.write(records(40, 9.0, version="2", variant="b", age_seconds=60 - 6 * 3600))
    stage.run_after(hours=1)
    tester = Backtester(stage.reports, stage.rules)
    since, until = START - timedelta(days=1), START + timedelta(days=1)
    found = tester.run(tester.names("wine", since, until))
    assert [(each.model_version, each.variant, len(each.windows)) for each in found] == [
        ("1", "", 7),
        ("2", "", 1),
        ("2", "b", 1),
        ("2", "production", 1),
    ]
    assert len(tester.names("wine", since, until, "2")) == 3


@given(st.lists(st.sampled_from(["ok", "drift", "unknown"])))
def test_every_drift_is_in_one_episode(statuses):
    verdicts = [WindowStatus(START + timedelta(hours=i), each) for i, each in enumerate(statuses)]
    found = list(alarm_spans(verdicts))
    assert sum(each.windows for each in found) == statuses.count("drift")
    assert not any(one.overlaps(other) for one in found for other in found if one is not other)
    assert all(each.is_over for each in found[:-1])
    without = [each for each in verdicts if each.status != "unknown"]
    assert list(alarm_spans(without)) == found


def test_every_setting_that_influences_a_verdict_can_be_changed():
    read = set(re.findall(r'settings\.\w+\(\s*"([A-Z_]+)"', inspect.getsource(analysis_settings)))
    others = {"ANALYSIS_LAG_SECONDS", "PERFORMANCE_WINDOW", "REPORT_EVERY", "REPORT_ROWS"}
    assert read <= {*analysis_settings.VERDICT_SETTINGS, *others}
    assert not others & {*analysis_settings.VERDICT_SETTINGS}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["DRIFT_MODE"], "is not NAME=VALUE"),
        (["CAPTURE_BUCKET=x"], "does not influence the verdict"),
        (["DRIFT_MODE=classic", "DRIFT_MODE=calibrated"], "is given twice"),
    ],
)
def test_changes_that_change_no_verdict_are_refused(given, problem):
    with pytest.raises(InvalidInputError, match=problem):
        parse_changes(given)
