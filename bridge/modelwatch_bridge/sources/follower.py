"""Follow the functions' log groups, and count each event once.

How it reads
------------
CloudWatch Logs returns a group's events by their time. Events may become visible late and
out of order, but (by the setting) not later than ``late_ms`` after their own time.

For each group the ledger keeps a *position*: the time before which everything has been read. A
*deep* reading, once in a while, reads everything from the position on and, when it has ended, moves
the position to ``late_ms`` before the moment at which it began. Between two of them, each poll
reads only what is from a few seconds before the last poll on, so that a busy group is not read
again as a whole.

After an outage the way from the position to now is cut into slices, each read like a deep reading,
so that a crash on the way costs one slice.

Why it cannot miscount
----------------------
*Not twice*: readings overlap, but an event is counted in the transaction that marks it as seen
(`ledger.py`), and the mark is kept until the position is past the event. No reading
requests anything older than the position, and older events from a source are ignored.

*Not never*: let an event of time t become visible at A <= t + late_ms. The first deep reading that
begins after A starts at most at B - late_ms, where B is the beginning of the deep reading before
it, and B < A; so it starts at A - late_ms <= t at the latest, and reads the event.

*Killed at any moment*: the position moves in the transaction that follows the last page of a
reading. Before it, the reading is repeated from the old position, and the marks keep what is
already counted from being counted again.

*A source that forgets everything* (LocalStack at a restart): its new events have new times and
streams; position and totals go on.

Assumption: the bridge's clock is not ahead of the source's by more than ``late_ms`` minus the
real delay of events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import Clock
from modelwatch_bridge.lines.interpretation import function_of
from modelwatch_bridge.sources.ports import LogSource, SourceError

LOG = logging.getLogger(__name__)

_LAST_ROUND = "modelwatch:last-round"
"""Name in the ledger for the time of the last poll that read every group."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far readings reach back, in milliseconds.

    Parameters
    ----------
    late_ms
        How late an event may become visible and still be counted.
    recent_ms
        How far before the last poll a poll reads.
    deep_every_ms
        Time between deep readings.
    lookback_ms
        How far back the very first reading starts.
    """

    late_ms: int = 300_000
    recent_ms: int = 10_000
    deep_every_ms: int = 60_000
    lookback_ms: int = 3_600_000


class LogGroupFollower:
    """Brings the events of all log groups of a source into the ledger.

    Parameters
    ----------
    reach
        How far readings reach back.
    stopped
        Whether to stop between two pages.
    """

    def __init__(
        self,
        source: LogSource,
        ledger: Ledger,
        clock: Clock,
        reach: Reach = Reach(),
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._clock = clock
        self._reach = reach
        self._stopped = stopped
        self._last_deep_ms: dict[str, int] = {}
        self._last_poll_ms: dict[str, int] = {}
        self.lag_seconds: float | None = None

    def poll(self) -> None:
        """Read what is new in every group; a group that fails does not hold up the others.

        Raises
        ------
        SourceError
            When the groups cannot be listed, or some group could not be read.
        LedgerError
            When events cannot be stored.
        """
        began_ms = self._clock()
        failures: list[str] = []
        for group in self._source.groups():
            try:
                self._read(group)
            except SourceError as error:
                # a poll reads from the last one on: what this one missed is the next one's
                failures.append(f"{group}: {error}")
        if failures:
            raise SourceError("; ".join(failures))
        if not self._stopped():
            self._note_round(began_ms)

    def _read(self, group: str) -> None:
        while not self._stopped():
            position = self._position(group)
            began_ms = self._clock()
            last_deep_ms = self._last_deep_ms.get(group)
            is_deep = (
                last_deep_ms is None or not 0 <= began_ms - last_deep_ms < self._reach.deep_every_ms
            )
            if not is_deep:
                start_ms = max(position, self._last_poll_ms[group] - self._reach.recent_ms)
                if self._read_range(group, start_ms, None):
                    self._last_poll_ms[group] = began_ms
                return
            end_ms = self._slice_end(position, began_ms)
            if not self._read_range(group, position, end_ms):
                return
            complete_ms = began_ms - self._reach.late_ms
            self._advance(group, position, min(complete_ms, end_ms or complete_ms))
            if end_ms is None:
                self._last_deep_ms[group] = self._last_poll_ms[group] = began_ms
                return

    def _read_range(self, group: str, start_ms: int, end_ms: int | None) -> bool:
        """Count a range of time; return False if it must stop before the end."""
        function = function_of(group)
        for page in self._source.pages(group, start_ms, end_ms):
            events = [event for event in page if event.at_ms >= start_ms]
            if events and self._ledger.record(group, function, events):
                newest_ms = max(event.at_ms for event in events)
                self.lag_seconds = max(0.0, (self._clock() - newest_ms) / 1000)
            if self._stopped():
                return False
        return True

    def _position(self, group: str) -> int:
        recorded = self._ledger.position(group)
        if recorded is not None:
            return int(recorded)
        start_ms = self._clock() - self._reach.lookback_ms
        last_round = self._ledger.position(_LAST_ROUND)
        if last_round is not None:
            # the group is younger than the last round, or it would have a position
            start_ms = min(start_ms, int(last_round) - self._reach.late_ms)
        start_ms = max(0, start_ms)
        # recorded at once: a crash must not move it forward
        self._ledger.record(group, "", (), position=str(start_ms))
        return start_ms

    def _slice_end(self, position_ms: int, now_ms: int) -> int | None:
        """Return the end of the next slice of a long way; None when one reading will do.

        Slices grow with the way that is left, so that a month of silence takes some hundred
        readings and not ten thousand.
        """
        way_ms = now_ms - position_ms
        shortest_ms = 2 * self._reach.late_ms
        if way_ms <= shortest_ms + self._reach.deep_every_ms:
            return None
        return position_ms + max(shortest_ms, way_ms // 10)

    def _advance(self, group: str, position_ms: int, to_ms: int) -> None:
        if to_ms > position_ms:
            self._ledger.record(group, "", (), position=str(to_ms))
            self._ledger.forget_events(group, to_ms)

    def _note_round(self, began_ms: int) -> None:
        recorded = self._ledger.position(_LAST_ROUND)
        if recorded is None or began_ms - int(recorded) >= self._reach.deep_every_ms:
            self._ledger.record(_LAST_ROUND, "", (), position=str(began_ms))
