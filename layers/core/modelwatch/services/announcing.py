"""Announcing: changes of episodes go to other systems as events."""

from __future__ import annotations

import logging
from datetime import datetime

from modelwatch.domain.episodes.events import Due, due_events, remember
from modelwatch.metric_names import VERDICT_EVENTS
from modelwatch.ports.analysis import EpisodeStore, EventBus
from modelwatch.ports.metrics import MetricSink, Sample

_LOG = logging.getLogger(__name__)


class Announcer:
    """Sends what is due of a model's episodes to ``bus``; the record remembers what was sent."""

    def __init__(self, store: EpisodeStore, bus: EventBus, metrics: MetricSink, stage: str) -> None:
        self._store = store
        self._bus = bus
        self._metrics = metrics
        self._stage = stage

    def announce(self, model_name: str, owner: str, now: datetime) -> None:
        """Send what is due. Never raises: what cannot be sent is due again at the next run.

        An event that was sent and could not be remembered is sent again, with the same id.
        """
        sent: list[Due] = []
        try:
            record = self._store.load(model_name)
            for due in due_events(record, self._stage, owner, now):
                self._bus.send(due.event)
                sent.append(due)
        except Exception as error:  # noqa: BLE001 - never stops the analysis, and is shown
            self._failed(model_name, error)
        try:
            if sent:
                self._store.update(model_name, lambda record: remember(record, sent, now))
        except Exception as error:  # noqa: BLE001 - likewise
            self._failed(model_name, error)
        if sent:
            self._metrics.emit([Sample(VERDICT_EVENTS, len(sent), {"outcome": "sent"})])

    def _failed(self, model_name: str, error: Exception) -> None:
        _LOG.error("the events of %s are not all sent", model_name, exc_info=error)
        self._metrics.emit([Sample(VERDICT_EVENTS, 1, {"outcome": "failed"})])
