"""Metrics that a user declares in a file, served beside those of the catalog."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwatch.errors import SettingError
from modelwatch.metric_names import CATALOG, Metric


def declared_metrics(path: Path) -> dict[str, Metric]:
    """Return the metrics that a file of the user's declares, by name.

    The file is TOML, one table per metric::

        [wines_rejected_total]
        kind = "counter"                # counter, gauge or histogram
        help = "Wines that were rejected."
        labels = ["model_name", "reason"]
        unit = "Count"                  # optional, as EMF calls it
        buckets = [1, 2, 5]             # a histogram's upper bounds, rising

    Raises SettingError when the file cannot be read, or a declaration is wrong or takes a name of
    the catalog.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError("METRICS_FILE", f"cannot read {path}: {error}") from error
    return {name: _declared_metric(path, name, table) for name, table in tables.items()}


def _declared_metric(path: Path, name: str, table: object) -> Metric:
    problem = _declaration_problem(name, table)
    if problem or not isinstance(table, Mapping):
        raise SettingError("METRICS_FILE", f"{path}: [{name}] {problem}")
    return Metric(
        name,
        table["kind"],
        tuple(table.get("labels", ())),
        table.get("help", ""),
        table.get("unit", "None"),
        tuple(float(bound) for bound in table.get("buckets", ())),
    )


def _declaration_problem(name: str, table: Any) -> str:
    """Return what is wrong with a declaration; empty when nothing is."""
    if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) or name in CATALOG:
        return "is not a metric name, or is taken"
    if not isinstance(table, Mapping) or table.get("kind") not in ("counter", "gauge", "histogram"):
        return "needs kind: counter, gauge or histogram"
    if (table["kind"] == "counter") != name.endswith("_total"):
        return "a counter's name, and no other, ends in _total"
    labels = table.get("labels", [])
    is_label = re.compile("(?!__)(?!le$)[a-zA-Z_][a-zA-Z0-9_]*").fullmatch
    if not isinstance(labels, list) or not all(isinstance(x, str) and is_label(x) for x in labels):
        return "labels must be a list of label names"
    buckets = table.get("buckets", [])
    if not isinstance(buckets, list) or not all(type(x) in (int, float) for x in buckets):
        return "buckets must be a list of numbers"
    if (table["kind"] == "histogram") != bool(buckets) or sorted(set(buckets)) != buckets:
        return "a histogram, and nothing else, has buckets, in rising order"
    return ""
