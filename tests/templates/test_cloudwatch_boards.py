"""The boards of CloudWatch ask for what the code sends and AWS has; what is not there is named."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwatch.adapters.aws.emf import emf_lines
from modelwatch.metric_names import CATALOG, CORE, NAMESPACE
from modelwatch.ports.metrics import Sample
from modelwatch.settings.analysis import analysis_queue
from modelwatch_cli.deployment.settings import FUNCTION_NAMES
from modelwatch_cli.settings import Settings

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "templates" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in GRAFANA.glob("cloudwatch/*.json")}
PAGE = (ROOT / "docs" / "how-to" / "see-metrics-in-cloudwatch.md").read_text()
STAGE = "$stage"


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for board in BOARDS.values():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield board["title"].removesuffix(" (CloudWatch)"), panel


def targets() -> Iterator[dict[str, Any]]:
    for _, panel in panels():
        yield from panel["targets"]


@pytest.fixture(scope="module")
def cloudwatch():
    """The module that translates."""
    sys.path.insert(0, str(GRAFANA))
    try:
        import cloudwatch
    finally:
        sys.path.remove(str(GRAFANA))
    return cloudwatch


def test_a_metric_is_asked_with_the_dimensions_and_the_namespace_that_the_code_sends():
    asked = [each for each in targets() if each["namespace"] == f"{NAMESPACE}-{STAGE}"]
    asked = [each for each in asked if "metricName" in each]
    assert len(asked) > 40
    for each in asked:
        metric = CATALOG[each["metricName"]]
        value = [0.5] if metric.kind == "histogram" else 1
        labels = dict.fromkeys(metric.labels, "x")
        (line,) = emf_lines([Sample(metric.name, value, labels)], 1, CATALOG, each["namespace"])
        (directive,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == each["namespace"]
        assert [sorted(each["dimensions"])] == [sorted(names) for names in directive["Dimensions"]]
        assert each["matchExact"]
        kinds = {"counter": {"Sum"}, "gauge": {"Maximum"}, "histogram": {"p50", "p95", "p99"}}
        assert each["statistic"] in kinds[metric.kind]


def test_what_is_asked_of_aws_has_the_names_of_a_deployment():
    names = {
        "FunctionName": {f"modelwatch-{STAGE}-{name}" for name in FUNCTION_NAMES}
        | {f"modelwatch-{STAGE}-predict-image"},
        "ApiName": {f"modelwatch-{STAGE}-{app}" for app in ("predict", "capture", "analyze")},
        "QueueName": {
            *(f"modelwatch-{STAGE}-captures{end}" for end in ("", "-dead")),
            *(analysis_queue(STAGE, dead=dead) for dead in (False, True)),
        },
    }
    stage = Settings({"STAGE": "prod", "AWS_ACCOUNT_ID": "123456789012"})
    assert stage.capture_queue_name == "modelwatch-prod-captures"
    found: dict[str, set[str]] = {}
    for each in targets():
        if each["namespace"].startswith("AWS/"):
            ((name, values),) = each["dimensions"].items()
            found.setdefault(name, set()).update(values)
    assert found == names


def test_what_makes_one_series_of_many_names_a_query_that_is_not_shown():
    made = [(panel, each) for _, panel in panels() for each in panel["targets"]]
    made = [(panel, each) for panel, each in made if "expression" in each]
    assert len(made) > 5
    for panel, each in made:
        found = re.fullmatch(r"(?:SUM|MAX)\((\w)\)|SORT\((\w), MAX, DESC, 10\)", each["expression"])
        assert found
        (source,) = [x for x in panel["targets"] if x["id"] in found.groups()]
        assert (source["hide"], each["hide"]) == (True, False)


def test_no_panel_speaks_of_the_bridge_or_of_a_rate():
    for _, panel in panels():
        text = json.dumps(panel)
        assert "bridge" not in text.lower()
        assert not re.search(r"per (second|minute)|REPORT", panel["description"], re.IGNORECASE)
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "cloudwatch", "uid": "cloudwatch-datasource"}


def test_the_page_names_what_is_not_there(cloudwatch):
    said = {
        title.strip(): set(re.findall(r"`([^`]+)`", names))
        for title, names in re.findall(r"^\| ([\w -]+) \| (`.*) \|$", PAGE, re.MULTILINE)
    }
    for name, board in BOARDS.items():
        prometheus = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())
        assert said[prometheus["title"]] == set(cloudwatch.left_out(prometheus))
        kept = [each["title"] for each in board["panels"] if each["type"] != "row"]
        assert not set(kept) & said[prometheus["title"]]


def test_the_page_names_what_core_does_not_show():
    """A panel whose metrics are all in none of AWS's and of CORE is empty with `core`."""
    shown: set[str] = set()
    for title, panel in panels():
        names = [each["metricName"] for each in panel["targets"] if "metricName" in each]
        if not any(name not in CATALOG or name in CORE for name in names):
            shown.add(f"{title}: {panel['title']}")
    (section,) = re.findall(r"^## What only `all` shows\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    section = re.sub(r"\n  ", " ", section)
    said = {
        f"{title}: {name}"
        for title, names in re.findall(r"^- ([\w -]+): (.*?)(?=^- |\Z)", section, re.M | re.S)
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert said == shown


def test_a_query_of_an_unknown_form_is_left_out(cloudwatch):
    for text in (
        "histogram_quantile(0.5, x)",
        "sum(rate(no_such_total[$__rate_interval]))",
        'sum(rate(capture_records_total{outcome!="lost"}[$__rate_interval]))',
        "sum(rate(bridge_events_total[$__rate_interval]))",
        "sum(capture_records_total)",
    ):
        assert cloudwatch.translated(text) is None
