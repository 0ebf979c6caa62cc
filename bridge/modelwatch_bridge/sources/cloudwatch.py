"""CloudWatch Logs, of AWS or of LocalStack, as a source of log events; SQS for the queues."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.sources.ports import SourceError

if TYPE_CHECKING:
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilterLogEventsRequestPaginateTypeDef
    from mypy_boto3_sqs.client import SQSClient

PAGE_EVENTS = 10_000
"""Most events of one page: CloudWatch's own limit."""

_FUNCTION = (
    r"(predict|predict-image|capture|capture-api|capture-compact"
    r"|analyze|analyze-api|analyze-window)"
)


class CloudWatchLogSource:
    """The log groups with a common prefix.

    Parameters
    ----------
    client
        boto3's client; its retries take care of throttling.
    prefix
        If it is a stage's, the groups of a stage whose name goes on behind it are not read.
    """

    def __init__(self, client: CloudWatchLogsClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def groups(self) -> Sequence[str]:
        """Return the names of the groups that exist now, see `LogSource`."""
        names: list[str] = []
        try:
            paginator = self._client.get_paginator("describe_log_groups")
            for page in paginator.paginate(logGroupNamePrefix=self._prefix):
                names.extend(
                    name
                    for group in page["logGroups"]
                    for name in [group["logGroupName"]]
                    if is_followed(name, self._prefix)
                )
        except (BotoCoreError, ClientError) as error:
            raise SourceError(f"the logs API: {error}") from error
        return names

    def pages(self, group: str, start_ms: int, end_ms: int | None) -> Iterator[Sequence[LogEvent]]:
        """Yield the events of a range of time, see `LogSource`."""
        request: FilterLogEventsRequestPaginateTypeDef = {
            "logGroupName": group,
            "startTime": start_ms,
            # AWS always interleaves streams; LocalStack otherwise returns stream by stream
            "interleaved": True,
            "PaginationConfig": {"PageSize": PAGE_EVENTS},
        }
        if end_ms is not None:
            request["endTime"] = end_ms
        try:
            for page in self._client.get_paginator("filter_log_events").paginate(**request):
                yield [
                    LogEvent(
                        event["timestamp"],
                        event["logStreamName"],
                        event["eventId"],
                        event["message"],
                    )
                    for event in page["events"]
                ]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return
            raise SourceError(f"the logs API: {error}") from error
        except BotoCoreError as error:
            raise SourceError(f"the logs API: {error}") from error


def is_followed(group: str, prefix: str) -> bool:
    """Return whether a log group has the prefix, and is of no other stage."""
    return group.startswith(prefix) and not _is_of_a_longer_stage(group, prefix)


def _is_of_a_longer_stage(group: str, prefix: str) -> bool:
    """Return whether a group is of a stage whose name begins with the prefix's stage.

    >>> _is_of_a_longer_stage("/aws/lambda/modelwatch-eu-2-predict", "/aws/lambda/modelwatch-eu-")
    True
    >>> _is_of_a_longer_stage("/aws/lambda/modelwatch-eu-capture-api", "/aws/lambda/modelwatch-eu-")
    False
    >>> _is_of_a_longer_stage("/aws/lambda/modelwatch-eu-predict", "/aws/lambda/modelwatch-")
    False
    """
    is_a_stages = re.fullmatch(r".*modelwatch-.+-", prefix) is not None
    rest = group.removeprefix(prefix)
    return is_a_stages and re.fullmatch(rf".+-{_FUNCTION}", rest) is not None


_STATES = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}


class _Look(NamedTuple):
    """How many dead letters there were at the last look, and when the oldest was sent."""

    letters: float
    oldest_ms: int


class SQSQueues:
    """Queues and the dead-letter queues behind them."""

    def __init__(self, client: SQSClient, names: Sequence[str]) -> None:
        self._client = client
        self._names = names
        self._letters: dict[str, float] = {}
        self._looks: dict[str, _Look] = {}

    def depths(self) -> dict[tuple[str, str], float]:
        """Return the numbers of messages by queue and state, see `Queues`."""
        depths: dict[tuple[str, str], float] = {}
        waiting = list(self._names)
        dead: set[str] = set()
        try:
            while waiting:
                name = waiting.pop()
                attributes = self._attributes(name)
                for attribute, state in _STATES.items():
                    if attribute in attributes:
                        depths[name, state] = float(attributes[attribute])
                policy = json.loads(attributes.get("RedrivePolicy", "{}"))
                dead_letters = policy.get("deadLetterTargetArn", "").rpartition(":")[2]
                if dead_letters and (dead_letters, "visible") not in depths:
                    waiting.append(dead_letters)
                    dead.add(dead_letters)
        except (BotoCoreError, ClientError) as error:
            raise SourceError(f"the queues API: {error}") from error
        self._letters = {
            name: sum(depths.get((name, state), 0) for state in _STATES.values()) for name in dead
        }
        return depths

    def oldest_sent_ms(self) -> dict[str, int]:
        """Return when the oldest dead letter was sent, by queue, see `Queues`.

        SQS reports an age only to CloudWatch, and LocalStack not at all. The bridge may look into
        a dead-letter queue: no consumer waits for its messages, and a message that is received
        with a timeout of 0 is not hidden. It looks when the depth changed, so the cost is small.
        """
        looks: dict[str, _Look] = {}
        for name, letters in self._letters.items():
            look = self._looks.get(name)
            if letters and (look is None or look.letters != letters):
                sent_ms = self._sent_ms(name)
                known = [look.oldest_ms] if look and letters > look.letters else []
                # another process that looks may hide all of them: the next round tries again
                look = _Look(letters, min(sent_ms + known)) if sent_ms else look
            if letters and look is not None:
                looks[name] = look
        self._looks = looks
        return {name: look.oldest_ms for name, look in looks.items()}

    def _sent_ms(self, name: str) -> list[int]:
        try:
            response = self._client.receive_message(
                QueueUrl=self._client.get_queue_url(QueueName=name)["QueueUrl"],
                MaxNumberOfMessages=10,
                VisibilityTimeout=0,
                # a short poll asks only some of SQS's servers, and may find nothing
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        except (BotoCoreError, ClientError) as error:
            raise SourceError(f"the queues API: {error}") from error
        return [int(each["Attributes"]["SentTimestamp"]) for each in response.get("Messages", [])]

    def _attributes(self, name: str) -> dict[str, str]:
        try:
            url = self._client.get_queue_url(QueueName=name)["QueueUrl"]
            response = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        except self._client.exceptions.QueueDoesNotExist:
            return {}
        return {str(key): value for key, value in response.get("Attributes", {}).items()}
