"""The hours with captures: windows of years are mostly empty."""

from __future__ import annotations

from datetime import timedelta

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.windows import Window

_HOUR = timedelta(hours=1)


def captured_hours(
    store: S3RecordStore, model_name: str, model_version: str, window: Window
) -> list[Window]:
    """Return the hours of ``window`` that hold objects of a version, cut to it, in order."""
    hours = sorted({found.hour for found in store.objects(model_name, model_version, window)})
    return [
        Window(max(hour, window.start), min(hour + _HOUR, window.end))
        for hour in hours
        if hour < window.end and hour + _HOUR > window.start
    ]
