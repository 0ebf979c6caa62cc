"""`modelwatch cost --since`: what was used, by CloudWatch's metrics, beside the estimate."""

import io
import json
import os
import zipfile
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from typer.testing import CliRunner

from modelwatch.errors import InvalidInputError
from modelwatch_cli.costs.estimate import Traffic, month
from modelwatch_cli.costs.measured import MeasuringError, measure
from modelwatch_cli.deployment.cloudformation.clients import client_maker
from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError
from modelwatch_cli.main import app
from modelwatch_cli.settings import Settings

REGION, ACCOUNT = "us-east-1", "123456789012"
ENVIRON = {
    "STAGE": "prod",
    "AWS_ACCOUNT_ID": ACCOUNT,
    "AWS_DEFAULT_REGION": REGION,
    "METRICS_TRANSPORT": "firehose",
}
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# ten hours: a month has 73 times as many
UNTIL = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
SINCE = UNTIL - timedelta(hours=10)
ONLY_MEASURED = {
    "API Gateway: other requests",
    "Lambda: runs of other functions",
    "Lambda: other functions",
    "CloudWatch: log lines of other functions",
    "SQS: nothing to receive",
    "SQS: nothing is due",
}


@pytest.fixture(autouse=True)
def _aws(monkeypatch):
    """AWS without anything deployed."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


def put(namespace, metric, where, *sums, first=SINCE, samples=1):
    """Put a sum for each hour from the first on."""
    dimensions = [{"Name": name, "Value": value} for name, value in where.items()]
    boto3.client("cloudwatch", region_name=REGION).put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": dimensions,
                "Timestamp": first + timedelta(hours=hour, minutes=30),
                "StatisticValues": {
                    "Sum": value,
                    "SampleCount": samples,
                    "Minimum": 0,
                    "Maximum": value,
                },
            }
            for hour, value in enumerate(sums)
        ],
    )


def deploy(name, megabytes, architecture):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", "")
    roles = boto3.client("iam", region_name=REGION)
    try:
        role = roles.get_role(RoleName="r")
    except roles.exceptions.NoSuchEntityException:
        role = roles.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    boto3.client("lambda", region_name=REGION).create_function(
        FunctionName=f"modelwatch-prod-{name}",
        Role=role["Role"]["Arn"],
        Handler="app.app",
        Runtime="python3.12",
        Code={"ZipFile": packed.getvalue()},
        MemorySize=megabytes,
        Architectures=[architecture],
    )


@pytest.fixture
def _used():
    """Ten hours of a stage: 36,000 predictions, one a second."""
    deploy("predict", 2048, "x86_64")
    deploy("capture", 1024, "arm64")
    deploy("capture-compact", 512, "arm64")
    put("AWS/ApiGateway", "Count", {"ApiName": "modelwatch-prod-predict"}, 1, samples=36_000)
    put("AWS/ApiGateway", "Count", {"ApiName": "modelwatch-prod-capture"}, 1, samples=50)
    put("AWS/ApiGateway", "Count", {"ApiName": "modelwatch-test-predict"}, 1, samples=7)
    predict = {"FunctionName": "modelwatch-prod-predict"}
    put("AWS/Lambda", "Invocations", predict, 20_000, *[0] * 8, 16_000)
    put("AWS/Lambda", "Duration", predict, 100_000, *[0] * 8, 44_000)  # 4 ms each
    # of the hours before and after
    put("AWS/Lambda", "Invocations", predict, 5_000, first=SINCE - timedelta(hours=1))
    put("AWS/Lambda", "Invocations", predict, 5_000, first=UNTIL)
    put("AWS/Logs", "IncomingBytes", {"LogGroupName": "/aws/lambda/modelwatch-prod-predict"}, 2e9)
    put("AWS/Logs", "IncomingBytes", {"LogGroupName": "/aws/lambda/modelwatch-prod-capture"}, 1e9)
    for name, runs, spent in (("capture", 600, 30_000), ("capture-compact", 10, 8_000)):
        put("AWS/Lambda", "Invocations", {"FunctionName": f"modelwatch-prod-{name}"}, runs)
        put("AWS/Lambda", "Duration", {"FunctionName": f"modelwatch-prod-{name}"}, spent)
    queue = {"QueueName": "modelwatch-prod-captures"}
    for metric, count in (
        ("NumberOfMessagesSent", 30_000),
        ("SentMessageSize", 1e6),
        ("NumberOfMessagesReceived", 30_000),
        ("NumberOfMessagesDeleted", 29_000),
        ("NumberOfEmptyReceives", 9_000),
    ):
        put("AWS/SQS", metric, queue, count)
    due = {"QueueName": "modelwatch-prod-analyses.fifo"}
    for metric in ("NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted"):
        put("AWS/SQS", metric, due, 100)
    stream = {"DeliveryStreamName": "modelwatch-prod-metrics"}
    put("AWS/Firehose", "IncomingBytes", stream, 1e6)
    put("AWS/Firehose", "IncomingRecords", stream, 36_000)
    where = {"BucketName": f"modelwatch-prod-captures-{ACCOUNT}-{REGION}"}
    where["StorageType"] = "StandardStorage"
    # once a day; the newest counts
    put("AWS/S3", "BucketSizeBytes", where, 30e9, first=UNTIL - timedelta(days=2))
    put("AWS/S3", "BucketSizeBytes", where, 40e9, first=UNTIL - timedelta(days=1))


def use(since=SINCE, until=UNTIL, **changed):
    settings = Settings(ENVIRON | changed)
    return measure(settings, since, until, client_maker(settings))


def lines(found):
    sums = {}
    for item in found.items:
        sums[item.what] = sums.get(item.what, 0) + item.count
    return sums


@pytest.mark.usefixtures("_used")
def test_what_was_used_is_scaled_to_a_month():
    found = use()
    assert (found.start, found.end) == (SINCE, UNTIL)
    assert found.per_second == 1.0
    assert found.predict_ms == pytest.approx(4.0)
    assert lines(found) == pytest.approx(
        {
            "API Gateway: predictions": 73 * 36_000,
            "API Gateway: other requests": 73 * 50,
            "Lambda: predictions": 73 * 36_000,
            "Lambda: predict": 73 * 144 * 2,  # seconds, of 2 GB
            "CloudWatch: log lines of predict": 73 * 2,
            "Lambda: runs of the consumer": 73 * 600,
            "Lambda: the consumer": 73 * 30 * 1,
            "CloudWatch: log lines of other functions": 73 * 1,
            "Lambda: runs of other functions": 73 * 10,
            "Lambda: other functions": 73 * 8 * 0.5,
            "SQS: predict sends": 73 * 30_000,
            "SQS: the consumer receives, by ten": 73 * 3_000,
            "SQS: it deletes, by ten": 73 * 2_900,
            "SQS: nothing to receive": 73 * 9_000,
            "SQS: what is due of several models": 73 * 210,
            "SQS: nothing is due": 0,
            # 36,000 records of 5 KiB at least
            "Firehose: log lines": 73 * 36_000 * 5120 / 1e9,
            # of a day or two before, and not scaled
            "S3: captures": 40,
        }
    )
    usd = {item.what: item.usd for item in found.items}
    assert usd["API Gateway: predictions"] == pytest.approx(9.198)  # 2.628 million at 3.50
    assert usd["Lambda: predict"] == pytest.approx(21_024 * 16.6667e-6)  # x86
    assert usd["Lambda: the consumer"] == pytest.approx(2_190 * 13.3334e-6)  # arm64
    assert usd["S3: captures"] == pytest.approx(0.92)


@pytest.mark.usefixtures("_used")
def test_large_messages_are_billed_by_64_kib():
    put("AWS/SQS", "SentMessageSize", {"QueueName": "modelwatch-prod-captures"}, 40_000 * 65_536)
    assert lines(use())["SQS: predict sends"] == pytest.approx(73 * 40_000, rel=1e-3)


@pytest.mark.usefixtures("_used")
def test_hours_before_the_first_metric_are_not_counted():
    early = use(SINCE - timedelta(days=5))
    assert early.start == SINCE - timedelta(hours=1)
    assert early.per_second == pytest.approx(36_000 / (11 * 3600))


@pytest.mark.usefixtures("_used")
def test_half_hours_are_left_out():
    found = use(SINCE - timedelta(minutes=30), UNTIL + timedelta(minutes=40))
    assert (found.start, found.end) == (SINCE, UNTIL)


@pytest.mark.usefixtures("_used")
def test_buckets_of_another_s3_and_a_stream_that_is_not_used_have_no_lines():
    found = lines(use(AWS_ENDPOINT_URL_S3="https://s3.acme.example", METRICS_TRANSPORT="logs"))
    assert not {"S3: captures", "S3: results", "Firehose: log lines"} & set(found)


@pytest.mark.usefixtures("_used")
def test_lines_have_the_names_of_the_estimate():
    estimated = {item.what for item in month(Traffic(1.0), Settings(ENVIRON))}
    assert set(lines(use())) - estimated == ONLY_MEASURED


def test_nothing_deployed_and_nothing_used_are_said():
    with pytest.raises(NotDeployedError, match="stage prod has no functions in us-east-1"):
        use()
    deploy("predict", 1024, "arm64")
    with pytest.raises(MeasuringError, match="no requests to predict of stage prod"):
        use()
    with pytest.raises(InvalidInputError, match="no whole hour"):
        use(UNTIL - timedelta(minutes=50), UNTIL - timedelta(minutes=10))
    with pytest.raises(InvalidInputError, match="no whole hour"):
        use(datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC) + timedelta(days=9))
    with pytest.raises(InvalidInputError, match="is for a deployment on AWS"):
        use(AWS_ENDPOINT_URL="http://127.0.0.1:4566")


def test_a_right_that_is_missing_is_named():
    deploy("predict", 1024, "arm64")
    make = client_maker(Settings(ENVIRON))
    refusing = make("cloudwatch")
    clients = {"cloudwatch": refusing, "lambda": make("lambda")}
    with Stubber(refusing) as stub:
        stub.add_client_error("get_metric_data", "AccessDenied")
        with pytest.raises(MeasuringError, match="GetMetricData"):
            measure(Settings(ENVIRON), SINCE, UNTIL, clients.__getitem__)


@pytest.fixture
def cost(tmp_path):
    file, keys = tmp_path / "aws.env", dict.fromkeys(KEYS, "none")
    file.write_text("".join(f"{name}={value}\n" for name, value in (ENVIRON | keys).items()))

    def run(*options):
        # a command leaves its file's variables there, and takes away moto's
        with patch.dict(os.environ):
            return CliRunner().invoke(app, ["--env-file", str(file), "cost", *options])

    return run


SPAN = ("--since", "PT10H", "--until", UNTIL.isoformat())


@pytest.mark.usefixtures("_used")
def test_the_command_has_both_beside_each_other(cost):
    done = cost(*SPAN, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    measured = said["measured"]
    assert said["predictions"] == 730 * 3600
    assert measured["predictions_per_second"] == 1.0
    assert measured["predict_ms"] == 4.0
    assert measured["usd"] == pytest.approx(
        sum(each["usd"] for each in measured["items"]), abs=0.01
    )
    estimated = {each["what"]: each["usd"] for each in said["items"]}
    names = {each["what"] for each in measured["items"]}
    assert set(measured["not_measured"]) == set(estimated) - names
    assert {"CloudWatch: metrics", "S3: results and listings"} <= set(measured["not_measured"])
    same = sum(usd for what, usd in estimated.items() if what in names)
    assert measured["usd_estimated"] == pytest.approx(same, abs=0.01)

    printed = cost(*SPAN).stdout
    (row,) = (line for line in printed.splitlines() if line.startswith("Lambda: predict "))
    assert row.split()[2:] == ["10,512.0", "GB-seconds", "0.14", "21,024.0", "0.35"]
    (row,) = (line for line in printed.splitlines() if line.startswith("SQS: nothing to receive"))
    assert row.split()[-5:] == ["-", "requests", "-", "657,000.0", "0.26"]
    (row,) = (line for line in printed.splitlines() if line.startswith("CloudWatch: metrics"))
    assert row.split()[-2:] == ["-", "-"]
    assert "1 predictions a second, 4.0 ms each" in printed
    assert "without a measure: requests to S3, stored log lines" in printed


@pytest.mark.parametrize("more", [("--rps", "100"), ("--predict-ms", "5")])
def test_what_is_measured_is_not_given(cost, more):
    done = cost(*SPAN, *more)
    assert isinstance(done.exception, InvalidInputError)
    assert more[0] in str(done.exception)


def test_an_end_needs_a_start(cost):
    assert "needs --since" in str(cost("--until", "2026-01-01").exception)
