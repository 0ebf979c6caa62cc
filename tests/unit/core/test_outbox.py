"""Which records wait for others, for how long, and what becomes of them."""

import pytest

from in_memory import InMemoryMetrics, InMemoryQueue
from modelwatch.adapters.aws.queues import packed_bodies
from modelwatch.domain.blocks import blocks_of
from modelwatch.domain.packing import pack
from modelwatch.domain.records import Record
from modelwatch.services.outbox import WAITING_LIMIT_BYTES, Outbox
from wine_records import wine_record


class CountingQueue(InMemoryQueue):
    """Keeps the sizes of what it was sent, too."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.tries = 0

    def send(self, records) -> None:
        self.tries += 1
        super().send(records)
        self.sizes.append(len(records))


class Stage:
    def __init__(self) -> None:
        self.now = 1000.0
        self.listens = True
        self.queue = CountingQueue()
        self.metrics = InMemoryMetrics()
        self.made: list[Record] = []
        self.outbox = Outbox(
            self.queue, flush_seconds=1.0, may_wait=lambda: self.listens, clock=lambda: self.now
        )

    def put(self, rows: int = 1, **changes) -> list[Record]:
        records = [record(**changes) for _ in range(rows)]
        self.made += records
        self.metrics.emit(self.outbox.put(records))
        return records

    def flush(self, *, is_last: bool = False) -> None:
        self.metrics.emit(self.outbox.flush(is_last=is_last))

    def count(self, outcome: str) -> float:
        return sum(
            sample.value
            for sample in self.metrics.samples
            if sample.labels.get("outcome") == outcome
        )

    def wait(self, seconds: float) -> None:
        """Let time pass as the extension does: what is due is flushed."""
        self.now += seconds
        if self.outbox.due_in() == 0:
            self.flush()

    def burst(self, requests: int, gap: float = 0.02) -> None:
        for _ in range(requests):
            self.put()
            self.wait(gap)


def record(version="1", text="", **changes) -> Record:
    features = {"alcohol": 13.5, "note": text}
    return wine_record(
        model_version=version, features=features, types="ds", source="predict", **changes
    )


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_requests_that_come_now_and_then_wait_for_nothing(stage):
    for _ in range(5):
        stage.put()
        assert stage.outbox.due_in() is None
        stage.now += 0.26
    assert stage.queue.sizes == [1] * 5


def test_dense_requests_share_a_message_and_none_waits_longer_than_the_interval(stage):
    stage.put()
    assert stage.queue.sizes == [1]
    stage.burst(200)
    assert len(stage.queue.sizes) <= 6
    assert max(stage.queue.sizes) <= 52
    assert stage.outbox.due_in() <= 1.0
    stage.wait(1.0)
    assert stage.outbox.due_in() is None
    assert stage.queue.records == stage.made
    assert stage.count("sent") == 201


def test_what_waited_while_the_environment_was_frozen_leaves_with_the_next_request(stage):
    stage.put()
    stage.put()
    assert stage.queue.sizes == [1]
    stage.now += 600
    stage.put()
    assert stage.queue.sizes == [1, 2]
    assert stage.queue.records == stage.made


def test_the_end_of_the_environment_loses_nothing(stage):
    stage.burst(10)
    stage.flush(is_last=True)
    assert stage.queue.records == stage.made
    assert stage.outbox.due_in() is None


def test_records_of_a_request_and_its_shadows_are_one_request(stage):
    for _ in range(3):
        stage.outbox.put([record("1"), record("2")])
        assert stage.outbox.due_in() is None
        stage.now += 2
    assert stage.queue.sizes == [1] * 6


def test_what_waits_fits_in_one_message(stage):
    alone = len(pack(blocks_of([record()])[0]))
    stage.put()
    half = "x" * (WAITING_LIMIT_BYTES // 2 - alone)
    stage.put(text=half)
    stage.put(text=half)
    assert stage.queue.sizes == [1]  # exactly the limit
    stage.flush()
    assert len(packed_bodies(stage.queue.records[1:])) == 1
    stage.put(text=half)
    stage.put(text=half + "x")
    assert stage.queue.sizes == [1, 2, 1]  # the first had to leave


def test_a_large_batch_does_not_wait(stage):
    stage.put()
    stage.put()
    stage.put(rows=1001)
    assert stage.outbox.due_in() is None
    assert stage.queue.records == stage.made


def test_what_the_queue_refuses_is_tried_again_once_an_interval(stage):
    stage.burst(10)
    stage.queue.down = True
    before = stage.queue.tries
    stage.burst(100)
    assert stage.count("lost") == 0
    assert 1 <= stage.queue.tries - before <= 3
    stage.queue.down = False
    stage.wait(1.0)
    assert stage.queue.records == stage.made
    assert [each.lost_before for each in stage.queue.records] == [0] * 110
    assert (stage.count("sent"), stage.count("lost")) == (110, 0)


def test_a_refused_record_waits_where_requests_are_rare_too(stage):
    stage.queue.down = True
    stage.put()
    stage.now += 100
    stage.queue.down = False
    stage.put()
    assert stage.queue.records == stage.made


def test_the_oldest_are_lost_and_counted_when_a_silent_queue_leaves_no_room(stage):
    stage.queue.down = True
    kept = []
    for _ in range(5):
        kept += stage.put(text="x" * 100_000)
        stage.now += 10
    assert stage.count("lost") == 3
    stage.queue.down = False
    stage.put()
    assert stage.queue.records == [*kept[3:], stage.made[-1]]
    assert [each.lost_before for each in stage.queue.records] == [3, 0, 0]
    assert stage.count("sent") == 3


def test_losses_are_counted_for_their_own_version(stage):
    stage.queue.down = True
    stage.put(rows=2, version="1")
    stage.put(version="2")
    stage.flush(is_last=True)
    assert stage.count("lost") == 3
    stage.queue.down = False
    stage.now += 5
    stage.put(version="2")
    stage.now += 5
    stage.put(version="1")
    assert [each.lost_before for each in stage.queue.records] == [1, 2]


def test_a_record_that_no_message_can_hold_is_lost_alone_and_once(stage):
    stage.put()
    stage.put()
    (large,) = stage.put()
    stage.put()
    stage.queue.too_large.add(large.event_id)
    stage.queue.down = True
    stage.flush()  # InMemoryQueue: too large before anything else
    assert stage.count("lost") == 1
    stage.queue.down = False
    stage.flush()
    assert stage.queue.records == [each for each in stage.made if each is not large]
    assert [each.lost_before for each in stage.queue.records] == [0, 1, 0]
    assert (stage.count("sent"), stage.count("lost")) == (3, 1)


def test_nothing_waits_where_no_one_flushes(stage):
    stage.put()
    stage.put()
    stage.listens = False
    stage.put()
    assert stage.queue.records == stage.made
    stage.queue.down = True
    stage.put()
    assert stage.count("lost") == 1
    assert stage.outbox.due_in() is None


def test_an_interval_of_nothing_sends_at_once(stage):
    outbox = Outbox(stage.queue, flush_seconds=0, may_wait=lambda: True, clock=lambda: 5.0)
    for _ in range(3):
        outbox.put([record()])
    assert stage.queue.sizes == [1, 1, 1]


def test_an_exception_that_no_one_foresaw_costs_no_other_request(stage):
    stage.put()
    stage.put()
    broken = record()
    broken.features["note"] = object()  # no message can hold it
    stage.metrics.emit(stage.outbox.put([broken]))
    assert stage.count("lost") == 1
    stage.flush()
    assert stage.queue.records == stage.made


@pytest.mark.parametrize("listens", [True, False])
def test_a_queue_that_fails_in_another_way_holds_nothing_up(stage, listens):
    stage.listens = listens
    stage.put()
    send, stage.queue.send = stage.queue.send, lambda _: 1 / 0
    stage.now += 5
    stage.put()
    assert stage.count("lost") == 1
    stage.queue.send = send
    stage.now += 5
    stage.put()
    assert [each.lost_before for each in stage.queue.records] == [0, 1]
