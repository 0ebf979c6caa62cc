"""The way of one prediction, on the real stack; stories go on to schedule and drift."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwatch import Client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.windows import Window
from modelwatch_cli.settings import Settings
from running_stack import free_ports
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


class Pipeline:
    """The deployed apps, and what lies behind them."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        self.environ = self.stack.json("env")
        self.settings = Settings(self.environ)
        stack.know_model()
        addresses = self.stack.json("deploy")
        self.urls: dict[str, str] = addresses["urls"]

    def captured(self, version: str) -> dict[str, dict[str, Any]]:
        """Return the rows captured in the last hour, by event id."""
        store = S3RecordStore(self.stack.client("s3"), self.settings.capture_bucket)
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
        rows = store.read("wine_quality_model", version, window).to_pylist()
        return {row["event_id"]: row for row in rows}


@pytest.fixture(scope="module")
def pipeline(stack: Any) -> Pipeline:
    trained = stack.run("train")
    assert trained.returncode == 0, trained.stderr
    return Pipeline(stack)


def test_a_prediction_gets_a_response_is_captured_and_counted(pipeline):
    response = httpx.post(
        f"{pipeline.urls['predict']}/predict", json={"features": WINE}, timeout=60
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["prediction"], body["variant"]) == (0, "production")
    row = eventually(lambda: pipeline.captured(body["model_version"]).get(body["event_id"]))
    assert row["feature_alcohol"] == 14.23
    assert row["prediction"] == 0.0
    assert len(row["probabilities"]) == 3
    info = httpx.get(f"{pipeline.urls['predict']}/model/info", timeout=60).json()
    assert info["flavor"] == "onnx"
    assert info["metrics"]["accuracy"] > 0.9
    metrics = f"http://127.0.0.1:{pipeline.stack.environ['BRIDGE_PORT']}/metrics"
    eventually(
        lambda: 'model_predictions_total{model_name="wine' in httpx.get(metrics, timeout=60).text
    )


def test_the_documented_look_inside_works(pipeline):
    page = (ROOT / "docs" / "how-to" / "look-inside.md").read_text()
    snippet = page.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        env={**pipeline.stack.whole_environ, **pipeline.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for queue in ("captures", "captures-dead"):
        assert re.search(rf"^modelwatch-local-{queue} holds \d+ messages$", done.stdout, re.M)
    # the newest lines of the log: of the platform, or of metrics
    assert re.search(r'^(START|END|REPORT) RequestId: |^{"_aws"', done.stdout, re.M)
    assert "captures/model_name=wine_quality_model/model_version=" in done.stdout


def test_a_poisoned_message_is_put_aside_at_once_and_alone(pipeline):
    sqs = pipeline.stack.client("sqs")
    name = pipeline.settings.capture_queue_name
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def in_flight() -> int:
        response = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return int(response["Attributes"]["ApproximateNumberOfMessagesNotVisible"])

    # what another test kept from S3 may still wait for its next delivery
    in_flight_before = in_flight()
    poison = sqs.send_message(QueueUrl=url, MessageBody='{"event_id": "poison\\u0001"}')
    record = {
        "event_id": new_event_id(time.time_ns() // 1_000_000),
        "captured_at": datetime.now(UTC).isoformat(),
        "model_name": "wine_quality_model",
        "model_version": "1",
        "features": {"alcohol": 13.0},
        "prediction": 1,
    }
    accepted = httpx.post(f"{pipeline.urls['capture']}/capture", json=record, timeout=60)
    assert accepted.status_code == 202, accepted.text
    eventually(lambda: pipeline.captured("1").get(record["event_id"]))
    dead_url = sqs.get_queue_url(QueueName=f"{name}-dead")["QueueUrl"]

    def dead_letters() -> list[dict[str, Any]]:
        received = sqs.receive_message(
            QueueUrl=dead_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return list(received.get("Messages", []))

    (letter,) = eventually(dead_letters)
    assert letter["Body"] == '{"event_id": "poison\\u0001"}'
    said = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert said["message_id"] == poison["MessageId"]
    assert "captured_at" in said["reason"]
    # it is done with, and not waiting to be delivered again
    eventually(lambda: in_flight() <= in_flight_before)
    sqs.delete_message(QueueUrl=dead_url, ReceiptHandle=letter["ReceiptHandle"])


def test_too_few_rows_are_unknown(pipeline):
    with Client(analyze=pipeline.urls["analyze"]) as client:
        found = client.analyze(model_name="wine_quality_model", min_rows=100_000)
    assert found.failures == {}
    assert {result.status for result in found.results} == {"unknown"}


def test_an_analysis_goes_on_when_its_caller_has_a_response(pipeline):
    function, url = "modelwatch-local-analyze-api", f"{pipeline.urls['analyze']}/analyze"
    functions = pipeline.stack.client("lambda")
    # the one environment holds the request: the run starts only when that has its response
    functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    try:
        first = httpx.post(url, json={"min_rows": 100_000}, timeout=60)
        assert first.status_code == 202, first.text
        name = first.json()["name"]
        address = f"{pipeline.urls['analyze']}/{first.headers['location']}"
        assert address.endswith(f"/analyze/{name}")
    finally:
        functions.delete_function_concurrency(FunctionName=function)

    def done() -> dict[str, Any]:
        response = httpx.get(address, timeout=60)
        assert response.status_code in (200, 202), response.text
        return response.json() if response.status_code == 200 else {}

    found = eventually(done)
    assert found["failures"] == {}
    assert all(f"-{name[:8]}" in result["name"] for result in found["results"])
    assert httpx.get(f"{url}/{'0' * 32}", timeout=60).status_code == 404


def test_a_reload_holds_for_every_environment(pipeline):
    url = pipeline.urls["predict"]

    def versions() -> set[str]:
        """Predict eight times at once, which takes as many environments."""

        def predict(_: int) -> str:
            response = httpx.post(f"{url}/predict", json={"features": WINE}, timeout=60)
            return str(response.json()["model_version"])

        with ThreadPoolExecutor(8) as callers:
            return set(callers.map(predict, range(24)))

    # an environment of before may have another one until it looks again
    (before,) = eventually(lambda: found if len(found := versions()) == 1 else None)
    pipeline.stack.text("train")
    response = httpx.post(f"{url}/model/reload", json={}, timeout=60)
    assert response.status_code == 200, response.text
    assert versions() == {str(int(before) + 1)}


def test_chalice_local_serves_against_the_stack(pipeline, tmp_path):
    port = free_ports()
    environ = {**os.environ, **pipeline.environ}
    log = (tmp_path / "chalice.log").open("w+")
    process = subprocess.Popen(
        [ROOT / ".envs/dev/bin/chalice", "local", "--no-autoreload", "--port", str(port)],
        cwd=ROOT / "functions" / "predict",
        env=environ,
        start_new_session=True,
        stdout=log,
        stderr=subprocess.STDOUT,
    )

    def healthy() -> Any:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health", timeout=60).json()
        except httpx.TransportError:
            return None

    try:
        assert eventually(healthy)["model_loaded"]
        response = httpx.post(
            f"http://127.0.0.1:{port}/predict", json={"features": WINE}, timeout=60
        )
        assert response.json()["prediction"] == 0
        # its metrics are on the bridge: no log group has them, they came over TCP
        metrics = f"http://127.0.0.1:{pipeline.stack.environ['BRIDGE_PORT']}/metrics"
        known = 'api_requests_total{endpoint="/predict",method="POST",status="200"} '

        def predictions() -> float:
            found = [
                line for line in httpx.get(metrics, timeout=60).text.splitlines() if known in line
            ]
            return float(found[0].rpartition(" ")[2]) if found else 0.0

        before = predictions()
        for _ in range(20):
            httpx.post(f"http://127.0.0.1:{port}/predict", json={"features": WINE}, timeout=60)
        eventually(lambda: predictions() >= before + 20)
        log.flush()
        assert "api_requests_total" not in Path(log.name).read_text()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        log.seek(0)
        print(log.read())  # noqa: T201 - pytest shows it when the test fails
