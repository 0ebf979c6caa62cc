"""The dashboards are current, complete, and ask for what is served."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwatch.metric_names import CATALOG

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "templates" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in GRAFANA.glob("dashboards/*.json")}
SOURCE = {"type": "prometheus", "uid": "prometheus-datasource"}


def _panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield name, panel


PANELS = [pytest.param(panel, id=f"{name}: {panel.get('title', '?')}") for name, panel in _panels()]


def _expressions() -> list[str]:
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$", "")
        for _, panel in _panels()
        for target in panel["targets"]
    ]


def test_the_files_are_current(tmp_path: Path) -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="the dashboards' code is NOT tested")
    shutil.copytree(GRAFANA, tmp_path / "grafana")
    code = tmp_path / "grafana" / "dashboards.py"
    for file in (tmp_path / "grafana").glob("*/*.json"):
        file.unlink()
    subprocess.run([sys.executable, code], check=True)

    made, committed = (
        {file.relative_to(folder): file.read_text() for file in folder.glob("*/*.json")}
        for folder in (code.parent, GRAFANA)
    )
    assert len(made) == 8
    assert made == committed


# The rules of Grafana's dashboard-linter, by their names. Those that do not hold, with the reason,
# are in templates/grafana/dashboards/.lint, which the linter itself reads.
LINT = yaml.safe_load((GRAFANA / "dashboards" / ".lint").read_text())["exclusions"]
VALID_UNITS = {"short", "s", "percentunit", "reqps", "bytes", "bool", "currencyUSD"}


def _excluded(rule: str) -> set[tuple[str, str]]:
    return {(entry["dashboard"], entry["panel"]) for entry in LINT[rule]["entries"]}


@pytest.mark.parametrize("panel", PANELS)
def test_each_panel_explains_itself(panel: dict[str, Any]) -> None:
    """panel-title-description-rule, panel-units-rule, panel-no-targets-rule."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in VALID_UNITS
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == SOURCE
        assert target["legendFormat"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_rates_follow_the_zoom() -> None:
    """target-rate-interval-rule."""
    fixed = {
        (BOARDS[name]["title"], panel["title"])
        for name, panel in _panels()
        for target in panel["targets"]
        for window in re.findall(r"\[(.*?)\]", target["expr"])
        if window not in ("$__rate_interval", "$__range")
    }
    assert fixed == _excluded("target-rate-interval-rule")


@pytest.mark.parametrize("expression", _expressions())
def test_counters_are_never_shown_raw(expression: str) -> None:
    """target-counter-agg-rule."""
    counters = [metric.name for metric in CATALOG.values() if metric.kind == "counter"]
    counters += [
        f"{metric.name}_{part}"
        for metric in CATALOG.values()
        if metric.kind == "histogram"
        for part in ("bucket", "sum", "count")
    ]
    for name in counters:
        for found in re.finditer(rf"\b{name}\b", expression):
            assert re.search(r"(rate|increase)\($", expression[: found.start()]), name


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_each_dashboard_can_be_found_and_filtered(board: dict[str, Any]) -> None:
    """The rules template-label-promql, template-on-time-change-reload, uneditable-dashboard."""
    assert board["uid"]
    assert board["editable"] is False
    assert "modelwatch" in board["tags"]
    assert board["links"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    names = ["model_name", "model_version"]
    if board["uid"] == "modelwatch-comparison":
        names = ["model_name", "version_a", "variant_a", "version_b", "variant_b"]
    assert list(variables) == ["bridge_url", *names]
    for name in names:
        assert variables[name]["datasource"] == SOURCE
        assert variables[name]["refresh"] == 2  # on a change of the time range
        assert re.fullmatch(r"label_values\(.*\{.+\}, \w+\)", variables[name]["query"])
        assert f"${name}" in json.dumps(board["panels"])


def test_what_is_not_linted_has_a_reason() -> None:
    titles = {(BOARDS[name]["title"], panel["title"]) for name, panel in _panels()}
    for rule, exclusion in LINT.items():
        assert rule.endswith("-rule")
        assert exclusion["reason"]
        for entry in exclusion.get("entries", []):
            assert (entry["dashboard"], entry["panel"]) in titles


def test_the_four_severities_have_four_colours_wherever_they_are_shown() -> None:
    shown = [
        panel
        for _, panel in _panels()
        if any("evidently_drift_status" in target["expr"] for target in panel["targets"])
    ]
    assert len(shown) >= 4
    for panel in shown:
        mapping, *_ = panel["fieldConfig"]["defaults"]["mappings"]
        colours = {text["text"]: text["color"] for text in mapping["options"].values()}
        assert colours == {
            "no drift": "green",
            "drift": "red",
            "unknown": "yellow",
            "warning": "orange",
        }


def test_identifiers_are_the_known_ones() -> None:
    assert BOARDS["data_drift"]["uid"] == "evidently-drift"
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 4
    titles = [board["title"] for board in BOARDS.values()]
    assert "Evidently - Data Drift Monitoring" in titles
    assert {"ML Monitoring", "Pipeline", "Model comparison"} <= set(titles)
    provisioned = GRAFANA / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(provisioned.read_text())["datasources"]
    assert source["uid"] == SOURCE["uid"]


def test_panels_ask_for_metrics_that_exist() -> None:
    served = {"time"}
    for metric in CATALOG.values():
        served.add(metric.name)
        if metric.kind == "histogram":
            served |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    rules = (ROOT / "templates" / "prometheus" / "rules" / "recording.yml").read_text()
    served |= set(re.findall(r"record: (\S+)", rules))
    for expression in _expressions():
        bare = re.sub(r"\{[^}]*\}|\"\w*\"|\b(by|on) \([^)]*\)", "", expression)
        asked = set(re.findall(r"[a-z]+(?:[_:]\w+)+", bare))
        assert asked - {"histogram_quantile", "label_replace", "sort_desc"} <= served, expression


def test_prometheus_can_parse_every_expression(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not on the PATH: the dashboards' queries are NOT parsed")
    rules = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(_expressions())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    command = [promtool, "check", "rules", file]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
