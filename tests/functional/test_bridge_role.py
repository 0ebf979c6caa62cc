"""The bridge does its whole work with the role of its template, and may do nothing else."""

import threading
from pathlib import Path

import boto3
import httpx
import pytest
from moto import mock_aws

from bridge_in_memory import member, object_key
from modelwatch.adapters.aws.emf import emf_lines
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.ports.metrics import Sample
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.main import now_ms, serve
from modelwatch_bridge.settings import BridgeSettings
from modelwatch_cli.deployment.cloudformation.templates import load_template
from roles import ACCOUNT, REGION, Role, Stack, acting_as
from running_stack import free_ports
from waiting import eventually
from wine_records import wine_result

TEMPLATE = Path(__file__).parents[2] / "templates" / "bridge" / "bridge.yaml"
QUEUE, ANALYSES = "modelwatch-prod-captures", "modelwatch-prod-analyses"
LINES = f"modelwatch-prod-metrics-{ACCOUNT}-{REGION}"
REPORTS = f"modelwatch-prod-reports-{ACCOUNT}-{REGION}"
RESULT = "wine.1.20260101T010000Z.PT1H"
MUST_NOT = [
    ("s3:PutObject", f"{LINES}/logs/x"),
    ("s3:GetObject", f"{REPORTS}/monitors/000001.json"),
    ("s3:GetObject", f"modelwatch-prod-captures-{ACCOUNT}-{REGION}/captures/x.parquet"),
    ("sqs:ReceiveMessage", QUEUE),
    ("sqs:ReceiveMessage", f"{ANALYSES}.fifo"),
    ("sqs:DeleteMessage", f"{QUEUE}-dead"),
]


@pytest.fixture
def role() -> Role:
    template = load_template(TEMPLATE)
    properties = template["Resources"]["Role"]["Properties"]
    # that of the file system is AWS's own to use
    properties["Policies"] = [
        each for each in properties["Policies"] if each["PolicyName"] == "read"
    ]
    names = {"Stage": "prod", "MetricsBucket": LINES, "ReportBucket": REPORTS}
    stack = Stack(template, names | {"CaptureQueueName": QUEUE})
    return Role([each for each in stack.statements if each])


@pytest.fixture
def _stage(monkeypatch):
    """A stage whose functions logged something, with dead letters and a result."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        s3, sqs = (boto3.client(name, region_name=REGION) for name in ("s3", "sqs"))
        for bucket in (LINES, REPORTS):
            s3.create_bucket(Bucket=bucket)
        (line,) = emf_lines([Sample("capture_records_total", 3, {"outcome": "stored"})], now_ms())
        lines = member("/aws/lambda/modelwatch-prod-capture", [LogEvent(now_ms(), "s", "1", line)])
        s3.put_object(Bucket=LINES, Key=object_key(now_ms()), Body=lines)
        S3ReportStore(s3, REPORTS).save(wine_result(name=RESULT), {})
        for name, more in ((QUEUE, {}), (ANALYSES, {"FifoQueue": "true"})):
            end = ".fifo" if more else ""
            dead = sqs.create_queue(QueueName=f"{name}-dead{end}", Attributes=more)["QueueUrl"]
            policy = f'{{"deadLetterTargetArn": "arn:aws:sqs:{REGION}:{ACCOUNT}:{name}-dead{end}", '
            redrive = {"RedrivePolicy": policy + '"maxReceiveCount": 3}'}
            sqs.create_queue(QueueName=f"{name}{end}", Attributes=more | redrive)
            group = {"MessageGroupId": "g", "MessageDeduplicationId": "1"} if more else {}
            sqs.send_message(QueueUrl=dead, MessageBody="{}", **group)
        yield


@pytest.mark.usefixtures("_stage")
def test_the_bridge_works_with_its_role_and_may_do_nothing_else(role, tmp_path):
    port = free_ports()
    settings = BridgeSettings(
        {
            "STAGE": "prod",
            "AWS_ACCOUNT_ID": ACCOUNT,
            "AWS_DEFAULT_REGION": REGION,
            "METRICS_TRANSPORT": "firehose",
            "BRIDGE_PORT": str(port),
            "BRIDGE_STATE": str(tmp_path / "bridge.sqlite"),
            "BRIDGE_POLL_SECONDS": "0.1",
        }
    )
    stop = threading.Event()
    address = f"http://127.0.0.1:{port}"

    def page() -> str:
        try:
            return httpx.get(f"{address}/metrics", timeout=60).text
        except httpx.TransportError:
            return ""

    with acting_as(role):
        running = threading.Thread(target=serve, args=(settings, stop))
        running.start()
        try:
            eventually(lambda: 'capture_records_total{outcome="stored"} 3.0' in page())
            for queue in (f"{ANALYSES}-dead.fifo", f"{QUEUE}-dead"):
                oldest = f'queue_oldest_message_seconds{{queue="{queue}"}}'
                eventually(lambda oldest=oldest: oldest in page())
            shown = httpx.get(f"{address}/api/reports", timeout=60).json()
        finally:
            stop.set()
            running.join()
    assert role.refused == []
    assert (shown["problem"], [each["model"] for each in shown["results"]]) == ("", ["wine"])
    for action, resource in MUST_NOT:
        service = action.partition(":")[0]
        arn = (
            f"arn:aws:s3:::{resource}"
            if service == "s3"
            else f"arn:aws:sqs:{REGION}:{ACCOUNT}:{resource}"
        )
        assert not role.allows(action, arn), (action, resource)
