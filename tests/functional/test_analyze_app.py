"""The analyze app through Chalice's own client."""

import pytest

from in_memory import (
    InMemoryMetrics,
    InMemoryRecordStore,
    InMemoryReferences,
    InMemoryRegistry,
    InMemoryReportStore,
    MeanDetector,
)
from modelwatch.domain.drift import DriftPolicy
from modelwatch.domain.models import ModelVersion
from modelwatch.services.analyze import AnalyzeService

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def reports():
    return InMemoryReportStore()


@pytest.fixture
def app_client(client, reports):
    metrics = InMemoryMetrics()
    service = AnalyzeService(
        model_name="wine",
        alias="production",
        registry=InMemoryRegistry({("wine", "production"): ModelVersion("wine", "1", "m")}),
        records=InMemoryRecordStore(),
        references=InMemoryReferences(),
        detector=MeanDetector(),
        reports=reports,
        metrics=metrics,
        policy=DriftPolicy(),
        window_seconds=3600,
        lag_seconds=0,
        min_rows=10,
    )
    return client("analyze", metrics=metrics, analyze_service=service)


def test_analyze_on_request_and_list_the_results(app_client):
    response = app_client.http.post("/analyze", headers=JSON, body=b'{"window_seconds": 60}')
    (result,) = response.json_body["results"]
    assert (response.status_code, result["status"]) == (200, "unknown")
    assert app_client.http.get("/reports").json_body["results"] == [result]


def test_a_wrong_request_is_refused_by_field(app_client):
    response = app_client.http.post("/analyze", headers=JSON, body=b'{"min_rows": 0}')
    assert (response.status_code, response.json_body["field"]) == (400, "min_rows")


def test_a_report_is_a_redirect(app_client, reports):
    reports.reports["wine.1.20260101T000000Z"] = b"<html>"
    response = app_client.http.get("/reports/wine.1.20260101T000000Z")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("https://reports.example/wine.1.2026")
    assert app_client.http.get("/reports/other").status_code == 404


def test_the_schedule_answers_with_the_verdicts(app_client):
    event = app_client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
    payload = app_client.lambda_.invoke("analyze", event).payload
    assert list(payload["results"].values()) == ["unknown"]
    assert payload["failures"] == {}
