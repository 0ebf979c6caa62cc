"""Capture when the response has left: a slow queue, and a process that dies, on the real stack."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.windows import Window
from running_stack import processes_with
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers

FUNCTION = "modelwatch-local-predict"
MODEL = "wine_quality_model"
WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


class SlowQueue:
    """Hands requests on to the real SQS, once it is `open`."""

    def __init__(self, endpoint_url: str) -> None:
        self.taken = 0
        self.open = threading.Event()
        self.arrived = threading.Semaphore(0)
        slow = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                slow.arrived.release()
                slow.open.wait()
                headers = {name: self.headers[name] for name in self.headers if name != "Host"}
                response = httpx.post(endpoint_url, content=body, headers=headers, timeout=60)
                slow.taken += 1
                self.send_response(response.status_code)
                self.send_header("Content-Type", response.headers["Content-Type"])
                self.send_header("Content-Length", str(len(response.content)))
                self.end_headers()
                self.wfile.write(response.content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Predict:
    """The deployed function, its queue replaced by a slow one."""

    def __init__(self, stack: Any, queue: SlowQueue) -> None:
        self.queue = queue
        self._stack = stack
        self._version = ""
        environ = stack.json("env")
        self.tracking_uri = environ["MLFLOW_TRACKING_URI"]
        self.metrics_url = f"http://127.0.0.1:{stack.environ['BRIDGE_PORT']}/metrics"
        self._lambda = stack.client("lambda")
        stack.know_model()
        deployed = stack.run("deploy", "--json")
        assert deployed.returncode == 0, deployed.stderr
        self.url = json.loads(deployed.stdout)["urls"]["predict"]
        found = self._lambda.get_function_configuration(FunctionName=FUNCTION)
        self._variables = found["Environment"]["Variables"]

    def configure(self, **variables: str) -> None:
        self._lambda.update_function_configuration(
            FunctionName=FUNCTION, Environment={"Variables": {**self._variables, **variables}}
        )
        self._lambda.get_waiter("function_updated_v2").wait(FunctionName=FUNCTION)

    def predict(self) -> None:
        response = httpx.post(f"{self.url}/predict", json={"features": WINE}, timeout=120)
        assert response.status_code == 200, response.text

    def burst(self, requests: int) -> list[str]:
        """Send requests one after the other, densely; return the event ids."""
        with httpx.Client(timeout=60) as client:
            responses = [
                client.post(f"{self.url}/predict", json={"features": WINE}) for _ in range(requests)
            ]
        predictions = [response.json() for response in responses]
        self._version = predictions[0]["model_version"]
        return [prediction["event_id"] for prediction in predictions]

    def stored(self) -> set[str]:
        """Return the event ids of the last hour's captures, of the version of the last burst."""
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
        store = S3RecordStore(self._stack.client("s3"), "modelwatch-captures")
        return set(store.read(MODEL, self._version, window)["event_id"].to_pylist())

    def health(self) -> None:
        assert httpx.get(f"{self.url}/health", timeout=60).status_code == 200

    def counts(self) -> dict[str, float]:
        page = httpx.get(self.metrics_url, timeout=60).text
        found = re.findall(r'^capture_records_total\{outcome="(\w+)"\} (\S+)$', page, re.MULTILINE)
        return {outcome: float(value) for outcome, value in found}

    def missing(self) -> float:
        """Return how many accepted records are neither sent nor lost."""
        counts = self.counts()
        return counts["accepted"] - counts["sent"] - counts["lost"]

    def process_ids(self) -> list[int]:
        """Return the function's processes on this stack, not on another one."""
        return processes_with(
            AWS_LAMBDA_FUNCTION_NAME=FUNCTION, MLFLOW_TRACKING_URI=self.tracking_uri
        )


@pytest.fixture(scope="module")
def predict(stack: Any) -> Iterator[Predict]:
    trained = stack.run("train")
    assert trained.returncode == 0, trained.stderr
    queue = SlowQueue(stack.endpoint_url)
    predict = Predict(stack, queue)
    predict.configure(AWS_ENDPOINT_URL_SQS=queue.url, CAPTURE_BUDGET_MS="20000")
    predict.health()
    yield predict
    queue.open.set()
    predict.configure()
    queue.server.shutdown()


def test_the_response_does_not_wait_and_the_environment_does(predict):
    before = predict.counts()
    # one that waited would find its budget spent, and lose the record
    predict.predict()
    assert predict.queue.arrived.acquire(timeout=PATIENCE_SECONDS)
    assert predict.queue.taken == 0
    predict.queue.open.set()
    # the next request of the same environment: the record is in the queue by then
    predict.health()
    assert predict.queue.taken == 1
    eventually(lambda: predict.counts()["sent"] == before.get("sent", 0) + 1)
    assert predict.counts()["accepted"] == before.get("accepted", 0) + 1


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the function's process in /proc")
def test_a_killed_process_shows_as_a_missing_record(predict):
    before, accepted = predict.missing(), predict.counts()["accepted"]
    predict.queue.open.clear()
    predict.predict()
    assert predict.queue.arrived.acquire(timeout=PATIENCE_SECONDS)
    for process_id in predict.process_ids():
        os.kill(process_id, signal.SIGKILL)
    predict.queue.open.set()
    predict.predict()  # in a new process: nothing goes missing any more
    eventually(lambda: predict.counts()["accepted"] == accepted + 2)
    eventually(lambda: predict.missing() == before + 1)


def test_dense_requests_share_messages_and_a_replaced_environment_loses_none(predict):
    # the interval is longer than the bursts: only the environment's end sends the last records
    predict.configure(
        AWS_ENDPOINT_URL_SQS=predict.queue.url, CAPTURE_BUDGET_MS="400", CAPTURE_FLUSH_MS="60000"
    )
    predict.health()
    before, taken = predict.counts(), predict.queue.taken
    event_ids = predict.burst(50)
    assert predict.queue.taken - taken <= 5
    predict.configure(AWS_ENDPOINT_URL_SQS=predict.queue.url, CAPTURE_FLUSH_MS="1000")
    eventually(lambda: predict.counts()["sent"] == before["sent"] + 50)
    assert predict.queue.taken - taken <= 10
    predict.health()
    taken, began = predict.queue.taken, time.monotonic()
    event_ids += predict.burst(50)
    # no request comes any more, and the environment goes on
    eventually(lambda: predict.counts()["sent"] == before["sent"] + 100)
    # one a second, and those that are full
    assert predict.queue.taken - taken <= time.monotonic() - began + 5
    assert predict.counts()["lost"] == before.get("lost", 0)
    assert len(set(event_ids)) == 100
    eventually(lambda: set(event_ids) <= predict.stored())
