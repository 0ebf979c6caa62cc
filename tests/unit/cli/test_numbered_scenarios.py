"""Numbered scenarios: what each expects can be met and can fail; the stress steps up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from modelwatch.domain.constraints import Quality, Violation
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch_cli.monitoring.live_metrics import ActiveAlert, Alert, LiveMetrics
from modelwatch_cli.traffic import expectations as expect
from modelwatch_cli.traffic.expectations import Evidence
from modelwatch_cli.traffic.load import NO_RESPONSE, LoadSummary
from modelwatch_cli.traffic.numbered import NUMBERED
from modelwatch_cli.traffic.scenario_runs import Report
from modelwatch_cli.traffic.schedule import Schedule
from modelwatch_cli.traffic.stress import GROWTH, highest, step_up
from wine_records import wine_result

MODEL = {"model_name": "wine", "model_version": "1"}


def result(**changes: object) -> AnalysisResult:
    return wine_result(**({"name": "wine.1", "reference_rows": 142} | changes))


def page(lost: float = 0, predictions: float = 0, detected: float | None = None) -> LiveMetrics:
    labels = 'model_name="wine",model_version="1"'
    text = (
        f'capture_records_total{{outcome="lost"}} {lost}\n'
        f"model_predictions_total{{{labels}}} {predictions}\n"
        # a shadow's
        f'model_predictions_total{{model_name="wine",model_version="2"}} {predictions * 2}\n'
    )
    if detected is not None:
        text += f"evidently_data_drift_detected{{{labels}}} {detected}\n"
    return LiveMetrics.parse(text)


def rules(*active: ActiveAlert) -> dict[str, Alert]:
    state = active[0].state if active else "inactive"
    return {"DataDriftDetected": Alert("DataDriftDetected", state, 300, "", active)}


EVIDENCE = Evidence(
    sent={"200": 100},
    predicted=100,
    on_s3=100,
    results=[result()],
    before=page(predictions=7),
    after=page(predictions=107, detected=0),
    alerts_before=rules(),
    alerts=rules(),
)


def met(expectation: expect.Expectation, **changes: object) -> bool | None:
    return expectation.look(replace(EVIDENCE, **changes)).met


def test_every_right_request_gets_a_prediction_and_every_wrong_one_refused():
    assert met(expect.all_responded())
    assert met(expect.all_responded(), sent={"200": 95, "400": 5}, refused=5)
    assert met(expect.all_responded(), sent={"200": 95, "400": 5}, refused=4) is False
    assert met(expect.all_responded(), sent={"200": 99, NO_RESPONSE: 1}) is False


def test_what_is_missing_on_s3_is_counted_as_lost():
    assert met(expect.nothing_lost())
    assert met(expect.nothing_lost(), on_s3=98) is False
    assert met(expect.nothing_lost(), on_s3=98, after=page(lost=2))
    assert met(expect.nothing_lost(), on_s3=98, after=page(lost=1)) is False
    assert met(expect.nothing_lost(), before=None, after=None)
    assert met(expect.nothing_lost(), on_s3=98, before=None, after=None) is False


def test_a_verdict_is_of_this_traffic_alone():
    assert met(expect.verdict("ok"))
    assert met(expect.verdict("drift")) is False
    assert met(expect.verdict("ok"), results=[]) is False
    assert met(expect.verdict("ok"), results=[result(rows=120)]) is False


def test_the_features_that_were_moved_are_named_and_no_others():
    moved = expect.drifted(["a", "b", "c", "d"], at_least=0.75, others=False)
    assert met(moved, results=[result(drifted_features=("a", "b", "c"))])
    assert met(moved, results=[result(drifted_features=("a", "b"))]) is False
    assert met(moved, results=[result(drifted_features=("a", "b", "c", "x"))]) is False
    assert met(expect.drifted([], at_least=1, others=False))
    assert met(expect.drifted([], at_least=1, others=False), results=[]) is False


def test_broken_rules_are_named_by_feature_and_check():
    violation = Violation(
        feature="a", check="missing", found=0.35, expected=0.0, rows=35, sentence="a: missing"
    )
    broken = [result(quality=Quality(status="violated", evaluated=5, violations=(violation,)))]
    assert met(expect.violated({"a": "missing"}), results=broken)
    assert met(expect.violated({"a": "range"}), results=broken) is False
    assert met(expect.violated({"a": "missing"})) is False
    assert met(expect.clean())
    assert met(expect.clean(), results=broken) is False


def test_metrics_are_looked_at_where_there_is_a_bridge():
    assert met(expect.predicted())
    assert met(expect.predicted(), after=page(predictions=106)) is False
    assert met(expect.predicted(), before=None) is None
    lost = {"outcome": "lost"}
    exactly = expect.counted("capture_records_total", lambda seen: seen.refused, **lost)
    at_least = expect.counted("capture_records_total", lambda seen: seen.refused, True, **lost)
    three = page(lost=3)
    assert [met(exactly, refused=n, after=three) for n in (2, 3, 4)] == [False, True, False]
    assert [met(at_least, refused=n, after=three) for n in (2, 3, 4)] == [True, True, False]
    assert met(exactly, after=None) is None
    assert met(expect.shown("evidently_data_drift_detected", 0))
    assert met(expect.shown("evidently_data_drift_detected", 1)) is False
    assert met(expect.shown("evidently_data_drift_detected", 0), after=page()) is False
    assert met(expect.shown("evidently_data_drift_detected", 0), after=None) is None


def test_alerts_are_of_the_versions_that_predicted():
    (active,) = expect.raised("DataDriftDetected")
    (firing,) = expect.raised("DataDriftDetected", firing=True)
    (inactive,) = expect.quiet("DataDriftDetected")
    pending = rules(ActiveAlert(MODEL, "pending"))
    other = rules(ActiveAlert({**MODEL, "model_version": "2"}, "firing"))
    assert (met(active), met(inactive)) == (False, True)
    assert (met(active, alerts=pending), met(inactive, alerts=pending)) == (True, False)
    assert (met(active, alerts=other), met(inactive, alerts=other)) == (False, True)
    assert met(firing, alerts=pending) is False
    assert met(firing, alerts=rules(ActiveAlert(MODEL, "firing")))
    assert met(inactive, alerts=pending, alerts_before=pending) is None
    assert met(active, alerts=None) is met(inactive, alerts=None) is None
    assert met(active, alerts={}) is met(inactive, alerts={}) is False


def test_late_labels_are_joined():
    assert met(expect.labels_arrived(), labels=100, labelled=100)
    assert met(expect.labels_arrived(), labels=100, labelled=99) is False
    assert met(expect.labels_arrived()) is False


def test_each_scenario_has_expectations_for_any_model_with_a_number():
    for columns in (["x"], list("abcdefgh")):
        reference = pd.DataFrame({name: np.random.default_rng(1).random(50) for name in columns})
        for scenario in NUMBERED:
            sentences = [each.sentence for each in scenario.expectations(reference, False)]
            assert len(sentences) > 6
            assert len(set(sentences)) == len(sentences)
    assert [each.number for each in NUMBERED] == [1, 2, 3, 4, 5]


def test_a_report_says_what_failed():
    finding = expect.Finding
    report = Report(1, "normal_day", [("a", finding(True, "")), ("b", finding(False, "seen"))])
    assert (report.passed, report.failed) == (False, ["b"])
    assert Report(1, "normal_day", [("a", finding(None, "not looked at"))]).passed
    assert report.as_dict()["expectations"][1] == {"expected": "b", "met": False, "seen": "seen"}


def responses(rate: float, latency_ms: float, errors: int = 0) -> LoadSummary:
    summary = LoadSummary(sent=10, sending_seconds=9 / rate)
    summary.statuses.update({"200": 10 - errors} | ({"503": errors} if errors else {}))
    summary.numbers.extend([1.0] * (10 - errors))
    summary.latencies_ms.extend([latency_ms] * 10)
    return summary


def test_the_rate_steps_up_until_the_p95_is_beyond_the_limit():
    asked: list[float] = []

    def send(schedule: Schedule) -> LoadSummary:
        rate = schedule.rate_at(0)
        asked.append(rate)
        return responses(rate, latency_ms=4 * rate)

    steps, whole = step_up(send, 10, 5, slo_ms=100)
    assert asked == pytest.approx([10, 15, 22.5, 33.75])
    assert [step.held for step in steps] == [True, True, True, False]
    assert highest(steps) == 22.5 == 10 * GROWTH**2
    assert (whole.sent, whole.statuses["200"]) == (40, 40)


@pytest.mark.parametrize("broken", [responses(10, 5, errors=1), LoadSummary()])
def test_an_error_or_no_response_ends_it(broken):
    steps, _ = step_up(lambda _: broken, 10, 5, slo_ms=100)
    assert [step.held for step in steps] == [False]
    assert highest(steps) is None
