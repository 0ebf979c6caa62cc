"""Invocations that Lambda refused: no log shows them, but CloudWatch's own metric does.

CloudWatch sums them up by minute, and a minute may still grow for a while. So a minute is counted
once, when it is older than ``late_ms``; the ledger keeps the position, in the same transaction as
the totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.emf import emf_lines
from modelwatch.ports.metrics import Sample
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import Clock, LogEvent
from modelwatch_bridge.lines.interpretation import function_of
from modelwatch_bridge.sources.ports import LogSource, SourceError

MINUTE_MS = 60_000
_DAY_MS = 86_400_000
"""Longest time that is asked for at once: CloudWatch gives at most 1440 sums."""


class Throttles(Protocol):
    """Sums of refused invocations by minute."""

    def by_minute(self, function: str, start_ms: int, end_ms: int) -> Sequence[tuple[int, float]]:
        """Return the minutes from ``start_ms`` to before ``end_ms`` that have a sum.

        Times are milliseconds since 1970, of whole minutes; sums may be zero.

        Raises SourceError when the service does not respond.
        """


class ThrottleReader:
    """Brings refused invocations into the ledger.

    Parameters
    ----------
    source
        Knows the functions, by their log groups.
    throttles
        Knows what was refused.
    every_ms, late_ms, lookback_ms
        How often to ask, how late a minute may still grow, how far back the first reading starts.
    """

    def __init__(
        self,
        source: LogSource,
        throttles: Throttles,
        ledger: Ledger,
        clock: Clock,
        every_ms: int,
        late_ms: int,
        lookback_ms: int,
    ) -> None:
        self._source = source
        self._throttles = throttles
        self._ledger = ledger
        self._clock = clock
        self._every_ms = every_ms
        self._late_ms = late_ms
        self._lookback_ms = lookback_ms
        self._asked_ms: int | None = None

    def poll(self) -> None:
        """Read the minutes that are complete, if it is time to; see `Reader`.

        Raises
        ------
        SourceError
            When CloudWatch does not respond; the functions before that one were read.
        LedgerError
            When what was read cannot be stored.
        """
        now_ms = self._clock()
        if self._asked_ms is not None and 0 <= now_ms - self._asked_ms < self._every_ms:
            return
        failures: list[str] = []
        for group in self._source.groups():
            try:
                self._read(function_of(group), now_ms)
            except SourceError as error:
                failures.append(f"{group}: {error}")
        if failures:
            raise SourceError("; ".join(failures))
        self._asked_ms = now_ms

    def _read(self, function: str, now_ms: int) -> None:
        source = f"throttles:{function}"
        end_ms = _whole_minute(now_ms - self._late_ms)
        recorded = self._ledger.position(source)
        if recorded is None:
            # recorded at once: minutes that cannot be read now must be read later
            recorded = str(_whole_minute(end_ms - self._lookback_ms))
            self._ledger.record(source, "", (), position=recorded)
        start_ms = int(recorded)
        while start_ms < end_ms:
            until_ms = min(end_ms, start_ms + _DAY_MS)
            sums = self._throttles.by_minute(function, start_ms, until_ms)
            events = [
                LogEvent(at_ms, "throttles", str(at_ms), _line(function, at_ms, count))
                for at_ms, count in sums
                if count > 0 and start_ms <= at_ms < until_ms
            ]
            self._ledger.record(source, function, events, position=str(until_ms), repeatable=False)
            start_ms = until_ms


class CloudWatchThrottles:
    """The metric `Throttles` of AWS/Lambda."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def by_minute(self, function: str, start_ms: int, end_ms: int) -> Sequence[tuple[int, float]]:
        """Return the sums of whole minutes, see `Throttles`."""
        try:
            response = self._client.get_metric_statistics(
                Namespace="AWS/Lambda",
                MetricName="Throttles",
                Dimensions=[{"Name": "FunctionName", "Value": function}],
                StartTime=datetime.fromtimestamp(start_ms / 1000, UTC),
                EndTime=datetime.fromtimestamp(end_ms / 1000, UTC),
                Period=60,
                Statistics=["Sum"],
            )
        except (BotoCoreError, ClientError) as error:
            raise SourceError(f"the metrics API: {error}") from error
        return [
            (int(point["Timestamp"].timestamp() * 1000), point["Sum"])
            for point in response["Datapoints"]
        ]


def _whole_minute(at_ms: int) -> int:
    return max(0, at_ms - at_ms % MINUTE_MS)


def _line(function: str, at_ms: int, count: float) -> str:
    sample = Sample("faas_throttles_total", count, {"function": function})
    (line,) = emf_lines([sample], at_ms)
    return line
