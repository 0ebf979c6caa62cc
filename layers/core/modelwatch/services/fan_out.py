"""Fan-out of a scheduled run: a message for each model version and length of window that is due.

Messages of one model follow one another, in the order in which they were sent; those of different
models do not wait for each other. A message that comes twice finds nothing to do the second time,
and one whose taker was killed does what is left.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from modelwatch.domain.due import DueAnalysis, decode_due
from modelwatch.ports.capture import Deliveries
from modelwatch.services.deliveries import Message, retry_delays

_LOG = logging.getLogger(__name__)

LEASE_SECONDS = 120
"""After so long another function takes what its taker no longer asks for: it was killed."""

EXTENDED_EVERY_SECONDS = 30.0
"""Three of four requests may fail before a function loses what it works at."""


def evaluate_messages(
    messages: Sequence[Message],
    evaluate: Callable[[DueAnalysis], Mapping[str, str]],
    deliveries: Deliveries,
    extended_every_seconds: float = EXTENDED_EVERY_SECONDS,
) -> list[str]:
    """Evaluate what messages ask for; return the ids of those that must be delivered again.

    Parameters
    ----------
    evaluate
        `modelwatch.services.analyze.AnalyzeService.evaluate_due`.
    deliveries
        Lets failed messages come again soon, and those of a killed taker after `LEASE_SECONDS`.
    extended_every_seconds
        How often that time begins anew, while a message is worked at.
    """
    failed = []
    for message in messages:
        due = decode_due(message.body)
        if message.deliveries > 1:
            _LOG.warning(
                "%s version %s, %s: delivery %d; the one before failed or was killed",
                due.model_name, due.model_version, due.window, message.deliveries,
            )  # fmt: skip
        with _leased(message, deliveries, extended_every_seconds):
            failures = evaluate(due)
        if failures:
            failed.append(message)
    deliveries.release(retry_delays(failed))
    return [message.id for message in failed]


@contextmanager
def _leased(message: Message, deliveries: Deliveries, every_seconds: float) -> Iterator[None]:
    """Keep a message from others for as long as this process works at it, and not much longer.

    The queue's own time for it is that of the longest run.
    """
    done = threading.Event()

    def extend() -> None:
        while not done.wait(every_seconds):
            deliveries.release({message.receipt: LEASE_SECONDS})

    deliveries.release({message.receipt: LEASE_SECONDS})
    thread = threading.Thread(target=extend, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
