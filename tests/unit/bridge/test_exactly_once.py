"""Whatever happens between a log and the ledger, each event is counted once."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_in_memory import InMemoryDeliveries, InMemoryLogSource, ManualClock
from examples import examples
from modelwatch_bridge.counting.ledger import Ledger, LedgerError
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.sources.deliveries import DeliveryFollower
from modelwatch_bridge.sources.follower import LogGroupFollower, Reach
from modelwatch_bridge.sources.ports import SourceError

GROUPS = ("/aws/lambda/modelwatch-test-predict", "/aws/lambda/modelwatch-test-capture")
LATE_SECONDS = 30
REACH = Reach(
    late_ms=LATE_SECONDS * 1000, recent_ms=2_000, deep_every_ms=10_000, lookback_ms=600_000
)

events = st.fixed_dictionaries(
    {
        "group": st.sampled_from(GROUPS),
        # few values on purpose: equal times, streams and texts must still be two events
        "at": st.integers(0, 40),
        "delay": st.integers(0, LATE_SECONDS - 1),
        "stream": st.sampled_from(["2026/11/23/[$LATEST]aa", "2026/11/23/[$LATEST]bb"]),
        "endpoint": st.sampled_from(["/predict", "/health"]),
        "count": st.integers(1, 3),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 20)),
        st.tuples(st.just("fail"), st.integers(0, 6)),
        st.tuples(st.just("kill"), st.integers(0, 60)),
        st.tuples(st.just("full"), st.integers(0, 30)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=25,
)


DELIVERED_TWICE_SECONDS = 5


def deliveries(
    source: InMemoryDeliveries, ledger: Ledger, clock: ManualClock, **more: Any
) -> DeliveryFollower:
    """Return a follower that takes the lines of `GROUPS`."""
    marked_ms = (LATE_SECONDS + DELIVERED_TWICE_SECONDS) * 1000
    options = {"lookback_ms": REACH.lookback_ms, "marked_ms": marked_ms} | more
    return DeliveryFollower(source, "metrics", GROUPS.__contains__, ledger, clock, **options)


class KilledError(Exception):
    """The process is gone."""


class MortalConnection(sqlite3.Connection):
    """A connection on which the process dies, or the disk is full, at some statement.

    Each statement is two moments: before it and after it.
    """

    moments_to_live: int | None = None
    statements_to_full: int | None = None

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self._in_danger(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        return self._in_danger(super().executemany, *arguments)

    def _in_danger(self, run: Callable[..., sqlite3.Cursor], *arguments: Any) -> sqlite3.Cursor:
        if self.statements_to_full is not None:
            self.statements_to_full -= 1
            if self.statements_to_full < 0:
                self.statements_to_full = None
                raise sqlite3.OperationalError("database or disk is full")
        self._live_on()
        cursor = run(*arguments)
        try:
            self._live_on()
        except KilledError:
            cursor.close()  # an open one would keep the file locked, as no dead process does
            raise
        return cursor

    def _live_on(self) -> None:
        if self.moments_to_live is not None:
            self.moments_to_live -= 1
            if self.moments_to_live < 0:
                raise KilledError


def fast(path: Path) -> MortalConnection:
    """Open a ledger without waiting for the disk: here processes die, not machines."""
    connection = sqlite3.connect(path, isolation_level=None, factory=MortalConnection)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


class Bridge:
    """A follower and its ledger, which can be killed and started again."""

    connection: MortalConnection

    def __init__(
        self,
        path: Path,
        source: InMemoryLogSource | InMemoryDeliveries,
        clock: ManualClock,
        reach: Reach = REACH,
    ) -> None:
        self._reach = reach
        self._path = path
        self._source = source
        self._clock = clock
        self.start()

    def start(self) -> None:
        self.ledger = Ledger(self._path, connect=self._connect)
        self.read_from(self._source)

    def read_from(self, source: InMemoryLogSource | InMemoryDeliveries) -> None:
        """Have a follower of that source, as another METRICS_TRANSPORT would."""
        self._source = source
        self.follower: LogGroupFollower | DeliveryFollower
        if isinstance(source, InMemoryLogSource):
            self.follower = LogGroupFollower(source, self.ledger, self._clock, self._reach)
        else:
            self.follower = deliveries(source, self.ledger, self._clock)

    def _connect(self, path: Path) -> MortalConnection:
        self.connection = fast(path)
        return self.connection

    def poll(self) -> None:
        with contextlib.suppress(SourceError, LedgerError):
            self.follower.poll()

    def restart(self) -> None:
        self.connection.close()  # what was not committed is gone, as after SIGKILL
        self.start()

    def kill_during_poll(self, moments: int) -> None:
        self.connection.moments_to_live = moments
        with contextlib.suppress(KilledError):
            self.poll()
        self.restart()

    def poll_with_full_disk(self, statements: int) -> None:
        self.connection.statements_to_full = statements
        self.poll()
        self.connection.statements_to_full = None


@settings(max_examples=examples(300), deadline=None)
@given(
    wanted=st.lists(events, max_size=30),
    todo=steps,
    seed=st.integers(0, 2**16),
    page_events=st.integers(1, 5),
)
@pytest.mark.parametrize("transport", ["logs", "firehose"])
def test_each_event_counts_once(emf, values, wanted, todo, seed, page_events, transport):
    clock = ManualClock()
    dice = random.Random(seed)
    source: InMemoryLogSource | InMemoryDeliveries = (
        InMemoryLogSource(clock, page_events, dice.shuffle)
        if transport == "logs"
        else InMemoryDeliveries(clock)
    )
    began_ms = clock()
    expected: Counter[tuple[str, ...]] = Counter()
    for number, event in enumerate(wanted):
        labels = {"method": "GET", "endpoint": event["endpoint"], "status": "200"}
        at_ms = began_ms + event["at"] * 1000
        message = emf("api_requests_total", event["count"], **labels)
        sent = LogEvent(at_ms, event["stream"], str(number), message)
        visible_ms = at_ms + event["delay"] * 1000
        source.put(event["group"], sent, visible_ms)
        if transport == "firehose" and dice.random() < 0.3:
            visible_ms += dice.randint(0, DELIVERED_TWICE_SECONDS) * 1000
            source.put(event["group"], sent, visible_ms, dice.choice(["", "again"]))
        expected[tuple(labels.values())] += event["count"]

    with tempfile.TemporaryDirectory() as folder:
        bridge = Bridge(Path(folder) / "bridge.sqlite", source, clock)
        for what, amount in todo:
            if what == "wait":
                clock.advance(amount)
                bridge.poll()
            elif what == "fail":
                source.outcomes = [False] + [True] * amount
                bridge.poll()
            elif what == "kill":
                bridge.kill_during_poll(amount)
            elif what == "full":
                bridge.poll_with_full_disk(amount)
            else:
                bridge.restart()
            # never too much, at no time
            for labels, total in values(bridge.ledger, "api_requests_total").items():
                assert total <= expected[labels]
        source.outcomes = []
        clock.advance(40 + LATE_SECONDS)
        bridge.poll()
        clock.advance(10)
        bridge.poll()
        assert values(bridge.ledger, "api_requests_total") == expected
        bridge.restart()
        bridge.poll()

        assert values(bridge.ledger, "api_requests_total") == expected
        total_events = values(bridge.ledger, "bridge_events_total").get((), 0)
        assert total_events == len(wanted)
        bridge.ledger.close()


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_totals_do_not_depend_on_the_order(emf: Callable[..., str], data: st.DataObject) -> None:
    kinds = [
        ("model_version_info", lambda _: 1, {"model_name": "m", "version": None}),
        ("model_load_time_seconds", lambda n: n, {"model_name": "m"}),
        ("api_request_latency_seconds", lambda n: [n, n / 2], {"method": "m", "endpoint": "e"}),
        ("capture_records_total", lambda n: n, {"outcome": None}),
    ]
    batch = []
    for number in range(data.draw(st.integers(1, 12))):
        name, value, labels = data.draw(st.sampled_from(kinds))
        version = data.draw(st.sampled_from(["1", "2"]))
        labels = {key: text or version for key, text in labels.items()}
        at_ms = data.draw(st.integers(1, 4))
        batch.append(LogEvent(at_ms, "s", str(number), emf(name, value(number), **labels)))

    def read(order: list[LogEvent]) -> object:
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(Path(folder) / "l.sqlite", connect=fast)
            for event in order:
                ledger.record("g", "f", [event, event])
            series = {
                key: (sample.value, sample.at_ms, sample.event_id, sample.counts)
                for key, sample in ledger.totals.series()
            }
            ledger.close()
            return series

    assert read(batch) == read(data.draw(st.permutations(batch)))


@pytest.mark.parametrize("moment", range(50))
@pytest.mark.parametrize("end", ["killed", "full"])
@pytest.mark.parametrize("kind", [InMemoryLogSource, InMemoryDeliveries])
def test_one_batch_at_each_moment(tmp_path, clock, emf, values, end, moment, kind):
    source = kind(clock)
    line = emf("capture_records_total", 1, outcome="sent")
    for number in range(3):
        source.put(GROUPS[0], LogEvent(clock(), "s", str(number), line))
    reach = replace(REACH, lookback_ms=10_000)  # one slice: the batch is soon reached
    bridge = Bridge(tmp_path / "bridge.sqlite", source, clock, reach)
    if end == "killed":
        bridge.kill_during_poll(moment)
    else:
        bridge.poll_with_full_disk(moment // 2)
    bridge.poll()
    bridge.poll()

    assert values(bridge.ledger, "capture_records_total") == {("sent",): 3}
    bridge.ledger.close()


def test_identical_lines_are_two_events_when_their_ids_differ(ledger, emf, values):
    line = emf("capture_records_total", 1, outcome="sent")
    same = [LogEvent(1000, "s", "7", line), LogEvent(1000, "s", "8", line)]

    assert ledger.record("g", "f", same) == 2
    assert ledger.record("g", "f", same) == 0
    assert values(ledger, "capture_records_total") == {("sent",): 2}


def test_localstack_restarts_and_counts_its_ids_from_zero(source, ledger, clock, emf, values):
    follower = LogGroupFollower(source, ledger, clock, REACH)
    line = emf("capture_records_total", 1, outcome="sent")
    for round_number in range(3):
        source.forget_everything()
        follower.poll()
        for number in range(4):
            stream = f"[$LATEST]{round_number}"
            source.put(GROUPS[0], LogEvent(clock(), stream, str(number), line))
        clock.advance(1)
        follower.poll()
        clock.advance(20)
        follower.poll()

    assert values(ledger, "capture_records_total") == {("sent",): 12}


def test_an_outage_is_caught_up_in_slices_that_survive_a_crash(source, ledger, clock, emf, values):
    source.put(GROUPS[0], LogEvent(clock() - 1000, "s", "0", "hello"))
    LogGroupFollower(source, ledger, clock, REACH).poll()
    line = emf("capture_records_total", 1, outcome="sent")
    for minute in range(120):
        source.put(GROUPS[0], LogEvent(clock() + minute * 60_000, "s", f"1{minute}", line))
    clock.advance(7200)

    source.outcomes = [False] + [True] * 20
    with pytest.raises(SourceError):
        LogGroupFollower(source, ledger, clock, REACH).poll()
    reached = int(ledger.position(GROUPS[0]) or 0)
    assert clock() - 7_200_000 < reached < clock()
    source.reads.clear()
    LogGroupFollower(source, ledger, clock, REACH).poll()

    assert source.reads[0][0] == reached
    assert values(ledger, "capture_records_total") == {("sent",): 120}


def test_what_is_remembered_is_bounded(source, ledger, clock):
    follower = LogGroupFollower(source, ledger, clock, REACH)
    most = 0
    for second in range(600):
        source.put(GROUPS[0], LogEvent(clock(), "s", str(second), f"line {second}"))
        clock.advance(1)
        follower.poll()
        most = max(most, ledger.remembered_events())

    assert ledger.totals.of("bridge_events_total")[()].value == 600
    assert most <= LATE_SECONDS + 2 * REACH.deep_every_ms / 1000 + 2


def test_a_failing_group_does_not_hold_up_the_others(source, ledger, clock):
    for group in GROUPS:
        source.put(group, LogEvent(clock(), "s", "1", "hello"))
    source.outcomes = [True, False, True]  # groups succeed, the first group fails
    follower = LogGroupFollower(source, ledger, clock, REACH)
    source.outcomes.reverse()

    with pytest.raises(SourceError, match="predict: throttled"):
        follower.poll()

    assert ledger.totals.of("bridge_events_total")[()].value == 1
    follower.poll()
    assert ledger.totals.of("bridge_events_total")[()].value == 2


def test_a_ledger_belongs_to_one_process(tmp_path: Path) -> None:
    def impatient(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, timeout=0.1)

    first = Ledger(tmp_path / "bridge.sqlite")
    with pytest.raises(LedgerError, match="another bridge uses it"):
        Ledger(tmp_path / "bridge.sqlite", connect=impatient)
    first.close()
    Ledger(tmp_path / "bridge.sqlite", connect=impatient).close()


def test_positions_and_totals_survive(tmp_path: Path, emf: Callable[..., str]) -> None:
    path = tmp_path / "deep" / "bridge.sqlite"
    ledger = Ledger(path)
    line = emf("api_request_latency_seconds", [0.4, 7, 5000], method="GET", endpoint="/")
    ledger.record("g", "f", [LogEvent(5, "s", "1", line)], position=json.dumps(5))
    ledger.close()

    again = Ledger(path)
    assert again.position("g") == "5"
    sample = again.totals.of("api_request_latency_seconds")["GET", "/"]
    assert sample.value == pytest.approx(5007.4)
    assert sample.counts is not None
    assert sum(sample.counts) == 3
    assert sample.counts[-1] == 1
    again.close()
