"""What `modelwatch check metrics` takes for right, and what for wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from modelwatch.domain.constraints import Quality
from modelwatch.domain.performance.calibration import EstimatedPerformance
from modelwatch.domain.performance.results import PerformanceResult, PerformanceVerdict
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift
from modelwatch.metric_names import CATALOG
from modelwatch_cli.checks.metrics import Examiner, Finding, check_catalog, rule_problems
from modelwatch_cli.checks.presence import FAULTS, Known, why_absent
from modelwatch_cli.checks.promql import Selector, selectors
from modelwatch_cli.checks.questions import Question, board_questions, rule_questions
from modelwatch_cli.monitoring.live_metrics import LiveMetrics, Sample
from modelwatch_cli.settings import Settings
from wine_records import wine_result

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODEL = {"model_name": "wine", "model_version": "3"}
RECORDED = {each.title: each.expression for each in rule_questions() if each.kind == "recording"}


@dataclass
class InMemoryPrometheus:
    """Answers by parts of what it is asked, and remembers the questions."""

    values: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def query(self, expression: str) -> list[Sample]:
        self.asked.append(expression)
        return [Sample("", {}, value) for part, value in self.values.items() if part in expression]

    def rule_errors(self) -> dict[str, str]:
        return dict(self.errors)


def result(**more: Any) -> AnalysisResult:
    return wine_result(**(MODEL | more))


def known(found: AnalysisResult | None = None, *, numbers: bool = True, **settings: str) -> Known:
    return Known(Settings(settings), "wine", "3", found, lambda: numbers)


def live(*series: str | Sample) -> LiveMetrics:
    return LiveMetrics(
        tuple(Sample(each, MODEL, 1.0) if isinstance(each, str) else each for each in series)
    )


def find(
    expression: str,
    shown: LiveMetrics,
    prometheus: InMemoryPrometheus | None,
    kind: Any = "panel",
    found: AnalysisResult | None = None,
) -> Finding:
    examiner = Examiner(shown, known(found), RECORDED, prometheus)  # type: ignore[arg-type]
    return examiner.find(Question("Board", "Panel", kind, expression))


def test_a_metric_that_is_missing_without_a_reason_is_wrong() -> None:
    shown = live(*(name for name in CATALOG if name != "model_predictions_total"))
    findings = check_catalog(shown, known())
    assert {each.title for each in findings if each.state == "wrong"} == {"model_predictions_total"}
    assert len(findings) == len(CATALOG)


def test_what_counts_faults_may_be_missing_until_there_is_one() -> None:
    findings = check_catalog(live(*(CATALOG.keys() - FAULTS.keys())), known())
    empty = {each.title: each.why for each in findings if each.state == "empty"}
    assert empty == FAULTS
    assert not [each for each in findings if each.state == "wrong"]


def test_every_name_that_may_be_absent_is_in_the_catalog() -> None:
    assert FAULTS.keys() <= CATALOG.keys()


@pytest.mark.parametrize(
    "name",
    [
        "evidently_drift_score",
        "evidently_feature_drift_score",
        "evidently_feature_critical_score",
    ],
)
def test_a_score_may_be_missing_while_the_newest_analysis_is_unknown(name: str) -> None:
    unknown = result(status="unknown", reason="20 rows of at least 100")
    assert "20 rows of at least 100" in why_absent(Selector(name), known(unknown))
    assert why_absent(Selector("evidently_drift_score"), known(result())) == ""
    assert why_absent(Selector(name), known(None)) == ""


def test_a_critical_score_may_be_missing_where_no_feature_has_one() -> None:
    name = Selector("evidently_feature_critical_score")
    assert why_absent(name, known(result())) == "no feature has a critical score"
    feature = FeatureDrift(
        feature="ash", kind="numerical", status="ok", method="wasserstein", threshold=0.1,
        score=0.05, critical_score=0.2,
    )  # fmt: skip
    assert why_absent(name, known(result(features=(feature,)))) == ""


def test_a_threshold_may_be_missing_where_the_estimate_is_of_a_classifier() -> None:
    def asked(thresholds: dict[str, float]) -> str:
        estimated = EstimatedPerformance(
            status="ok", metrics={"accuracy": 0.9}, thresholds=thresholds
        )
        performance = PerformanceResult(
            **MODEL,
            window_start=NOON,
            window_end=NOON,
            verdict=PerformanceVerdict(status="ok", estimated=estimated),
        )
        (selector,) = selectors(
            'model_estimated_bound{bound="threshold"}', {"model_estimated_bound"}
        )
        return why_absent(selector, known(result(performance=performance)))

    assert "only errors of regressions" in asked({})
    assert asked({"mae": 1.0}) == ""


def test_violations_may_be_missing_without_constraints() -> None:
    name = Selector("evidently_constraint_violations_count")
    assert why_absent(name, known(result()))
    kept = result(quality=Quality(status="ok", evaluated=3))
    assert why_absent(name, known(kept)) == ""


def test_values_may_be_missing_when_predictions_are_texts() -> None:
    name = Selector("model_prediction_value_bucket")
    assert why_absent(name, known(result())) == ""
    assert why_absent(name, known(result(), numbers=False)) == "the predictions are no numbers"


def test_a_query_that_gives_a_number_is_right_and_nan_is_none() -> None:
    shown = live("model_load_time_seconds")
    prometheus = InMemoryPrometheus({"model_load_time_seconds": 0.4})
    assert find("model_load_time_seconds", shown, prometheus).state == "data"
    prometheus = InMemoryPrometheus({"model_load_time_seconds": math.nan})
    found = find("model_load_time_seconds", shown, prometheus)
    assert (found.state, found.why) == ("wrong", "it has no data, although all its series exist")


def test_variables_choose_what_serves() -> None:
    prometheus = InMemoryPrometheus({'model_name=~"wine",model_version=~"3"': 1.0})
    series = 'model_predictions_total{model_name=~"$model_name",model_version=~"$model_version"}'
    asked = f"sum(rate({series}[$__rate_interval]))"
    found = find(asked, live("model_predictions_total"), prometheus)
    assert (found.state, "[1m]" in found.expression) == ("data", True)


@pytest.mark.parametrize("prometheus", [InMemoryPrometheus({"": 0.0}), None])
def test_a_misspelt_matcher_is_wrong_even_where_zero_stands_in(prometheus):
    shown = live(Sample("queue_messages", {"queue": "captures", "state": "visible"}, 0))
    found = find('sum(queue_messages{state="visibel"}) or vector(0)', shown, prometheus)
    assert (found.state, found.why) == ("wrong", 'there is no queue_messages{state="visibel"}')
    assert find('sum(queue_messages{state="visible"})', shown, None).state == "data"


def test_an_alert_that_does_not_hold_is_right() -> None:
    shown = live("evidently_drift_score")
    found = find("evidently_drift_score > 0.5", shown, InMemoryPrometheus(), "alert")
    assert (found.state, found.why) == ("empty", "its condition is false")
    found = find("evidently_drift_skore > 0.5", shown, InMemoryPrometheus(), "recording")
    assert found.state == "wrong"


def test_an_alert_about_what_is_not_there_is_wrong() -> None:
    found = find("evidently_drift_score > 0.5", live(), InMemoryPrometheus(), "alert", result())
    assert (found.state, found.why) == ("wrong", "there is no evidently_drift_score")


def test_a_recorded_series_is_followed_to_what_it_is_made_of() -> None:
    alert = "modelwatch:api_error_ratio:rate5m > 0.05"
    assert find(alert, live(), None, "alert").why == ("there is no api_requests_total")
    found = find(alert, live("api_requests_total"), None, "alert")
    assert (found.state, found.why) == ("empty", "no response had this status")


def test_a_rate_of_what_did_not_happen_lately_is_right() -> None:
    shown = live("evidently_analysis_duration_seconds_bucket")
    asked = "histogram_quantile(0.95, rate(evidently_analysis_duration_seconds_bucket[5m]))"
    quiet = InMemoryPrometheus({"increase(": 0.0})
    found = find(asked, shown, quiet)
    assert (found.state, "did not grow in the last 20 minutes" in found.why) == ("empty", True)
    assert "[1200s]" in quiet.asked[-1]
    assert find(asked, shown, InMemoryPrometheus({"increase(": 3.0})).state == "wrong"


def test_a_variable_needs_a_value_to_choose() -> None:
    examiner = Examiner(live("model_predictions_total"), known(), RECORDED, None)
    one_of = Question(
        "Board",
        "model",
        "variable",
        '{__name__=~"model_predictions_total|evidently_analysis_total"}',
        "model_name",
    )
    assert examiner.find(one_of).state == "data"
    assert examiner.find(one_of._replace(label="variant")).state == "wrong"


def test_rules_that_are_not_loaded_or_fail_are_wrong() -> None:
    questions = [
        Question("alert rules", "Loaded", "alert", "a"),
        Question("alert rules", "Failing", "alert", "b"),
        Question("alert rules", "New", "alert", "c"),
        Question("Board", "Failing", "panel", "d"),
    ]
    prometheus = InMemoryPrometheus(errors={"Loaded": "", "Failing": "many-to-many matching"})
    found = rule_problems(prometheus, questions)  # type: ignore[arg-type]
    assert {question.expression: each.why for question, each in found.items()} == {
        "b": "many-to-many matching",
        "c": "Prometheus has not loaded this rule",
    }


def test_every_query_of_the_templates_asks_for_something_known() -> None:
    names = {*RECORDED, "up"}
    for name, metric in CATALOG.items():
        parts = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        names |= {f"{name}{part}" for part in parts}
    constants = {"modelwatch:price_usd:gb_second", "modelwatch:price_usd:request"}
    questions = [*board_questions(), *rule_questions()]
    assert len(questions) > 120
    for question in questions:
        if question.title not in constants and "__name__" not in question.expression:
            assert selectors(question.expression, names), question


def test_findings_are_json() -> None:
    assert msgspec.json.encode(Finding("catalog", "a", "wrong", "it is missing"))
