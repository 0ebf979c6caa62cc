"""Results as rows: a row for each window, and one for each of its features.

``results/model_name=M/model_version=V/date=YYYY-MM-DD/<window end>.<window>….parquet`` has the rows
of a result, beside `modelwatch.adapters.results.reports` and for programs that read tables: Athena,
DuckDB, Spark. Name and version of the model are in the key alone. What labels say later of a window
is one more object, ``….<number>.parquet``, with the row ``window`` alone; the newest
``restated_at`` holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from modelwatch.adapters.captures.parquet import write_table
from modelwatch.domain.keys import version_folder
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift, ResultName

RESULT_ROWS = "results/"
PARQUET = "application/vnd.apache.parquet"

OF_THE_KEY = ("model_name", "model_version")
"""Columns that are not in an object, but in its key."""

METRICS = (
    "accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "mae", "rmse", "r2", "bias",
)  # fmt: skip
"""Columns of performance by labels; ``estimated_<metric>`` are those of what is expected."""

_ESTIMATED = tuple(name for name in METRICS if name != "log_loss")
_TEXTS = ("row", "model_name", "model_version", "variant", "window", "name", "feature", "status",
          "severity", "reason", "method", "owner")  # fmt: skip
_TIMES = ("window_start", "window_end", "restated_at")
_WHOLE = ("rows", "reference_rows", "records", "labelled", "more_labelled")
_NUMBERS = ("score", "critical_score", "threshold", "p_value", "missing_ratio", "importance",
            "drift_share", *METRICS, *(f"estimated_{name}" for name in _ESTIMATED))  # fmt: skip


def _schema() -> pa.Schema:
    kinds = {
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_TIMES, pa.timestamp("us", "UTC")),
        "ad_hoc": pa.bool_(),
        "drifted_features": pa.list_(pa.string()),
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_NUMBERS, pa.float64()),
    }
    return pa.schema(list(kinds.items()))


SCHEMA = _schema()
"""The columns of all results, whatever was found, with null for what a row does not have."""


def table_of(results: Iterable[AnalysisResult]) -> pa.Table:
    """Return the rows of results, in their order."""
    rows = [row for result in results for row in _rows(result)]
    columns = {
        each.name: pa.array([row.get(each.name) for row in rows], each.type) for each in SCHEMA
    }
    return pa.table(columns, schema=SCHEMA)


def rows_key(name: ResultName, restated: int = 0) -> str:
    """Return the key of the rows of a result, or of what labels say later of it.

    >>> from datetime import UTC, datetime
    >>> rows_key(ResultName("wine", "3", datetime(2026, 1, 2, tzinfo=UTC), "PT1H"))
    'results/model_name=wine/model_version=3/date=2026-01-02/20260102T000000Z.PT1H.parquet'
    """
    folder = version_folder(name.model_name, name.model_version)
    number = f".{restated:06}" if restated else ""
    day = f"{RESULT_ROWS}{folder}date={name.window_end:%Y-%m-%d}"
    return f"{day}/{name.ending}{number}.parquet"


def rows_object(result: AnalysisResult, *, only_window: bool = False) -> bytes:
    """Return the object of a result's rows; ``only_window``: without those of features."""
    table = table_of([result]).drop_columns(list(OF_THE_KEY))
    return write_table(table.slice(0, 1) if only_window else table)


def _rows(result: AnalysisResult) -> Iterator[dict[str, Any]]:
    window = {
        "model_name": result.model_name,
        "model_version": result.model_version,
        "variant": result.variant,
        "window": result.window,
        "window_start": result.window_start,
        "window_end": result.window_end,
        "name": result.name,
        "ad_hoc": result.ad_hoc,
        "owner": result.owner,
    }
    yield {
        **window,
        "row": "window",
        "status": result.status,
        "severity": result.severity,
        "reason": result.reason,
        "rows": result.rows,
        "reference_rows": result.reference_rows,
        "drift_share": result.drift_share,
        "drifted_features": result.drifted_features,
        **_performance(result),
    }
    for row, features in (("feature", result.features), ("output", result.outputs)):
        for each in features:
            yield {**window, "row": row, **_feature(each)}


def _feature(feature: FeatureDrift) -> dict[str, Any]:
    names = ("feature", "status", "reason", "method", "score", "critical_score", "threshold",
             "p_value", "missing_ratio", "importance")  # fmt: skip
    return {name: getattr(feature, name) for name in names}


def _performance(result: AnalysisResult) -> dict[str, Any]:
    performance = result.performance
    if performance is None:
        return {}
    verdict = performance.verdict
    estimated = verdict.estimated.metrics
    return {
        "records": performance.records,
        "labelled": performance.labelled,
        "restated_at": performance.restated_at,
        "more_labelled": performance.more_labelled,
        **{name: verdict.metrics[name].value for name in METRICS if name in verdict.metrics},
        **{f"estimated_{name}": estimated[name] for name in _ESTIMATED if name in estimated},
    }
