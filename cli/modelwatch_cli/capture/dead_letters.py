"""Reads and empties the dead-letter queue.

SQS shows a message only when it is received, and then hides it from others until it is released.
So a dead letter is hidden for half a minute at most, and is released as soon as the look is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import ModelwatchError

HIDDEN_SECONDS = 30
"""How long a dead letter stays hidden if the reader dies; otherwise the reader releases it."""

_AT_ONCE = 10
"""Messages of one request: SQS's own limit."""

_REQUEST_BYTES = 1_048_576
"""Bytes of the messages of one request: SQS's own limit."""


class DeadLetterError(ModelwatchError):
    """The dead-letter queue cannot be looked at, or not be emptied."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of the dead-letter queue.

    Parameters
    ----------
    id
        SQS's id.
    body
        A record, or a whole message of the capture queue: JSON, or any other text that was sent.
    reason
        Why it is a dead letter.
    message_id
        Id of the message that it was, or was a part of, in the capture queue.
    sent_at
        When capture sent it; if the redrive policy moved it, when predict sent it.
    receive_count
        How often it was received, including looks.
    """

    id: str
    body: str
    reason: str
    message_id: str
    sent_at: datetime
    receive_count: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the body."""
        return len(self.body.encode())


class DeadLetterBox:
    """Reads the dead letters of a queue; a context whose end releases what it still holds.

    Raises DeadLetterError from every method, when SQS fails.
    """

    def __init__(self, sqs: Any, queue_url: str, dead_letter_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._url = dead_letter_url
        self._held: dict[str, str] = {}
        self.newer = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # if it fails, SQS releases them after HIDDEN_SECONDS
        with suppress(DeadLetterError):
            for receipts in batched(self._held.values(), _AT_ONCE, strict=False):
                entries = [
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for index, receipt in enumerate(receipts)
                ]
                with _asking():
                    self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        self._held.clear()

    def count(self) -> int:
        """Return how many letters there are, about: SQS's own count lags a little."""
        return self._sum(self._url, ["", "NotVisible"])

    def letters(self, sent_before: datetime | None = None) -> Iterator[list[DeadLetter]]:
        """Yield the letters, each once, a few at a time, hidden until the context ends.

        With ``sent_before`` the later ones are left out, and counted in `newer`.
        """
        seen: set[str] = set()
        while True:
            with _asking():
                response = self._sqs.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=_AT_ONCE,
                    VisibilityTimeout=HIDDEN_SECONDS,
                    # a short poll asks only some of SQS's servers, and may find nothing
                    WaitTimeSeconds=1,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["All"],
                )
            received = response.get("Messages", [])
            self._held.update({each["MessageId"]: each["ReceiptHandle"] for each in received})
            # in a long look the first ones come again
            new = [self._letter(each) for each in received if each["MessageId"] not in seen]
            if not new:
                return
            seen.update(letter.id for letter in new)
            old = [each for each in new if sent_before is None or each.sent_at < sent_before]
            self.newer += len(new) - len(old)
            yield old

    def find(self, letter_ids: Iterable[str]) -> list[DeadLetter]:
        """Return the letters with these ids.

        Raises DeadLetterError when one does not exist, or is hidden because another process looks
        at it.
        """
        wanted = set(letter_ids)
        found: list[DeadLetter] = []
        for letters in self.letters():
            found += [letter for letter in letters if letter.id in wanted]
            if len(found) == len(wanted):
                return found
        missing = ", ".join(sorted(wanted - {letter.id for letter in found}))
        raise DeadLetterError(
            f"there is no dead letter {missing}; if another process looks at it, try again in "
            f"{HIDDEN_SECONDS} s"
        )

    def send_back(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Send letters to the capture queue, and then delete them here; return those sent.

        One that was sent and could not be deleted is in both queues: its records come twice, and
        are counted once.
        """
        sent: list[DeadLetter] = []
        for together in _requests(letters):
            entries = [
                {"Id": str(index), "MessageBody": letter.body}
                for index, letter in enumerate(together)
            ]
            with _asking():
                response = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            taken = [together[int(each["Id"])] for each in response.get("Successful", [])]
            if taken:
                self._delete(taken)
            sent += taken
        return sent

    def replace(self, letter: DeadLetter, body: str) -> None:
        """Put a letter with another body, and the same reason, in the place of one; or none.

        With an empty ``body`` the letter is deleted.
        """
        if body:
            said = {"reason": letter.reason, "message_id": letter.message_id}
            with _asking():
                self._sqs.send_message(
                    QueueUrl=self._url,
                    MessageBody=body,
                    MessageAttributes={
                        name: {"DataType": "String", "StringValue": text}
                        for name, text in said.items()
                    },
                )
        self._delete([letter])

    def waiting(self) -> int:
        """Return how many messages the capture queue still has, about, in flight included."""
        return self._sum(self._queue_url, ["", "NotVisible", "Delayed"])

    def purge(self) -> None:
        """Delete all letters."""
        with _asking():
            self._sqs.purge_queue(QueueUrl=self._url)

    def _delete(self, letters: Sequence[DeadLetter]) -> None:
        entries = [
            {"Id": str(index), "ReceiptHandle": self._held[letter.id]}
            for index, letter in enumerate(letters)
        ]
        with _asking():
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        for letter in letters:
            del self._held[letter.id]

    def _letter(self, message: Mapping[str, Any]) -> DeadLetter:
        system: Mapping[str, str] = message.get("Attributes", {})
        given = {
            name: attribute.get("StringValue", "")
            for name, attribute in message.get("MessageAttributes", {}).items()
        }
        return DeadLetter(
            id=message["MessageId"],
            body=message["Body"],
            reason=given.get("reason") or self._reason_of_policy(system),
            message_id=given.get("message_id") or message["MessageId"],
            sent_at=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC),
            receive_count=int(system["ApproximateReceiveCount"]),
        )

    def _reason_of_policy(self, system: Mapping[str, str]) -> str:
        if "DeadLetterQueueSourceArn" not in system:
            return "none was given: it was not capture that put it here"
        return f"delivered {self._most_deliveries()} times, never stored"

    def _most_deliveries(self) -> str:
        # a dead letter's own count increases here with every look
        policy = self._attributes(self._queue_url, ["RedrivePolicy"]).get("RedrivePolicy", "{}")
        return str(json.loads(policy).get("maxReceiveCount", "several"))

    def _sum(self, url: str, states: list[str]) -> int:
        found = self._attributes(url, [f"ApproximateNumberOfMessages{each}" for each in states])
        return sum(map(int, found.values()))

    def _attributes(self, url: str, names: list[str]) -> dict[str, str]:
        with _asking():
            response = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return dict(response.get("Attributes", {}))


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise DeadLetterError(f"the dead-letter queue: {error}") from error


def _requests(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Yield dead letters in requests within SQS's limits of number and size."""
    together: list[DeadLetter] = []
    for letter in letters:
        size = sum(each.size_bytes for each in together) + letter.size_bytes
        if together and (len(together) == _AT_ONCE or size > _REQUEST_BYTES):
            yield together
            together = []
        together.append(letter)
    if together:
        yield together
