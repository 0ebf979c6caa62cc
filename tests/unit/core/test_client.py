"""The public client against a real socket: what it sends, repeats, refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from modelwatch import ApiAuth, ApiError, Client, ModelwatchError
from modelwatch.domain.event_ids import is_event_id
from modelwatch.errors import InvalidInputError
from stand_in import Request, stand_in

PREDICTION = {
    "prediction": 1, "model_name": "wine", "model_version": "3", "variant": "production",
    "timestamp": "2026-01-01T00:00:00Z", "latency_ms": 0.1, "event_id": "e",
}  # fmt: skip
PROBLEM = {
    "status": 400, "detail": "features.ash: is missing", "field": "features.ash",
    "errors": [{"field": "features.ash", "detail": "is missing"}],
}  # fmt: skip


class Api:
    """Gives the responses in turn, and keeps what came."""

    client: Client

    def __init__(self) -> None:
        self.responses: list[tuple[int, Any]] = []
        self.requests: list[tuple[str, str, Any, dict[str, str]]] = []
        self.pauses: list[float] = []

    def respond(self, request: Request) -> tuple[int, Any]:
        given = json.loads(request.body) if request.body else None
        self.requests.append((request.method, request.path, given, dict(request.headers)))
        return self.responses.pop(0)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    with stand_in(api.respond) as address:
        url = f"{address}/api/"
        api.client = Client(
            predict=url, capture=url, analyze=url, auth=ApiAuth("k"),
            pause=api.pauses.append,
        )  # fmt: skip
        with api.client:
            yield api


def test_a_row_of_numpy_is_predicted_and_named(api):
    api.responses = [(200, PREDICTION)]
    found = api.client.predict({"ash": np.float32(2.5), "n": np.int64(3)})
    assert (found.prediction, found.model_version) == (1, "3")
    (method, path, body, headers) = api.requests[0]
    assert (method, path, headers["x-api-key"]) == ("POST", "/api/predict", "k")
    assert body["features"] == {"ash": 2.5, "n": 3}
    assert is_event_id(body["event_id"])


def test_a_repeated_prediction_has_the_same_event_id(api):
    api.responses = [(502, b"bad gateway"), (503, {"detail": "no model"}), (200, PREDICTION)]
    api.client.predict([1.0])
    assert len({body["event_id"] for _, _, body, _ in api.requests}) == 1
    assert api.pauses == [0.5, 1.0]


@pytest.mark.parametrize(("status", "tries"), [(502, 1), (503, 4), (429, 4), (400, 1)])
def test_a_batch_is_repeated_only_if_nothing_was_done(api, status, tries):
    api.responses = [(status, b"")] * tries
    with pytest.raises(ApiError) as caught:
        api.client.predict_batch([[1.0]])
    assert (caught.value.status, len(api.requests)) == (status, tries)


def test_a_refusal_says_what_is_wrong_field_by_field(api):
    api.responses = [(400, PROBLEM)]
    with pytest.raises(
        ModelwatchError, match=r"/api/predict: 400: features.ash: is missing"
    ) as error:
        api.client.predict({})
    assert error.value.faults == (("features.ash", "is missing"),)
    assert len(api.requests) == 1


def test_another_api_is_recognized(api):
    api.responses = [(200, b"<html>")]
    with pytest.raises(ApiError, match="the response is not in modelwatch's form"):
        api.client.model_info()


def test_what_json_does_not_have_is_refused_before_it_is_sent(api):
    with pytest.raises(InvalidInputError, match="a object cannot be sent"):
        api.client.predict({"ash": object()})
    assert api.requests == []


def test_records_labels_and_analyses(api):
    accepted = {"accepted": 2, "event_ids": ["a", "b"]}
    api.responses = [(202, accepted), (202, accepted), (200, {"results": [], "failures": {}}),
                     (200, {"results": []})]  # fmt: skip
    assert api.client.capture([{"prediction": 1}, {"event_id": "mine"}]) == ["a", "b"]
    assert api.client.send_labels([{"event_id": "a", "label": 1}] * 2) == 2
    assert api.client.analyze(window_seconds=60).results == []
    assert api.client.results(since=None) == []
    records, labels, analysis, listed = [(path, body) for _, path, body, _ in api.requests]
    assert records[0] == "/api/capture/batch"
    assert is_event_id(records[1][0]["event_id"])
    assert records[1][1]["event_id"] == "mine"
    assert labels[0] == "/api/ground-truth"
    assert analysis == ("/api/analyze", {"window_seconds": 60, "with_report": False})
    assert listed == ("/api/reports?limit=200", None)


def test_how_models_stand_is_read_a_page_at_once(api):
    def state(version):
        end = "2026-03-01T00:00:00Z"
        named = {"model_name": "wine", "model_version": version}
        return named | {"severity": "ok", "window_end": end, "windows": [], "owner": "team"}

    first = {"models": [state("1"), state("2")], "total": 3, "next_page": "ok.wine.2.20260301T"}
    last = {"models": [state("3")], "total": 3, "next_page": ""}
    api.responses = [(200, first), (200, last), (200, first), (200, {"models": [state("1")]})]
    found = api.client.models("wine", severity="ok", owner="")
    assert [each.model_version for each in found] == ["1", "2", "3"]
    assert len(api.client.models(limit=2)) == 2
    # an API of an earlier version gives all at once
    assert [each.model_version for each in api.client.models()] == ["1"]
    query = "model_name=wine&severity=ok&owner=&limit=200"
    assert [path for _, path, _, _ in api.requests] == [
        f"/api/models?{query}",
        f"/api/models?{query}&page=ok.wine.2.20260301T",
        "/api/models?limit=2",
        "/api/models?limit=200",
    ]
    with pytest.raises(InvalidInputError, match="limit"):
        api.client.models(limit=0)


def test_an_analysis_that_takes_longer_is_waited_for(api):
    running = {"name": "0" * 32, "status": "running"}
    done = {"results": [], "failures": {"wine": "why"}}
    api.responses = [(202, running), (202, running), (502, b""), (202, running), (200, done)]
    waits: list[float] = []
    assert api.client.analyze(on_wait=waits.append).failures == {"wine": "why"}
    paths = [(method, path) for method, path, _, _ in api.requests]
    assert paths == [("POST", "/api/analyze"), *[("GET", f"/api/analyze/{'0' * 32}")] * 4]
    assert waits == [21.0, 22.5, 24.75]


def test_an_analysis_that_failed_or_is_not_done_in_time_is_an_error(api):
    running = {"name": "0" * 32, "status": "running"}
    failed = {"status": 409, "detail": "another stage analyzes it"}
    api.responses = [(202, running), (409, failed)]
    with pytest.raises(ApiError, match="409: another stage analyzes it"):
        api.client.analyze()
    api.responses = [(202, running)] * 3
    with pytest.raises(
        ApiError, match=f"/analyze/{'0' * 32}: 202: .* not done after 22 s"
    ) as error:
        api.client.analyze(wait_seconds=22)
    assert error.value.status == 202


def test_an_address_that_is_missing_or_silent_is_an_error():
    pauses: list[float] = []
    with Client(predict="http://127.0.0.1:9", pause=pauses.append) as client:
        with pytest.raises(ApiError, match="made without the address of capture"):
            client.capture([])
        with pytest.raises(ApiError, match=r"http://127.0.0.1:9/predict/batch: does not respond"):
            client.predict_batch([[1]])
    assert len(pauses) == 3
