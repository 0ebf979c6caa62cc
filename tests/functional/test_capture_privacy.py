"""What leaves predict: through the real app, the real queue adapter and the real metrics' lines."""

import base64
import json
import struct
import time

import pytest

from in_memory import ConstantModel, InMemoryMetrics, InMemoryQueue
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.aws.emf import EmfMetricSink
from modelwatch.adapters.aws.queues import SqsRecordQueue
from modelwatch.adapters.captures.parquet import read_notes, read_table, records_table, write_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.capture_policy import apply_policy, read_policy
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.records import Record
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.schemas import Column, Schema
from modelwatch.services.deliveries import Message, read_message
from predict_app import service_with

JSON = {"Content-Type": "application/json"}
KEY = "a key of this test, long enough"
SCHEMA = Schema(
    (
        Column("name", "string"),
        Column("email", "string"),
        Column("account", "long"),
        Column("income", "double"),
        Column("colour", "string"),
    )
)
ROW = {
    "name": "Ada Lovelace",
    "email": "ada@example.org",
    "account": 76543210,
    "income": 98765.4375,
    "colour": "red",
}
PREDICTION, SHADOWED = 31415.921875, 27182.84375
POLICY = read_policy(
    json.dumps(
        {
            "name": "drop",
            "email": "hash",
            "account": "hash",
            "income": {"bucket": 10_000},
            "prediction": "drop",
            "probabilities": {"bucket": 0.5},
        }
    ),
    KEY,
)
SECRETS = ("Ada", "Lovelace", "ada@", "example.org", 76543210, 98765.4375, PREDICTION, SHADOWED)


class Messages:
    """An SQS client that keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_message(self, **message: str) -> None:
        self.bodies.append(message["MessageBody"])

    def sent(self) -> bytes:
        """Return all that was sent, and once more what of it is in base64."""
        doubles = [base64.b64decode(json.loads(body).get("doubles", "")) for body in self.bodies]
        return "".join(self.bodies).encode() + b"".join(doubles)

    def records(self) -> list[Record]:
        now_ms = time.time_ns() // 1_000_000
        found = [read_message(Message("", body), now_ms) for body in self.bodies]
        assert not any(letters for _, letters in found)
        return [record for blocks, _ in found for block in blocks for record in block.records()]


@pytest.fixture
def messages():
    return Messages()


@pytest.fixture
def serve(client, messages):
    """Return a function that serves the app with parts, and gives its HTTP client."""

    def serve(metrics=None, **parts):
        metrics = metrics or InMemoryMetrics()
        parts.setdefault("queue", SqsRecordQueue(messages, queue_url="https://sqs/q"))
        service = service_with(
            ConstantModel(prediction=PREDICTION, schema=SCHEMA), metrics, **parts
        )
        return client("predict", metrics=metrics, predict_service=service).http

    return serve


def post(http, path, body):
    response = http.post(path, headers=JSON, body=json.dumps(body).encode())
    assert response.status_code == 200, response.body
    return response.json_body


def secrets_in(data: bytes) -> list[object]:
    """Return which of `SECRETS` are in ``data``: as text, and numbers as Parquet holds them, too"""
    found = []
    for secret in SECRETS:
        forms = [str(secret).encode()]
        if isinstance(secret, float):
            forms = [f"{int(secret)}.".encode(), struct.pack("<d", secret)]
        elif isinstance(secret, int):
            forms += [struct.pack("<q", secret), struct.pack("<d", secret)]
        found += [secret for form in forms if form in data]
    return found


def stored(records: list[Record]) -> bytes:
    """Return what the bucket says of ``records``: its bytes, and unpacked the rows and profiles."""
    s3 = InMemoryS3()
    for version in {record.model_version for record in records}:
        alike = [record for record in records if record.model_version == version]
        S3RecordStore(s3, "captures").write(alike)
    found = b""
    for payload in s3.objects.values():
        rows = json.dumps(read_table(payload).to_pylist(), default=str)
        notes = read_notes(payload)
        assert notes
        found += payload + rows.encode() + b"".join(notes.values())
    return found


def test_the_search_finds_what_it_is_to_find(serve, messages):
    post(serve(), "/predict", {"features": ROW})
    assert set(secrets_in(messages.sent())) == set(SECRETS) - {SHADOWED}
    assert set(secrets_in(stored(messages.records()))) == set(SECRETS) - {SHADOWED}


def test_nothing_that_the_policy_keeps_back_leaves(serve, messages, capsys, caplog):
    caplog.set_level("DEBUG")
    shadow = ConstantModel(prediction=SHADOWED, schema=SCHEMA)
    http = serve(EmfMetricSink(), policy=POLICY, shadow=shadow)
    response = post(http, "/predict", {"features": ROW})
    assert response["prediction"] == PREDICTION
    assert shadow.rows == [ROW]
    batch = post(http, "/predict/batch", {"rows": [ROW, {**ROW, "colour": "blue"}]})
    assert batch["predictions"] == [PREDICTION] * 2
    failed = http.post("/predict", headers=JSON, body=json.dumps({"features": [*ROW]}).encode())
    assert failed.status_code == 400
    printed = capsys.readouterr()
    assert "model_predictions_total" in printed.out
    logged = (printed.out + printed.err + caplog.text).encode()
    assert secrets_in(logged) == []
    assert secrets_in(messages.sent()) == []
    assert secrets_in(stored(messages.records())) == []
    assert KEY.encode() not in logged + messages.sent()


def test_what_leaves_is_what_the_policy_says(serve, messages):
    post(serve(policy=POLICY), "/predict", {"features": ROW})
    (record,) = messages.records()
    reference = apply_policy(POLICY, {name: [value] for name, value in ROW.items()})
    assert record.features == {name: values[0] for name, values in reference.items()}
    assert list(record.features) == ["email", "account", "income", "colour"]
    assert (record.features["income"], record.features["colour"]) == (90_000.0, "red")
    assert (record.types, record.prediction, record.probabilities) == ("ssds", None, [0.0, 0.5])
    (row,) = read_table(write_table(records_table([record]))).to_pylist()
    assert (row["prediction"], row["prediction_label"]) == (None, None)
    assert row["feature_email"] == record.features["email"]


def test_everything_may_be_dropped(serve, messages):
    policy = read_policy('{"*": "drop", "prediction": "drop", "probabilities": "drop"}')
    post(serve(policy=policy), "/predict", {"features": ROW})
    (record,) = messages.records()
    assert (record.features, record.types, record.prediction) == ({}, "", None)
    (row,) = read_table(write_table(records_table([record]))).to_pylist()
    assert row["event_id"] == record.event_id
    assert not any(name.startswith("feature_") for name in row)


def test_by_default_everything_is_captured_and_typed(serve, messages):
    metrics = InMemoryMetrics()
    response = post(serve(metrics), "/predict", {"features": ROW})
    (record,) = messages.records()
    assert (record.event_id, record.features) == (response["event_id"], ROW)
    assert (record.prediction, record.types, record.sample_rate) == (PREDICTION, "sslds", 1.0)
    assert metrics.value("model_prediction_value") == PREDICTION
    assert metrics.value("capture_records_total", outcome="sampled_out") == 0


def test_a_record_and_its_shadow_are_sampled_together(serve, messages):
    metrics = InMemoryMetrics()
    shadow = ConstantModel(prediction=SHADOWED, schema=SCHEMA)
    http = serve(metrics, sample_rate=0.3, shadow=shadow)
    event_ids = post(http, "/predict/batch", {"rows": [ROW] * 200})["event_ids"]
    event_ids += [post(http, "/predict", {"features": ROW})["event_id"] for _ in range(20)]
    captured = {record.event_id: record for record in messages.records()}
    chosen = [event_id for event_id in event_ids if is_sampled(event_id, 0.3)]
    assert 30 < len(chosen) < 110
    assert captured.keys() == {*chosen, *(derived_event_id(each, "candidate") for each in chosen)}
    assert {record.sample_rate for record in captured.values()} == {0.3}
    # the shadow predicts all the same: its own metrics are of every row
    assert metrics.value("model_predictions_total", variant="candidate") == len(event_ids)
    counted = {
        outcome: metrics.value("capture_records_total", outcome=outcome)
        for outcome in ("sampled_out", "accepted", "sent", "lost")
    }
    assert counted == {
        "sampled_out": 2 * (len(event_ids) - len(chosen)),
        "accepted": 2 * len(chosen),
        "sent": 2 * len(chosen),
        "lost": 0,
    }


def test_a_sampled_out_prediction_is_never_lost(serve, messages):
    metrics = InMemoryMetrics()
    http = serve(metrics, sample_rate=0.0, queue=InMemoryQueue(down=True))
    assert post(http, "/predict", {"features": ROW})["prediction"] == PREDICTION
    assert messages.bodies == []
    assert metrics.value("capture_records_total") == 1
    assert metrics.value("capture_records_total", outcome="sampled_out") == 1
    assert metrics.value("model_prediction_value") == PREDICTION


def test_a_rule_for_no_feature_is_warned_of_when_the_model_is_loaded(serve, caplog):
    http = serve(policy=read_policy('{"emial": "drop", "colour": {"bucket": 1}}'))
    assert http.get("/health").status_code == 200
    said = [record.message for record in caplog.records]
    assert said == [
        "the capture policy does not fit wine version 1: 'emial' is no feature of the model; "
        "its features are name, email, account, income, colour",
        "the capture policy does not fit wine version 1: 'colour' is of type string, and only "
        "numbers have buckets",
    ]


def test_a_record_that_no_message_holds_is_lost_alone(serve, messages, caplog):
    metrics = InMemoryMetrics()
    large = {**ROW, "name": "x" * 1_100_000}
    response = post(serve(metrics), "/predict/batch", {"rows": [ROW, large, ROW]})
    first, lost, last = response["event_ids"]
    assert [record.event_id for record in messages.records()] == [first, last]
    assert metrics.value("capture_records_total", outcome="lost") == 1
    assert metrics.value("capture_records_total", outcome="sent") == 2
    assert f"records that no message can hold: record {lost}" in caplog.text
    # a field that is dropped cannot make a record too large
    post(serve(policy=POLICY), "/predict", {"features": large})
    assert len(messages.records()) == 3
