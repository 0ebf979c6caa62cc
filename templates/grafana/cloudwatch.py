"""The dashboards for Grafana's data source of CloudWatch, made from those for Prometheus.

Each query is translated by its form; a panel with a query of another form is left out. Counts are
shown by 5 minutes, where Prometheus has rates. Nothing here reads what the bridge alone knows.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from finish import COLUMNS, placed

from modelwatch.metric_names import CATALOG, NAMESPACE

SOURCE = {"type": "cloudwatch", "uid": "cloudwatch-datasource"}
STAGE = "$stage"
COUNT_SECONDS = "300"

_FUNCTIONS = [
    f"modelwatch-{STAGE}-{name}"
    for name in (
        *("predict", "predict-image", "capture", "capture-api", "capture-compact"),
        *("analyze", "analyze-api", "analyze-window"),
    )
]
_QUEUES = {
    'queue!~".*(dlq|dead).*|.*.fifo"': f"modelwatch-{STAGE}-captures",
    'queue=~".*(dlq|dead).*",queue!~".*.fifo",state="visible"': f"modelwatch-{STAGE}-captures-dead",
    'queue=~".*-analyses.fifo"': f"modelwatch-{STAGE}-analyses.fifo",
    'queue=~".*-analyses-dead.fifo",state="visible"': f"modelwatch-{STAGE}-analyses-dead.fifo",
}

_LAMBDA = {
    "faas_invoke_duration_seconds_count": "Invocations",
    "faas_throttles_total": "Throttles",
}


class Query(NamedTuple):
    """What is asked of CloudWatch.

    Attributes
    ----------
    dimensions
        Their values; ``*`` for any.
    over
        Function of metric math that makes one series of all; empty: each is shown.
    unit
        Of its values, where it is not that of Prometheus.
    """

    metric: str
    dimensions: dict[str, list[str]]
    statistic: str
    namespace: str = f"{NAMESPACE}-{STAGE}"
    over: str = ""
    unit: str = ""


def translated(expression: str) -> Query | None:
    """Return the query that shows what a PromQL expression shows; None if there is none."""
    # 0 while nothing was counted: CloudWatch says "No data"
    bare = re.sub(r" or (vector\(0\)|label_replace\(.*\))$", "", expression)
    for form in (_of_aws, _gauge, _count, _quantile):
        found = form(bare)
        if found is not None:
            return found
    return None


_METRIC = r"(?P<metric>\w+?)(?:\{(?P<matchers>[^}]*)\})?"


def _gauge(text: str) -> Query | None:
    found = re.fullmatch(rf"(?:max by \([\w, ]+\) \(|sort_desc\()?{_METRIC}\)?", text)
    if found is not None:
        return _ours(found, "gauge", "Maximum")
    found = re.fullmatch(rf"topk\((?P<most>\d+), {_METRIC}\)", text)
    if found is not None:
        return _ours(found, "gauge", "Maximum", f"SORT(%s, MAX, DESC, {found['most']})")
    found = re.fullmatch(rf"max\({_METRIC}\)", text)
    return None if found is None else _ours(found, "gauge", "Maximum", "MAX(%s)")


def _count(text: str) -> Query | None:
    rate = rf"(?:rate|increase)\({_METRIC}\[\$__rate_interval\]\)"
    found = re.fullmatch(rf"(?:60 \* )?sum(?P<by> by \([\w, ]+\) )?\({rate}\)", text)
    if found is None:
        return None
    return _ours(found, "counter", "Sum", "" if found["by"] else "SUM(%s)")


def _quantile(text: str) -> Query | None:
    rate = rf"rate\({_METRIC}_bucket(?:\{{(?P<of>[^}}]*)\}})?\[\$__rate_interval\]\)"
    found = re.fullmatch(
        rf"histogram_quantile\((?P<q>[\d.]+), sum by \([\w, ]+\) \({rate}\)\)", text
    )
    if found is None:
        return None
    statistic = f"p{round(float(found['q']) * 100)}"
    if found["metric"] == "faas_invoke_duration_seconds":
        return _of_lambda("Duration", statistic)._replace(unit="ms")
    return _ours(found, "histogram", statistic)


def _ours(found: re.Match[str], kind: str, statistic: str, over: str = "") -> Query | None:
    metric = CATALOG.get(found["metric"])
    if metric is None or metric.kind != kind or metric.name.startswith(("faas_", "bridge_")):
        return None
    groups = found.groupdict()
    dimensions = {label: ["*"] for label in metric.labels}
    for label, operator, value in re.findall(
        r'(\w+)(=~|!~|!=|=)"([^"]*)"', groups["matchers"] or groups.get("of") or ""
    ):
        if operator.startswith("!"):
            return None
        dimensions[label] = value.split("|")
    return Query(metric.name, dimensions, statistic, over=over)


def _of_aws(text: str) -> Query | None:
    """Return a query of metrics that AWS has of functions, queues and APIs."""
    found = re.fullmatch(r"sum\(queue_messages\{(.*)\}\)", text)
    if found is not None:
        queue = {"QueueName": [_QUEUES[found[1]]]}
        return Query("ApproximateNumberOfMessagesVisible", queue, "Maximum", "AWS/SQS")
    if text.startswith("max(queue_oldest_message_seconds"):
        queue = {"QueueName": [f"modelwatch-{STAGE}-captures-dead"]}
        return Query("ApproximateAgeOfOldestMessage", queue, "Maximum", "AWS/SQS")
    if text == "modelwatch:api_error_ratio:rate5m":
        apis = {
            "ApiName": [f"modelwatch-{STAGE}-{app}" for app in ("predict", "capture", "analyze")]
        }
        return Query("5XXError", apis, "Average", "AWS/ApiGateway")
    found = re.fullmatch(
        r"(?:60 \* )?sum by \(function\) \(rate\((faas_\w+)\[\$__rate_interval\]\)\)", text
    )
    name = _LAMBDA.get(found[1]) if found else None
    return None if name is None else _of_lambda(name, "Sum")


def _of_lambda(metric: str, statistic: str) -> Query:
    return Query(metric, {"FunctionName": list(_FUNCTIONS)}, statistic, "AWS/Lambda")


# --- panels and boards ----------------------------------------------------------------------------


def for_cloudwatch(board: dict[str, Any]) -> dict[str, Any]:
    """Return the dashboard of CloudWatch, from a finished one of Prometheus."""
    made = copy.deepcopy(board)
    made["uid"] += "-cloudwatch"
    made["title"] += " (CloudWatch)"
    # each refresh asks for each series, and AWS bills each
    made["refresh"], made["time"]["from"] = "5m", "now-1d"
    made["links"] = [link for link in made["links"] if link["type"] == "dashboards"]
    made["panels"] = _filled([panel for each in made["panels"] for panel in _panel(each)])
    made["templating"]["list"] = [_variable(each) for each in made["templating"]["list"]]
    return placed(made)


def left_out(board: dict[str, Any]) -> list[str]:
    """Return the titles of the panels of Prometheus that CloudWatch cannot show."""
    return [
        panel["title"]
        for panel in board["panels"]
        if panel["type"] != "row" and not list(_panel(copy.deepcopy(panel)))
    ]


_SAID = (
    (r"per (second|minute)", "in 5 minutes"),
    ("Per second", "In 5 minutes"),
    # Prometheus has a 0 for nothing
    (r"; 0 wh[^.]*| 0 while[^.]*\.", ""),
    # to the bridge
    (r" Its values link to[^.]*\.|; it links to[^.]*", ""),
    (", from Lambda's REPORT lines", ""),
)
"""What descriptions say of Prometheus, and of CloudWatch; the first two only of counts."""


def _panel(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if panel["type"] == "row":
        yield panel
        return
    queries = [translated(each["expr"]) for each in panel["targets"]]
    if None in queries:
        return
    targets: list[dict[str, Any]] = []
    defaults = panel["fieldConfig"]["defaults"]
    counts = False
    for old, query in zip(panel["targets"], queries, strict=True):
        assert query is not None
        counts |= query.statistic == "Sum"
        defaults["unit"] = query.unit or defaults["unit"]
        targets += _targets(old, query)
    if counts:
        defaults["unit"] = "short"
    said = panel["description"]
    for pattern, text in _SAID if counts else _SAID[2:]:
        said = re.sub(pattern, text, said)
    panel["description"] = said
    # to the bridge, which is not there
    defaults.pop("links", None)
    yield panel | {"datasource": SOURCE, "targets": targets}


def _targets(old: dict[str, Any], query: Query) -> Iterator[dict[str, Any]]:
    ref = old["refId"]
    text = re.sub(r"\{\{(\w+)\}\}", _property, old["legendFormat"])
    if query.namespace.startswith("AWS/"):
        text = "" if "PROP(" in text else text
        text = text or f"${{PROP('Dim.{next(iter(query.dimensions))}')}}"
    elif re.fullmatch(r"p\d+", query.statistic) and "PROP(" not in text:
        # CloudWatch merges no quantiles: one for each series
        text = " ".join([text, *(f"${{PROP('Dim.{name}')}}" for name in query.dimensions)])
    common = {"datasource": SOURCE, "region": "default", "queryMode": "Metrics"} | {
        "metricQueryType": 0,
        "namespace": query.namespace,
        "statistic": query.statistic,
        "period": COUNT_SECONDS if query.statistic == "Sum" else "auto",
    }
    series = {
        "refId": ref,
        "id": ref.lower(),
        "metricEditorMode": 0,
        "metricName": query.metric,
        "dimensions": query.dimensions,
        "matchExact": True,
        "label": text,
        "hide": bool(query.over),
    }
    yield common | series
    if query.over:
        expression = query.over % ref.lower()
        whole = {"refId": f"{ref}1", "id": f"{ref.lower()}1", "expression": expression}
        # a sorted set keeps the label of each
        named = "${LABEL}" if query.over.startswith("SORT") else text
        yield common | whole | {"metricEditorMode": 1, "label": named, "hide": False}


def _property(found: re.Match[str]) -> str:
    return f"${{PROP('Dim.{found[1]}')}}"


def _filled(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the panels as wide as fills their lines, without rows that have none."""
    lines: list[list[dict[str, Any]]] = []
    for panel in panels:
        line = lines[-1] if lines else []
        used = sum(each["gridPos"]["w"] for each in line)
        fits = used + panel["gridPos"]["w"] <= COLUMNS
        if fits and line and line[0]["gridPos"]["h"] == panel["gridPos"]["h"]:
            line.append(panel)
            continue
        if line and line[0]["type"] == panel["type"] == "row":
            lines.pop()
        lines.append([panel])
    if lines[-1][0]["type"] == "row":
        lines.pop()
    for line in lines:
        for panel in line:
            panel["gridPos"]["w"] = COLUMNS // len(line)
    return [panel for line in lines for panel in line]


def _variable(variable: dict[str, Any]) -> dict[str, Any]:
    if variable["type"] == "textbox":
        return variable | {
            "name": "stage",
            "label": "Stage",
            "description": "STAGE of the deployment.",
            "query": "prod",
            "current": {"text": "prod", "value": "prod"},
        }
    asked = re.fullmatch(r"label_values\((?P<metric>\w*)\{(?P<matchers>.*)\}, (?P<label>\w+)\)",
                         variable["query"])  # fmt: skip
    assert asked is not None, variable["query"]
    filters = re.findall(r'(model_\w+)=~?"(\$\w+)"', asked["matchers"])
    return variable | {
        "datasource": SOURCE,
        "allValue": "*",
        "query": {
            "refId": "A",
            "queryType": "dimensionValues",
            "region": "default",
            "namespace": f"{NAMESPACE}-{STAGE}",
            "metricName": asked["metric"] or "evidently_analysis_total",
            "dimensionKey": asked["label"],
            "dimensionFilters": {name: [value] for name, value in filters},
        },
    }
