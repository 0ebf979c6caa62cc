"""What capture does not lose, on the real stack: dead consumers, S3 and SQS that fail, poison."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from modelwatch.adapters.aws.queues import SqsRecordQueue
from modelwatch.adapters.captures.parquet import read_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record, encode_record
from modelwatch.domain.windows import Window
from s3_gate import S3Gate
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers

CONSUMER, PREDICT = "modelwatch-local-capture", "modelwatch-local-predict"
QUEUE = "modelwatch-local-captures"
BUCKET = "modelwatch-captures"
MODEL = "durable_forest"
WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


class Capture:
    """The deployed consumer behind its gate, its queues and what it stored."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        self.environ = self.stack.json("env")
        self.url = self.stack.json("deploy", "capture")["urls"]["capture"]
        self.sqs = self.stack.client("sqs")
        self.queue_url = self.sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        self.dead_url = self.sqs.get_queue_url(QueueName=f"{QUEUE}-dead")["QueueUrl"]
        self.s3 = self.stack.client("s3")
        self.gate = S3Gate(self.environ["AWS_ENDPOINT_URL_S3"])
        self._variables: dict[str, dict[str, str]] = {}

    def configure(self, function: str, **variables: str) -> None:
        """Give a function ``variables`` more than it was deployed with."""
        functions = self.stack.client("lambda")
        if function not in self._variables:
            found = functions.get_function_configuration(FunctionName=function)
            self._variables[function] = found["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=function,
            Environment={"Variables": {**self._variables[function], **variables}},
        )
        functions.get_waiter("function_updated_v2").wait(FunctionName=function)

    def send(self, records: list[Record]) -> None:
        SqsRecordQueue(self.sqs, queue_url=self.queue_url).send(records)

    def waiting(self) -> int:
        """Return how many messages are in the capture queue, in whatever state."""
        response = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        names = ("", "NotVisible", "Delayed")
        found = response["Attributes"]
        return sum(int(found[f"ApproximateNumberOfMessages{name}"]) for name in names)

    def stored(self, version: str) -> list[str]:
        """Return the distinct event ids of a version's rows of the last hour."""
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
        table = S3RecordStore(self.s3, BUCKET).read(MODEL, version, window)
        return sorted(table["event_id"].to_pylist())

    def objects(self, version: str) -> list[str]:
        """Return the keys of a version's objects."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"captures/model_name={MODEL}/model_version={version}/"
        )
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def letters(self) -> list[dict[str, Any]]:
        return list(self.stack.json("dlq", "list", "--limit", "1000"))

    def kill_consumer(self) -> int:
        """Kill the consumer's processes of this stack; return how many there were."""
        return self.gate.kill(CONSUMER)

    def metric(self, series: str) -> float | None:
        """Return what the bridge says of a series."""
        page = f"http://127.0.0.1:{self.stack.environ['BRIDGE_PORT']}/metrics"
        page = httpx.get(page, timeout=60).text
        found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else None

    def counted(self, outcome: str) -> float:
        return self.metric(f'capture_records_total{{outcome="{outcome}"}}') or 0.0


@pytest.fixture(scope="module")
def capture(stack: Any) -> Iterator[Capture]:
    capture = Capture(stack)
    capture.configure(CONSUMER, AWS_ENDPOINT_URL_S3=capture.gate.url)
    attributes = ["VisibilityTimeout", "RedrivePolicy"]
    deployed = capture.sqs.get_queue_attributes(
        QueueUrl=capture.queue_url, AttributeNames=attributes
    )["Attributes"]
    # what a consumer took with it when it died shall not take six minutes to come again
    capture.sqs.set_queue_attributes(
        QueueUrl=capture.queue_url, Attributes={"VisibilityTimeout": "8"}
    )
    # a poll that has begun goes by the old time
    time.sleep(5)
    yield capture
    capture.gate.mode = "open"
    capture.sqs.set_queue_attributes(QueueUrl=capture.queue_url, Attributes=deployed)
    capture.configure(CONSUMER)


@pytest.fixture(autouse=True)
def open_gate(capture: Capture) -> Iterator[None]:
    yield
    capture.gate.mode = "open"


def records_of(version: str, count: int) -> list[Record]:
    now_ms = time.time_ns() // 1_000_000
    # in one hour, so that they can be in one object
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    return [
        Record(
            event_id=new_event_id(now_ms),
            captured_at=at,
            model_name=MODEL,
            model_version=version,
            features={"alcohol": 13.0 + number / count, "colour": "red", "hue": None},
            prediction=number % 3,
        )
        for number in range(count)
    ]


def ids(records: list[Record]) -> list[str]:
    return sorted(record.event_id for record in records)


def test_a_consumer_that_dies_between_s3_and_the_queue_stores_nothing_twice(capture):
    records = records_of("killed", 200)
    capture.gate.mode = "hold"
    capture.send(records)
    assert capture.gate.held.acquire(timeout=PATIENCE_SECONDS)
    # it is on S3, and the function has yet to hear of it
    (key,) = capture.objects("killed")
    assert capture.kill_consumer() >= 1
    capture.gate.mode = "open"
    eventually(lambda: capture.waiting() == 0)
    assert capture.objects("killed") == [key]
    assert capture.stored("killed") == ids(records)
    again = [mode for _, mode, path in capture.gate.writes if key in path]
    assert again == ["hold", "open"]


def test_records_that_s3_does_not_take_come_again_soon_and_are_counted_once(capture):
    records = records_of("refused", 200)
    # the first response is a lie: S3 has the object, and the consumer cannot know
    capture.gate.mode = "lie"
    capture.send(records)
    # the consumer tries twice, each time that it gets them
    eventually(lambda: len(writes(capture, "refused")) == 2)
    capture.gate.mode = "refuse"
    eventually(lambda: len(writes(capture, "refused")) == 4)
    capture.gate.mode = "open"
    eventually(lambda: capture.waiting() == 0)
    assert len(capture.objects("refused")) == 1
    assert capture.stored("refused") == ids(records)
    first, _, second, _, third = writes(capture, "refused")
    # 15 s and 30 s later, or more: the time of the queue itself is shorter
    assert second - first > 14
    assert third - second > 29


def writes(capture: Capture, version: str) -> list[float]:
    """Return when the consumer tried to write an object of a version."""
    return [at for at, _, path in capture.gate.writes if f"/model_version={version}/" in path]


def test_an_s3_that_hangs_costs_no_record(capture):
    records = records_of("hung", 20_000)
    parts = json.loads(capture.stack.run("status", "--json").stdout)["parts"]
    s3_pid = next(part["pid"] for part in parts if part["name"] == "s3")
    writes = len(capture.gate.writes)
    os.kill(s3_pid, signal.SIGSTOP)
    try:
        capture.send(records)
        eventually(lambda: len(capture.gate.writes) > writes)
        # until the consumer has given up and handed the messages back
        eventually(lambda: len(capture.gate.writes) > writes + 1)
        time.sleep(12)
    finally:
        os.kill(s3_pid, signal.SIGCONT)
    eventually(lambda: capture.waiting() == 0)
    assert capture.stored("hung") == ids(records)
    assert capture.letters() == []


def test_a_bad_record_of_a_list_is_put_aside_alone_and_can_be_tried_again(capture):
    records = records_of("mixed", 3)
    good = [encode_record(record).decode() for record in records]
    bad = good[1].replace('"prediction":1', '"prediction":[1]')
    sent = capture.sqs.send_message(
        QueueUrl=capture.queue_url, MessageBody=f"[{good[0]},{bad},{good[2]}]"
    )
    eventually(lambda: capture.stored("mixed") == ids([records[0], records[2]]))
    (letter,) = eventually(capture.letters)
    assert letter["reason"].startswith("[1].prediction: ")
    assert letter["message_id"] == sent["MessageId"]
    age = f'queue_oldest_message_seconds{{queue="{QUEUE}-dead"}}'
    eventually(lambda: 0 <= (capture.metric(age) or -1) < 600)
    assert capture.metric("capture_queue_delay_seconds_count")
    shown = capture.stack.text("dlq", "show", letter["id"])
    assert letter["bytes"] == len(shown.rstrip())
    assert json.loads(shown) == json.loads(bad)
    # a look hides nothing from the next one
    assert [each["id"] for each in capture.letters()] == [letter["id"]]
    # it is refused again, alone by now, and the command does not send it round in circles
    capture.stack.text("dlq", "redrive", letter["id"])
    (again,) = eventually(capture.letters)
    assert again["id"] != letter["id"]
    assert again["reason"].startswith("prediction: ")
    unasked = capture.stack.run("dlq", "purge")
    assert unasked.returncode == 1
    assert "--yes" in unasked.stderr
    capture.stack.text("dlq", "purge", "--yes")
    assert capture.letters() == []
    eventually(lambda: capture.metric(age) is None)
    assert capture.stack.run("dlq", "show", letter["id"]).returncode == 1


def test_what_was_delivered_too_often_is_sent_back_when_s3_is_well(capture):
    policy = json.loads(
        capture.sqs.get_queue_attributes(
            QueueUrl=capture.queue_url, AttributeNames=["RedrivePolicy"]
        )["Attributes"]["RedrivePolicy"]
    )
    once = json.dumps({**policy, "maxReceiveCount": 1})
    capture.sqs.set_queue_attributes(QueueUrl=capture.queue_url, Attributes={"RedrivePolicy": once})
    records = records_of("moved", 2000)
    capture.gate.mode = "refuse"
    try:
        capture.send(records)
        letters = eventually(capture.letters)
    finally:
        capture.sqs.set_queue_attributes(
            QueueUrl=capture.queue_url, Attributes={"RedrivePolicy": json.dumps(policy)}
        )
    capture.gate.mode = "open"
    eventually(lambda: capture.waiting() == 0)
    assert letters[0]["reason"].startswith("delivered ")
    assert letters[0]["reason"].endswith(", never stored")
    done = capture.stack.run("dlq", "redrive", "--all")
    assert done.returncode == 0, done.stderr
    assert "sent to the capture queue" in done.stderr
    eventually(lambda: capture.stored("moved") == ids(records))
    assert capture.letters() == []


def test_a_record_of_the_largest_size_goes_through_and_a_larger_one_is_refused(capture):
    (record,) = records_of("large", 1)
    record.features = {"text": "x" * 999_000}
    body = encode_record(record)
    url = f"{capture.url}/capture"
    headers = {"Content-Type": "application/json"}
    accepted = httpx.post(url, content=body, headers=headers, timeout=60)
    assert accepted.status_code == 202, accepted.text
    record.features["text"] += "x" * 1000
    refused = httpx.post(url, content=encode_record(record), headers=headers, timeout=60)
    assert refused.status_code == 413
    assert "at most 999998 are taken" in refused.json()["detail"]
    eventually(lambda: capture.stored("large") == [record.event_id])


def test_a_queue_that_does_not_answer_costs_the_record_its_budget_and_the_caller_nothing(capture):
    capture.stack.text("train")
    predict_url = capture.stack.json("deploy", "predict")["urls"]["predict"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # what the queue refuses would wait, in place of being counted
        silence = {"AWS_ENDPOINT_URL_SQS": url, "CAPTURE_BUDGET_MS": "1000"}
        capture.configure(PREDICT, **silence, CAPTURE_FLUSH_MS="0")
        try:

            def predict(_: int) -> int:
                # without a budget, a client of SQS waits longer than this
                return httpx.post(
                    f"{predict_url}/predict", json={"features": WINE}, timeout=30
                ).status_code

            assert predict(0) == 200
            before = capture.counted("lost")
            accepted = capture.counted("accepted")
            with ThreadPoolExecutor(2) as callers:
                assert set(callers.map(predict, range(10))) == {200}
            eventually(lambda: capture.counted("accepted") - accepted >= 10)
            eventually(lambda: capture.counted("lost") - before >= 10)
        finally:
            capture.configure(PREDICT)


def test_a_hundred_thousand_records_are_counted_exactly(capture):
    count = 100_000
    records = records_of("many", count)
    began = time.monotonic()
    capture.send(records)
    sent = time.monotonic()
    eventually(lambda: capture.waiting() == 0)
    drained = time.monotonic()
    stored = capture.stored("many")
    rows = sum(
        read_table(capture.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).num_rows
        for key in capture.objects("many")
    )
    assert (len(stored), rows) == (count, count)
    assert stored == ids(records)
    print(  # noqa: T201 - the figure of the docs, shown with -s
        f"{count} records: sent in {sent - began:.1f} s, stored in {drained - began:.1f} s, "
        f"in {len(capture.objects('many'))} objects"
    )
