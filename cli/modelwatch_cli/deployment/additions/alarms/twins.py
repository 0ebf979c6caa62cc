"""CloudWatch alarms of a deployment: the twins of Prometheus' alerts.

One list says which alert has which alarms, or why it has none; a test holds it to the rules of
`templates/prometheus`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from modelwatch.adapters.aws.emf import CLOUDWATCH
from modelwatch.metric_names import CATALOG, NAMESPACE
from modelwatch.settings.analysis import analysis_queue
from modelwatch_cli.deployment.cloudformation.plan import IMAGE_SUFFIX
from modelwatch_cli.settings import Settings

Group = Literal["serving", "capture", "analysis"]
GROUPS: tuple[Group, ...] = ("serving", "capture", "analysis")
"""Parts of the pipeline, each with one composite alarm."""

_QUERY_LIMIT = timedelta(hours=3)
"""So far back an alarm on a query looks."""
_DAY = 86_400
_QUARTER = 900

_NEAR_TIMEOUT = 0.9

WITHOUT = {
    "DataDriftDetected": "DriftEpisodeOpen says it once, by the verdict event",
    "DriftWarning": "it is not enough to act on; the live page and reports show it",
    "MultipleDriftedFeatures": "DriftEpisodeOpen names the features",
    "HighDriftScore": "DriftEpisodeOpen says how far each feature drifted",
    "SegmentDrift": "its series are as many as segments; the live page and reports show it",
    "HighMissingValues": "its series are as many as features; ConstraintsViolated in Prometheus",
    "PredictionDriftDetected": "DriftEpisodeOpen names the output",
    "ConstraintsViolated": "CloudWatch does not show its metric by default",
    "ModelVersionMismatch": "an alarm cannot count series",
    "NoPredictions": "whether traffic has a night is known to its owner",
    "ColdStartShare": "CloudWatch has no metric of cold starts; they are in the logs",
    "ModelBelowBaseline": "an alarm on a query cannot compare series of each version",
    "AccuracyDropped": "an alarm on a query cannot compare series of each version",
    "ExpectedAccuracyDropped": "an alarm on a query cannot compare series of each version",
    "ExpectedErrorRose": "an alarm on a query cannot compare series of each version",
    "LabelsMissing": "whether labels have to come is known to their owner",
    "BridgeDown": "there is no need of a bridge",
    "BridgeMissing": "there is no need of a bridge",
    "BridgeStale": "there is no need of a bridge",
    "BridgeParseErrors": "there is no need of a bridge",
    "MetricOverflow": "there is no need of a bridge",
}
"""Alerts of Prometheus that have no alarm, and why."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm.

    Attributes
    ----------
    twin
        The alert of Prometheus that says the same; its runbook is linked.
    subject
        What of several it watches; empty: there is one.
    group
        The part of the pipeline that it belongs to.
    says
        What is wrong, as a sentence.
    needs
        The metric of ours that CloudWatch has to show; empty: AWS has what it needs.
    properties
        Of the alarm, in CloudFormation's words.
    """

    twin: str
    subject: str
    group: Group
    says: str
    needs: str
    properties: dict[str, Any]

    @property
    def metrics(self) -> int:
        """How many metrics it reads, and AWS bills; 0 for a query: as many as it finds."""
        read = self.properties.get("Metrics")
        return 1 if read is None else sum("MetricStat" in each for each in read)


def alarms(settings: Settings, functions: dict[str, int], queue: str) -> list[Alarm]:
    """Return the alarms whose metrics CloudWatch shows.

    Parameters
    ----------
    functions
        Time limits in seconds, by the functions' names.
    queue
        Name of the capture queue.
    """
    shown, stage = CLOUDWATCH[settings.metrics_to_cloudwatch], settings.stage
    every = [
        *(each for name, limit in functions.items() for each in _of_function(stage, name, limit)),
        *_of_apis(stage),
        *_of_queues(queue),
        *_of_capture(stage),
        *_of_analysis(settings),
    ]
    return [each for each in every if not each.needs or each.needs in shown]


def left_out(settings: Settings) -> list[str]:
    """Return the alerts whose alarms METRICS_TO_CLOUDWATCH leaves out."""
    shown = CLOUDWATCH[settings.metrics_to_cloudwatch]
    ours = [*_of_capture(settings.stage), *_of_analysis(settings)]
    return [each.twin for each in ours if each.needs and each.needs not in shown]


def alarm_names(settings: Settings, function: str, group: Group) -> list[str]:
    """Return the names of a group's alarms that watch one function and its API.

    They are those that see a fault of its code.
    """
    return [
        name_of(each, settings.stage)
        for each in alarms(settings, {function: 1}, settings.capture_queue_name)
        if each.group == group and each.subject
    ]


def name_of(alarm: Alarm, stage: str) -> str:
    """Return the name of an alarm."""
    title = f"modelwatch-{stage}-{alarm.twin}"
    return f"{title}-{alarm.subject}" if alarm.subject else title


def _of_function(stage: str, name: str, limit_seconds: int) -> Iterator[Alarm]:
    part = name.removeprefix(f"modelwatch-{stage}-")
    group, slow = _SLOW[part.removesuffix(IMAGE_SUFFIX)]
    where = [{"Name": "FunctionName", "Value": name}]

    def metric(metric_name: str, statistic: str) -> dict[str, Any]:
        return {
            "Metric": {
                "Namespace": "AWS/Lambda",
                "MetricName": metric_name,
                "Dimensions": where,
            },
            "Period": _QUARTER,
            "Stat": statistic,
        }

    yield Alarm(
        "FunctionErrors",
        part,
        group,
        f"More than 5 % of the invocations of {name} in 15 minutes failed.",
        "",
        {
            "Metrics": [
                {"Id": "errors", "MetricStat": metric("Errors", "Sum"), "ReturnData": False},
                {"Id": "runs", "MetricStat": metric("Invocations", "Sum"), "ReturnData": False},
                {
                    "Id": "share",
                    "Expression": "errors / runs",
                    "Label": "share of errors",
                    "ReturnData": True,
                },
            ],
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0.05,
            "EvaluationPeriods": 1,
        },
    )
    yield Alarm(
        "FunctionThrottled",
        part,
        group,
        f"Lambda refused invocations of {name}: it, or the account, has no more concurrency.",
        "",
        _above("AWS/Lambda", "Throttles", where, 0, seconds=_QUARTER),
    )
    yield Alarm(
        slow,
        f"{part}-timeout",
        group,
        f"An invocation of {name} took more than 90 % of the {limit_seconds} s that it may take.",
        "",
        _above(
            "AWS/Lambda",
            "Duration",
            where,
            limit_seconds * 1000 * _NEAR_TIMEOUT,
            statistic="Maximum",
            seconds=_QUARTER,
        ),
    )


_SLOW: dict[str, tuple[Group, str]] = {
    "predict": ("serving", "HighLatency"),
    "capture-api": ("capture", "HighLatency"),
    "capture": ("capture", "CaptureBehind"),
    "capture-compact": ("capture", "CompactionFailing"),
    "analyze-api": ("analysis", "SlowDriftAnalysis"),
    "analyze": ("analysis", "SlowDriftAnalysis"),
    "analyze-window": ("analysis", "SlowDriftAnalysis"),
}
"""By function: its part of the pipeline, and the alert that fires when it is slow."""


def _of_apis(stage: str) -> Iterator[Alarm]:
    apps: dict[str, Group] = {"predict": "serving", "capture": "capture", "analyze": "analysis"}
    for app, group in apps.items():
        name = f"modelwatch-{stage}-{app}"
        where = [{"Name": "ApiName", "Value": name}]
        yield Alarm(
            "HighErrorRate",
            app,
            group,
            f"More than 5 % of the requests to {name} ended with a 5XX.",
            "",
            _above("AWS/ApiGateway", "5XXError", where, 0.05, statistic="Average", times=2),
        )
        if app != "analyze":  # an analysis takes as long as it takes
            yield Alarm(
                "HighLatency",
                app,
                group,
                f"5 % of the requests to {name} took longer than half a second.",
                "",
                _above("AWS/ApiGateway", "Latency", where, 500, percentile="p95", times=2),
            )


def _of_queues(queue: str) -> Iterator[Alarm]:
    where = [{"Name": "QueueName", "Value": queue}]
    dead = [{"Name": "QueueName", "Value": f"{queue}-dead"}]
    visible, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    found = [
        (
            "CaptureBacklog",
            where,
            visible,
            10_000,
            2,
            f"10,000 messages wait in {queue}.",
        ),
        ("CaptureBehind", where, age, 300, 2, f"A message waits in {queue} for 5 minutes."),
        ("DeadLetterQueueNotEmpty", dead, visible, 0, 1, "There are dead letters."),
        ("DeadLettersExpiring", dead, age, 10 * _DAY, 1, "SQS will soon delete dead letters."),
    ]
    for twin, dimensions, metric, threshold, times, says in found:
        properties = _above(
            "AWS/SQS", metric, dimensions, threshold, statistic="Maximum", times=times
        )
        yield Alarm(twin, "", "capture", says, "", properties)


def _of_capture(stage: str) -> Iterator[Alarm]:
    metric = "capture_records_total"
    where = [{"Name": "outcome", "Value": "lost"}]
    lost = _above(_namespace(stage), metric, where, 0, seconds=_QUARTER)
    yield Alarm(
        "CaptureLoss", "", "capture", "Predictions were made and not captured.", metric, lost
    )
    metric = "capture_compacted_hours_total"
    where = [{"Name": "outcome", "Value": "failed"}]
    failed = _above(_namespace(stage), metric, where, 0, seconds=3600, times=2)
    yield Alarm(
        "CompactionFailing", "", "capture", "Hours of captures are not merged.", metric, failed
    )


def _of_analysis(settings: Settings) -> Iterator[Alarm]:
    stage, every = settings.stage, settings.analysis_schedule
    where = [{"Name": "FunctionName", "Value": f"modelwatch-{stage}-analyze"}]
    seconds = max(_QUARTER, math.ceil(2 * every.total_seconds() / 60) * 60)
    days = min(7, math.ceil(seconds / _DAY))
    yield Alarm(
        "AnalysisMissing",
        "",
        "analysis",
        "No analysis has run for twice the time between two runs.",
        "",
        _above("AWS/Lambda", "Invocations", where, 1, seconds=min(seconds, _DAY), times=days)
        | {"ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching"},
    )
    waiting = [{"Name": "QueueName", "Value": analysis_queue(stage)}]
    age = _above(
        "AWS/SQS", "ApproximateAgeOfOldestMessage", waiting, seconds, statistic="Maximum", times=2
    )
    says = "What is due waits in the queue for twice the time between two runs."
    yield Alarm("AnalysisMissing", "waiting", "analysis", says, "", age)
    given_up = analysis_queue(stage, dead=True)
    dead = [{"Name": "QueueName", "Value": given_up}]
    letters = "ApproximateNumberOfMessagesVisible"
    found = _above("AWS/SQS", letters, dead, 0, statistic="Maximum")
    says = f"Analyses failed three times: {given_up} names the models."
    yield Alarm("AnalysisGivenUp", "", "analysis", says, "", found)
    total = "evidently_analysis_total"
    if every <= _QUERY_LIMIT / 2:
        period = max(_QUARTER, math.ceil(every.total_seconds() / 60) * 60)
        unknown = _query(stage, "SUM", total, period, times=2, status="unknown")
        says = "The verdict on a model version is unknown: it is not monitored now."
        yield Alarm("DriftStatusUnknown", "", "analysis", says, total, unknown)
    failed = _query(stage, "SUM", total, _QUARTER, status="error")
    yield Alarm("AnalysisFailing", "", "analysis", "An analysis failed.", total, failed)
    total = "evidently_analysis_missed_total"
    missed = _query(stage, "SUM", total, _QUARTER)
    yield Alarm("WindowsMissed", "", "analysis", "Windows were never analyzed.", total, missed)
    total = "verdict_events_total"
    where = [{"Name": "outcome", "Value": "failed"}]
    unsent = _above(_namespace(stage), total, where, 0, seconds=_QUARTER)
    yield Alarm(
        "VerdictEventsFailing", "", "analysis", "Verdict events are not sent.", total, unsent
    )
    stale = _query(stage, "MAX", "model_stale", _QUARTER)
    yield Alarm(
        "ModelStale", "", "serving", "An older version serves than was promoted.",
        "model_stale", stale,
    )  # fmt: skip


def _above(
    namespace: str,
    metric: str,
    dimensions: list[dict[str, str]],
    threshold: float,
    *,
    statistic: str = "Sum",
    percentile: str = "",
    seconds: int = 300,
    times: int = 1,
) -> dict[str, Any]:
    """Return an alarm that is raised when a metric is above a threshold ``times`` in a row."""
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": dimensions,
        **({"ExtendedStatistic": percentile} if percentile else {"Statistic": statistic}),
        "Period": seconds,
        "EvaluationPeriods": times,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
    }


def _query(
    stage: str, function: str, metric: str, seconds: int, *, times: int = 1, **where: str
) -> dict[str, Any]:
    """Return an alarm on all series of a metric together: models and versions come and go."""
    labels = ", ".join(CATALOG[metric].labels)
    # no SQL, and no foreign text
    query = f'SELECT {function}({metric}) FROM SCHEMA("{_namespace(stage)}", {labels})'  # noqa: S608
    query += "".join(f" WHERE {label} = '{value}'" for label, value in where.items())
    return {
        "Metrics": [{"Id": "all", "Expression": query, "Period": seconds, "ReturnData": True}],
        "EvaluationPeriods": times,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
    }


def _namespace(stage: str) -> str:
    return f"{NAMESPACE}-{stage}"
