"""What the bridge asks of SQS, against botocore's own idea of the service."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from modelwatch_bridge.sources.cloudwatch import SQSQueues
from modelwatch_bridge.sources.ports import SourceError

POLICY = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:1:captures-dead"})


class Sqs:
    """Answers for a capture queue and its dead-letter queue."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "sqs", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
        )
        self.stubber = Stubber(self.client)
        self.stubber.activate()
        self.queues = SQSQueues(self.client, ["captures"])

    def look(self, letters: int, *responses: list[int] | str) -> dict[str, int]:
        """Ask for depths with so many dead letters, and for the oldest one."""
        self._queue("captures", {"ApproximateNumberOfMessages": "5", "RedrivePolicy": POLICY})
        self._queue(
            "captures-dead",
            {
                "ApproximateNumberOfMessages": "0",
                "ApproximateNumberOfMessagesNotVisible": str(letters),
            },
        )
        for response in responses:
            self._url("captures-dead")
            if isinstance(response, str):
                self.stubber.add_client_error("receive_message", response)
                continue
            sent = [{"Attributes": {"SentTimestamp": str(at_ms)}} for at_ms in response]
            expected: dict[str, Any] = {
                "QueueUrl": "https://sqs/captures-dead",
                "MaxNumberOfMessages": 10,
                # no one else may miss a dead letter because of us
                "VisibilityTimeout": 0,
                "WaitTimeSeconds": 1,
                "MessageSystemAttributeNames": ["SentTimestamp"],
            }
            self.stubber.add_response("receive_message", {"Messages": sent}, expected)
        depths = self.queues.depths()
        assert depths["captures", "visible"] == 5
        oldest = self.queues.oldest_sent_ms()
        self.stubber.assert_no_pending_responses()
        return oldest

    def _queue(self, name: str, attributes: dict[str, str]) -> None:
        self._url(name)
        request = {"QueueUrl": ANY, "AttributeNames": ["All"]}
        self.stubber.add_response("get_queue_attributes", {"Attributes": attributes}, request)

    def _url(self, name: str) -> None:
        self.stubber.add_response(
            "get_queue_url", {"QueueUrl": f"https://sqs/{name}"}, {"QueueName": name}
        )


@pytest.fixture
def sqs() -> Sqs:
    return Sqs()


def test_letters_are_looked_at_when_their_number_changes_and_only_then(sqs: Sqs) -> None:
    assert sqs.look(0) == {}
    assert sqs.look(2, [2000, 1000]) == {"captures-dead": 1000}
    assert sqs.look(2) == {"captures-dead": 1000}
    # SQS shows ten at most, and any ten: what was seen is not forgotten as long as none went
    assert sqs.look(12, [2000, 3000]) == {"captures-dead": 1000}
    assert sqs.look(11, [2000, 3000]) == {"captures-dead": 2000}
    assert sqs.look(0) == {}
    assert sqs.look(1, [5000]) == {"captures-dead": 5000}


def test_letters_that_somebody_else_looks_at_are_asked_for_again(sqs: Sqs) -> None:
    assert sqs.look(1, []) == {}
    assert sqs.look(1, [7000]) == {"captures-dead": 7000}
    assert sqs.look(2, []) == {"captures-dead": 7000}
    assert sqs.look(2, [6000, 7000]) == {"captures-dead": 6000}


def test_a_refusal_is_reported(sqs: Sqs) -> None:
    with pytest.raises(SourceError, match="AccessDenied"):
        sqs.look(1, "AccessDenied")
