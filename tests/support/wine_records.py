"""Records of the model ``wine``, for tests to which most of their fields make no difference."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wine_record(**given: Any) -> Record:
    """Return a record with the fields ``given``, and others that are good."""
    at: datetime = given.setdefault("captured_at", NOON)
    given.setdefault("event_id", new_event_id(int(at.timestamp() * 1000)))
    good = {"model_name": "wine", "model_version": "1", "features": {"alcohol": 13.0}}
    fields: dict[str, Any] = {**good, "prediction": 1, **given}
    return Record(**fields)


def numbered_id(number: int) -> str:
    """Return an event id that ends in ``number``."""
    return f"018bcfe5-6800-7000-8000-{number:012d}"
