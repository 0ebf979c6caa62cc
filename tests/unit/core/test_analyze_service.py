"""The analyze service with its ports in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from in_memory import (
    InMemoryMetrics,
    InMemoryRecordStore,
    InMemoryReferences,
    InMemoryRegistry,
    InMemoryReportStore,
    MeanDetector,
)
from modelwatch.adapters.parquet import records_table
from modelwatch.domain.drift import DriftPolicy
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.records import Record
from modelwatch.errors import InvalidInputError, NotFoundError, RegistryError
from modelwatch.services.analyze import AnalysisRequest, AnalyzeService, parse_request

NOW = datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)


def records(count: int, value: float, version: str = "1", age_seconds: float = 60) -> list[Record]:
    return [
        Record(
            event_id=new_event_id(index),
            captured_at=NOW - timedelta(seconds=age_seconds),
            model_name="wine",
            model_version=version,
            features={"alcohol": value, "colour": "red"},
            prediction=1,
        )
        for index in range(count)
    ]


class Stage:
    def __init__(self) -> None:
        self.registry = InMemoryRegistry({("wine", "production"): ModelVersion("wine", "1", "m")})
        self.store = InMemoryRecordStore()
        self.references = InMemoryReferences({"1": records_table(records(50, 1.0))})
        self.reports = InMemoryReportStore()
        self.metrics = InMemoryMetrics()
        self.detector = MeanDetector()
        self.service = AnalyzeService(
            model_name="wine",
            alias="production",
            registry=self.registry,
            records=self.store,
            references=self.references,
            detector=self.detector,
            reports=self.reports,
            metrics=self.metrics,
            policy=DriftPolicy(),
            window_seconds=3600,
            lag_seconds=5,
            min_rows=20,
            clock=NOW.timestamp,
        )

    def analyze(self, **request):
        return self.service.analyze(AnalysisRequest(**request))


@pytest.fixture
def stage() -> Stage:
    return Stage()


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
    assert stage.service.report_url(result.name).startswith(
        f"https://reports.example/{result.name}"
    )
    assert stage.metrics.value("evidently_data_drift_detected") == 1
    assert stage.metrics.value("evidently_feature_drift_score", method="wasserstein") == 2.0


def test_a_report_is_made_when_asked_for(stage):
    stage.store.write(records(30, 1.0))
    assert stage.analyze(with_report=True).results[0].has_report


def test_too_few_rows_are_unknown_and_never_ok(stage):
    stage.store.write(records(19, 1.0))
    (result,) = stage.analyze().results
    assert result.status == "unknown"
    assert result.reason == "19 rows in the window; 20 are needed"
    assert "evidently_data_drift_detected" not in stage.metrics.names()
    assert stage.metrics.value("evidently_drift_status") == 2
    assert stage.analyze(min_rows=19).results[0].status == "ok"


def test_the_serving_version_is_analyzed_even_without_traffic(stage):
    (result,) = stage.analyze().results
    assert (result.model_version, result.status, result.rows) == ("1", "unknown", 0)


def test_a_version_without_reference_is_unknown(stage):
    stage.store.write(records(30, 1.0, version="2"))
    results = {result.model_version: result for result in stage.analyze().results}
    assert results["2"].reason == "the version has no reference data"


def test_only_the_window_counts(stage):
    stage.store.write(records(30, 9.0, age_seconds=600))
    stage.store.write(records(25, 1.0, age_seconds=60))
    (result,) = stage.analyze(window_seconds=300).results
    assert (result.status, result.rows) == ("ok", 25)
    past = stage.analyze(window_seconds=300, window_end=NOW - timedelta(seconds=500)).results[0]
    assert (past.status, past.rows) == ("drift", 30)


def test_one_bad_version_does_not_stop_the_others(stage):
    stage.references.tables["2"] = stage.references.tables["1"]
    stage.detector.broken_rows = 33
    stage.store.write(records(33, 1.0, version="2"))
    stage.store.write(records(30, 1.0))
    analysis = stage.analyze()
    assert [result.model_version for result in analysis.results] == ["1"]
    assert analysis.failures == {"wine version 2": "RuntimeError: the detector broke"}
    assert stage.metrics.value("evidently_analysis_total", status="error", model_version="2") == 1


def test_without_the_registry_the_captured_versions_are_analyzed(stage, caplog):
    stage.registry.failure = RegistryError("no answer")
    stage.store.write(records(30, 1.0))
    assert [result.status for result in stage.analyze().results] == ["ok"]
    assert "which version serves is not known" in caplog.text


def test_results_are_listed_newest_first(stage):
    for age in (300, 0, 100):
        stage.analyze(window_end=NOW - timedelta(seconds=age))
    ends = [result.window_end for result in stage.service.results(limit=2)]
    assert ends == [NOW, NOW - timedelta(seconds=100)]
    with pytest.raises(NotFoundError):
        stage.service.report_url("wine.1.20200101T000000Z")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"window_seconds": 0}', "window_seconds"),
        (b'{"min_rows": 1}', "min_rows"),
        (b'{"window_end": "2026-11-23T10:00:00"}', "window_end"),
        (b'{"window_end": "now"}', "window_end"),
        (b'{"windows": 3}', ""),
        (b"[", ""),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(body, field):
    with pytest.raises(InvalidInputError) as caught:
        parse_request(body)
    assert caught.value.field == field


def test_an_empty_request_asks_for_the_defaults():
    assert parse_request(b" ") == AnalysisRequest()
