"""Records and results of the model ``wine``, for tests to which most fields make no difference."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.results import AnalysisResult

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


def wine_result(**given: Any) -> AnalysisResult:
    """Return a result with the fields ``given``, and others that are good."""
    good: dict[str, Any] = {
        "name": "wine.1.20260101T000000Z-PT1H",
        "model_name": "wine",
        "model_version": "1",
        "window_start": datetime(2026, 1, 1, tzinfo=UTC),
        "window_end": datetime(2026, 1, 1, 1, tzinfo=UTC),
        "status": "ok",
        "reason": "",
        "rows": 100,
        "reference_rows": 100,
    }
    return AnalysisResult(**(good | given))
