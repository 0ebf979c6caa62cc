"""Fan-out of a scheduled run: a message for each model version and length of window that is due.

Messages of one model follow one another, in the order in which they were sent; those of different
models do not wait for each other. A message that comes twice finds nothing to do the second time,
and one whose taker was killed does what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from modelwatch.domain.due import DueAnalysis, decode_due
from modelwatch.ports.capture import Deliveries
from modelwatch.services.deliveries import Message, retry_delays

_LOG = logging.getLogger(__name__)


def evaluate_messages(
    messages: Sequence[Message],
    evaluate: Callable[[DueAnalysis], Mapping[str, str]],
    deliveries: Deliveries,
) -> list[str]:
    """Evaluate what messages ask for; return the ids of those that must be delivered again.

    Parameters
    ----------
    evaluate
        `modelwatch.services.analyze.AnalyzeService.evaluate_due`.
    deliveries
        Lets failed messages come again soon; those of a killed taker come when its time is over.
    """
    failed = []
    for message in messages:
        due = decode_due(message.body)
        if message.deliveries > 1:
            _LOG.warning(
                "%s version %s, %s: delivery %d; the one before failed or was killed",
                due.model_name, due.model_version, due.window, message.deliveries,
            )  # fmt: skip
        if evaluate(due):
            failed.append(message)
    deliveries.release(retry_delays(failed))
    return [message.id for message in failed]
