"""What is read of the bridge's page and of Prometheus, as their servers write it."""

from collections.abc import Iterator

import pytest

from modelwatch.errors import ModelwatchError
from modelwatch_cli.monitoring.live_metrics import Prometheus, read_bridge
from stand_in import Request, stand_in

PAGE = b"""# HELP capture_records_total Records.
# TYPE capture_records_total counter
capture_records_total{outcome="sent"} 40.0
capture_records_total{outcome="lost"} 2.0
# TYPE api_request_latency_seconds histogram
api_request_latency_seconds_bucket{le="+Inf"} 3.0
api_request_latency_seconds_count 3.0
"""

RULES = {
    "groups": [
        {
            "rules": [
                {
                    "name": "DataDriftDetected",
                    "state": "pending",
                    "duration": 300,
                    "lastEvaluation": "2026-03-01T10:00:00.5Z",
                    "alerts": [{"labels": {"model_name": "wine"}, "state": "pending"}],
                }
            ]
        }
    ]
}

RESPONSES = {
    "/metrics": PAGE,
    "/api/v1/rules": {"status": "success", "data": RULES},
    "/api/v1/query": {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [{"metric": {"__name__": "up", "job": "x"}, "value": [1.5, "1"]}],
        },
    },
    "/refused/api/v1/query": {"status": "error", "error": "parse error"},
}


@pytest.fixture
def url() -> Iterator[str]:
    def respond(request: Request) -> tuple[int, object]:
        body = RESPONSES.get(request.path.partition("?")[0])
        return (200, body) if body else (404, b"")

    with stand_in(respond) as address:
        yield address


def test_a_page_is_summed_by_labels(url):
    page = read_bridge(f"{url}/metrics")
    assert page.total("capture_records_total") == 42
    assert page.total("capture_records_total", outcome="lost") == 2
    assert page.total("capture_records_total", outcome="stored") == 0
    assert page.total("api_request_latency_seconds_count") == 3


def test_a_bridge_is_asked_with_its_token(monkeypatch):
    def respond(request: Request) -> tuple[int, object]:
        known = request.headers["Authorization"] == "Bearer of-the-bridge-alone"
        return (200, b"up 1\n") if known else (401, b"")

    with stand_in(respond) as address:
        with pytest.raises(ModelwatchError, match="401"):
            read_bridge(f"{address}/metrics")
        monkeypatch.setenv("BRIDGE_TOKEN", "of-the-bridge-alone")
        assert read_bridge(f"{address}/metrics").total("up") == 1


def test_prometheus_says_its_rules_and_values(url):
    prometheus = Prometheus(url)
    alert = prometheus.alerts()["DataDriftDetected"]
    assert (alert.state, alert.hold_seconds) == ("pending", 300)
    assert alert.active == (({"model_name": "wine"}, "pending"),)
    (sample,) = prometheus.query("up")
    assert (sample.name, sample.labels["job"], sample.value) == ("up", "x", 1)


def test_what_does_not_respond_or_refuses_is_an_error(url):
    with pytest.raises(ModelwatchError, match="does not show metrics"):
        read_bridge(f"{url}/elsewhere")
    with pytest.raises(ModelwatchError, match="does not respond"):
        Prometheus("http://127.0.0.1:9").query("up")
    with pytest.raises(ModelwatchError, match="parse error"):
        Prometheus(f"{url}/refused").query("(")
