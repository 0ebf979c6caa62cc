"""Verdict events on EventBridge."""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.episodes.events import DETAIL_TYPE, SOURCE, VerdictEvent
from modelwatch.errors import EventBusError

_encode = msgspec.json.Encoder().encode


class EventBridgeBus:
    """Sends events to the event bus ``name``; see `modelwatch.ports.analysis.EventBus`."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def send(self, event: VerdictEvent) -> None:
        """Send an event."""
        entry = {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Resources": [],
            "Detail": _encode(event).decode(),
        }
        try:
            (response,) = self._client.put_events(Entries=[entry])["Entries"]
        except (BotoCoreError, ClientError) as error:
            raise EventBusError(f"the event bus {self._name} took no event: {error}") from error
        if problem := response.get("ErrorCode"):
            raise EventBusError(
                f"the event bus {self._name} took no event: {problem}: "
                f"{response.get('ErrorMessage', '')}"
            )
