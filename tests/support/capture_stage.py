"""The capture service with in-memory parts, in the place of those that a test does not look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from in_memory import (
    InMemoryDeadLetters,
    InMemoryDeliveries,
    InMemoryLabelQueue,
    InMemoryLabelWriter,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRecordStore,
)
from modelwatch.services.capture import CaptureService

_NOW = datetime(2026, 11, 23, tzinfo=UTC)


def capture_service(clock: Callable[[], float] = _NOW.timestamp, **parts: Any) -> CaptureService:
    """Return the service with ``parts``, named as `CaptureService` names them."""
    in_memory: dict[str, Any] = {
        "store": InMemoryRecordStore(),
        "labels": InMemoryLabelWriter(),
        "queue": InMemoryQueue(),
        "label_queue": InMemoryLabelQueue(),
        "dead_letters": InMemoryDeadLetters(),
        "deliveries": InMemoryDeliveries(),
        "metrics": InMemoryMetrics(),
    }
    return CaptureService(**{**in_memory, **parts}, clock=clock)
