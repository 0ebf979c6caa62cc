"""Queues with the part of SQS's API that whoever looks at dead letters uses, and with its traps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass
class Stored:
    """A message: hidden until a time, received so often, by its last receipt."""

    message: dict[str, Any]
    hidden_until: float = 0.0
    receives: int = 0
    receipt: str = ""


@dataclass
class InMemorySqs:
    """Queues by URL; `now` is their clock, and queues in `down` do not respond.

    Received are ten messages at most, three at a time as SQS likes to do it; a message whose body
    is in `refused` is not taken by a batch.
    """

    queues: dict[str, list[Stored]] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    now: float = 1_800_000_000.0
    down: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def put(self, url: str, body: str, system: dict[str, str] | None = None, **said: str) -> str:
        """Add a message with text attributes ``said``; return its id."""
        number = next(self._numbers)
        message = {
            "MessageId": f"m{number}",
            "Body": body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": text} for name, text in said.items()
            },
            "Attributes": {"SentTimestamp": str(int(self.now * 1000)), **(system or {})},
        }
        self.queues.setdefault(url, []).append(Stored(message))
        return f"m{number}"

    def bodies(self, url: str) -> list[str]:
        """Return the bodies in a queue, hidden ones included."""
        return [stored.message["Body"] for stored in self.queues.get(url, [])]

    def visible(self, url: str) -> int:
        """Return how many messages somebody would see now."""
        return sum(stored.hidden_until <= self.now for stored in self.queues.get(url, []))

    def receive_message(self, **request: Any) -> dict[str, Any]:
        url = self._asked("receive_message", request)
        messages: list[dict[str, Any]] = []
        for stored in self.queues.get(url, []):
            if stored.hidden_until <= self.now and len(messages) < 3:
                stored.hidden_until = self.now + request["VisibilityTimeout"]
                stored.receives += 1
                stored.receipt = f"r{next(self._numbers)}"
                counted = {"ApproximateReceiveCount": str(stored.receives)}
                messages.append(
                    {
                        **stored.message,
                        "ReceiptHandle": stored.receipt,
                        "Attributes": stored.message["Attributes"] | counted,
                    }
                )
        return {"Messages": messages} if messages else {}

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        url = self._asked("change_message_visibility_batch", request)
        for entry in request["Entries"]:
            for stored in self.queues.get(url, []):
                if stored.receipt == entry["ReceiptHandle"]:
                    stored.hidden_until = self.now + entry["VisibilityTimeout"]
        return {}

    def send_message(self, **request: Any) -> dict[str, Any]:
        url = self._asked("send_message", request)
        said = {
            name: each["StringValue"] for name, each in request.get("MessageAttributes", {}).items()
        }
        return {"MessageId": self.put(url, request["MessageBody"], **said)}

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        url = self._asked("send_message_batch", request)
        if sum(len(entry["MessageBody"].encode()) for entry in request["Entries"]) > 1_048_576:
            raise _error("AWS.SimpleQueueService.BatchRequestTooLong", "send_message_batch")
        taken = [each for each in request["Entries"] if each["MessageBody"] not in self.refused]
        for entry in taken:
            self.put(url, entry["MessageBody"])
        return {"Successful": [{"Id": entry["Id"]} for entry in taken]}

    def delete_message_batch(self, **request: Any) -> dict[str, Any]:
        url = self._asked("delete_message_batch", request)
        receipts = {entry["ReceiptHandle"] for entry in request["Entries"]}
        self.queues[url] = [each for each in self.queues[url] if each.receipt not in receipts]
        return {}

    def get_queue_attributes(self, **request: Any) -> dict[str, Any]:
        url = self._asked("get_queue_attributes", request)
        total = len(self.queues.get(url, []))
        counts = {
            "ApproximateNumberOfMessages": str(self.visible(url)),
            "ApproximateNumberOfMessagesNotVisible": str(total - self.visible(url)),
        }
        return {"Attributes": {**counts, **self.attributes.get(url, {})}}

    def purge_queue(self, **request: Any) -> dict[str, Any]:
        self.queues[self._asked("purge_queue", request)] = []
        return {}

    def _asked(self, operation: str, request: dict[str, Any]) -> str:
        url = str(request["QueueUrl"])
        assert len(request.get("Entries", ())) <= 10
        self.requests.append(operation)
        if url in self.down:
            raise _error("ServiceUnavailable", operation)
        return url


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)
