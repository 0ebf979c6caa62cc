"""What is sent to SQS, against botocore's own idea of the service."""

from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.adapters.aws.queues import (
    LIST_LIMIT_BYTES,
    MESSAGE_LIMIT_BYTES,
    SqsDeadLetters,
    SqsDeliveries,
    SqsRecordQueue,
    message_bodies,
    packed_bodies,
)
from modelwatch.domain.packing import unpack
from modelwatch.domain.records import Record, decode_records, encode_record
from modelwatch.errors import QueueError, RecordTooLargeError
from wine_records import numbered_id, wine_record

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


def test_a_dead_letter_that_is_not_taken_is_reported(sqs):
    client, stubber = sqs
    stubber.add_client_error("send_message", "InvalidParameterValue")
    with pytest.raises(QueueError, match=r"did not take message m-1: .*InvalidParameterValue"):
        SqsDeadLetters(client, queue_url=URL).put("m-1", "body", "reason")


NOW = datetime(2026, 11, 23, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def record(number: int = 0, text: str = "") -> Record:
    return wine_record(event_id=numbered_id(number), captured_at=NOW, features={"note": text})


def sized(size: int, number: int = 0) -> Record:
    """Return a record that has ``size`` bytes as JSON."""
    made = record(number, "x" * (size - len(encode_record(record(number)))))
    assert len(encode_record(made)) == size
    return made


def test_a_record_as_large_as_a_message_is_sent_and_one_byte_more_is_refused():
    (body,) = message_bodies([sized(MESSAGE_LIMIT_BYTES - 2)])
    assert len(body) == MESSAGE_LIMIT_BYTES
    with pytest.raises(RecordTooLargeError, match=r"999999 bytes; at most 999998 are taken$"):
        next(message_bodies([record(), sized(MESSAGE_LIMIT_BYTES - 1)]))
    with pytest.raises(RecordTooLargeError, match="and 2 more are too large") as caught:
        next(message_bodies([sized(MESSAGE_LIMIT_BYTES, number) for number in range(3)]))
    assert caught.value.event_ids == {record(number).event_id for number in range(3)}


def test_with_a_record_that_is_too_large_nothing_is_sent(sqs):
    client, _ = sqs
    with pytest.raises(RecordTooLargeError):
        SqsRecordQueue(client, queue_url=URL).send([record(), sized(MESSAGE_LIMIT_BYTES)])


def test_a_list_is_filled_to_the_last_byte_and_not_beyond():
    half = (LIST_LIMIT_BYTES - 3) // 2
    exact = [sized(half, 1), sized(LIST_LIMIT_BYTES - 3 - half, 2)]
    (body,) = message_bodies(exact)
    assert len(body) == LIST_LIMIT_BYTES
    bodies = list(message_bodies([exact[0], sized(LIST_LIMIT_BYTES - 2 - half, 2)]))
    assert len(bodies) == 2
    # one that is longer than a list should be goes alone
    sizes = [len(body) for body in message_bodies([record(1), sized(600_000, 2), record(3)])]
    assert sizes == [len(encode_record(record(1))) + 2, 600_002, len(encode_record(record(3))) + 2]


@given(st.lists(st.text(max_size=3).map(lambda text: text * 30_000), max_size=8))
def test_what_is_split_into_messages_comes_out_whole_and_in_order(texts):
    records = [record(number, text) for number, text in enumerate(texts)]
    bodies = list(message_bodies(records))
    assert [one for body in bodies for one in decode_records(body, NOW_MS)] == records
    for body in bodies:
        assert len(body.encode()) <= 1_048_576
        assert not {"\ufffe", "\uffff"} & set(body)


@given(st.lists(st.text(max_size=3).map(lambda text: text * 30_000), max_size=8))
def test_what_is_packed_into_messages_comes_out_whole(texts):
    records = [record(number, text) for number, text in enumerate(texts)]
    for each in records:
        each.source = "predict"
    bodies = packed_bodies(records)
    found = [unpack(body, NOW_MS) for body in bodies]
    assert all(not refusals for _, refusals in found)
    out = [one for block, _ in found for one in block.records()]
    assert sorted(out, key=lambda each: each.event_id) == records
    for body in bodies:
        assert len(body.encode()) <= 1_048_576
        assert not {"\ufffe", "\uffff"} & set(body)


def test_a_batch_of_predictions_shares_a_message_and_its_names():
    records = [record(number) for number in range(1000)]
    for each in records:
        each.source, each.types = "predict", "d"
        each.features = {"a_long_name_of_a_feature": each.captured_at_ms / 7}
    (body,) = packed_bodies(records)
    assert body.count("a_long_name_of_a_feature") == 1
    assert len(body) < sum(len(encode_record(each)) for each in records) / 3
    too_large = record(7, "x" * MESSAGE_LIMIT_BYTES)
    too_large.source = "predict"
    with pytest.raises(RecordTooLargeError) as caught:
        packed_bodies([records[0], too_large])
    assert caught.value.event_ids == {too_large.event_id}


def test_messages_are_released_ten_at_a_time_until_the_queue_does_not_respond(sqs):
    client, stubber = sqs

    def expected(first: int, count: int) -> dict:
        entries = [
            {"Id": str(at), "ReceiptHandle": f"r{first + at}", "VisibilityTimeout": first + at}
            for at in range(count)
        ]
        return {"QueueUrl": URL, "Entries": entries}

    failed = [{"Id": "1", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]
    response = {"Successful": [], "Failed": failed}
    stubber.add_response("change_message_visibility_batch", response, expected(0, 10))
    stubber.add_response(
        "change_message_visibility_batch", {"Successful": [], "Failed": []}, expected(10, 2)
    )
    deliveries = SqsDeliveries(client, queue_url=URL)
    deliveries.release({f"r{number}": number for number in range(12)})
    deliveries.release({})
    stubber.add_client_error("change_message_visibility_batch", "InternalError")
    deliveries.release({f"r{number}": number for number in range(40)})
