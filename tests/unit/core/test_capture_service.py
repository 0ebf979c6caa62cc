"""The capture service with its ports in memory."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from in_memory import (
    InMemoryDeadLetters,
    InMemoryDeliveries,
    InMemoryLabelQueue,
    InMemoryLabelWriter,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRecordStore,
)
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.aws.queues import label_bodies
from modelwatch.adapters.captures.parquet import read_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.capture_monitors import S3CaptureMonitors
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.blocks import blocks_of
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.model_capture import MonitorCapture
from modelwatch.domain.monitors import Monitor, MonitorSet
from modelwatch.domain.packing import pack
from modelwatch.domain.records import Record, decode_record, encode_record
from modelwatch.errors import InvalidInputError, QueueError, StoreError
from modelwatch.services.capture import CaptureService
from modelwatch.services.deliveries import Message
from modelwatch.services.storing import event_ids_of
from wine_records import wine_record

NOW = datetime(2026, 11, 23, 9, 59, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def record(**changes) -> Record:
    return wine_record(**({"captured_at": NOW} | changes))


class Stage:
    def __init__(self) -> None:
        self.store = InMemoryRecordStore()
        self.labels = InMemoryLabelWriter()
        self.queue = InMemoryQueue()
        self.label_queue = InMemoryLabelQueue()
        self.dead_letters = InMemoryDeadLetters()
        self.deliveries = InMemoryDeliveries()
        self.now = NOW.timestamp()
        self.metrics = InMemoryMetrics()
        self.service = CaptureService(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            label_queue=self.label_queue,
            dead_letters=self.dead_letters,
            deliveries=self.deliveries,
            metrics=self.metrics,
            clock=lambda: self.now,
        )

        self.s3 = InMemoryS3()

    def monitored(self, **monitors: MonitorCapture) -> CaptureService:
        """Return the service under monitors that say this of capture."""
        held = {name: Monitor(stage="local", capture=each) for name, each in monitors.items()}
        S3MonitorStore(self.s3, "reports").append(MonitorSet(number=1, monitors=held))
        return CaptureService(
            store=self.store,
            labels=self.labels,
            queue=self.queue,
            label_queue=self.label_queue,
            dead_letters=self.dead_letters,
            deliveries=self.deliveries,
            metrics=self.metrics,
            monitors=S3CaptureMonitors(self.s3, "reports"),
            clock=lambda: self.now,
        )

    def stored(self) -> list[str]:
        return sorted(r.event_id for group in self.store.groups.values() for r in group)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def message(id_: str, *records: Record, **more: object) -> Message:
    return Message(id_, json.dumps([json.loads(encode_record(r)) for r in records]), **more)


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


def broken_list(*bad: str) -> Message:
    """Return a message of good records with bad ones at the places given as JSON, and its good."""
    good = [encode_record(record()).decode() for _ in range(3)]
    return Message("list", f"[{','.join([good[0], *bad, good[1], good[2]])}]")


def test_of_a_list_only_the_bad_records_are_put_aside_each_alone(stage):
    one, other = '{"event_id": "x"}', "7"
    assert stage.service.store_messages([broken_list(one, other)]) == []
    assert len(stage.stored()) == 3
    (first, second) = stage.dead_letters.taken
    assert first[:2] == ("list", one)
    assert first[2].startswith("[1].event_id: ")
    assert "captured_at" in first[2]
    assert second[:2] == ("list", other)
    assert second[2].startswith("[2]: ")
    assert stage.metrics.value("capture_records_total", outcome="rejected") == 2
    assert stage.metrics.value("capture_records_total", outcome="stored") == 3


def test_a_list_in_which_nothing_is_good_is_put_aside_whole(stage):
    body = "[" + ",".join(['{"event_id": "x"}'] * 500) + "]"
    assert stage.service.store_messages([Message("m", body)]) == []
    ((_, kept, reason),) = stage.dead_letters.taken
    assert kept == body
    assert reason.startswith("[0].event_id: ")
    assert reason.endswith("; 499 more cannot be used, either")
    assert stage.metrics.value("capture_records_total", outcome="rejected") == 500


def test_a_list_comes_again_whole_when_its_bad_record_cannot_be_put_aside(stage):
    stage.dead_letters.down = True
    assert stage.service.store_messages([broken_list("7", "8", "9")]) == ["list"]
    assert stage.dead_letters.tries == 1
    stage.dead_letters.down = False
    assert stage.service.store_messages([broken_list("7", "8", "9")]) == []
    assert len(stage.dead_letters.taken) == 3


def test_a_bad_record_is_not_put_aside_as_long_as_its_message_comes_again(stage):
    stage.store.broken.add("2")
    body = f"[{encode_record(record(model_version='2')).decode()},7]"
    for _ in range(3):
        assert stage.service.store_messages([Message("m", body)]) == ["m"]
    assert stage.dead_letters.taken == []
    stage.store.broken.clear()
    assert stage.service.store_messages([Message("m", body)]) == []
    assert len(stage.dead_letters.taken) == 1


def test_what_the_store_does_not_take_is_released_for_longer_and_longer(stage):
    stage.store.broken.add("1")
    for deliveries, seconds in ((1, 15), (2, 30), (5, 240), (7, 900), (1000, 900)):
        stage.service.store_messages(
            [message("m", record(), receipt="here", deliveries=deliveries)]
        )
        assert stage.deliveries.delays == {"here": seconds}
    stage.deliveries.delays.clear()
    stage.store.broken.clear()
    stage.service.store_messages([message("m", record(), receipt="here")])
    assert stage.deliveries.delays == {}


def test_what_no_one_thought_of_costs_the_other_objects_nothing(stage, caplog):
    write = stage.store.write

    def fail(blocks):
        if blocks[0].head.model_version == "2":
            raise ZeroDivisionError(str(blocks[0].columns))
        return write(blocks)

    stage.store.write = fail
    versions = [message(each, record(model_version=each), receipt=each) for each in "123"]
    assert stage.service.store_messages(versions) == ["2"]
    assert stage.deliveries.delays.keys() == {"2"}
    assert "ZeroDivisionError" in caplog.text
    assert "13.0" not in caplog.text


def test_a_store_that_hangs_does_not_cost_more_than_the_time_of_a_run(stage):
    write = stage.store.write

    def hang(records):
        stage.now += hangs_seconds
        return write(records)

    hangs_seconds = 20
    stage.store.write = hang
    versions = [message(each, record(model_version=each), receipt=each) for each in "1234"]
    assert stage.service.store_messages([*versions, POISON]) == ["3", "4"]
    assert stage.deliveries.delays.keys() == {"3", "4"}
    # 40 s are gone: there is time for a dead letter, and after 45 there is none
    assert len(stage.dead_letters.taken) == 1
    hangs_seconds = 46
    assert stage.service.store_messages([*versions, POISON]) == ["2", "3", "4", "poison"]
    assert len(stage.dead_letters.taken) == 1


def test_the_age_of_the_oldest_message_of_a_batch_is_reported(stage):
    now_ms = int(stage.now * 1000)
    stage.service.store_messages(
        [
            message("a", record(), sent_ms=now_ms - 3000),
            message("b", record(), sent_ms=now_ms - 4500),
        ]
    )
    assert stage.metrics.value("capture_queue_delay_seconds") == 4.5
    stage.service.store_messages([message("c", record())])
    assert stage.metrics.value("capture_queue_delay_seconds") == 4.5


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


HOUR_MS = 3_600_000


def label_message(id_: str, *labels: Label) -> Message:
    (body,) = label_bodies(labels)
    return Message(id_, body)


def label(hours_ago: int = 0, **changes) -> Label:
    now_ms = int(NOW.timestamp() * 1000)
    event_id = new_event_id(now_ms - hours_ago * HOUR_MS)
    return Label(**{"event_id": event_id, "label": 1, "labelled_at": NOW, **changes})


def test_labels_become_one_object_an_hour_of_their_predictions(stage):
    now, earlier = [label(), label()], [label(2), label(2)]
    messages = [
        label_message("a", now[0], earlier[0]),
        message("records", record()),
        label_message("b", now[1], earlier[1]),
    ]
    assert stage.service.store_messages(messages) == []
    groups = {
        group[0].hour.hour: {each.event_id for each in group} for group in stage.labels.groups
    }
    assert groups == {9: {each.event_id for each in now}, 7: {each.event_id for each in earlier}}
    assert len(stage.stored()) == 1
    assert stage.metrics.value("capture_labels_total", outcome="stored") == 4


def test_of_the_labels_of_one_prediction_in_a_batch_the_newest_is_stored(stage):
    first = label()
    later = label(event_id=first.event_id, label=0, labelled_at=NOW + timedelta(seconds=1))
    messages = [label_message("new", later), label_message("old", first)]
    assert stage.service.store_messages(messages) == []
    assert [[each.label for each in group] for group in stage.labels.groups] == [[0]]


def test_when_the_store_refuses_labels_their_messages_come_again(stage):
    stage.labels.broken.add(7)
    messages = [
        label_message("now", label()),
        label_message("both", label(), label(2)),
        message("records", record()),
    ]
    assert stage.service.store_messages(messages) == ["both"]


def test_of_a_message_of_labels_only_the_bad_one_is_put_aside(stage):
    good = json.dumps({"event_id": new_event_id(1), "label": 1})
    bad = json.dumps({"event_id": "x", "label": 1})
    body = f'{{"labels": [{good}, {bad}]}}'
    assert stage.service.store_messages([Message("m", body)]) == []
    assert len(stage.labels.groups) == 1
    ((_, kept, reason),) = stage.dead_letters.taken
    assert reason.startswith("[1].event_id: ")
    # it can be sent back as it is
    assert json.loads(kept) == {"labels": [json.loads(bad)]}


def test_a_message_with_a_broken_label_is_put_aside(stage):
    poison = Message("poison", '{"labels": [{"event_id": "x", "label": 1}]}')
    assert stage.service.store_messages([poison, label_message("good", label())]) == []
    assert "[0].event_id" in stage.dead_letters.letters["poison"][1]
    assert len(stage.labels.groups) == 1


def test_a_label_is_acknowledged_when_the_queue_has_it(stage):
    given = label()
    body = json.dumps({"event_id": given.event_id.upper(), "label": True}).encode()
    event_ids, sample = stage.service.accept_labels(body)
    assert (event_ids, sample.value) == ([given.event_id], 1)
    (queued,) = stage.label_queue.labels
    assert (queued.label, queued.labelled_at, queued.hour.hour) == (True, NOW, 9)


def test_labels_of_a_year_are_an_object_an_hour(stage):
    labels = [label(hours) for hours in range(0, 24 * 365, 7)]
    assert stage.service.store_messages([label_message("year", *labels)]) == []
    assert len(stage.labels.groups) == len(labels)


def choking(write, *bad: str):
    """Return ``write`` as it raises, for a reason that no one foresaw, on events of ``bad``."""

    def written(elements):
        if not set(bad).isdisjoint(event_ids_of(elements)):
            raise RecursionError(str(elements))
        return write(elements)

    return written


def test_a_record_that_raises_is_put_aside_alone(stage, caplog):
    records = [record() for _ in range(9)]
    bad = records[6]
    stage.store.write = choking(stage.store.write, bad.event_id)
    assert stage.service.store_messages([message("a", *records), message("b", record())]) == []
    assert len(stage.stored()) == 9
    assert bad.event_id not in stage.stored()
    ((message_id, body, reason),) = stage.dead_letters.taken
    assert (message_id, decode_record(body, NOW_MS)) == ("a", bad)
    assert reason == "storing it raised RecursionError"
    assert "13.0" not in caplog.text
    assert stage.metrics.value("capture_records_total", outcome="rejected") == 1
    assert stage.metrics.value("capture_records_total", outcome="stored") == 9


def test_where_nothing_can_be_stored_the_messages_come_again_before_they_are_put_aside(stage):
    records = [record(), record()]
    stage.store.write = choking(stage.store.write, *[each.event_id for each in records])
    for deliveries in (1, 2):
        assert stage.service.store_messages(
            [message("a", *records, receipt="here", deliveries=deliveries)]
        ) == ["a"]
        assert stage.dead_letters.taken == []
    assert stage.service.store_messages([message("a", *records, deliveries=3)]) == []
    assert len(stage.dead_letters.taken) == 2


def test_a_label_that_raises_is_put_aside_alone(stage):
    labels = [Label(event_id=new_event_id(int(NOW.timestamp() * 1000)), label=n) for n in range(5)]
    stage.labels.write = choking(stage.labels.write, labels[2].event_id)
    (body,) = label_bodies(labels)
    assert stage.service.store_messages([Message("a", body), message("b", record())]) == []
    assert sum(map(len, stage.labels.groups)) == 4
    ((_, kept, reason),) = stage.dead_letters.taken
    assert json.loads(kept)["labels"][0]["event_id"] == labels[2].event_id
    assert reason == "storing it raised RecursionError"


@pytest.mark.parametrize("port", ["dead_letters.put", "deliveries.release", "metrics.emit"])
def test_an_exception_of_a_step_around_them_loses_no_record(stage, port):
    def fail(*_):
        raise RuntimeError("unforeseen")

    stage.store.broken.add("2")
    name, method = port.split(".")
    setattr(getattr(stage, name), method, fail)
    good = record()
    failed = stage.service.store_messages(
        [message("good", good), message("later", record(model_version="2"), receipt="x"), POISON]
    )
    assert stage.stored() == [good.event_id]
    assert failed == (["later", "poison"] if name == "dead_letters" else ["later"])


def packed(*records: Record) -> Message:
    (block,) = blocks_of(records)
    return Message("packed", pack(block).decode())


def test_a_packed_message_is_stored_as_its_records(stage):
    records = [
        record(
            features={"a": 0.1 * number, "b": None, "c": "x", "d": 2**60 + number, "e": True},
            types="ddslb",
            probabilities=[0.25, 0.75],
            captured_at=NOW + timedelta(milliseconds=number),
            latency_ms=0.5,
            lost_before=number,
            source="predict",
        )
        for number in range(5)
    ]
    assert stage.service.store_messages([packed(*records), packed(records[0])]) == []
    (stored,) = stage.store.groups.values()
    assert stored == records
    plain = [record(features={"a": 1, "b": "x"}) for _ in range(3)]
    assert stage.service.store_messages([packed(*plain)]) == []
    assert plain in stage.store.groups.values()


def test_of_a_packed_message_only_the_bad_records_are_put_aside(stage):
    records = [record(source="predict") for _ in range(4)]
    records[1].captured_at += timedelta(days=3)
    records[2].event_id = "7"
    assert stage.service.store_messages([packed(*records)]) == []
    assert stage.stored() == sorted([records[0].event_id, records[3].event_id])
    assert [letter[2].partition(":")[0] for letter in stage.dead_letters.taken] == [
        "[1].captured_at",
        "[2].event_id",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"packed": 2},
        {"ids": []},
        {"at": [1, 2]},
        {"doubles": "AAAA"},
        {"doubles": "?"},
        {"columns": [[1]] * 3},
        {"predictions": [10**400]},
        {"head": {"model_name": "a/b"}},
        {"at": [10**18]},
    ],
)
def test_a_damaged_packed_message_is_put_aside(stage, change):
    body = json.loads(packed(record(types="d")).body)
    damaged = json.dumps({**body, **change}, separators=(",", ":"))
    assert stage.service.store_messages([Message("bad", damaged), message("b", record())]) == []
    assert len(stage.stored()) == 1
    assert stage.dead_letters.letters["bad"][0] == damaged


@pytest.mark.parametrize("at", [2**62, -(2**62), -1, 253_402_300_800_000])
def test_a_time_that_no_date_holds_costs_one_record_of_a_packed_message(stage, at):
    records = [record(source="predict") for _ in range(3)]
    body = json.loads(packed(*records).body)
    body["at"][1] = at
    sent = Message("m", json.dumps(body, separators=(",", ":")))
    assert stage.service.store_messages([sent]) == []
    assert stage.stored() == sorted([records[0].event_id, records[2].event_id])
    ((_, letter, reason),) = stage.dead_letters.taken
    assert reason == f"[1].captured_at: {at} is no time from 1971 to 9998"
    assert json.loads(letter)["event_id"] == records[1].event_id
    assert json.loads(letter)["captured_at"] == at


def test_an_infinite_double_in_a_packed_message_costs_no_other_record():
    stage = Stage()
    s3 = InMemoryS3()
    stage.store.write = S3RecordStore(s3, "bucket").write
    records = [record(types="d", features={"a": value}) for value in (1.0, math.inf, 3.0)]
    assert stage.service.store_messages([packed(*records)]) == []
    rows = [read_table(body) for body in s3.objects.values()]
    assert sorted(row for table in rows for row in table["feature_a"].to_pylist()) == [1.0, 3.0]
    ((_, body, _),) = stage.dead_letters.taken
    assert json.loads(body)["event_id"] == records[1].event_id


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("predictions", [1], "[1].prediction: "),
        ("predictions", 10**400, "[1].prediction: "),
        ("at", "now", '[1].captured_at: "now" is no time from 1971 to 9998'),
        ("at", 1.5, "[1].captured_at: 1.5 is no time from 1971 to 9998"),
        ("ids", 7, "[1].event_id: "),
        ("latencies", "fast", "[1].latency_ms: "),
        ("probabilities", ["high"], "[1].probabilities"),
        ("lost", "some", "[1].lost_before: "),
        ("errors", 5, "[1].error: "),
        ("a", {"b": 1}, "[1].features.a: "),
        ("a", 2**70, "[1].features.a: "),
    ],
)
def test_a_value_of_a_wrong_type_costs_one_record_of_a_packed_message(stage, field, value, reason):
    records = [
        record(
            features={"a": "x", "b": number + 0.5},
            types="sd",
            probabilities=[0.5, 0.5],
            lost_before=number + 1,
            source="predict",
        )
        for number in range(3)
    ]
    body = json.loads(packed(*records).body)
    body.setdefault("errors", [""] * 3)
    column = body["columns"][0] if field == "a" else body[field]
    column[1] = value
    sent = Message("m", json.dumps(body, separators=(",", ":")))
    assert stage.service.store_messages([sent]) == []
    ((_, letter, why),) = stage.dead_letters.taken
    assert why.startswith(reason)
    assert json.dumps(value, separators=(",", ":")) in letter
    (stored,) = stage.store.groups.values()
    assert stored == [records[0], records[2]]


def test_a_packed_message_that_names_a_feature_twice_is_put_aside_whole(stage):
    records = [record(features={"a": 1.0, "b": 2.0}, types="dd", source="predict")] * 2
    body = packed(*records).body.replace('"names":["a","b"]', '"names":["a","a"]')
    assert stage.service.store_messages([Message("m", body)]) == []
    assert stage.stored() == []
    assert stage.dead_letters.taken == [("m", body, "head.names: has 'a' more than once")]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("names", ["a\nb"]),
        ("names", [" "]),
        ("names", ["a" * 251]),
        ("model_name", "имя" * 16),
        ("model_version", ".."),
        ("variant", "../champion"),
        ("variant", "b\nc"),
        ("source", "pre\ndict"),
    ],
)
def test_a_packed_message_has_the_names_of_every_other_message(stage, field, name):
    # who may send to the queue may say that it is predict: what it names is looked at as well
    good = record(features={"a": 1.0}, types="d", source="predict", event_id=new_event_id(NOW_MS))
    body = json.loads(packed(good).body)
    body["head"][field] = name
    sent = [Message("bad", json.dumps(body, separators=(",", ":"))), packed(good)]
    assert stage.service.store_messages(sent) == []
    assert stage.stored() == [good.event_id]
    ((_, _, why),) = stage.dead_letters.taken
    assert why.startswith("head.") or "is not" in why


def test_what_a_monitor_lets_be_captured_of_other_applications_is_queued(stage):
    service = stage.monitored(wine=MonitorCapture(fields={"alcohol": "drop"}))
    ids = [new_event_id(NOW_MS + number) for number in range(2)]
    features = {"alcohol": 13.5, "hue": 1.0}
    sent = [
        record(event_id=event_id, model_name=name, features=features)
        for event_id, name in zip(ids, ("wine", "beer"), strict=True)
    ]
    body = b"[" + b",".join(map(encode_record, sent)) + b"]"
    assert service.accept_batch(body) == ids
    assert [each.features for each in stage.queue.records] == [{"hue": 1.0}, features]
    assert service.accept(encode_record(sent[0])) == ids[0]
    assert stage.queue.records[-1].features == {"hue": 1.0}


def test_records_that_a_monitor_leaves_out_are_accepted_and_counted(stage):
    service = stage.monitored(wine=MonitorCapture(sample_rate=0))
    sent = record()
    assert service.accept(encode_record(sent)) == sent.event_id
    assert stage.queue.records == []
    assert stage.metrics.value("capture_records_total", outcome="sampled_out") == 1


def test_what_no_one_may_capture_for_sure_is_not_accepted(stage):
    service = stage.monitored(wine=MonitorCapture(fields={"alcohol": "hash"}))  # without a key
    with pytest.raises(StoreError, match="the monitor of wine: "):
        service.accept(encode_record(record()))
    stage.s3.fail_at = 1
    with pytest.raises(StoreError):
        service.accept_batch(b"[" + encode_record(record()) + b"]")
    assert stage.queue.records == []
