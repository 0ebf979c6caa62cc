"""The real bridge on LocalStack's real logs: killed under load, and scraped by Prometheus."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from prometheus_client.parser import text_string_to_metric_families

from running_stack import free_ports
from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
MODEL = {"model_name": "wine", "model_version": "3"}


class LocalStack(Protocol):
    """What the fixture `localstack` gives."""

    endpoint_url: str

    def client(self, service: str) -> Any:
        """Return a boto3 client of it."""


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {PATIENCE_SECONDS} s")


def emf(**metrics_and_labels: Any) -> str:
    """Return an EMF line: values are metrics, texts are the labels of all of them."""
    labels = {k: v for k, v in metrics_and_labels.items() if isinstance(v, str)}
    metrics = [{"Name": k} for k, v in metrics_and_labels.items() if not isinstance(v, str)]
    directive = {"Namespace": "modelwatch", "Dimensions": [list(labels)], "Metrics": metrics}
    envelope = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": envelope} | metrics_and_labels)


class LogGroup:
    """A log group as a function of that name would write it."""

    def __init__(self, localstack: LocalStack, function: str) -> None:
        self._client = localstack.client("logs")
        self.name = f"/aws/lambda/{function}"
        self._streams: set[str] = set()
        self._client.create_log_group(logGroupName=self.name)

    def write(self, stream: str, *lines: str, age_ms: int = 0) -> None:
        if stream not in self._streams:
            self._client.create_log_stream(logGroupName=self.name, logStreamName=stream)
            self._streams.add(stream)
        at_ms = time.time_ns() // 1_000_000 - age_ms
        events = [{"timestamp": at_ms, "message": f"{line}\n"} for line in lines]
        self._client.put_log_events(logGroupName=self.name, logStreamName=stream, logEvents=events)

    def forget(self) -> None:
        """Lose everything, as at a restart of LocalStack."""
        self._client.delete_log_group(logGroupName=self.name)
        self._client.create_log_group(logGroupName=self.name)
        self._streams.clear()


class Bridge:
    """The bridge as a process."""

    def __init__(self, folder: Path, endpoint_url: str, prefix: str, **more: str) -> None:
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "bridge.log"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BRIDGE_"))},
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": endpoint_url,
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("layers/core", "bridge")),
            "BRIDGE_PORT": str(self.port),
            "BRIDGE_STATE": str(folder / "bridge.sqlite"),
            "BRIDGE_LOG_GROUP_PREFIX": prefix,
            "BRIDGE_POLL_SECONDS": "0.1",
            "BRIDGE_LATE_SECONDS": "20",
            "BRIDGE_LOOKBACK_SECONDS": "60",
            "BRIDGE_STALE_SECONDS": "5",
            "BRIDGE_QUEUES": "-",
            **more,
        }
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelwatch_bridge.main"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a metric's values by the label values in the labels' alphabetical order."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(get(f"{self.url}/metrics")[1])
            for sample in family.samples
            if sample.name == name
        }

    def is_ready(self) -> bool:
        return get(f"{self.url}/health")[0] == 200

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()


@pytest.fixture
def prefix() -> str:
    """Name of functions that no other test has, and that the bridge of a stack does not follow."""
    return f"bridge-test-{uuid4().hex[:8]}-"


@pytest.fixture
def bridge(tmp_path: Path, localstack: LocalStack, prefix: str) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, localstack.endpoint_url, f"/aws/lambda/{prefix}")
    yield bridge
    bridge.close()


class Traffic(threading.Thread):
    """Writes lines as fast as LocalStack takes them, and knows what it wrote."""

    def __init__(self, group: LogGroup) -> None:
        super().__init__()
        self._group = group
        self._random = random.Random(group.name)
        self.sent: Counter[str] = Counter()
        self.lines = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        batch = 0
        while not self.stopping.is_set():
            batch += 1
            lines: list[str] = []
            for _ in range(self._random.randint(1, 30)):
                outcome = self._random.choice(["sent", "stored"])
                count = self._random.randint(1, 3)
                # identical lines, one time for all of them, streams that share times
                lines.append(emf(capture_records_total=count, outcome=outcome))
                self.sent[outcome] += count
            self.lines += len(lines)
            age_ms = self._random.choice([0, 0, 0, 3000, 8000])  # late ones
            self._group.write(f"[$LATEST]{batch % 3}-{batch // 90}", *lines, age_ms=age_ms)
            time.sleep(0.02)


def test_killed_under_load_it_counts_what_was_sent(bridge, localstack, prefix):
    traffic = [Traffic(LogGroup(localstack, f"{prefix}{name}")) for name in ("predict", "capture")]
    for writer in traffic:
        writer.start()
    dice = random.Random(7)
    seen: Counter[tuple[str, ...]] = Counter()
    for _ in range(8):
        wait_for(lambda: bool(bridge.values("bridge_events_total")), "metrics")
        for _ in range(dice.randint(1, 8)):
            values = bridge.values("capture_records_total")
            # what a scrape showed is never taken back, not even by a kill
            assert all(values.get(labels, 0) >= total for labels, total in seen.items())
            seen.update({k: v - seen[k] for k, v in values.items()})
            time.sleep(dice.random() / 5)
        bridge.kill()
        bridge.start()
    for writer in traffic:
        writer.stopping.set()
        writer.join()
    expected = {(k,): float(v) for k, v in sum((w.sent for w in traffic), Counter()).items()}
    lines = sum(writer.lines for writer in traffic)
    assert lines > 500

    wait_for(lambda: bridge.values("bridge_events_total") == {(): lines}, f"{lines} events")
    time.sleep(6)  # a deep reading and more
    counted = bridge.values("capture_records_total")
    assert {k: v for k, v in counted.items() if v} == expected
    assert bridge.values("bridge_events_total") == {(): lines}
    assert bridge.stop() == 0


def test_logs_that_vanish_and_come_back_count_once(bridge, localstack, prefix):
    group = LogGroup(localstack, f"{prefix}predict")
    for number in range(1, 4):
        group.write(f"[$LATEST]{number}", *[emf(capture_records_total=1, outcome="sent")] * 5)
        wait_for(
            lambda count=5 * number: bridge.values("bridge_events_total") == {(): count},
            f"{5 * number} events",
        )
        group.forget()
    time.sleep(5)

    assert bridge.values("capture_records_total")[("sent",)] == 15


def test_it_starts_before_the_logs_api_and_says_so(tmp_path, localstack, prefix):
    bridge = Bridge(tmp_path, f"http://127.0.0.1:{free_ports()}", f"/aws/lambda/{prefix}")
    try:
        wait_for(lambda: "logs API" in get(f"{bridge.url}/health")[1], "a reason in /health")
        assert get(f"{bridge.url}/health")[0] == 503
        assert bridge.stop() == 0
    finally:
        bridge.close()
    bridge = Bridge(tmp_path, localstack.endpoint_url, f"/aws/lambda/{prefix}")
    try:
        wait_for(bridge.is_ready, "ready")
    finally:
        bridge.close()


def test_two_bridges_do_not_share_a_state_file(bridge, tmp_path, localstack, prefix):
    wait_for(bridge.is_ready, "ready")
    second = Bridge(tmp_path, localstack.endpoint_url, prefix)
    try:
        assert second._process.wait(PATIENCE_SECONDS) == 1
        assert "another bridge uses it" in (tmp_path / "bridge.log").read_text()
    finally:
        second.close()


@pytest.fixture
def prometheus(tmp_path: Path, bridge: Bridge) -> Iterator[str]:
    """Run the real Prometheus with the real rules, minutes made seconds; yield its address."""
    program = shutil.which("prometheus")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus is not installed")
        pytest.skip("prometheus is not on the PATH: the way to it is NOT tested")
    folder = tmp_path / "prometheus"
    shutil.copytree(ROOT / "templates" / "prometheus", folder)
    for file in (folder / "prometheus.yml", *(folder / "rules").glob("*.yml")):
        text = re.sub(r"(for|_interval): \d+[ms]", r"\1: 1s", file.read_text())
        file.write_text(text)
    targets = [{"targets": [f"127.0.0.1:{bridge.port}"], "labels": {"stage": "local"}}]
    (folder / "targets" / "bridge.json").write_text(json.dumps(targets))
    port = free_ports()
    log = (tmp_path / "prometheus.log").open("wb")
    process = subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=log,
        stderr=log,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: get(f"{address}/-/ready")[0] == 200, "Prometheus")
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        log.close()


def test_prometheus_sees_drift_come_and_go(prometheus, localstack, prefix):
    group = LogGroup(localstack, f"{prefix}analyze")

    def analysis(status: int) -> None:
        verdict = {"evidently_data_drift_detected": status} if status != 2 else {}
        group.write("[$LATEST]1", emf(evidently_drift_status=status, **verdict, **MODEL))

    def state() -> str:
        response = json.loads(get(f"{prometheus}/api/v1/rules?type=alert")[1])
        (rule,) = [
            rule
            for rules in response["data"]["groups"]
            for rule in rules["rules"]
            if rule["name"] == "DataDriftDetected"
        ]
        return str(rule["state"])

    def ask(query: str) -> list[Any]:
        response = json.loads(get(f"{prometheus}/api/v1/query?query={query}")[1])
        result: list[Any] = response["data"]["result"]
        return result

    analysis(0)
    wait_for(lambda: bool(ask("evidently_data_drift_detected")), "the gauge in Prometheus")
    assert state() == "inactive"

    analysis(1)
    wait_for(lambda: state() == "firing", "the alert")

    analysis(2)
    wait_for(lambda: state() == "inactive", "the end of the alert")
    assert ask("evidently_data_drift_detected") == []
    (unknown,) = ask("evidently_drift_status")
    assert unknown["metric"]["model_version"] == "3"
    assert unknown["value"][1] == "2"
    assert ask("up%20==%201")


def test_queues_and_dead_letters_show_their_depth(tmp_path, localstack, prefix):
    sqs = localstack.client("sqs")
    dead = sqs.create_queue(QueueName=f"{prefix}dead")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": attributes["Attributes"]["QueueArn"], "maxReceiveCount": "3"}
    queue = sqs.create_queue(
        QueueName=f"{prefix}captures", Attributes={"RedrivePolicy": json.dumps(policy)}
    )["QueueUrl"]
    for _ in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody="a record")
    sqs.send_message(QueueUrl=dead, MessageBody="a poisoned one")
    bridge = Bridge(
        tmp_path, localstack.endpoint_url, prefix, BRIDGE_QUEUES=f"{prefix}captures,no-such-queue"
    )
    try:
        wait_for(lambda: bool(bridge.values("queue_messages")), "depths")
        depths = bridge.values("queue_messages")
    finally:
        bridge.close()

    assert depths[f"{prefix}captures", "visible"] == 3
    assert depths[f"{prefix}captures", "in_flight"] == 0
    assert depths[f"{prefix}dead", "visible"] == 1
    assert {queue for queue, _ in depths} == {f"{prefix}captures", f"{prefix}dead"}


def test_lines_come_through_a_subscription_firehose_and_s3(tmp_path, localstack, prefix):
    """The way of METRICS_TRANSPORT=firehose, as LocalStack's services go it."""
    name = f"{prefix}metrics"
    firehose, logs = localstack.client("firehose"), localstack.client("logs")
    s3 = boto3.client(
        "s3",
        endpoint_url=localstack.endpoint_url,  # where Firehose writes
        config=Config(s3={"addressing_style": "path"}),
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket=name)
    stream = firehose.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "BucketARN": f"arn:aws:s3:::{name}",
            "RoleARN": "arn:aws:iam::000000000000:role/any",
            "Prefix": "logs/",
        },
    )["DeliveryStreamARN"]
    group = LogGroup(localstack, f"{prefix}predict")
    group.write("[$LATEST]1", "a line before the subscription, which is in the logs alone")
    logs.put_subscription_filter(
        logGroupName=group.name, filterName="bridge", filterPattern="", destinationArn=stream
    )
    group.write("[$LATEST]1", *[emf(capture_records_total=2, outcome="sent")] * 3)
    bridge = Bridge(
        tmp_path,
        localstack.endpoint_url,
        f"/aws/lambda/{prefix}",
        METRICS_TRANSPORT="firehose",
        METRICS_BUCKET=name,
    )
    try:
        wait_for(lambda: bridge.values("bridge_events_total") == {(): 3}, "three lines")
        assert bridge.values("capture_records_total")[("sent",)] == 6
        bridge.kill()
        group.write("[$LATEST]1", emf(capture_records_total=1, outcome="sent"), "START RequestId")
        bridge.start()
        wait_for(lambda: bridge.values("bridge_events_total") == {(): 5}, "five lines")
        assert bridge.values("capture_records_total")[("sent",)] == 7
        assert bridge.is_ready()
        # the logs have the same events, with the same ids
        bridge.stop()
        bridge.close()
        bridge = Bridge(tmp_path, localstack.endpoint_url, f"/aws/lambda/{prefix}")
        group.write("[$LATEST]1", emf(capture_records_total=1, outcome="sent"))
        wait_for(lambda: bridge.values("bridge_events_total") == {(): 7}, "all lines")
        assert bridge.values("capture_records_total")[("sent",)] == 8
        assert bridge.values("bridge_parse_errors_total") == {(): 0}
    finally:
        bridge.close()
        logs.delete_subscription_filter(logGroupName=group.name, filterName="bridge")
        firehose.delete_delivery_stream(DeliveryStreamName=name)
