"""Refused invocations: each minute once, when it is complete."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_in_memory import InMemoryLogSource, ManualClock
from examples import examples
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.sources.ports import SourceError
from modelwatch_bridge.sources.throttles import MINUTE_MS, CloudWatchThrottles, ThrottleReader

Values = Callable[[Ledger, str], dict[tuple[str, ...], float]]
FUNCTION = "modelwatch-test-predict"


class FakeThrottles:
    """Refusals at times of their own; a sum is complete when four minutes have gone by."""

    def __init__(self, clock: ManualClock) -> None:
        self.refused_at_ms: list[int] = []
        self.problem = ""
        self.calls = 0
        self._clock = clock

    def by_minute(self, function: str, start_ms: int, end_ms: int) -> Sequence[tuple[int, float]]:
        assert function == FUNCTION
        assert end_ms - start_ms <= 1440 * MINUTE_MS
        self.calls += 1
        if self.problem:
            raise SourceError(self.problem)
        sums: dict[int, float] = {}
        for at_ms in self.refused_at_ms:
            minute = at_ms - at_ms % MINUTE_MS
            if start_ms <= minute < end_ms and at_ms <= self._clock() - 4 * MINUTE_MS:
                sums[minute] = sums.get(minute, 0) + 1
        return list(sums.items())


def fast(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def reader(throttles: FakeThrottles, ledger: Ledger, clock: ManualClock) -> ThrottleReader:
    source = InMemoryLogSource(clock)
    source.put(f"/aws/lambda/{FUNCTION}", LogEvent(1, "s", "1", "START"))
    return ThrottleReader(source, throttles, ledger, clock, 60_000, 300_000, 3_600_000)


@settings(deadline=None, max_examples=examples(30))
@given(
    st.lists(st.integers(0, 1800), max_size=30),
    st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=12),
)
def test_each_refusal_is_counted_once_whatever_happens(tmp_path_factory, refused_seconds, rounds):
    path = tmp_path_factory.mktemp("ledger") / "l.sqlite"
    clock = ManualClock()
    throttles = FakeThrottles(clock)
    throttles.refused_at_ms = [clock() + 1000 * seconds for seconds in refused_seconds]
    for seconds, fails in [*rounds, (3600, False)]:
        clock.advance(seconds)
        throttles.problem = "throttled, of all things" if fails else ""
        ledger = Ledger(path, connect=fast)  # the bridge starts anew each time
        try:
            reader(throttles, ledger, clock).poll()
        except SourceError:
            assert fails
        counted = ledger.totals.of("faas_throttles_total")
        total = sum(sample.value for sample in counted.values())
        ledger.close()
    assert total == len(refused_seconds)


def test_it_asks_no_more_often_than_it_may(ledger, clock, values):
    throttles = FakeThrottles(clock)
    throttles.refused_at_ms = [clock() - 600_000]
    polled = reader(throttles, ledger, clock)
    for _ in range(5):
        polled.poll()
        clock.advance(20)
    assert throttles.calls == 2
    assert values(ledger, "faas_throttles_total") == {(FUNCTION,): 1}


def test_a_long_way_is_asked_for_in_days(ledger: Ledger, clock: ManualClock) -> None:
    throttles = FakeThrottles(clock)
    reader(throttles, ledger, clock).poll()
    clock.advance(86_400 * 3)
    reader(throttles, ledger, clock).poll()
    assert throttles.calls == 1 + 3


def test_what_cloudwatch_is_asked_and_responds() -> None:
    client = boto3.client(
        "cloudwatch", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    at = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
    start_ms = int(at.timestamp() * 1000)
    with Stubber(client) as stub:
        stub.add_response(
            "get_metric_statistics",
            {"Datapoints": [{"Timestamp": at, "Sum": 3.0, "Unit": "Count"}]},
            {
                "Namespace": "AWS/Lambda",
                "MetricName": "Throttles",
                "Dimensions": [{"Name": "FunctionName", "Value": FUNCTION}],
                "StartTime": at,
                "EndTime": datetime(2026, 11, 23, 14, 5, tzinfo=UTC),
                "Period": 60,
                "Statistics": ["Sum"],
            },
        )
        stub.add_client_error("get_metric_statistics", "Throttling")
        throttles = CloudWatchThrottles(client)
        end_ms = start_ms + 5 * MINUTE_MS
        assert throttles.by_minute(FUNCTION, start_ms, end_ms) == [(start_ms, 3.0)]
        with pytest.raises(SourceError, match="the metrics API"):
            throttles.by_minute(FUNCTION, start_ms, end_ms)
