"""What is sent to SQS, against botocore's own idea of the service."""

import boto3
import pytest
from botocore.stub import Stubber

from modelwatch.adapters.sqs_queue import SqsDeadLetters
from modelwatch.errors import QueueError

URL = "https://sqs.example/captures-dead"


@pytest.fixture
def sqs():
    client = boto3.client(
        "sqs", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def sent(reason):
    attributes = {"reason": reason, "message_id": "m-1"}
    return {
        "QueueUrl": URL,
        "MessageBody": "body",
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    }


def test_a_dead_letter_has_its_reason_and_the_queue_is_looked_up_once(sqs):
    client, stubber = sqs
    stubber.add_response("get_queue_url", {"QueueUrl": URL}, {"QueueName": "captures-dead"})
    stubber.add_response("send_message", {}, sent("prediction: missing"))
    # what SQS would refuse in an attribute is replaced, and a long reason is cut
    stubber.add_response("send_message", {}, sent("'\ufffd\t\ufffd' " + 994 * "é"))
    letters = SqsDeadLetters(client, queue_name="captures-dead")
    letters.put("m-1", "body", "prediction: missing")
    letters.put("m-1", "body", "'\x01\t\ud800' " + 2000 * "é")


def test_a_dead_letter_that_is_not_taken_is_told(sqs):
    client, stubber = sqs
    stubber.add_client_error("send_message", "InvalidParameterValue")
    with pytest.raises(QueueError, match=r"did not take message m-1: .*InvalidParameterValue"):
        SqsDeadLetters(client, queue_url=URL).put("m-1", "body", "reason")
