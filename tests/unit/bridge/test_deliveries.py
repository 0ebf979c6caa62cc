"""Lines that come through Firehose: what an object may hold, and what may happen to it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from bridge_in_memory import InMemoryDeliveries, InMemoryLogSource, ManualClock, member, object_key
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.sources.deliveries import MARKED_MS, DeliveryFollower
from modelwatch_bridge.sources.follower import LogGroupFollower
from modelwatch_bridge.sources.ports import SourceError
from modelwatch_bridge.sources.subscriptions import sent

GROUP = "/aws/lambda/modelwatch-test-predict"
HOUR = 3600


@pytest.fixture
def s3(clock: ManualClock) -> InMemoryDeliveries:
    return InMemoryDeliveries(clock)


@pytest.fixture
def follow(s3: Any, ledger: Ledger, clock: ManualClock) -> Callable[[], DeliveryFollower]:
    """Make a follower, as a bridge that starts does."""

    def start() -> DeliveryFollower:
        return DeliveryFollower(s3, "metrics", GROUP.__eq__, ledger, clock, lookback_ms=600_000)

    return start


def events(clock: ManualClock, emf: Callable[..., str], count: int, first: int = 0) -> list[Any]:
    line = emf("capture_records_total", 1, outcome="sent")
    return [LogEvent(clock(), "s", str(number), line) for number in range(first, first + count)]


def test_a_member_is_found_however_the_object_is_cut(clock, emf):
    batches = [events(clock, emf, 2), events(clock, emf, 1, 2), events(clock, emf, 40, 3)]
    data = b"".join(member(GROUP, batch) for batch in batches)
    for size in (1, 2, 3, 7, 64, 100, len(data)):
        found = list(sent(data[at : at + size] for at in range(0, len(data), size)))
        assert [[event.id for event in each.log_events] for each in found if each] == [
            [event.event_id for event in batch] for batch in batches
        ]
        assert None not in found


@pytest.mark.parametrize("size", [1, 5, 4096])
@pytest.mark.parametrize(
    "garbage",
    [
        b"no gzip",
        b"\x1f",
        gzip.compress(b"no json"),
        gzip.compress(b'{"messageType": 1}'),
        gzip.compress(b'{"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1"}]}'),
        gzip.compress(b'{"messageType": "DATA_MESSAGE", "logGroup": "\xff"}'),
        gzip.compress(b'{"messageType": "x", "more": ' + b"[" * 100_000),
        gzip.compress(b"bomb" * 100_000),
        gzip.compress(b"cut", mtime=0)[:-5],
    ],
    ids=[
        *("text", "beginning", "no json", "wrong type", "missing fields", "no utf-8"),
        *("deep", "large", "cut"),
    ],
)
def test_what_is_no_member_is_refused_and_the_next_one_is_read(clock, emf, garbage, size):
    good = member(GROUP, events(clock, emf, 3))
    data = good + garbage + good
    pieces = (data[at : at + size] for at in range(0, len(data), size))

    found = list(sent(pieces, max_bytes=100_000))

    assert [len(each.log_events) for each in found if each] == [3, 3]
    assert found.count(None) >= 1


def test_an_object_that_ends_in_the_midst_is_counted_as_far_as_it_goes(clock, emf):
    good = member(GROUP, events(clock, emf, 3))

    found = list(sent([good + good[:-3]]))

    assert [bool(each) for each in found] == [True, False]


def test_garbage_is_a_parse_error_once(follow, s3, ledger, clock, emf, values):
    good = events(clock, emf, 2)
    s3.objects[object_key(clock(), "a")] = (
        member(GROUP, good) + b"garbage" + member(GROUP, [], "CONTROL_MESSAGE")
    )
    s3.objects[object_key(clock(), "b")] = member("/aws/lambda/somebody-else", good)
    s3.objects[object_key(clock(), "c")] = member(GROUP, good, "NEW_MESSAGE")
    s3.objects["logs/processing-failed/x"] = b"?"
    s3.objects["logs/2026/02/31/07/x"] = b"?"
    s3.objects["logs/2999/01/01/00/x"] = b"?"
    for _ in range(3):
        follow().poll()
        clock.advance(HOUR)

    assert values(ledger, "capture_records_total") == {("sent",): 2}
    # the day that is none is from before the first start, and not even listed
    assert values(ledger, "bridge_parse_errors_total") == {(): 5}


def test_an_object_that_is_gone_by_now_is_no_failure(follow, s3, ledger, clock, emf, values):
    s3.put(GROUP, events(clock, emf, 1)[0])
    pages = list(s3.paginate(Prefix="logs/", StartAfter=""))
    s3.objects.clear()
    s3.paginate = lambda **_: iter(pages)
    follower = follow()
    follower.poll()
    follower.poll()

    assert values(ledger, "capture_records_total") == {}
    assert follower.lag_seconds is None


def test_a_bucket_that_cannot_be_read_is_named(follow, s3):
    s3.outcomes = [False]

    with pytest.raises(SourceError, match=r"the lines in bucket metrics: .*memory://s3"):
        follow().poll()


def test_an_object_may_come_behind_newer_ones(follow, s3, ledger, clock, emf, values):
    late, early = events(clock, emf, 2)
    follower = follow()
    follower.poll()
    clock.advance(HOUR)
    s3.put(GROUP, early._replace(at_ms=clock()))
    follower.poll()
    s3.put(GROUP, late, clock() - HOUR * 1000)
    follower.poll()
    follow().poll()

    assert values(ledger, "capture_records_total") == {("sent",): 2}
    assert follower.lag_seconds == HOUR


def test_what_waited_for_a_day_is_counted(follow, s3, ledger, clock, emf, values):
    first, second = events(clock, emf, 2)
    s3.put(GROUP, first)
    follow().poll()
    clock.advance(24 * HOUR)
    # Firehose names the object by the hour at which it got the line
    s3.put(GROUP, second, clock() - 24 * HOUR * 1000 + 1000)
    s3.put(GROUP, first, clock())
    follow().poll()

    assert values(ledger, "capture_records_total") == {("sent",): 2}


def test_what_is_remembered_and_asked_for_is_bounded(follow, s3, ledger, clock):
    follower = follow()
    most_events = most_characters = 0
    for minute in range(8 * 60):
        s3.put(GROUP, LogEvent(clock(), "s", str(minute), "hello"))
        clock.advance(60)
        follower.poll()
        most_events = max(most_events, ledger.remembered_events())
        most_characters = max(most_characters, len(ledger.position("s3:metrics") or ""))

    assert ledger.totals.of("bridge_events_total")[()].value == 480
    assert most_events <= MARKED_MS / 60_000 + 2
    assert most_characters < 200 * 20
    listed = [key for key in s3.objects if key > s3.asked[-1]]
    assert len(listed) <= 3 * 60


@pytest.mark.parametrize("stays_seconds", [60, 5 * HOUR])
def test_the_source_may_change_both_ways(follow, s3, ledger, clock, emf, values, stays_seconds):
    logs = InMemoryLogSource(clock)
    line = emf("capture_records_total", 1, outcome="sent")
    sent_events = 0
    follow().poll()
    for turn in range(6):
        for step in range(10):
            event = LogEvent(clock(), "s", f"{turn}-{step}", line)
            logs.put(GROUP, event)
            s3.put(GROUP, event, clock() + 60_000)  # it is read a minute later
            sent_events += 1
            clock.advance(stays_seconds / 10)
            reader = LogGroupFollower(logs, ledger, clock) if turn % 2 else follow()
            reader.poll()
            assert values(ledger, "capture_records_total").get(("sent",), 0) <= sent_events
    clock.advance(61)
    LogGroupFollower(logs, ledger, clock).poll()
    follow().poll()

    assert values(ledger, "capture_records_total") == {("sent",): sent_events}
