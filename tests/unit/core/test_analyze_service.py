"""The analyze service with its ports in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from analysis_stage import NOW, AnalysisStage, records
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.baselines import Baseline, TrainingData
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.importance import Importance
from modelwatch.domain.monitors import Monitor
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.errors import InvalidInputError, NotFoundError, RegistryError
from modelwatch.metric_names import CATALOG
from modelwatch.services.analysis_bounds import MOST_VARIANTS, MOST_VERSIONS
from modelwatch.services.analysis_requests import AnalysisRequest, parse_request
from modelwatch.settings.analysis import AnalysisSettings

HOUR = timedelta(hours=1)
STATUSES = {
    "evidently_drift_status",
    "evidently_window_status",
    "evidently_segment_drift_status",
    "evidently_version_status",
}


@pytest.fixture
def stage() -> AnalysisStage:
    return AnalysisStage()


def test_the_same_distribution_is_ok_and_needs_no_report(stage):
    stage.store.write(records(30, 1.0))
    (result,) = stage.analyze().results
    assert (result.status, result.rows, result.reference_rows) == ("ok", 30, 50)
    assert result.window_end == datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
    assert stage.reports.reports == {}
    assert stage.metrics.value("evidently_data_drift_detected", model_version="1") == 0
    assert stage.metrics.value("evidently_analysis_total", status="ok") == 1


def test_a_shift_is_drift_with_a_report(stage):
    stage.store.write(records(30, 3.0))
    (result,) = stage.analyze().results
    assert (result.status, result.drifted_features) == ("drift", ("alcohol",))
    assert result.has_report
    assert stage.reports.files[result.name].keys() == {
        "report.html",
        "statistics.json",
        "constraints.json",
        "constraint_violations.json",
    }
    assert stage.reports.report_url(result.name, 3600).startswith(
        f"https://reports.example/{result.name}"
    )
    assert stage.metrics.value("evidently_data_drift_detected") == 1
    assert stage.metrics.value("evidently_feature_drift_score", method="wasserstein") == 2000.0


def test_a_report_is_made_when_asked_for(stage):
    stage.store.write(records(30, 1.0))
    assert stage.analyze(with_report=True).results[0].has_report


def test_too_few_rows_are_unknown_and_never_ok(stage):
    stage.store.write(records(19, 1.0))
    (result,) = stage.run_after(seconds=0).results
    assert result.status == "unknown"
    assert result.reason == "19 rows in the window; 20 are needed"
    assert "evidently_data_drift_detected" not in stage.metrics.names()
    assert stage.metrics.value("evidently_drift_status") == 2
    assert stage.analyze(min_rows=19).results[0].status == "ok"


def test_the_serving_version_is_analyzed_even_without_traffic(stage):
    (result,) = stage.analyze().results
    assert (result.model_version, result.status, result.rows) == ("1", "unknown", 0)


def test_after_a_night_without_traffic_a_version_stands_as_its_longer_window_says():
    stage = AnalysisStage(
        plans=(WindowPlan(timedelta(hours=1)), WindowPlan(timedelta(days=1), timedelta(hours=1)))
    )
    stage.store.write(records(30, 1.0))
    stage.run_after(hours=0)
    assert stage.metrics.value("evidently_version_status") == 0
    stage.metrics.samples.clear()
    stage.run_after(hours=1)
    # the main window says what it knows
    assert stage.metrics.value("evidently_drift_status") == 2
    assert stage.metrics.value("evidently_window_status", window="P1D") == 0
    assert "evidently_version_status" in stage.metrics.names()
    assert stage.metrics.value("evidently_version_status") == 0
    stage.run_after(hours=25)
    said = [each for each in stage.metrics.samples if each.name == "evidently_version_status"]
    assert said[-1].value == 2


def test_a_version_without_reference_is_unknown(stage):
    stage.store.write(records(30, 1.0, version="2"))
    results = {result.model_version: result for result in stage.analyze().results}
    assert results["2"].reason.startswith("no reference: `modelwatch adopt wine --version 2 ")


def test_an_ad_hoc_analysis_stands_beside_the_schedules(stage):
    stage.store.write(records(30, 3.0))
    (planned,) = stage.run_after(seconds=0).results
    remembered = dict(stage.reports.remembered)
    stage.metrics.samples.clear()
    asked = [stage.analyze(min_rows=1_000_000).results[0] for _ in range(2)]
    asked += stage.analyze(window_end=planned.window_end).results
    assert [result.status for result in asked] == ["unknown", "unknown", "drift"]
    assert {result.window_end for result in asked} == {planned.window_end}
    assert len({planned.name, *(result.name for result in asked)}) == 4
    listed = {result.name: result.ad_hoc for result in stage.reports.results(limit=9)}
    assert listed == {planned.name: False} | {result.name: True for result in asked}
    assert stage.reports.saved[planned.name] == planned
    # the schedule goes on as if no one had asked
    assert stage.reports.remembered == remembered
    assert stage.run_after(seconds=0).results == []
    assert not STATUSES & stage.metrics.names()


def test_gauges_show_an_ad_hoc_verdict_by_the_settings_rules_alone(stage):
    stage.store.write(records(30, 3.0))
    stage.analyze(min_rows=2)
    stage.analyze(window_end=NOW)
    stage.now += timedelta(hours=3)
    stage.analyze()
    assert not STATUSES & stage.metrics.names()
    stage.now -= timedelta(hours=3)
    stage.analyze()
    assert stage.metrics.value("evidently_drift_status") == 1


def test_an_ad_hoc_ok_does_not_end_the_schedules_alarm(stage):
    stage.store.write(records(30, 9.0, age_seconds=600))
    stage.store.write(records(25, 1.0, age_seconds=60))
    assert stage.run_after(seconds=0).results[0].status == "drift"
    stage.metrics.samples.clear()
    assert stage.analyze(window_seconds=300).results[0].status == "ok"
    assert not STATUSES & stage.metrics.names()
    assert not {"evidently_data_drift_detected", "evidently_drift_score"} & stage.metrics.names()
    # a louder one is shown
    assert stage.analyze().results[0].status == "drift"
    assert stage.metrics.value("evidently_data_drift_detected") == 1


def test_only_the_window_counts(stage):
    stage.store.write(records(30, 9.0, age_seconds=600))
    stage.store.write(records(25, 1.0, age_seconds=60))
    (result,) = stage.analyze(window_seconds=300).results
    assert (result.status, result.rows) == ("ok", 25)
    stage.metrics.samples.clear()
    past = stage.analyze(window_seconds=300, window_end=NOW - timedelta(seconds=500)).results[0]
    assert (past.status, past.rows) == ("drift", 30)
    # gauges show the present
    assert stage.metrics.names() == {
        "evidently_analysis_total",
        "evidently_analysis_duration_seconds",
    }


def test_one_bad_version_does_not_stop_the_others(stage):
    stage.training.tables["2"] = stage.training.tables["1"]
    stage.profiles.broken.add("2")
    stage.store.write(records(33, 1.0, version="2"))
    stage.store.write(records(30, 1.0))
    analysis = stage.analyze()
    assert [result.model_version for result in analysis.results] == ["1"]
    assert analysis.failures == {"wine version 2": "RuntimeError"}
    assert stage.metrics.value("evidently_analysis_total", status="error", model_version="2") == 1


def test_made_up_versions_and_variants_are_counted_and_named_and_cost_no_other(stage):
    stage.store.write(records(30, 3.0))
    for number in range(2, MOST_VERSIONS + 4):
        stage.store.write(records(1, 1.0, version=str(number)))
    for number in range(MOST_VARIANTS + 2):
        stage.store.write(records(1 + number % 2, 3.0, variant=f"v{number:02}"))
    analysis = stage.run_after(seconds=0)
    assert analysis.failures == {
        "wine": "too many versions; 3 are not analyzed: 4, 3, 2",
        "variants of wine version 1": "too many variants; 3 are not analyzed: v16, v18, v20",
    }
    ours = [result for result in analysis.results if result.model_version == "1"]
    assert (len(ours), ours[0].status, ours[0].rows) == (MOST_VARIANTS + 1, "drift", 63)
    assert len({result.model_version for result in analysis.results}) == MOST_VERSIONS
    assert stage.metrics.value("evidently_analysis_total", status="error") == 2


def test_a_model_that_is_asked_for_and_not_there_is_a_failure_without_a_metric(stage):
    stage.store.write(records(30, 1.0))
    found = stage.analyze(model_name="wien")
    assert (found.results, list(found.failures)) == ([], ["wien"])
    assert "no captures in the window" in found.failures["wien"]
    assert stage.metrics.value("evidently_analysis_total", model_name="wien") == 0


def test_one_version_is_analyzed_where_it_is_asked_for(stage):
    stage.training.tables["2"] = stage.training.tables["1"]
    stage.store.write(records(30, 1.0))
    stage.store.write(records(30, 3.0, version="2"))
    found = stage.analyze(model_name="wine", model_version="2")
    assert [(each.model_version, each.status) for each in found.results] == [("2", "drift")]
    assert found.failures == {}


def test_the_version_that_is_asked_for_is_never_one_too_many(stage):
    for number in range(1, MOST_VERSIONS + 3):
        stage.store.write(records(2, 1.0, version=str(number)))
    for number in ("1", str(MOST_VERSIONS + 2)):
        (result,) = stage.analyze(model_name="wine", model_version=number).results
        assert (result.model_version, result.rows) == (number, 2)


def test_what_is_not_there_is_said_with_what_there_is(stage):
    stage.store.write(records(30, 1.0))
    stage.store.write(records(30, 1.0, version="1.5-β"))
    found = stage.analyze(model_name="wine", model_version="7").failures
    assert found == {
        "wine version 7": "no captures in the window, and it does not serve; there are versions 1, "
        "1.5-β"
    }
    found = stage.analyze(model_name="wien").failures
    assert found == {
        "wien": "no captures in the window, and no version of it serves; there are the models wine"
    }


def test_a_version_of_no_model_is_refused():
    with pytest.raises(InvalidInputError, match="model_version: is of no model"):
        parse_request(b'{"model_version": "1"}')


def test_a_metric_says_who_cares_for_a_model(stage):
    stage.store.write(records(30, 1.0))
    stage.run_after(hours=0)
    assert stage.metrics.value("model_monitor_info", model_name="wine", owner="") == 1
    assert stage.metrics.value("model_monitor_labels", model_name="wine", labels="") == 1
    labels = {"tier": "1", "region": "eu"}
    stage.apply(wine=Monitor(stage="local", owner="team-wine", labels=labels))
    stage.run_after(hours=1)
    assert stage.metrics.value("model_monitor_info", model_name="wine", owner="team-wine") == 1
    text = ",region=eu,tier=1,"
    assert stage.metrics.value("model_monitor_labels", model_name="wine", labels=text) == 1


def test_without_the_registry_the_captured_versions_are_analyzed(stage, caplog):
    stage.registry.failure = RegistryError("no answer")
    stage.store.write(records(30, 1.0))
    assert [result.status for result in stage.analyze().results] == ["ok"]
    assert "which version of wine serves is not known" in caplog.text


def test_results_are_listed_newest_first(stage):
    for age in (300, 0, 100):
        stage.analyze(window_end=NOW - timedelta(seconds=age))
    ends = [result.window_end for result in stage.reports.results(limit=2)]
    assert ends == [NOW, NOW - timedelta(seconds=100)]
    with pytest.raises(NotFoundError):
        stage.reports.report_url("wine.1.20200101T000000Z", 3600)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"window_seconds": 0}', "window_seconds"),
        (b'{"min_rows": 1}', "min_rows"),
        (b'{"min_rows": 1000001}', "min_rows"),
        (b'{"window_end": "2026-11-23T10:00:00"}', "window_end"),
        (b'{"window_end": "now"}', "window_end"),
        (b'{"windows": 3}', "windows"),
        (b"[", ""),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(body, field):
    with pytest.raises(InvalidInputError) as caught:
        parse_request(body)
    assert caught.value.field == field


def test_an_empty_request_asks_for_the_defaults():
    assert parse_request(b" ") == AnalysisRequest()


def test_the_schedule_repeats_nothing(stage):
    stage.store.write(records(30, 3.0))
    first = stage.run_after(seconds=0)
    assert [result.status for result in first.results] == ["drift"]
    samples = list(stage.metrics.samples)
    assert stage.run_after(seconds=0).results == []
    # another run at the same time, which did not see the first one's result
    stage.reports.remembered.clear()
    stage.run_after(seconds=0)
    # gauges show the same again, and nothing is counted twice
    again = stage.metrics.samples[len(samples) :]
    assert again == [each for each in samples if CATALOG[each.name].kind == "gauge"]
    assert len(stage.reports.saved) == 1


def test_missed_runs_are_caught_up_without_touching_the_gauges(stage):
    stage.store.write(records(30, 1.0, age_seconds=60))
    stage.store.write(records(30, 3.0, age_seconds=60 - 2 * 3600))
    stage.run_after(seconds=0)
    stage.metrics.samples.clear()
    results = stage.run_after(hours=5).results
    ends = [result.window_end for result in results]
    first = NOW - timedelta(seconds=5)
    assert ends == [first + hours * HOUR for hours in range(1, 6)]
    assert [result.late for result in results] == [True] * 4 + [False]
    assert [result.status for result in results] == ["unknown", "drift"] + ["unknown"] * 3
    assert stage.metrics.value("evidently_analysis_late_total") == 4
    assert stage.metrics.value("evidently_drift_status") == 2
    assert stage.reporter.made == []


def test_windows_that_are_missed_for_good_are_counted(stage):
    stage.run_after(seconds=0)
    results = stage.run_after(hours=30).results
    assert len(results) == 24
    assert stage.metrics.value("evidently_analysis_missed_total") == 6


def test_several_windows_have_a_status_each():
    stage = AnalysisStage(plans=(WindowPlan(HOUR), WindowPlan(timedelta(days=7))))
    stage.store.write(records(90, 1.0, age_seconds=90_000))
    stage.store.write(records(30, 3.0, age_seconds=60))
    short, long = stage.run_after(seconds=0).results
    assert (short.window, short.status, short.rows) == ("PT1H", "drift", 30)
    assert (long.window, long.rows) == ("P7D", 120)
    assert stage.metrics.value("evidently_window_status", window="PT1H") == 1
    assert stage.metrics.value("evidently_drifted_features_count") == 1
    assert {short.name, long.name} == set(stage.reports.saved)


def by_default(**rules) -> AnalysisStage:
    """Return a stage with the windows of the settings, a minute after midnight."""
    stage = AnalysisStage(plans=AnalysisSettings({}).analysis_windows, **rules)
    stage.now = datetime(2026, 11, 23, 0, 1, tzinfo=UTC)
    return stage


def lengths(done) -> set[tuple[str, str]]:
    return {(each.model_version, each.window) for each in done.results}


def captured(stage: AnalysisStage, version: str, *hours_ago: float) -> None:
    for hours in hours_ago:
        age = (NOW - stage.now).total_seconds() + 3600 * hours
        stage.store.write(records(30, 1.0, version=version, age_seconds=age))


def test_a_day_and_a_week_are_evaluated_each_night_once_they_have_captures():
    stage = by_default()
    captured(stage, "1", 0)
    # the day that has ended, and the week, have none yet
    for _ in range(2):
        assert lengths(stage.run_after(minutes=1)) == {("1", "PT1H")}
    night = stage.run_after(days=1)
    assert lengths(night) == {("1", "PT1H"), ("1", "P1D"), ("1", "P7D")}
    assert {each.rows for each in night.results if each.window != "PT1H"} == {30}
    assert lengths(stage.run_after(minutes=1)) == {("1", "PT1H")}
    # no one asks any more: that is said of each length
    (day,) = (each for each in stage.run_after(days=1).results if each.window == "P1D")
    assert (day.status, day.rows) == ("unknown", 0)


def test_a_version_that_no_longer_serves_has_results_as_long_as_it_has_captures():
    stage = by_default()
    captured(stage, "0", 26, 0.5)

    def windows_of_it(**time: float) -> set[str]:
        return {window for version, window in lengths(stage.run_after(**time)) if version == "0"}

    assert windows_of_it(seconds=0) == {"PT1H", "P1D", "P7D"}
    # in its newest hour there is nothing: that is no news of a version that is gone
    assert windows_of_it(hours=2) == set()
    assert windows_of_it(days=1) == {"P7D"}
    assert windows_of_it(days=9) == set()


def test_all_lengths_share_one_budget():
    hours, default = AnalysisStage().rules, by_default().rules
    month = hours.run_every * (1 / hours.level)
    assert 1 / default.level == pytest.approx(1 / hours.level + 2 * (month / timedelta(days=1)))


def test_variants_have_results_of_their_own(stage):
    stage.store.write(records(30, 1.0) + records(30, 9.0, variant="shadow"))
    results = {result.variant: result for result in stage.run_after(seconds=0).results}
    assert {variant: result.rows for variant, result in results.items()} == {
        "": 60,
        "production": 30,
        "shadow": 30,
    }
    assert results["production"].status == "ok"
    assert results["shadow"].status == "drift"
    assert stage.metrics.value("evidently_window_status", variant="shadow") == 1
    assert stage.metrics.value("evidently_analysis_total", status="drift") == 2


def test_a_lasting_drift_is_reported_once_an_hour_and_when_it_changes(stage):
    for minutes in range(0, 200, 10):
        stage.store.write(records(10, 3.0, age_seconds=-60 * minutes))
    made = []
    for _ in range(18):
        stage.run_after(minutes=10)
        made.append(len(stage.reporter.made))
    assert made[-1] == 3
    assert made[0] <= 1


def test_an_old_window_is_unknown():
    stage = AnalysisStage(stale=timedelta(minutes=10))
    stage.store.write(records(30, 1.0, age_seconds=1800))
    (result,) = stage.run_after(seconds=0).results
    assert result.status == "unknown"
    assert result.reason == "the newest record is 0.5 hours old at the window's end"


def test_predictions_drift_apart_from_features(stage):
    reference = records(60, 1.0)
    for index, each in enumerate(reference):
        each.prediction = index % 2
    stage.training.tables["1"] = records_table(reference)
    stage.store.write(records(60, 1.0))
    (result,) = stage.run_after(seconds=0).results
    assert (result.status, result.drift_share) == ("ok", 0.0)
    outputs = {output.feature: output.status for output in result.outputs}
    assert outputs["prediction_label"] == "drift"
    assert stage.metrics.value("evidently_output_drift_detected", output="prediction_label") == 1


def test_what_the_reference_never_had_is_a_violation(stage):
    window = records(60, 1.0)
    for each in window[:40]:
        each.features["colour"] = None
    stage.store.write(window)
    (result,) = stage.run_after(seconds=0).results
    assert [violation.check for violation in result.quality.violations] == ["missing"]
    assert stage.metrics.value("evidently_constraint_violations_count") == 1


def test_what_matters_most_to_the_model_is_named_first(stage):
    reference, window = records(60, 1.0), records(60, 9.0)
    for index, each in enumerate(reference):
        each.features["hue"] = index % 10
    for index, each in enumerate(window):
        each.features["hue"] = index % 10 + 8
    stage.training.tables["1"] = records_table(reference)
    stage.training.importances["1"] = Importance(
        features={"alcohol": 0.0, "hue": 0.4}, rows=60, repetitions=5, measure="accuracy"
    )
    stage.store.write(window)
    (result,) = stage.run_after(seconds=0).results
    assert result.drifted_features == ("hue", "alcohol")
    assert result.headline.startswith("hue (")


def test_a_model_that_no_registry_knows_is_unknown_and_no_failure(stage):
    stage.registry.unknown.add("2")
    stage.store.write(records(30, 1.0, version="2"))
    analysis = stage.run_after(seconds=0)
    assert analysis.failures == {}
    results = {result.model_version: result for result in analysis.results}
    assert results["2"].reason.startswith("no reference: `modelwatch adopt wine --version 2 ")


def test_performance_is_reported_with_the_newest_result_and_cannot_hide_it(stage, caplog):
    stage.store.write(records(30, 1.0))
    stage.training.holdouts["1"] = records_table(records(7, 1.0))
    (result,) = stage.run_after(seconds=0).results
    assert (result.performance.window_end - result.performance.window_start).days == 7
    assert result.performance.records == 7
    assert stage.metrics.value("model_performance_status") == 2
    stage.performance.failure = RuntimeError("no labels today")
    (result,) = stage.run_after(minutes=1).results
    assert (result.status, result.performance) == ("ok", None)
    assert "no labels today" in caplog.text


def test_a_window_that_lost_much_is_unknown(stage):
    window = records(30, 3.0)
    window[4].lost_before = 3
    stage.store.write(window)
    (result,) = stage.run_after(seconds=0).results
    assert result.status == "unknown"
    assert result.reason == "9.1% of the window's records were lost; at most 5.0% may be"


def test_a_window_whose_predictions_failed_is_not_ok(stage):
    window = records(100, 1.0)
    for record in window[:80]:
        record.source, record.prediction, record.error = "predict", None, "the prediction is NaN"
    stage.store.write(window)
    (result,) = stage.analyze().results
    sentence = (
        "prediction: 80 of 100 rows have no prediction: the prediction is NaN "
        "(80 %; allowed: 0.1 %)"
    )
    assert (result.status, result.reason) == ("unknown", sentence)
    assert result.quality.status == "violated"
    assert [(each.check, each.sentence) for each in result.quality.violations] == [
        ("failed", sentence)
    ]


def test_drift_stays_drift_where_predictions_failed(stage):
    window = records(100, 3.0)
    for record in window[:80]:
        record.source, record.prediction, record.error = "predict", None, "the prediction is NaN"
    stage.store.write(window)
    (result,) = stage.analyze().results
    assert (result.status, result.drifted_features) == ("drift", ("alcohol",))
    assert "failed" in [each.check for each in result.quality.violations]


def test_a_baseline_of_one_version_leaves_the_others_their_training_data(stage):
    made = Baseline(
        name="spring",
        model_name="wine",
        origin=TrainingData("2"),
        made_at=NOW,
        rows=50,
        model_version="2",
    )
    profile = stage.training.profile(stage.registry.resolve("wine", "production"))
    stage.baselines.create(made, profile, learn_constraints(profile))
    stage.baselines.use("wine", "spring")
    stage.store.write(records(30, 1.0))
    (result,) = stage.analyze().results
    assert (result.status, result.reference_rows) == ("ok", 50)
    assert "spring" not in result.reference
