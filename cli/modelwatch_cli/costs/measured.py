"""What a deployment on AWS used, by CloudWatch's own metrics, as lines of a month's bill.

The lines have the names that the estimate gives them. Of what CloudWatch has no metric of (requests
to S3, stored log lines, series, alarms) there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch.settings.analysis import analysis_queue
from modelwatch_cli.costs.estimate import MONTH
from modelwatch_cli.costs.prices import (
    API_REQUEST,
    CHUNK_BYTES,
    FIREHOSE,
    FIREHOSE_STEP_BYTES,
    LAMBDA_ARM_SECOND,
    LAMBDA_REQUEST,
    LAMBDA_SECOND,
    LOG_INGESTION,
    POLL_MESSAGES,
    S3_STORAGE,
    SQS_FIFO_REQUEST,
    SQS_REQUEST,
    Item,
    Price,
)
from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError
from modelwatch_cli.deployment.cloudformation.plan import APPS, IMAGE_SUFFIX, wants_firehose
from modelwatch_cli.deployment.settings import FUNCTION_NAMES
from modelwatch_cli.settings import Settings

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)

_OTHER = "CloudWatch: log lines of other functions"
_FUNCTION_LINES = {
    "predict": ("Lambda: predictions", "Lambda: predict", "CloudWatch: log lines of predict"),
    "capture": ("Lambda: runs of the consumer", "Lambda: the consumer", _OTHER),
    "analyze": ("Lambda: runs of the analysis", "Lambda: the analysis", _OTHER),
    "analyze-window": ("Lambda: runs of the analysis", "Lambda: the analysis", _OTHER),
}
_OTHER_LINES = ("Lambda: runs of other functions", "Lambda: other functions", _OTHER)


class MeasuringError(ModelwatchError):
    """What a deployment used cannot be read."""


@dataclass(frozen=True, slots=True)
class Use:
    """What was used.

    Attributes
    ----------
    start, end
        Of the whole hours that were read, from the first one that has a metric.
    per_second
        Requests to the API of predict a second.
    predict_ms
        Milliseconds that an invocation of predict took, in the mean.
    items
        What a month of it costs; a line may have several.
    """

    start: datetime
    end: datetime
    per_second: float
    predict_ms: float
    items: list[Item]


class _Metric(NamedTuple):
    namespace: str
    name: str
    where: tuple[tuple[str, str], ...]
    statistic: str = "Sum"


class _Part(NamedTuple):
    """Of a line of the bill: what is billed is the largest of the metrics, each times a factor."""

    what: str
    price: Price
    metrics: dict[_Metric, float]


class _Function(NamedTuple):
    name: str
    gigabytes: float
    second: Price


def measure(
    settings: Settings, since: datetime, until: datetime, clients: Callable[[str], Any]
) -> Use:
    """Return what a deployment used in the whole hours from ``since`` to ``until``.

    Raises
    ------
    InvalidInputError
        When there is no such hour, or the deployment is not on AWS.
    NotDeployedError
        When it has no functions.
    MeasuringError
        When AWS does not say it, or there were no predictions.
    """
    if settings.aws_endpoint_url:
        raise InvalidInputError(
            "--since",
            "is for a deployment on AWS: AWS_ENDPOINT_URL names another place, whose CloudWatch "
            "has no metrics of what is used",
        )
    start = _hour(since + _HOUR - timedelta.resolution)
    end = _hour(min(until, datetime.now(UTC)))
    if start >= end:
        raise InvalidInputError("--since", "leaves no whole hour before --until, or before now")
    try:
        functions = _functions(settings, clients("lambda"))
        if not functions:
            raise NotDeployedError(
                f"stage {settings.stage} has no functions in {settings.aws_default_region}: it is "
                "not deployed, or STAGE, AWS_DEFAULT_REGION or the credentials mean another place"
            )
        parts = list(_parts(settings, functions))
        cloudwatch = clients("cloudwatch")
        values = _read(cloudwatch, {each for part in parts for each in part.metrics}, start, end)
        buckets = _buckets(settings)
        # they come once a day, and a day or two late
        midnight = end.replace(hour=0)
        sizes = _read(cloudwatch, buckets, midnight - 3 * _DAY, midnight + _DAY, _DAY)
    except (BotoCoreError, ClientError) as error:
        raise MeasuringError(f"what was used cannot be read: {error}") from error
    used = {metric: sum(found.values()) for metric, found in values.items()}
    requests = used[_requests(settings, "predict")]
    if not requests:
        raise MeasuringError(
            f"CloudWatch has no requests to predict of stage {settings.stage} from "
            f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: there is nothing to compare"
        )
    # what was deployed meanwhile used nothing before
    start = min(time for found in values.values() for time in found)
    month = MONTH / (end - start)
    items = [
        Item(what, month * max(used[each] * factor for each, factor in metrics.items()), price)
        for what, price, metrics in parts
    ]
    items += [
        Item(buckets[metric], found[max(found)] / 1e9, S3_STORAGE)
        for metric, found in sizes.items()
        if found
    ]
    predict = [each.name for each in functions if _part_of(settings, each.name) == "predict"]
    runs, spent = (
        sum(used[_of_function(name, metric)] for name in predict)
        for metric in ("Invocations", "Duration")
    )
    per_second = requests / (end - start).total_seconds()
    return Use(start, end, per_second, spent / runs if runs else 0.0, items)


def _hour(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _functions(settings: Settings, client: Any) -> list[_Function]:
    found = []
    for part in (*FUNCTION_NAMES, f"predict{IMAGE_SUFFIX}"):
        name = f"modelwatch-{settings.stage}-{part}"
        try:
            said = client.get_function_configuration(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            continue
        is_arm = said.get("Architectures") == ["arm64"]
        second = LAMBDA_ARM_SECOND if is_arm else LAMBDA_SECOND
        found.append(_Function(name, said["MemorySize"] / 1024, second))
    return found


def _part_of(settings: Settings, function: str) -> str:
    return function.removeprefix(f"modelwatch-{settings.stage}-").removesuffix(IMAGE_SUFFIX)


def _of_function(function: str, metric: str) -> _Metric:
    return _Metric("AWS/Lambda", metric, (("FunctionName", function),))


def _requests(settings: Settings, app: str) -> _Metric:
    where = (("ApiName", f"modelwatch-{settings.stage}-{app}"),)
    return _Metric("AWS/ApiGateway", "Count", where, "SampleCount")


def _parts(settings: Settings, functions: list[_Function]) -> Iterator[_Part]:
    for app in APPS:
        what = "predictions" if app == "predict" else "other requests"
        yield _Part(f"API Gateway: {what}", API_REQUEST, {_requests(settings, app): 1})
    for function, gigabytes, second in functions:
        runs, seconds, lines = _FUNCTION_LINES.get(_part_of(settings, function), _OTHER_LINES)
        group = (("LogGroupName", f"/aws/lambda/{function}"),)
        yield _Part(runs, LAMBDA_REQUEST, {_of_function(function, "Invocations"): 1})
        yield _Part(seconds, second, {_of_function(function, "Duration"): gigabytes / 1000})
        yield _Part(lines, LOG_INGESTION, {_Metric("AWS/Logs", "IncomingBytes", group): 1e-9})

    ten, sent = 1 / POLL_MESSAGES, {"NumberOfMessagesSent": 1, "SentMessageSize": 1 / CHUNK_BYTES}
    # how many came in a request has no metric
    yield from _of_queue(
        settings.capture_queue_name,
        SQS_REQUEST,
        ("SQS: predict sends", sent),
        ("SQS: the consumer receives, by ten", {"NumberOfMessagesReceived": ten}),
        ("SQS: it deletes, by ten", {"NumberOfMessagesDeleted": ten}),
        ("SQS: nothing to receive", {"NumberOfEmptyReceives": 1}),
    )
    yield from _of_queue(
        analysis_queue(settings.stage),
        SQS_FIFO_REQUEST,
        ("SQS: what is due of several models", {"NumberOfMessagesSent": ten}),
        ("SQS: what is due of several models", {"NumberOfMessagesReceived": 1}),
        ("SQS: what is due of several models", {"NumberOfMessagesDeleted": 1}),
        ("SQS: nothing is due", {"NumberOfEmptyReceives": 1}),
    )
    if wants_firehose(settings):
        where = (("DeliveryStreamName", f"modelwatch-{settings.stage}-metrics"),)
        taken = _Metric("AWS/Firehose", "IncomingBytes", where)
        records = _Metric("AWS/Firehose", "IncomingRecords", where)
        billed = {taken: 1e-9, records: FIREHOSE_STEP_BYTES / 1e9}
        yield _Part("Firehose: log lines", FIREHOSE, billed)


def _of_queue(queue: str, price: Price, *lines: tuple[str, dict[str, float]]) -> Iterator[_Part]:
    where = (("QueueName", queue),)
    for what, factors in lines:
        metrics = {_Metric("AWS/SQS", name, where): factors[name] for name in factors}
        yield _Part(what, price, metrics)


def _buckets(settings: Settings) -> dict[_Metric, str]:
    """Return the metrics of buckets' sizes, with their lines."""
    if settings.aws_endpoint_url_s3:
        return {}
    lines = {settings.capture_bucket: "S3: captures", settings.report_bucket: "S3: results"}
    if wants_firehose(settings):
        lines[settings.metrics_bucket] = "S3: a week of them"
    kind = ("StorageType", "StandardStorage")
    return {
        _Metric("AWS/S3", "BucketSizeBytes", (("BucketName", bucket), kind), "Average"): line
        for bucket, line in lines.items()
    }


def _read(
    client: Any,
    wanted: Collection[_Metric],
    start: datetime,
    end: datetime,
    period: timedelta = _HOUR,
) -> dict[_Metric, dict[datetime, float]]:
    metrics = sorted(wanted)
    found: dict[_Metric, dict[datetime, float]] = {metric: {} for metric in metrics}
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": each.namespace,
                    "MetricName": each.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in each.where],
                },
                "Period": int(period.total_seconds()),
                "Stat": each.statistic,
            },
        }
        for number, each in enumerate(metrics)
    ]
    if not queries:
        return found
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=start, EndTime=end
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            if result["StatusCode"] in ("Forbidden", "InternalError"):
                raise MeasuringError(f"CloudWatch said {result['StatusCode']} of {result['Label']}")
            values = zip(result["Timestamps"], result["Values"], strict=True)
            found[metrics[int(result["Id"][1:])]].update(values)
    return found
