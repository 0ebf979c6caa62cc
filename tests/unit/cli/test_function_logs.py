"""The last lines of functions' logs, as people read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from modelwatch.errors import NotFoundError
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.function_logs import for_people, read_function_log

DAY_MS = 86_400_000


class Logs:
    """CloudWatch Logs with one group, and the searches that it was asked."""

    def __init__(self, events: list[tuple[int, str]]) -> None:
        self._events = [
            {"eventId": str(number), "timestamp": at_ms, "message": message}
            for number, (at_ms, message) in enumerate(events)
        ]
        self.searches: list[int] = []
        self._asked = ""

    def get_paginator(self, asked: str) -> Logs:
        self._asked = asked
        return self

    def paginate(self, **given: Any) -> Iterator[dict[str, Any]]:
        if self._asked == "describe_log_groups":
            groups = [{"logGroupName": "/aws/lambda/modelwatch-local-teller"}]
            found = [
                each
                for each in groups
                if each["logGroupName"].startswith(given["logGroupNamePrefix"])
            ]
            return iter([{"logGroups": found}])
        self.searches.append(given["startTime"])
        return iter([{"events": [e for e in self._events if e["timestamp"] >= given["startTime"]]}])


def lines_of(logs: Logs, count: int, name: str = "teller") -> list[str]:
    settings = Settings({"STAGE": "local"})
    return [line[21:] for line in read_function_log(logs, settings, name, count, False)]


def test_the_last_lines_are_found_without_reading_years():
    now_ms = time.time_ns() // 1_000_000
    old = [(now_ms - 900 * DAY_MS + number, f"old {number}") for number in range(3)]
    logs = Logs(
        [
            *old,
            (now_ms - 2 * DAY_MS, "START RequestId: 1"),
            (now_ms - 2 * DAY_MS, "two days ago"),
            (now_ms - 60_000, "a minute ago"),
        ]
    )
    assert lines_of(logs, 1) == ["a minute ago"]
    assert len(logs.searches) == 1
    assert lines_of(logs, 2) == ["two days ago", "a minute ago"]
    assert min(logs.searches) > now_ms - 8 * DAY_MS
    assert lines_of(logs, 4) == ["old 1", "old 2", "two days ago", "a minute ago"]
    assert lines_of(logs, 0) == []
    with pytest.raises(NotFoundError, match="no function nosuch has written anything"):
        lines_of(logs, 1, "nosuch")


@pytest.mark.parametrize(
    "line",
    ['{"_aws"', '{"_aws":3}', '{"_aws":{"BridgeMetrics":["n"]}}', "plain", '{"other":1}'],
)
def test_a_line_in_no_known_form_stays(line):
    assert for_people(line + "\n") == line


def test_metrics_of_cloudwatch_and_of_the_bridge_are_words():
    line = (
        '{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"x","Dimensions":[["m"]],'
        '"Metrics":[{"Name":"a"},{"Name":"b"}]},{"Metrics":[{"Name":"a"}]}],"BridgeMetrics":["c"]},'
        '"m":"churn","a":1,"b":[0.5,2],"c":0}'
    )
    assert for_people(line) == "metrics of m=churn: a=1 b=[0.5, 2] c=0"
