"""Building blocks of the dashboards: panels with queries, variables, an empty board."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    timeseries,
)
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    LegendDisplayMode,
    LegendPlacement,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus-datasource")
MODEL = 'model_name=~"$model_name"'
VERSION = f'{MODEL},model_version=~"$model_version"'
BRIDGE = "bridge_url"
TALL = 11
"""Height of what has a line for each feature or bucket: 13 of them fit."""
PER_ROW = {1: 24, 2: 12, 3: 8, 4: 6, 6: 4}

DRIFT_STATES = ValueMap(
    options={
        "0": ValueMappingResult(text="no drift", color="green", index=0),
        "1": ValueMappingResult(text="drift", color="red", index=1),
        "2": ValueMappingResult(text="unknown", color="yellow", index=2),
        "3": ValueMappingResult(text="warning", color="orange", index=3),
    }
)

EPISODE_STATES = ValueMap(
    options={
        "0": ValueMappingResult(text="none", color="green", index=0),
        "1": ValueMappingResult(text="open", color="red", index=1),
        "2": ValueMappingResult(text="acknowledged", color="yellow", index=2),
        "3": ValueMappingResult(text="expected", color="yellow", index=3),
    }
)

NO_DATA = SpecialValueMap(
    DashboardSpecialValueMapOptions(
        match=SpecialValueMatch.NULL_AND_NAN,
        result=ValueMappingResult(text="No data", color="text"),
    )
)
"""Without it Grafana writes "No data" in the colour of the lowest threshold: in green, mostly."""

Query = tuple[str, str]
"""PromQL and legend."""


def _queries(
    panel: Any,
    queries: tuple[Query, ...],
    *,
    instant: bool = False,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Any:
    for number, (expression, legend) in enumerate(queries):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).format(form)
        target = target.ref_id(chr(ord("A") + number)).datasource(SOURCE)
        panel = panel.with_target(target.instant() if instant else target.range())
    return panel


def _basics(panel: Any, title: str, description: str, unit: str, per_row: int) -> Any:
    panel = panel.title(title).description(description).unit(unit).datasource(SOURCE)
    return panel.span(PER_ROW[per_row]).height(8)


def lines(title: str, description: str, unit: str, *queries: Query, per_row: int = 2) -> Any:
    """Return a panel of lines over time."""
    panel = _basics(timeseries.Panel(), title, description, unit, per_row)
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True)
    panel = panel.legend(legend.placement(LegendPlacement.BOTTOM))
    return _queries(panel.fill_opacity(8).min(0), queries)


def number(title: str, description: str, unit: str, *queries: Query, per_row: int = 4) -> Any:
    """Return a panel of current values, which are neither good nor bad before `thresholds`."""
    panel = _basics(stat.Panel(), title, description, unit, per_row).height(5)
    return _queries(_one_value_each(panel), queries)


def bars(title: str, description: str, unit: str, *queries: Query, per_row: int = 2) -> Any:
    """Return a panel of horizontal bars from 0, one per series, neither good nor bad."""
    panel = _horizontal(_basics(bargauge.Panel(), title, description, unit, per_row))
    return _queries(panel, queries, instant=True)


def distribution(title: str, description: str, query: Query, per_row: int = 2) -> Any:
    """Return a panel of bars, one per bucket of a histogram in the order of the buckets.

    ``query`` gives cumulative buckets by ``le``. Grafana takes the difference of neighbours and
    sorts them by number: as plain series they would come in the order of ``le`` as text, +Inf
    first.
    """
    panel = _horizontal(_basics(bargauge.Panel(), title, description, "short", per_row)).decimals(0)
    panel = panel.height(TALL)
    return _queries(panel, (query,), instant=True, form=PromQueryFormat.HEATMAP)


def _one_value_each(panel: Any) -> Any:
    panel = panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.min(0).thresholds(NEUTRAL).mappings([NO_DATA])


def _horizontal(panel: Any) -> Any:
    panel = panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    return _one_value_each(panel)


def red(panel: Any, *ref_ids: str) -> Any:
    """Show what the queries ``ref_ids`` find in red, whatever its value."""
    for ref_id in ref_ids:
        colour = DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "red"})
        panel = panel.override_by_query(ref_id, [colour])
    return panel


def none(label: str) -> str:
    """Return the end of a query that shows 0, as ``label`` "none", while nothing was counted."""
    return f'or label_replace(vector(0), "{label}", "none", "", "")'


def states(title: str, description: str, *queries: Query, per_row: int = 1) -> Any:
    """Return the statuses of analyses over time, a band per series, in the three colours."""
    panel = _basics(statetimeline.Panel(), title, description, "short", per_row).height(5)
    panel = panel.mappings([DRIFT_STATES]).thresholds(DRIFT_COLOURS).fill_opacity(85)
    return _queries(panel.merge_values(True).show_value(VisibilityMode.AUTO), queries)


def heat(title: str, description: str, unit: str, *queries: Query, per_row: int = 1) -> Any:
    """Return a map of values over time, a row per series, the darker the higher.

    It is a status history, since Grafana's heat map takes series for buckets of a histogram.
    """
    panel = _basics(statushistory.Panel(), title, description, unit, per_row).height(TALL)
    colours = dashboard.FieldColor().mode(FieldColorModeId.CONTINUOUS_BL_YL_RD)
    panel = panel.color_scheme(colours).min(0).row_height(0.9).max_data_points(60)
    return _queries(panel.show_value(VisibilityMode.NEVER), queries)


def thresholds(*steps: tuple[float | None, str]) -> Any:
    """Return colours from values on; None begins at the bottom."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


NEUTRAL = thresholds((None, "blue"))
"""For numbers without good and bad. Grafana's own default turns red at 80."""

DRIFT_COLOURS = thresholds((None, "green"), (1, "red"), (2, "yellow"))


def variable(name: str, label: str, query: str) -> Any:
    """Return a variable with label values, all of them at first."""
    return _one_of(name, label, query).multi(True).include_all(True).all_value(".*")


def choice(name: str, label: str, query: str, *, newest: bool = False) -> Any:
    """Return a variable with one of a label's values: the smallest at first, or the largest."""
    order = VariableSort.NUMERICAL_DESC if newest else VariableSort.NUMERICAL_ASC
    return _one_of(name, label, query).multi(False).include_all(False).sort(order)


def _one_of(name: str, label: str, query: str) -> Any:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


SEEN = '__name__=~"model_predictions_total|evidently_analysis_total"'
"""What predicted, or was analyzed: captures of other applications are never predicted here."""


def values_of(label: str, matchers: str = "") -> str:
    """Return the query of a variable with what has been seen of ``label``."""
    return f"label_values({{{SEEN}{matchers}}}, {label})"


def board(uid: str, title: str, description: str) -> Any:
    """Return an empty dashboard with a choice of models and versions."""
    return (
        bare_board(uid, title, description)
        .with_variable(variable("model_name", "Model", values_of("model_name")))
        .with_variable(
            variable("model_version", "Version", values_of("model_version", f",{MODEL}"))
        )
    )


def bare_board(uid: str, title: str, description: str) -> Any:
    """Return an empty dashboard with the links that all of them have, and no choice."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["modelwatch"])
        .readonly()  # it comes from a file: what is changed in the browser would be lost
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
        .link(
            dashboard.DashboardLink("Live page")
            .type(DashboardLinkType.LINK)
            .tooltip("The bridge's own page, with the newest reports")
            .icon("external link")
            .url(f"${{{BRIDGE}}}")
            .target_blank(True)
        )
        .with_variable(
            dashboard.TextBoxVariable(BRIDGE)
            .label("Bridge")
            .description("Where a browser finds the bridge, for links to its page and reports.")
            .default_value("http://127.0.0.1:9108")
        )
    )


def newest_report(panel: Any) -> Any:
    """Link a panel's values to the newest report of the model version that they are of."""
    labels = "model=${__field.labels.model_name}&version=${__field.labels.model_version}"
    link = dashboard.DashboardLink("Newest report").target_blank(True)
    return panel.data_links([link.url(f"${{{BRIDGE}}}/reports/newest?{labels}")])


def quantiles(metric: str, matchers: str = "") -> tuple[Query, ...]:
    """Return the queries of a histogram's p50, p95 and p99."""
    rate = f"sum by (le) (rate({metric}_bucket{{{matchers}}}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({quantile}, {rate})", f"p{round(quantile * 100)}")
        for quantile in (0.5, 0.95, 0.99)
    )
