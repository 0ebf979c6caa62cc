"""Building blocks of the dashboards: panels with queries, variables, an empty board."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    dashboard,
    heatmap,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.builders.common import ReduceDataOptions
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus-datasource")
MODEL = 'model_name=~"$model_name"'
VERSION = f'{MODEL},model_version=~"$model_version"'
PER_ROW = {1: 24, 2: 12, 3: 8, 4: 6}

DRIFT_STATES = ValueMap(
    options={
        "0": ValueMappingResult(text="no drift", color="green", index=0),
        "1": ValueMappingResult(text="drift", color="red", index=1),
        "2": ValueMappingResult(text="unknown", color="yellow", index=2),
    }
)

Query = tuple[str, str]
"""PromQL and legend."""


def _queries(panel: Any, queries: tuple[Query, ...], *, instant: bool = False) -> Any:
    for number, (expression, legend) in enumerate(queries):
        target = prometheus.Dataquery().expr(expression).legend_format(legend)
        target = target.ref_id(chr(ord("A") + number)).datasource(SOURCE)
        panel = panel.with_target(target.instant() if instant else target.range())
    return panel


def _basics(panel: Any, title: str, description: str, unit: str, per_row: int) -> Any:
    panel = panel.title(title).description(description).unit(unit).datasource(SOURCE)
    return panel.span(PER_ROW[per_row]).height(8)


def lines(title: str, description: str, unit: str, *queries: Query, per_row: int = 2) -> Any:
    """Return a panel of lines over time."""
    panel = _basics(timeseries.Panel(), title, description, unit, per_row)
    return _queries(panel.fill_opacity(8).min(0), queries)


def number(title: str, description: str, unit: str, *queries: Query, per_row: int = 4) -> Any:
    """Return a panel of current values."""
    panel = _basics(stat.Panel(), title, description, unit, per_row).height(5)
    return _queries(panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"])), queries)


def bars(title: str, description: str, unit: str, *queries: Query, per_row: int = 2) -> Any:
    """Return a panel of horizontal bars, one per series."""
    panel = _basics(bargauge.Panel(), title, description, unit, per_row)
    return _queries(panel, queries, instant=True)


def heat(title: str, description: str, unit: str, *queries: Query, per_row: int = 1) -> Any:
    """Return a heat map over time, a row per series."""
    panel = _basics(heatmap.Panel(), title, description, unit, per_row)
    return _queries(panel, queries)


def thresholds(*steps: tuple[float | None, str]) -> Any:
    """Return colours from values on; None begins at the bottom."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def variable(name: str, label: str, query: str) -> Any:
    """Return a variable with a metric's label values, all of them at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def board(uid: str, title: str, description: str) -> Any:
    """Return an empty dashboard with the variables and links that all of them have."""
    status = "evidently_analysis_total"
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["modelwatch"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("modelwatch")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["modelwatch"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(variable("model_name", "Model", f"label_values({status}, model_name)"))
        .with_variable(
            variable(
                "model_version",
                "Version",
                f"label_values({status}{{{MODEL}}}, model_version)",
            )
        )
    )


def quantiles(metric: str, matchers: str = "") -> tuple[Query, ...]:
    """Return the queries of a histogram's p50, p95 and p99."""
    rate = f"sum by (le) (rate({metric}_bucket{{{matchers}}}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({quantile}, {rate})", f"p{round(quantile * 100)}")
        for quantile in (0.5, 0.95, 0.99)
    )
