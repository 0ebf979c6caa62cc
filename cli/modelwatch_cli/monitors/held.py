"""How one model is monitored now: by its monitor, or by the deployment's settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from modelwatch.adapters.results.analysis_settings import monitored
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.errors import MonitorError
from modelwatch.services.monitors import MonitorReader, Monitors, declared_segments

if TYPE_CHECKING:
    from modelwatch.domain.segments import SegmentsOf
    from modelwatch_cli.settings import Settings


def held_monitors(settings: Settings, client: Any) -> Monitors:
    """Return the monitors that hold; raises StoreError when S3 does not respond."""
    store = S3MonitorStore(client, settings.report_bucket)
    return MonitorReader(store, settings.stage, partial(monitored, settings)).current()


def held_segments(settings: Settings, client: Any) -> SegmentsOf:
    """Return what gives the segments of a model; raises as `held_monitors` does."""
    held = held_monitors(settings, client)
    return declared_segments(lambda: held)


def named_baseline(settings: Settings, client: Any, model_name: str) -> str:
    """Return the baseline that a model's monitor names; empty: `baseline use` chooses."""
    monitor = S3MonitorStore(client, settings.report_bucket).current().monitors.get(model_name)
    return monitor.baseline if monitor else ""


def require_not_named(model_name: str, named: str) -> None:
    """Raise MonitorError when the monitor of a model names a baseline."""
    if named:
        raise MonitorError(
            f"the monitor of {model_name} names the baseline '{named}': change the monitor's file, "
            "then `modelwatch monitors apply`"
        )
