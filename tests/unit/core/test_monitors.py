"""Monitors: each model by its own rules, of one stage, at each run; and how versions are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from analysis_stage import NOW, AnalysisStage, records
from modelwatch.adapters.results.analysis_settings import monitored
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.baselines import Baseline, TrainingData
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.episodes.notes import PlannedChange
from modelwatch.domain.monitors import Monitor, MonitorSet, decode_monitors, encode_monitors
from modelwatch.errors import MonitorError, SettingError, StoreError
from modelwatch.services.replay import replay
from modelwatch.settings.analysis import AnalysisSettings, MonitorSettings
from wine_records import wine_record

HOUR = timedelta(hours=1)
STORED = Path(__file__).parents[2] / "support" / "monitors" / "format-1.json"


@pytest.fixture
def stage():
    return AnalysisStage()


def beer(count, value, **given):
    return [
        wine_record(
            model_name="beer",
            event_id=each.event_id,
            captured_at=each.captured_at,
            features=each.features,
        )
        for each in records(count, value, **given)
    ]


def by_model(analysis):
    return {result.model_name: result for result in analysis.results}


def test_two_models_have_rules_of_their_own_in_one_run(stage):
    stage.store.write(records(30, 3.0))
    stage.store.write(beer(30, 3.0))
    without = by_model(stage.analyze())
    assert {name: each.status for name, each in without.items()} == {
        "wine": "drift",
        "beer": "drift",
    }
    assert {each.monitor for each in without.values()} == {""}
    stage.apply(
        beer=Monitor(stage="local", owner="team", settings={"ANALYSIS_MIN_ROWS": "31"}),
    )
    found = by_model(stage.run_after(seconds=0))
    assert found["wine"].status == "drift"
    assert found["beer"].reason == "30 rows in the window; 31 are needed"
    assert (found["beer"].owner, len(found["beer"].monitor)) == ("team", 16)


def test_a_models_windows_are_its_own(stage):
    stage.store.write(records(30, 1.0, age_seconds=5 * 3600))
    stage.store.write(beer(30, 1.0, age_seconds=5 * 3600))
    stage.apply(beer=Monitor(stage="local", settings={"ANALYSIS_WINDOWS": "PT6H,P1D"}))
    found = stage.run_after(seconds=0).results
    # wine serves, and has nothing in its hour
    assert [(each.model_name, each.window, each.rows) for each in found] == [
        ("beer", "PT6H", 30),
        ("beer", "P1D", 30),
        ("wine", "PT1H", 0),
    ]


def test_a_model_belongs_to_the_stage_that_its_monitor_names(stage):
    stage.store.write(records(30, 3.0))
    stage.store.write(beer(30, 3.0))
    stage.apply(beer=Monitor(stage="production"))
    assert by_model(stage.run_after(seconds=0)).keys() == {"wine"}
    assert by_model(stage.analyze()).keys() == {"wine"}
    with pytest.raises(MonitorError, match="beer is analyzed by the stage 'production'"):
        stage.analyze(model_name="beer")
    assert by_model(stage.analyze(model_name="wine")).keys() == {"wine"}


def test_a_monitor_that_cannot_be_read_costs_its_own_model_alone(stage):
    stage.store.write(records(30, 3.0))
    stage.store.write(beer(30, 3.0))
    stage.apply(
        beer=Monitor(
            stage="local",
            owner="team-beer",
            labels={"tier": "2"},
            settings={"RULE_OF_TOMORROW": "1"},
        )
    )
    analysis = stage.run_after(seconds=0)
    assert by_model(analysis).keys() == {"wine"}
    assert analysis.failures == {
        "beer": "MonitorError: the monitor of beer: setting RULE_OF_TOMORROW: is not known as a "
        "rule of a monitor"
    }
    assert stage.metrics.value("evidently_analysis_total", status="error") == 1
    # the alert about it goes to whom it concerns
    assert stage.metrics.value("model_monitor_info", model_name="beer", owner="team-beer") == 1
    assert stage.metrics.value("model_monitor_labels", model_name="beer", labels=",tier=2,") == 1


def test_a_broken_model_does_not_stop_the_others(stage):
    stage.store.write(beer(30, 3.0))
    stage.store.write(records(30, 3.0))
    last = stage.reports.last

    def broken(model_name, model_version):
        if model_name == "beer":
            raise OSError("what no one expected")
        return last(model_name, model_version)

    stage.reports.last = broken
    analysis = stage.run_after(seconds=0)
    assert by_model(analysis).keys() == {"wine"}
    assert analysis.failures == {"beer version 1": "OSError"}


def test_a_monitor_names_its_reference(stage):
    stage.store.write(records(30, 3.0))
    # what was learned from the training data, by another name
    table = stage.training.profile(stage.registry.version("wine", "1"))
    made = Baseline(
        name="spring", model_name="wine", origin=TrainingData("1"), made_at=NOW, rows=table.rows
    )
    stage.baselines.create(made, table, learn_constraints(table))
    stage.apply(wine=Monitor(stage="local", baseline="spring"))
    (result,) = stage.run_after(seconds=0).results
    assert result.reference == "baseline spring: training data of version 1"


def test_a_monitor_says_what_is_expected(stage):
    stage.store.write(records(100, 5.0))
    stage.run_after(seconds=0)
    assert stage.episodes.load("wine").episodes()[0].status == "open"
    sale = PlannedChange(start=NOW - HOUR, end=NOW + HOUR, reason="sale", features=("alcohol",))
    stage.apply(wine=Monitor(stage="local", planned=(sale,)))
    stage.run_after(minutes=1)
    (episode,) = stage.episodes.load("wine").episodes()
    assert episode.status == "expected"
    assert [(each.who, each.reason) for each in episode.expected] == [("monitor", "sale")]
    stage.apply(wine=Monitor(stage="local"))
    stage.run_after(minutes=1)
    record = stage.episodes.load("wine")
    assert (record.episodes()[0].status, record.notes.planned) == ("open", ())


def test_a_monitor_asks_something_of_columns(stage):
    stage.store.write(records(100, 1.0))
    assert not stage.run_after(seconds=0).results[0].quality.violations
    wide = {"minimum": 5.0, "maximum": 6.0, "allowed_share": 0.0}
    stage.apply(wine=Monitor(stage="local", constraints={"alcohol": {"range": wide}}))
    (result,) = stage.run_after(minutes=1).results
    assert [each.feature for each in result.quality.violations] == ["alcohol"]
    evidence = stage.reports.evidence(result)
    assert replay(stage.reports, result.name, evidence.manifest.code).same


def test_a_change_holds_from_the_next_run_and_old_results_replay(stage):
    stage.store.write(records(30, 3.0))
    stage.apply(wine=Monitor(stage="local", settings={"ANALYSIS_MIN_ROWS": "30"}))
    (first,) = stage.run_after(seconds=0).results
    assert first.status == "drift"
    stage.apply(wine=Monitor(stage="local", settings={"ANALYSIS_MIN_ROWS": "31"}))
    (second,) = stage.run_after(minutes=1).results
    assert second.status == "unknown"
    assert first.monitor != second.monitor
    evidence = stage.reports.evidence(first)
    assert replay(stage.reports, first.name, evidence.manifest.code).same


def test_a_run_reads_the_monitors_once_and_a_later_one_costs_one_request(stage):
    store = S3MonitorStore(stage.s3, "reports")
    assert store.current() == MonitorSet()
    stage.apply(wine=Monitor(stage="local"))
    calls = len(stage.s3.calls)
    assert store.current().number == 1
    assert stage.s3.calls[calls:] == ["get", "get"]
    store.current()
    assert stage.s3.calls[calls:] == ["get", "get", "get"]
    stage.s3.calls.clear()
    S3MonitorStore(stage.s3, "reports").current()
    assert stage.s3.calls == ["list", "get", "get"]


def test_of_two_writers_one_is_told_to_read_again(stage):
    store = S3MonitorStore(stage.s3, "reports")
    store.append(MonitorSet(number=1, monitors={"wine": Monitor(stage="a")}))
    with pytest.raises(StoreError, match=r"changed the monitors, .*`modelwatch monitors history`"):
        store.append(MonitorSet(number=1, monitors={"wine": Monitor(stage="b")}))
    assert store.current().monitors["wine"].stage == "a"


def test_what_was_stored_is_read_by_every_later_release():
    found = decode_monitors(STORED.read_bytes())
    assert encode_monitors(found) == STORED.read_bytes().strip()
    wine = found.monitors["wine"]
    assert wine.digest == "f907a0a3ae35faaa"
    settings = AnalysisSettings({"ANALYSIS_MIN_ROWS": "7"})
    read = monitored(settings, wine)
    assert (read.rules.policy.mode, read.rules.min_rows, read.owner) == ("classic", 7, "team-wine")
    assert read.rules.plans[1].length == timedelta(days=7)
    assert read.performance.min_labels == 50


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"number": "a"}', b"\xff", b'{"format": 2}'])
def test_what_is_no_monitors_is_refused(payload):
    with pytest.raises(StoreError, match=r"are damaged|have format 2; this code reads 1"):
        decode_monitors(payload)


def test_without_a_monitor_a_deployments_settings_hold():
    settings = AnalysisSettings({"DRIFT_MODE": "classic", "PERFORMANCE_MIN_LABELS": "9"})
    found = monitored(settings)
    assert (found.rules.policy.mode, found.performance.min_labels, found.monitor) == (
        "classic",
        9,
        "",
    )
    same = monitored(settings, Monitor(stage="local"))
    assert replace(same, monitor="") == found


def test_a_monitor_may_have_its_own_phase():
    assert monitored(AnalysisSettings({})).rules.phase == "auto"
    own = Monitor(stage="local", settings={"ANALYSIS_PHASE": "week"})
    assert monitored(AnalysisSettings({"ANALYSIS_PHASE": "none"}), own).rules.phase == "week"


def test_a_wrong_rule_names_its_setting():
    wrong = Monitor(stage="local", settings={"ANALYSIS_STALE": "P1M"})
    with pytest.raises(SettingError, match="ANALYSIS_STALE"):
        monitored(AnalysisSettings({}), wrong)


def test_a_monitor_may_override_no_setting_of_the_whole_deployment():
    shared = {"ANALYSIS_SCHEDULE", "ANALYSIS_LAG_SECONDS", "CAPTURE_BUCKET", "REPORT_BUCKET"}
    assert not shared & MonitorSettings.declared().keys()
    assert MonitorSettings.declared().keys() < AnalysisSettings.declared().keys()
