"""The page's data: the history as JSON, by panel.

Lists over time have an entry for each slot of the last hour, the oldest first; None if the bridge
did not run. Nothing here is escaped: names are unchanged, and the page sets them as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from modelwatch.metric_names import DRIFT_STATUS, STATUS_VALUES, VERSION_STATUS
from modelwatch_bridge.history.analyses import Analysis, Version
from modelwatch_bridge.history.history import SLOT_MS, View
from modelwatch_bridge.history.hour import Hour

STATUSES = {value: severity for severity, value in STATUS_VALUES.items()}
_URGENT = {"drift": 2, "warning": 1}
MAX_VERSIONS = 24
"""Most model versions on the page: those with drift first, then the busiest."""

Document = dict[str, Any]


def overview(view: View) -> Document:
    """Return everything but single features and reports."""
    hour = Hour(view)
    requests = "api_requests_total"
    return {
        "now_ms": view.now_ms,
        "slot_seconds": SLOT_MS // 1000,
        "first_slot_ms": hour.first_ms,
        "left_out": view.left_out,
        "models": _models(view, hour),
        "requests": {
            f"{first}xx": hour.series(
                requests, [(status,) for (status,) in hour.keys(requests) if status[:1] == first]
            )
            for first in "245"
        },
        "latency": hour.quantiles_over_time("api_request_latency_seconds"),
        "latency_now": hour.quantiles("api_request_latency_seconds"),
        "errors": [
            {"model": model, "type": kind, "count": count}
            for (model, kind), count in hour.sums("model_prediction_errors_total").items()
        ],
        "capture": {
            outcome: count for (outcome,), count in hour.sums("capture_records_total").items()
        },
        "queues": _queues(view, hour),
        "functions": _functions(view, hour),
        "lag_seconds": view.values.get("bridge_lag_seconds", {}).get(()),
        "events": view.values.get("bridge_events_total", {}).get((), 0.0),
        "parse_errors": view.values.get("bridge_parse_errors_total", {}).get((), 0.0),
    }


def drift(view: View, version: Version) -> Document | None:
    """Return the features of a model version over its analyses; None when there are none.

    The worst features of the newest analysis come first.
    """
    analyses = view.analyses.get(version)
    if not analyses:
        return None
    cells: dict[str, list[list[Any] | None]] = {}
    methods: dict[str, str] = {}
    for place, analysis in enumerate(analyses):
        for at, name in enumerate(analysis.features):
            row = cells.setdefault(name, [None] * len(analyses))
            methods[name] = analysis.methods[at] or methods.get(name, "")
            row[place] = [
                _finite(analysis.scores[at]),
                (0, 1, None)[min(2, analysis.drifted[at])],
                _finite(analysis.missing[at]),
                _finite(analysis.critical[at]),
            ]
    return {
        "model": version[0],
        "version": version[1],
        "analyses": [
            {
                "at_ms": analysis.at_ms,
                "status": STATUSES[analysis.status],
                "share": _finite(analysis.share),
            }
            for analysis in analyses
        ],
        "features": [
            {"name": name, "method": methods[name], "cells": cells[name]}
            for name in sorted(cells, key=lambda name: _badness(cells[name]), reverse=True)
        ],
    }


def _models(view: View, hour: Hour) -> list[Document]:
    predictions = "model_predictions_total"
    statuses = view.values.get(DRIFT_STATUS, {})
    variants: dict[Version, set[str]] = {}
    for model, version, variant in hour.keys(predictions):
        variants.setdefault((model, version), set()).add(variant)
    found = []
    for model, version in {*((labels[0], labels[1]) for labels in statuses), *variants}:
        at = (model, version)
        of_version = [labels for labels in hour.keys(predictions) if labels[:2] == at]
        traffic = hour.series(predictions, of_version)
        analyses = view.analyses.get(at, ())
        newest = analyses[-1] if analyses and at in statuses else None
        found.append(
            {
                "model": model,
                "version": version,
                "variants": sorted(variants.get(at, ())),
                "serves": view.values.get("model_version_info", {}).get(at) == 1.0,
                "stale": view.values.get("model_stale", {}).get((model,)) == 1.0,
                "load_seconds": view.values.get("model_load_time_seconds", {}).get((model,)),
                **_verdict(newest, view.values.get(VERSION_STATUS, {}).get(at)),
                "shares": [_finite(analysis.share) for analysis in analyses],
                "traffic": traffic,
                "predictions": sum(count or 0.0 for count in traffic),
                "latency": hour.quantiles("model_prediction_latency_seconds", at),
                "accuracy": _of_version(view, "model_accuracy", at),
                "estimated_accuracy": _of_version(view, "model_estimated_accuracy", at),
                "error": _of_version(view, "model_mean_absolute_error", at),
                "estimated_error": _of_version(view, "model_estimated_mean_absolute_error", at),
                "label_maturity": _of_version(view, "model_label_maturity_ratio", at),
            }
        )
    found.sort(
        key=lambda entry: (_URGENT.get(entry["status"], 0), entry["predictions"]), reverse=True
    )
    shown = found[:MAX_VERSIONS]
    return sorted(shown, key=lambda entry: (entry["model"], _natural(entry["version"])))


def _verdict(newest: Analysis | None, standing: float | None) -> Document:
    """Return what the newest analysis said, in the fields of a model version.

    ``status`` is of all windows, ``main`` of the one whose features are shown.
    """
    if newest is None:
        return {
            "status": "unknown",
            "main": "unknown",
            "analyzed_ms": None,
            "share": None,
            "drifted": [],
            "missing": [],
        }
    main = STATUSES[newest.status]
    drifted = [name for at, name in enumerate(newest.features) if newest.drifted[at] == 1]
    missing = {
        name: newest.missing[at]
        for at, name in enumerate(newest.features)
        if newest.missing[at] > 0  # NaN is not
    }
    return {
        "status": main if standing is None else STATUSES.get(int(standing), main),
        "main": main,
        "analyzed_ms": newest.at_ms,
        "share": _finite(newest.share),
        "features": len(newest.features),
        "drifted": drifted,
        "missing": [
            [name, _finite(missing[name])]
            for name in sorted(missing, key=lambda name: missing[name], reverse=True)[:5]
        ],
    }


def _queues(view: View, hour: Hour) -> list[Document]:
    now = view.values.get("queue_messages", {})
    names = sorted({labels[0] for labels in now})
    return [
        {
            "name": name,
            "dead": "dead" in name or "dlq" in name,
            "states": {labels[1]: depth for labels, depth in now.items() if labels[0] == name},
            "visible": [
                None if slot is None else slot.depths.get((name, "visible")) for slot in hour.slots
            ],
        }
        for name in names
    ]


def _functions(view: View, hour: Hour) -> list[Document]:
    duration, init = "faas_invoke_duration_seconds", "faas_init_duration_seconds"
    counts = {
        field: hour.sums(name)
        for field, name in {
            "invocations": duration,
            "cold_starts": "faas_coldstarts_total",
            "errors": "faas_errors_total",
            "throttles": "faas_throttles_total",
        }.items()
    }
    memory = view.values.get("faas_max_memory_bytes", {})
    return [
        {
            "name": labels[0],
            **{field: found.get(labels, 0.0) for field, found in counts.items()},
            "duration": hour.quantiles(duration, labels),
            "init": hour.quantiles(init, labels),
            "memory_bytes": memory.get(labels),
            "traffic": hour.series(duration, [labels]),
        }
        for labels in sorted({*memory, *hour.keys(duration)})
    ]


def _of_version(view: View, name: str, version: Version) -> float | None:
    """Return a gauge of a model version, with any other labels; the least of several."""
    found = [value for labels, value in view.values.get(name, {}).items() if labels[:2] == version]
    return _finite(min(found)) if found else None


def _badness(row: Sequence[Sequence[Any] | None]) -> tuple[int, float]:
    newest: Sequence[Any] = next((cell for cell in reversed(row) if cell is not None), (0.0, 0, 0))
    return (newest[1] or 0), (newest[0] or 0.0)


def _natural(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0), version


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None
