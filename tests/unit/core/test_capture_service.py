"""The capture service with its ports in memory."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from in_memory import (
    InMemoryDeadLetters,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRecordStore,
    copy_of,
)
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record, encode_record
from modelwatch.errors import InvalidInputError, QueueError
from modelwatch.services.capture import CaptureService, Message

NOW = datetime(2026, 11, 23, 9, 59, 30, tzinfo=UTC)


def record(**changes) -> Record:
    made = Record(
        event_id=new_event_id(1),
        captured_at=NOW,
        model_name="wine",
        model_version="1",
        features={"alcohol": 13.0},
        prediction=1,
    )
    return copy_of(made, **changes)


class Stage:
    def __init__(self) -> None:
        self.store = InMemoryRecordStore()
        self.queue = InMemoryQueue()
        self.dead_letters = InMemoryDeadLetters()
        self.metrics = InMemoryMetrics()
        self.service = CaptureService(
            store=self.store,
            queue=self.queue,
            dead_letters=self.dead_letters,
            metrics=self.metrics,
            clock=NOW.timestamp,
        )

    def stored(self) -> list[str]:
        return sorted(r.event_id for group in self.store.groups.values() for r in group)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def message(id_: str, *records: Record) -> Message:
    return Message(id_, json.dumps([json.loads(encode_record(r)) for r in records]))


def test_records_are_grouped_by_version_and_hour(stage):
    records = [
        record(),
        record(captured_at=NOW - timedelta(seconds=20)),
        record(captured_at=NOW + timedelta(seconds=40)),
        record(model_version="2"),
        record(model_name="beer"),
    ]
    failed = stage.service.store_messages([message("a", *records[:2]), message("b", *records[2:])])
    assert failed == []
    assert sorted(len(group) for group in stage.store.groups.values()) == [1, 1, 1, 2]
    assert stage.metrics.value("capture_records_total", outcome="stored") == 5


POISON = Message("poison", '{"event_id": "x"}')


def test_a_poisoned_message_is_put_aside_alone_with_the_reason(stage, caplog):
    good = record()
    assert stage.service.store_messages([POISON, message("good", good)]) == []
    assert stage.stored() == [good.event_id]
    ((message_id, (body, reason)),) = stage.dead_letters.letters.items()
    assert (message_id, body) == ("poison", POISON.body)
    assert "captured_at" in reason
    assert f"message poison cannot be used: {reason}" in caplog.text
    assert stage.metrics.value("capture_records_total", outcome="rejected") == 1


def test_a_poisoned_message_that_cannot_be_put_aside_comes_again(stage):
    stage.dead_letters.down = True
    good = record()
    assert stage.service.store_messages([POISON, message("good", good)]) == ["poison"]
    assert stage.stored() == [good.event_id]
    assert stage.metrics.value("capture_records_total", outcome="rejected") == 0


def test_dead_letters_that_are_down_do_not_cost_the_time_of_the_run(stage):
    stage.dead_letters.down = True
    poison = [Message(str(number), "") for number in range(1000)]
    assert len(stage.service.store_messages(poison)) == 1000
    assert stage.dead_letters.tries == 2


def test_when_the_store_refuses_only_the_messages_it_concerns_come_again(stage):
    stage.store.broken.add("2")
    messages = [
        message("one", record()),
        message("two", record(model_version="2")),
        message("both", record(), record(model_version="2")),
    ]
    assert sorted(stage.service.store_messages(messages)) == ["both", "two"]


def test_a_record_that_comes_twice_is_stored_once(stage):
    twice = record()
    stage.service.store_messages([message("a", twice), message("b", twice)])
    stage.service.store_messages([message("a", twice)])
    assert stage.stored() == [twice.event_id]


def test_applications_send_through_the_queue(stage):
    one, two = record(), record()
    assert stage.service.accept(encode_record(one)) == one.event_id
    assert stage.service.accept_batch(b"[" + encode_record(two) + b"]") == [two.event_id]
    assert [r.event_id for r in stage.queue.records] == [one.event_id, two.event_id]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'"x"'])
def test_a_batch_that_is_none_is_refused(stage, body):
    with pytest.raises(InvalidInputError):
        stage.service.accept_batch(body)


def test_a_batch_is_taken_whole_or_not_at_all(stage):
    body = b"[" + encode_record(record()) + b', {"event_id": 3}]'
    with pytest.raises(InvalidInputError, match=r"\[1\]\.event_id"):
        stage.service.accept_batch(body)
    assert stage.queue.records == []


def test_what_the_queue_does_not_take_is_not_acknowledged(stage):
    stage.queue.down = True
    with pytest.raises(QueueError):
        stage.service.accept(encode_record(record()))
