"""The loop that reads, counts and renders."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from modelwatch.errors import ModelwatchError
from modelwatch.metric_names import Metric
from modelwatch_bridge.counting.collector import LiveValues, Page
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.counting.retirement import retired_series
from modelwatch_bridge.history.history import History
from modelwatch_bridge.lines.events import Clock
from modelwatch_bridge.serving.health import Health

LOG = logging.getLogger(__name__)

_RETIRE_EVERY_MS = 60_000
_LONGEST_PAUSE_SECONDS = 30.0


class Reader(Protocol):
    """Reads new events into the ledger when it is polled."""

    def poll(self) -> None:
        """Read what is new.

        Raises
        ------
        SourceError
            When a source could not be read; the other sources were.
        LedgerError
            When the events could not be stored.
        """


class Queues(Protocol):
    """Queues whose depth can be read."""

    def depths(self) -> dict[tuple[str, str], float]:
        """Return the number of messages by queue name and state (visible, in_flight, delayed).

        A queue that does not exist is left out.

        Raises SourceError when the service does not respond.
        """

    def oldest_sent_ms(self) -> dict[str, int]:
        """Return when the oldest message was sent, in milliseconds since 1970, by queue.

        Only for dead-letter queues that `depths` found not empty: the bridge must not receive
        the capture queue's messages, and its consumer reports how old they are.

        Raises SourceError when the service does not respond.
        """


class BridgeService:
    """Polls the readers, keeps the page current, and continues if a source fails.

    Parameters
    ----------
    readers
        Bring events into the ledger.
    queues
        Are asked for their depth after each round; None for none.
    ledger, page, history, health
        Filled by the readers; for scrapes; for the live page; for `/health`.
    poll_seconds
        Pause between two rounds; after a failure it doubles, up to 30 s.
    retire_ms
        Series of an owner that was silent for this time are deleted, in milliseconds.
    lag_seconds
        Gives the age of the newest event when it was read; None before the first.
    """

    def __init__(
        self,
        readers: Sequence[Reader],
        queues: Queues | None,
        ledger: Ledger,
        page: Page,
        history: History,
        health: Health,
        catalog: Mapping[str, Metric],
        clock: Clock,
        poll_seconds: float,
        retire_ms: int,
        lag_seconds: Callable[[], float | None],
    ) -> None:
        self._readers = readers
        self._queues = queues
        self._ledger = ledger
        self._page = page
        self._history = history
        self._health = health
        self._catalog = catalog
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._retire_ms = retire_ms
        self._lag_seconds = lag_seconds
        self._depths: Mapping[tuple[str, ...], float] = {}
        self._oldest_sent_ms: Mapping[str, int] = {}
        self._last_retired_ms = 0

    def run(self, stop: threading.Event) -> None:
        """Poll until ``stop`` is set."""
        self._show()
        pause_seconds = self._poll_seconds
        while not stop.is_set():
            succeeded = self.round()
            longest = max(self._poll_seconds, _LONGEST_PAUSE_SECONDS)
            pause_seconds = self._poll_seconds if succeeded else min(longest, pause_seconds * 2)
            stop.wait(pause_seconds)

    def round(self) -> bool:
        """Read everything once, and render; return whether every source was read."""
        problems: list[str] = []
        for reader in self._readers:
            _try(reader.poll, problems)
        _try(self._ask_queues, problems)
        _try(self._retire, problems)
        if problems:
            if not self._health.failures or self._health.report()[0]:
                LOG.warning("%s", "; ".join(problems))
            self._health.note_failure("; ".join(problems))
        else:
            self._health.note_success()
        self._show()
        return not problems

    def _show(self) -> None:
        live = self._live()
        self._history.observe(live)  # before the page, which also needs the changes
        self._page.refresh(live)

    def _ask_queues(self) -> None:
        # an old value is worse than none
        self._depths = {}
        self._oldest_sent_ms = {}
        if self._queues is not None:
            self._depths = {key: count for key, count in self._queues.depths().items()}
            self._oldest_sent_ms = self._queues.oldest_sent_ms()

    def _retire(self) -> None:
        now_ms = self._clock()
        if now_ms - self._last_retired_ms < _RETIRE_EVERY_MS:
            return
        self._last_retired_ms = now_ms
        keys = retired_series(self._ledger.totals, self._catalog, now_ms - self._retire_ms)
        if keys:
            self._ledger.remove(keys)
            LOG.info("%d series of silent versions and functions were dropped", len(keys))

    def _live(self) -> LiveValues:
        live: dict[str, Mapping[tuple[str, ...], float]] = {
            "bridge_read_errors_total": {(): float(self._health.failures)},
        }
        lag_seconds = self._lag_seconds()
        if lag_seconds is not None:
            live["bridge_lag_seconds"] = {(): lag_seconds}
        if self._health.last_success_ms is not None:
            last_success = self._health.last_success_ms / 1000
            live["bridge_last_success_timestamp_seconds"] = {(): last_success}
        if self._depths:
            live["queue_messages"] = self._depths
        if self._oldest_sent_ms:
            live["queue_oldest_message_seconds"] = {
                (queue,): max(0.0, (self._clock() - sent_ms) / 1000)
                for queue, sent_ms in self._oldest_sent_ms.items()
            }
        return live


def _try(step: Callable[[], None], problems: list[str]) -> None:
    try:
        step()
    except ModelwatchError as error:
        problems.append(str(error))
    except Exception as error:
        # the loop must survive an unexpected error: /health and the log show it
        LOG.exception("a round of reading failed")
        problems.append(f"{type(error).__name__}: {error}")
