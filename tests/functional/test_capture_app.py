"""The capture app through Chalice's own client."""

import json
from datetime import UTC, datetime

import pytest

from capture_stage import capture_service
from in_memory import (
    InMemoryDeadLetters,
    InMemoryDeliveries,
    InMemoryLabelQueue,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRecordStore,
)

JSON = {"Content-Type": "application/json"}
RECORD = {
    "event_id": "018bcfe5-6800-7000-8000-000000000000",
    "captured_at": "2026-01-01T00:00:00Z",
    "model_name": "wine",
    "model_version": "1",
    "features": {"alcohol": 13.5},
    "prediction": 2,
}


@pytest.fixture
def queue():
    return InMemoryQueue()


@pytest.fixture
def store():
    return InMemoryRecordStore()


@pytest.fixture
def dead_letters():
    return InMemoryDeadLetters()


@pytest.fixture
def deliveries():
    return InMemoryDeliveries()


@pytest.fixture
def label_queue():
    return InMemoryLabelQueue()


@pytest.fixture
def app_client(client, queue, label_queue, store, dead_letters, deliveries):
    metrics = InMemoryMetrics()
    now = datetime(2026, 1, 1, 1, tzinfo=UTC)
    service = capture_service(
        now.timestamp,
        store=store,
        queue=queue,
        label_queue=label_queue,
        dead_letters=dead_letters,
        deliveries=deliveries,
        metrics=metrics,
    )
    return client("capture", metrics=metrics, capture_service=service)


def test_a_record_of_another_application_is_queued(app_client, queue):
    body = json.dumps(RECORD).encode()
    response = app_client.http.post("/capture", headers=JSON, body=body)
    assert (response.status_code, response.json_body) == (202, {"event_id": RECORD["event_id"]})
    body = json.dumps([RECORD, RECORD]).encode()
    response = app_client.http.post("/capture/batch", headers=JSON, body=body)
    assert (response.status_code, response.json_body["accepted"]) == (202, 2)
    assert len(queue.records) == 3


def test_a_record_that_is_none_is_refused_by_field(app_client):
    body = json.dumps({**RECORD, "prediction": [1]}).encode()
    response = app_client.http.post("/capture", headers=JSON, body=body)
    assert (response.status_code, response.json_body["field"]) == (400, "prediction")


@pytest.mark.parametrize(
    ("more", "faults"),
    [
        ({"source": "predict"}, {"source": "is the name of predict's own records"}),
        ({"lost_before": 1_000_001}, {"lost_before": "is more than 1,000,000"}),
        ({"lost_before": 2**53}, {"lost_before": "is more than 1,000,000"}),
        (
            {"error": "it is NaN", "prediction": None},
            {"error": "is only for records of predict's own", "prediction": "is null"},
        ),
        (
            # the name excuses a caller's record from nothing
            {"source": "predict", "features": {}, "prediction": None, "latency_ms": "x"},
            {"source": "give another", "features": "is empty", "prediction": "is null",
             "latency_ms": "Expected 'float'"},
        ),
    ],
)  # fmt: skip
def test_what_only_predict_may_say_is_refused_from_others(app_client, queue, more, faults):
    for path, body in (("/capture", RECORD | more), ("/capture/batch", [RECORD, RECORD | more])):
        response = app_client.http.post(path, headers=JSON, body=json.dumps(body).encode())
        assert response.status_code == 400
        found = {
            each["field"].removeprefix("[1]."): each["detail"]
            for each in response.json_body["errors"]
        }
        assert found.keys() >= faults.keys()
        assert all(text in found[field] for field, text in faults.items())
    assert queue.records == []


def test_a_loss_of_another_application_that_can_be_is_taken(app_client, queue):
    body = json.dumps(RECORD | {"source": "billing", "lost_before": 1_000_000}).encode()
    assert app_client.http.post("/capture", headers=JSON, body=body).status_code == 202
    assert queue.records[0].lost_before == 1_000_000


def test_a_record_that_no_message_can_hold_is_refused_with_the_limit(app_client, queue):
    queue.too_large.add(RECORD["event_id"])
    other = {**RECORD, "event_id": "018bcfe5-6800-7000-8000-000000000001"}
    for path, sent in (("/capture", RECORD), ("/capture/batch", [other, RECORD])):
        body = json.dumps(sent).encode()
        response = app_client.http.post(path, headers=JSON, body=body)
        assert response.status_code == 413
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "at most 999998 are taken" in response.json_body["detail"]
    assert queue.records == []


def test_a_queue_that_is_down_is_reported_to_the_application(app_client, queue):
    queue.down = True
    body = json.dumps(RECORD).encode()
    assert app_client.http.post("/capture", headers=JSON, body=body).status_code == 503


def test_all_that_is_wrong_is_named_at_once(app_client, queue, label_queue):
    wrong = {
        **RECORD,
        "event_id": "7",
        "captured_at": "2099-01-01T00:00:00Z",
        "features": {"alcohol": [1], "hue": {}, "colour": "red"},
        "latency_ms": -1,
        "speed": 1,
    }
    del wrong["model_version"]
    fields = [
        "captured_at",
        "event_id",
        "features.alcohol",
        "features.hue",
        "latency_ms",
        "model_version",
        "speed",
    ]
    response = app_client.http.post("/capture", headers=JSON, body=json.dumps(wrong).encode())
    assert response.status_code == 400
    assert sorted(each["field"] for each in response.json_body["errors"]) == fields
    body = json.dumps([RECORD, wrong, {**RECORD, "prediction": None}]).encode()
    response = app_client.http.post("/capture/batch", headers=JSON, body=body)
    assert sorted(each["field"] for each in response.json_body["errors"]) == [
        *(f"[1].{field}" for field in fields),
        "[2].prediction",
    ]
    labels = [{"label": None, "labelled_at": "1066-10-14T09:00:00Z"}, LABEL, {**LABEL, "say": 1}]
    response = app_client.http.post("/ground-truth", headers=JSON, body=json.dumps(labels).encode())
    assert sorted(each["field"] for each in response.json_body["errors"]) == [
        "[0].event_id",
        "[0].label",
        "[0].labelled_at",
        "[2].say",
    ]
    assert queue.records == label_queue.labels == []


@pytest.mark.parametrize("path", ["/capture", "/capture/batch"])
@pytest.mark.parametrize("quoted", ['"alcohol"', '"\\u0061lcohol"'])
def test_a_feature_that_is_there_twice_is_refused_by_name(app_client, queue, path, quoted):
    body = json.dumps(RECORD).replace('{"alcohol": 13.5}', f'{{"alcohol": 13.5, {quoted}: 14}}')
    place = "" if path == "/capture" else "[0]."
    body = body if path == "/capture" else f"[{body}]"
    response = app_client.http.post(path, headers=JSON, body=body.encode())
    assert (response.status_code, response.json_body["field"]) == (400, f"{place}features.alcohol")
    assert queue.records == []


@pytest.mark.parametrize("name", ["wine\n", "a/b", "a=b", "", "tab\t", "\x7f", "\u2028", "x" * 251])
def test_a_name_that_no_folder_can_have_is_refused(app_client, name):
    body = json.dumps({**RECORD, "model_name": name}).encode()
    response = app_client.http.post("/capture", headers=JSON, body=body)
    assert (response.status_code, response.json_body["field"]) == (400, "model_name")


@pytest.mark.parametrize("character", ["\n", "\x7f", "\x85", "\u2028", "\u2029"])
def test_no_name_has_what_ends_a_line_somewhere(app_client, character):
    name = f"a{character}b"
    for field in ("model_name", "model_version", "variant", "source"):
        body = json.dumps({**RECORD, field: name}).encode()
        response = app_client.http.post("/capture", headers=JSON, body=body)
        assert (response.status_code, response.json_body["field"]) == (400, field)
    body = json.dumps({**RECORD, "features": {name: 1.0}}).encode()
    response = app_client.http.post("/capture", headers=JSON, body=body)
    assert response.status_code == 400


LABEL = {"event_id": RECORD["event_id"], "label": 2}


def test_the_truth_of_a_prediction_is_queued_alone_and_in_lists(app_client, label_queue):
    for labels, count in ((LABEL, 1), ([LABEL, {**LABEL, "label": "red"}], 2)):
        body = json.dumps(labels).encode()
        response = app_client.http.post("/ground-truth", headers=JSON, body=body)
        assert response.status_code == 202
        assert response.json_body == {"accepted": count, "event_ids": [LABEL["event_id"]] * count}
    assert [label.label for label in label_queue.labels] == [2, 2, "red"]


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({**LABEL, "label": None}, "label"),
        ({"label": 1}, "event_id"),
        ([LABEL, {**LABEL, "event_id": "42"}], "[1].event_id"),
        (
            [LABEL, {**LABEL, "event_id": "00000000-0000-4000-8000-000000000000"}],
            "[1].predicted_at",
        ),
        ([LABEL] * 10_001, ""),
        ([], ""),
    ],
)
def test_what_is_no_label_is_refused_by_field_and_none_is_queued(
    app_client, label_queue, labels, field
):
    response = app_client.http.post("/ground-truth", headers=JSON, body=json.dumps(labels).encode())
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json_body["field"]) == (400, field)
    assert label_queue.labels == []


def test_labels_that_the_queue_does_not_take_are_not_acknowledged(app_client, label_queue):
    label_queue.down = True
    response = app_client.http.post("/ground-truth", headers=JSON, body=json.dumps(LABEL).encode())
    assert response.status_code == 503


def test_the_consumer_puts_aside_what_it_cannot_use_and_names_what_failed(
    app_client, store, dead_letters, deliveries
):
    event = app_client.events.generate_sqs_event(
        [json.dumps([RECORD]), "not json"], queue_name="captures"
    )
    event["Records"][0]["messageId"], event["Records"][1]["messageId"] = "good", "poison"
    payload = app_client.lambda_.invoke("consume", event).payload
    assert payload == {"batchItemFailures": []}
    assert dead_letters.letters.keys() == {"poison"}
    dead_letters.down = True
    payload = app_client.lambda_.invoke("consume", event).payload
    assert payload == {"batchItemFailures": [{"itemIdentifier": "poison"}]}
    assert deliveries.delays == {event["Records"][1]["receiptHandle"]: 15}
    assert [len(group) for group in store.groups.values()] == [1]


def test_health(app_client):
    assert app_client.http.get("/health").json_body == {"status": "healthy"}


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00x"])
@pytest.mark.parametrize(
    "field",
    ["captured_at", "latency_ms", "sample_rate", "lost_before", "event_id", "types", "more"],
)
@pytest.mark.parametrize("route", ["/capture", "/capture/batch", "/ground-truth"])
def test_half_of_a_surrogate_pair_is_refused_with_its_field(app_client, route, field, half):
    body = RECORD if route != "/ground-truth" else {"event_id": RECORD["event_id"], "label": 1}
    if route == "/ground-truth" and field not in ("event_id", "more"):
        field = "labelled_at"
    text = json.dumps([body | {field: "@"}] if route == "/capture/batch" else body | {field: "@"})
    response = app_client.http.post(route, headers=JSON, body=text.replace("@", half).encode())
    assert response.status_code == 400, response.body
    assert field in {each["field"].rpartition(".")[2] for each in response.json_body["errors"]}


def test_half_of_a_surrogate_pair_as_a_name_is_refused(app_client):
    text = json.dumps(RECORD | {"@": 1}).replace("@", "\\ud800").encode()
    response = app_client.http.post("/capture", headers=JSON, body=text)
    assert response.status_code == 400, response.body
