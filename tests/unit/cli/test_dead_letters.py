"""Looking at dead letters, and sending them back, against queues in memory."""

from datetime import UTC, datetime

import msgspec
import pytest

from in_memory_sqs import InMemorySqs
from modelwatch.domain.blocks import blocks_of
from modelwatch.domain.packing import pack
from modelwatch.domain.records import Record, encode_record
from modelwatch_cli.capture.dead_letters import HIDDEN_SECONDS, DeadLetterBox, DeadLetterError
from modelwatch_cli.capture.dlq import packed_records

QUEUE, DEAD = "https://sqs.example/captures", "https://sqs.example/captures-dead"


@pytest.fixture
def sqs() -> InMemorySqs:
    made = InMemorySqs()
    made.attributes[QUEUE] = {"RedrivePolicy": '{"maxReceiveCount": 12}'}
    return made


@pytest.fixture
def box(sqs: InMemorySqs) -> DeadLetterBox:
    return DeadLetterBox(sqs, QUEUE, DEAD)


def all_of(box: DeadLetterBox) -> list:
    return [letter for some in box.letters() for letter in some]


def test_a_look_shows_each_letter_once_and_leaves_all_of_them_to_the_next_one(sqs, box):
    for number in range(25):
        sqs.put(DEAD, f"body {number}", reason="[0]: wrong", message_id=f"was {number}")
    for look in (1, 2):
        with box:
            letters = all_of(box)
            assert sqs.visible(DEAD) == 0
        assert sqs.visible(DEAD) == 25
        assert [letter.body for letter in letters] == [f"body {number}" for number in range(25)]
        assert {letter.receive_count for letter in letters} == {look}
    first = letters[0]
    assert (first.reason, first.message_id) == ("[0]: wrong", "was 0")
    assert first.sent_at == datetime.fromtimestamp(sqs.now, UTC)


def test_a_look_that_stops_early_hides_nothing(sqs, box):
    for number in range(25):
        sqs.put(DEAD, f"body {number}")
    with box:
        next(box.letters())
    assert sqs.visible(DEAD) == 25


def test_letters_come_back_by_themselves_when_they_cannot_be_given_back(sqs, box):
    sqs.put(DEAD, "body")
    with box:
        all_of(box)
        sqs.down.add(DEAD)
    assert sqs.visible(DEAD) == 0
    sqs.now += HIDDEN_SECONDS
    assert sqs.visible(DEAD) == 1


def test_a_long_look_ends_though_its_first_letters_come_again(sqs, box):
    for number in range(10):
        sqs.put(DEAD, f"body {number}")
    seen = []
    with box:
        for letters in box.letters():
            seen += [letter.body for letter in letters]
            sqs.now += 11
    assert len(seen) == len(set(seen))


def test_the_reason_is_what_is_known_of_it(sqs, box):
    moved = {"DeadLetterQueueSourceArn": "arn:aws:sqs:us-east-1:1:captures"}
    sqs.put(DEAD, "moved", moved)
    sqs.put(DEAD, "by hand")
    with box:
        reasons = {letter.body: letter.reason for letter in all_of(box)}
    assert reasons["moved"] == "delivered 12 times, never stored"
    assert "it was not capture" in reasons["by hand"]


def test_letters_are_in_the_capture_queue_before_they_are_gone_here(sqs, box):
    for number in range(25):
        sqs.put(DEAD, f"body {number}")
    with box:
        sent = [letter for some in box.letters() for letter in box.send_back(some)]
    assert len(sent) == 25
    assert sqs.bodies(DEAD) == []
    assert sqs.bodies(QUEUE) == [f"body {number}" for number in range(25)]
    changes = [each for each in sqs.requests if each.endswith("message_batch")]
    assert changes == ["send_message_batch", "delete_message_batch"] * (len(changes) // 2)


def test_nothing_is_deleted_that_the_capture_queue_does_not_take(sqs, box):
    sqs.put(DEAD, "good")
    sqs.put(DEAD, "bad")
    sqs.refused.add("bad")
    with box:
        (letters,) = box.letters()
        assert [letter.body for letter in box.send_back(letters)] == ["good"]
    assert (sqs.bodies(DEAD), sqs.visible(DEAD)) == (["bad"], 1)
    sqs.down.add(QUEUE)
    with pytest.raises(DeadLetterError, match="ServiceUnavailable"), box:
        box.send_back(all_of(box))
    assert (sqs.bodies(DEAD), sqs.visible(DEAD)) == (["bad"], 1)


def test_large_letters_go_back_in_requests_of_their_own(sqs, box):
    bodies = [letter * 400_000 for letter in "abcdé"]
    for body in bodies:
        sqs.put(DEAD, body)
    with box:
        assert len(box.send_back(all_of(box))) == 5
    assert sqs.bodies(QUEUE) == bodies


def test_what_comes_back_during_a_redrive_is_left_alone(sqs, box):
    sqs.put(DEAD, "old")
    sqs.now += 5
    before = datetime.fromtimestamp(sqs.now, UTC)
    sqs.put(DEAD, "new")
    with box:
        sent = [letter.body for some in box.letters(before) for letter in box.send_back(some)]
    assert (sent, box.newer) == (["old"], 1)
    assert (sqs.bodies(DEAD), sqs.visible(DEAD)) == (["new"], 1)


def test_a_letter_is_found_by_its_id(sqs, box):
    ids = [sqs.put(DEAD, f"body {number}") for number in range(7)]
    with box:
        assert {letter.body for letter in box.find([ids[6], ids[2]])} == {"body 6", "body 2"}
    with pytest.raises(DeadLetterError, match="no dead letter m99"), box:
        box.find(["m99", ids[0]])
    assert sqs.visible(DEAD) == 7


def test_a_purge_takes_all(sqs, box):
    sqs.put(DEAD, "body")
    with box:
        assert box.count() == 1
        all_of(box)
        assert box.count() == 1
        box.purge()
        assert box.count() == 0


def test_a_packed_message_is_shown_as_its_records():
    records = [
        Record(
            event_id=f"018bcfe5-6800-7000-8000-{number:012d}",
            captured_at=datetime(2026, 1, 11, 17, tzinfo=UTC),
            model_name="wine",
            model_version="1",
            features={"alcohol": 1.5 * number, "colour": "red"},
            types="ds",
            prediction=number,
            source="predict",
        )
        for number in range(3)
    ]
    (block,) = blocks_of(records)
    body = pack(block).decode()
    shown = [msgspec.json.decode(each, type=Record) for each in packed_records(body)]
    assert shown == records
    assert packed_records(encode_record(records[0]).decode()) == []
    assert packed_records(body[:-10]) == []
