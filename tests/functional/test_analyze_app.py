"""The analyze app through Chalice's own client."""

from urllib.parse import quote, urlencode

import pytest
from msgspec.structs import replace

from analysis_stage import AnalysisStage, stage_with_a_drift
from modelwatch.domain.verdict.results import ResultName
from modelwatch.errors import AskedRunError
from modelwatch.services.contract import RunningAnalysis
from modelwatch.services.reading import ResultReader

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def stage():
    return AnalysisStage()


@pytest.fixture
def reports(stage):
    return stage.reports


@pytest.fixture
def app_client(client, stage):
    return client(
        "analyze",
        metrics=stage.metrics,
        analyze_service=stage.service,
        asking=stage.asking,
        result_reader=ResultReader(stage.reports, stage.episodes),
    )


def test_analyze_on_request_and_list_the_results(app_client):
    response = app_client.http.post("/analyze", headers=JSON, body=b'{"window_seconds": 60}')
    (result,) = response.json_body["results"]
    assert (response.status_code, result["status"]) == (200, "unknown")
    assert app_client.http.get("/reports").json_body["results"] == [result]


class _Slow:
    """Runs that take longer than a caller waits, or failed."""

    def ask(self, request):
        self.asked = request
        return RunningAnalysis("0" * 32)

    def find(self, name):
        if name == "0" * 32:
            return RunningAnalysis(name)
        raise AskedRunError(409, f"{name}: another stage analyzes it")


def test_what_takes_longer_is_asked_for_by_its_name(client, stage):
    http = client("analyze", metrics=stage.metrics, asking=_Slow()).http
    first = http.post("/analyze", headers=JSON, body=b"{}")
    name = first.json_body["name"]
    assert (first.status_code, first.headers["Location"]) == (202, f"analyze/{name}")
    again = http.get(f"/analyze/{name}")
    assert (again.status_code, again.json_body) == (202, {"name": name, "status": "running"})
    failed = http.get(f"/analyze/{'1' * 32}")
    assert (failed.status_code, failed.json_body["status"]) == (409, 409)
    assert failed.json_body["detail"].endswith("another stage analyzes it")


def test_an_unknown_analysis_is_not_found(app_client):
    for name in ("0" * 32, "x", "%00", "..%2Fx"):
        assert app_client.http.get(f"/analyze/{name}").status_code == 404, name


def test_a_wrong_request_is_refused_by_field(app_client):
    response = app_client.http.post("/analyze", headers=JSON, body=b'{"min_rows": 0}')
    assert (response.status_code, response.json_body["field"]) == (400, "min_rows")


def test_a_report_is_a_redirect(app_client, reports):
    reports.reports["wine.1.20260101T000000Z"] = b"<html>"
    response = app_client.http.get("/reports/wine.1.20260101T000000Z")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("https://reports.example/wine.1.2026")
    for name in ("other", "wine.3.99999999T999999Z.PT1H", "wine.3.20260230T000000Z"):
        assert app_client.http.get(f"/reports/{name}").status_code == 404, name


def test_two_variants_are_compared(app_client):
    until = "2026-11-23T10:00:00Z"
    response = app_client.http.get(f"/compare?a=1&b=2&window=P1D&until={until}&metric=f1")
    found = response.json_body
    assert (response.status_code, found["outcome"]) == (200, "unknown")
    assert (found["model_name"], found["a"]["name"], found["b"]["name"]) == ("wine", "1", "2")
    assert (found["window_start"], found["window_end"]) == ("2026-11-22T10:00:00Z", until)
    same = app_client.http.get(f"/compare?a=1&b=1&until={until}")
    assert (same.status_code, same.json_body["detail"]) == (
        *(400, "'1' and '1' have predictions in common"),
    )


def test_a_comparison_that_takes_longer_has_a_name(client, stage):
    http = client("analyze", metrics=stage.metrics, asking=_Slow()).http
    response = http.get("/compare?a=1&b=2&window=P30D")
    name = response.json_body["name"]
    assert (response.status_code, response.headers["Location"]) == (202, f"analyze/{name}")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("a=champion", "b"),
        ("a=1&b=2&window=P1Y", "window"),
        ("a=1&b=2&until=2026-11-23T10:00:00", "until"),
        ("a=1&b=2&until=now", "until"),
        ("a=1&b=2&until=9999-12-31T23:59:59-14:00", "until"),
        ("a=1&b=2/3", "b"),
        ("a=1&b=2&metric=speed", "metric"),
        ("a=1&b=2&speed=3", "speed"),
        ("a=1&b=2&a=3", "a"),
        ("a=1&b=2&until=2100-01-01T00:00:00Z", "until"),
    ],
)
def test_a_wrong_comparison_is_refused(app_client, query, field):
    response = app_client.http.get(f"/compare?{query}")
    assert response.status_code == 400
    assert response.json_body.get("field", "") == field


def test_all_that_is_wrong_is_named_at_once(app_client):
    body = (
        b'{"min_rows": 0, "window_seconds": "1", "windows": 1, "window_end": "0001-01-01T00:00Z"}'
    )
    response = app_client.http.post("/analyze", headers=JSON, body=body)
    fields = [each["field"] for each in response.json_body["errors"]]
    assert (response.status_code, fields[0]) == (400, response.json_body["field"])
    assert sorted(fields) == ["min_rows", "window_end", "window_seconds", "windows"]
    response = app_client.http.get("/compare?b=&window=P1Y&until=1066-10-14T09:00:00Z&metric=speed")
    fields = [each["field"] for each in response.json_body["errors"]]
    assert sorted(fields) == ["a", "b", "metric", "until", "window"]


@pytest.mark.parametrize(
    "end",
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2100-01-01T00:00:00Z"],
)
def test_a_window_that_no_calendar_holds_or_that_has_not_been_is_refused(app_client, end):
    body = b'{"window_end": "%s"}' % end.encode()
    response = app_client.http.post("/analyze", headers=JSON, body=body)
    assert (response.status_code, response.json_body["field"]) == (400, "window_end")


def test_the_schedule_responds_with_the_verdicts(app_client):
    event = app_client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
    payload = app_client.lambda_.invoke("analyze", event).payload
    assert list(payload["results"].values()) == ["unknown"]
    assert payload["failures"] == {}


@pytest.fixture
def reading(client):
    stage = stage_with_a_drift()
    reader = ResultReader(stage.reports, stage.episodes)
    return client("analyze", metrics=stage.metrics, result_reader=reader).http


def test_models_are_listed_with_their_newest_verdicts(reading):
    (wine,) = reading.get("/models").json_body["models"]
    assert (wine["model_name"], wine["model_version"], wine["severity"]) == ("wine", "1", "ok")
    (window,) = wine["windows"]
    assert (window["window"], window["rows"]) == ("PT1H", 40)


def test_models_come_in_pages_that_are_not_sent_again(reading):
    first = reading.get("/models?limit=1&severity=ok&model_name=wine")
    body = first.json_body
    assert (len(body["models"]), body["total"], body["next_page"]) == (1, 1, "")
    again = {"If-None-Match": first.headers["ETag"]}
    assert reading.get("/models?limit=1&severity=ok", headers=again).status_code == 304
    assert reading.get("/models?severity=drift").json_body["models"] == []
    refused = reading.get("/models?severity=bad&limit=0")
    assert refused.status_code == 400
    assert [each["field"] for each in refused.json_body["errors"]] == ["severity", "limit"]


def test_a_models_results_come_in_pages(reading):
    first = reading.get("/models/wine/results?version=1&limit=4").json_body
    assert [each["severity"] for each in first["results"]] == ["ok", "ok", "drift", "drift"]
    query = urlencode({"limit": 4, "page": first["next_page"]})
    second = reading.get(f"/models/wine/results?{query}").json_body
    assert [each["severity"] for each in second["results"]] == ["ok", "ok"]
    assert "next_page" not in second
    query = urlencode({"from": second["results"][0]["window_end"], "limit": 200})
    assert reading.get(f"/models/wine/results?{query}").json_body["results"] == first["results"]


def test_results_of_all_models_come_in_the_same_pages(reading):
    own = reading.get("/models/wine/results?limit=4").json_body
    assert reading.get("/reports?limit=4").json_body == own
    assert reading.get("/reports?version=9").json_body == {"results": []}
    assert reading.get("/reports?limit=none").status_code == 400


def test_a_page_that_the_caller_has_is_not_sent_again(reading):
    first = reading.get("/models/wine/results?limit=2")
    again = {"If-None-Match": f'"other", W/{first.headers["ETag"]}'}
    second = reading.get("/models/wine/results?limit=2", headers=again)
    assert (first.status_code, second.status_code, second.body) == (200, 304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]
    assert reading.get("/models/wine/results?limit=3", headers=again).status_code == 200


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("from=yesterday", ["from"]),
        ("from=2026-01-01T00:00:00", ["from"]),
        ("to=9999-12-31T23:59:59-14:00", ["to"]),
        ("from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", ["from"]),
        ("limit=0", ["limit"]),
        ("limit=201", ["limit"]),
        ("limit=ten", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=1e9&version=a/b&since=P1D", ["limit", "since", "version"]),
        ("page=xyz", ["page"]),
    ],
)
def test_a_wrong_page_is_refused_by_field(reading, query, fields):
    response = reading.get(f"/models/wine/results?{query}")
    assert response.status_code == 400
    assert sorted(each["field"] for each in response.json_body["errors"]) == fields


@pytest.mark.parametrize("path", ["other", "wine%20", "%00", "..", "a%2Fb"])
def test_a_model_without_results_is_not_found(reading, path):
    assert reading.get(f"/models/{path}/results").status_code == 404


def test_a_version_without_results_is_not_found(reading):
    assert reading.get("/models/wine/results?version=9").status_code == 404


def test_a_name_that_the_gateway_leaves_as_it_is_in_the_url_is_found(client):
    stage = AnalysisStage()
    model = "größe & 50% (v2)"
    made = stage.analyze().results[0]
    name = ResultName(model, "1", made.window_end, made.window)
    stage.reports.save(replace(made, name=str(name), model_name=model), {})
    reader = ResultReader(stage.reports, stage.episodes)
    http = client("analyze", metrics=stage.metrics, result_reader=reader).http
    # Chalice decodes nothing, as LocalStack's gateway
    response = http.get(f"/models/{quote(model, safe='')}/results")
    assert response.status_code == 200
    assert response.json_body["results"][0]["model_name"] == model
