"""Waiting until the capture queue is empty: LocalStack forgets it when it stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

PATIENCE_SECONDS = 60.0
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def queue_client(stack_env: Mapping[str, str]) -> Any:
    """Return an SQS client for the stack that ``stack_env`` describes."""
    from botocore.config import Config

    from modelwatch_cli.stack.local_aws import LocalSession

    return LocalSession(stack_env).client(
        "sqs",
        config=Config(
            connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2}, proxies={}
        ),
    )


def drain(
    sqs: Any,
    queue_name: str,
    waiting: Callable[[int], None],
    patience_seconds: float = PATIENCE_SECONDS,
) -> tuple[int, bool]:
    """Wait until the queue is empty and no message is in flight.

    Parameters
    ----------
    queue_name
        The queue; one that does not exist is empty.
    waiting
        Called with the number of messages while there are some.

    Returns
    -------
    tuple[int, bool]
        How many messages are left, and whether it was necessary to wait.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + patience_seconds
    waited = False
    try:
        url = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
        while left := _count(sqs, url):
            if time.monotonic() >= deadline:
                return left, waited
            waiting(left)
            waited = True
            time.sleep(0.3)
    except (BotoCoreError, ClientError):
        # no such queue, or LocalStack does not respond: there is nothing to wait for
        return 0, waited
    return 0, waited


def _count(sqs: Any, url: str) -> int:
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
    return sum(int(attributes.get(name, 0)) for name in _COUNTS)
