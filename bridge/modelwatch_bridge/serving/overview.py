"""The page's data: the history as JSON, by panel.

Lists over time have an entry for each slot of the last hour, the oldest first; None if the bridge
did not run. Nothing here is escaped: names are unchanged, and the page sets them as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from modelwatch.metric_names import DRIFT_STATUS, MONITOR_INFO, STATUS_VALUES, VERSION_STATUS
from modelwatch_bridge.history.analyses import Analysis, Version
from modelwatch_bridge.history.history import SLOT_MS, View
from modelwatch_bridge.history.hour import Hour

if TYPE_CHECKING:
    from modelwatch.services.model_states import ModelState

STATUSES = {value: severity for severity, value in STATUS_VALUES.items()}
_URGENT = {"drift": 3, "warning": 2, "unknown": 1}
MAX_VERSIONS = 24
"""Most model versions with a card: the worst, and of these the busiest. The others are in the list
of all models, and have their cards on their model's page."""

Document = dict[str, Any]


def overview(view: View, model: str = "", stored: Iterable[ModelState] = ()) -> Document:
    """Return everything but single features and reports; with the cards of one ``model``, or all.

    The worst versions come first, and of these the busiest.

    Parameters
    ----------
    stored
        How versions stand by their stored results: those of which no analysis was reported here.
    """
    hour = Hour(view)
    versions = _versions(view, hour, stored)
    chosen = [each for each in versions if model in ("", each["model"])]
    requests = "api_requests_total"
    return {
        "now_ms": view.now_ms,
        "slot_seconds": SLOT_MS // 1000,
        "first_slot_ms": hour.first_ms,
        "left_out": view.left_out,
        "models": [
            {**each, **_details(view, hour, (each["model"], each["version"]))}
            for each in chosen[:MAX_VERSIONS]
        ],
        "all": _of_models(versions),
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


def _versions(view: View, hour: Hour, stored: Iterable[ModelState]) -> list[Document]:
    """Return what a list shows of each model version, the worst first."""
    statuses = view.values.get(DRIFT_STATUS, {})
    owners = {
        labels[0]: labels[1]
        for labels, value in view.values.get(MONITOR_INFO, {}).items()
        if value == 1 and labels[1]
    }
    predictions: dict[Version, float] = {}
    for labels, count in hour.sums("model_predictions_total").items():
        at = (labels[0], labels[1])
        predictions[at] = predictions.get(at, 0.0) + count
    states = {(each.model_name, each.model_version): each for each in stored}
    found = []
    for at in {*((labels[0], labels[1]) for labels in statuses), *predictions, *states}:
        analyses = view.analyses.get(at, ())
        newest = analyses[-1] if analyses and at in statuses else None
        found.append(
            {
                "model": at[0],
                "version": at[1],
                "owner": owners.get(at[0], ""),
                "predictions": predictions.get(at, 0.0),
                **_verdict(newest, view.values.get(VERSION_STATUS, {}).get(at), states.get(at)),
            }
        )
    found.sort(key=lambda each: (each["model"], _natural(each["version"])))
    found.sort(
        key=lambda each: (
            _URGENT.get(each["status"], 0) if each["analyzed_ms"] or each["stored_ms"] else 0,
            each["predictions"],
        ),
        reverse=True,
    )
    return found


def _of_models(versions: Sequence[Document]) -> list[Document]:
    """Return each model by its worst version, the worst first."""
    found: dict[str, Document] = {}
    for each in versions:
        of = found.setdefault(
            each["model"],
            {
                "model": each["model"],
                "owner": each["owner"],
                "status": each["status"],
                "analyzed_ms": each["analyzed_ms"],
                "stored_ms": each["stored_ms"],
                "worst": each["version"],
                "drifted": len(each["drifted"]),
                "versions": 0,
                "predictions": 0.0,
            },
        )
        of["versions"] += 1
        of["predictions"] += each["predictions"]
    return list(found.values())


def _details(view: View, hour: Hour, at: Version) -> Document:
    """Return what a card shows beside the list."""
    of_version = [labels for labels in hour.keys("model_predictions_total") if labels[:2] == at]
    return {
        "variants": sorted({labels[2] for labels in of_version}),
        "serves": view.values.get("model_version_info", {}).get(at) == 1.0,
        "stale": view.values.get("model_stale", {}).get((at[0],)) == 1.0,
        "load_seconds": view.values.get("model_load_time_seconds", {}).get((at[0],)),
        "shares": [_finite(analysis.share) for analysis in view.analyses.get(at, ())],
        "traffic": hour.series("model_predictions_total", of_version),
        "latency": hour.quantiles("model_prediction_latency_seconds", at),
        "accuracy": _of_version(view, "model_accuracy", at),
        "estimated_accuracy": _of_version(view, "model_estimated_accuracy", at),
        "error": _of_version(view, "model_mean_absolute_error", at),
        "estimated_error": _of_version(view, "model_estimated_mean_absolute_error", at),
        "label_maturity": _of_version(view, "model_label_maturity_ratio", at),
    }


def _verdict(
    newest: Analysis | None, standing: float | None, stored: ModelState | None
) -> Document:
    """Return what the newest analysis said, in the fields of a model version.

    ``status`` is of all windows, ``main`` of the one whose features are shown. ``stored_ms`` is the
    end of the newest window with a stored result, if the status is by such results.
    """
    if newest is None:
        return {
            "status": "unknown" if stored is None else stored.severity,
            "main": "unknown",
            "analyzed_ms": None,
            "stored_ms": None if stored is None else int(stored.window_end.timestamp() * 1000),
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
        "stored_ms": None,
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
