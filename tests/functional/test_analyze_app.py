"""The analyze app through Chalice's own client."""

import pytest

from analysis_stage import AnalysisStage

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def stage():
    return AnalysisStage()


@pytest.fixture
def reports(stage):
    return stage.reports


@pytest.fixture
def app_client(client, stage):
    return client("analyze", metrics=stage.metrics, analyze_service=stage.service)


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
