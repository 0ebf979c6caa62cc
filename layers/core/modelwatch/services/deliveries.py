"""Messages of the queue: how to read one, and what happens to one that cannot be stored.

A message leaves the queue when everything in it is stored or a dead letter. A record that cannot be
used becomes a dead letter alone, with its reason. A message whose records S3 does not take now is
released: it comes again after a delay that grows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelwatch.domain.blocks import Block, blocks_of
from modelwatch.domain.labels import Label, is_label_message, sort_label_message
from modelwatch.domain.packing import is_packed, unpack
from modelwatch.domain.records import Refusal, sort_records
from modelwatch.errors import InvalidInputError, QueueError, stack_of
from modelwatch.ports.capture import DeadLetters

_LOG = logging.getLogger(__name__)

_DEAD_LETTER_FAILURES = 2
"""After so many refusals a run sends no more dead letters: each refusal may take seconds. When a
run exceeds its time, SQS delivers the whole batch again."""

_FIRST_DELAY_SECONDS = 15
_LONGEST_DELAY_SECONDS = 900
"""Messages come again at most so long after S3 works again."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the queue.

    Attributes
    ----------
    id
        What the queue calls it, however often it comes.
    body
        Records as `modelwatch.domain.packing` packs them, one record, a list of them, or labels.
    receipt
        What releases this delivery of it; empty where nothing does.
    deliveries
        How often it was delivered, this time included.
    sent_ms
        When it was sent, in milliseconds since 1970; 0 where that is unknown.
    """

    id: str
    body: str
    receipt: str = ""
    deliveries: int = 1
    sent_ms: int = 0


def delivered(event: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a queue's event, as Lambda hands it over."""
    return [
        Message(
            each["messageId"],
            each["body"],
            receipt=each["receiptHandle"],
            deliveries=int(each["attributes"]["ApproximateReceiveCount"]),
            sent_ms=int(each["attributes"]["SentTimestamp"]),
        )
        for each in event["Records"]
    ]


def failed_items(message_ids: Iterable[str]) -> dict[str, Any]:
    """Return Lambda's answer to such an event: the messages that must be delivered again."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in message_ids]}


class DeadLetter(NamedTuple):
    """What goes to the dead letters: a message or one record of it, why, how many records it is."""

    message_id: str
    body: str
    reason: str
    records: int


def read_message(
    message: Message, now_ms: int
) -> tuple[Sequence[Block] | Sequence[Label], list[DeadLetter]]:
    """Return the records or the labels of a message, and what of it cannot be used.

    Each bad item of a list is a dead letter. A message with nothing good is one dead letter, as it
    came: a sender that does everything wrong must not cost a request a record. After an exception
    that no one foresaw, the whole message is one dead letter.
    """
    try:
        good, refusals = _sorted(message.body, now_ms)
    except InvalidInputError as error:
        return [], [DeadLetter(message.id, message.body, str(error), 1)]
    except Exception as error:  # noqa: BLE001 - whatever it is, the other messages are stored
        _LOG.error("message %s cannot be read:\n%s", message.id, stack_of(error))
        reason = f"reading it raised {type(error).__name__}"
        return [], [DeadLetter(message.id, message.body, reason, 1)]
    if refusals and not good:
        others = f"; {len(refusals) - 1} more cannot be used, either" if len(refusals) > 1 else ""
        reason = f"{refusals[0].error}{others}"
        return [], [DeadLetter(message.id, message.body, reason, len(refusals))]
    return good, [
        DeadLetter(message.id, refusal.body, str(refusal.error), 1) for refusal in refusals
    ]


def _sorted(body: str, now_ms: int) -> tuple[Sequence[Block] | Sequence[Label], list[Refusal]]:
    if is_packed(body):
        block, refusals = unpack(body, now_ms)
        return [block] if block else [], refusals
    if is_label_message(body):
        return sort_label_message(body, now_ms)
    records, refusals = sort_records(body, now_ms, is_ours=True)
    return blocks_of(records), refusals


def send_to_dlq(
    letters: Iterable[DeadLetter], dead_letters: DeadLetters, may_go_on: Callable[[], bool]
) -> tuple[int, list[str]]:
    """Send ``letters`` to the dead-letter queue.

    Returns
    -------
    tuple[int, list[str]]
        How many records are dead letters now, and the ids of the messages that must come again.
    """
    taken = 0
    failures = 0
    not_taken: dict[str, None] = {}
    for letter in letters:
        if letter.message_id in not_taken:
            continue
        _LOG.error("message %s cannot be used: %s", letter.message_id, letter.reason)
        if failures < _DEAD_LETTER_FAILURES and may_go_on():
            try:
                dead_letters.put(letter.message_id, letter.body, letter.reason)
                taken += letter.records
                continue
            except QueueError as error:
                failures += 1
                _LOG.error("message %s waits for another try: %s", letter.message_id, error)
            except Exception as error:  # noqa: BLE001 - the other letters are not its concern
                failures += 1
                place = stack_of(error)
                _LOG.error("message %s waits for another try:\n%s", letter.message_id, place)
        not_taken[letter.message_id] = None
    return taken, list(not_taken)


def retry_delays(messages: Sequence[Message]) -> dict[str, int]:
    """Return after how many seconds each message comes again, by receipt.

    Examples
    --------
    >>> messages = [Message("m", "", f"receipt {n}", deliveries=n) for n in (1, 2, 3, 12)]
    >>> list(retry_delays(messages).values())
    [15, 30, 60, 900]
    """
    return {
        message.receipt: min(
            _FIRST_DELAY_SECONDS << min(message.deliveries - 1, 16), _LONGEST_DELAY_SECONDS
        )
        for message in messages
        if message.receipt
    }


def oldest_seconds(messages: Iterable[Message], now_ms: int) -> list[float]:
    """Return the age of the oldest message, in seconds: one value, or none where it is unknown."""
    sent = [message.sent_ms for message in messages if message.sent_ms]
    return [max(0.0, (now_ms - min(sent)) / 1000)] if sent else []
