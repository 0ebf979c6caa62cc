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
        target["expr"].replace("$__rate_interval", "1m").replace("$", "")
        for _, panel in _panels()
        for target in panel["targets"]
    ]


def test_the_files_are_current(tmp_path: Path) -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="the dashboards' code is NOT tested")
    shutil.copytree(GRAFANA, tmp_path / "grafana")
    code = tmp_path / "grafana" / "dashboards.py"
    for file in (tmp_path / "grafana" / "dashboards").glob("*.json"):
        file.unlink()
    subprocess.run([sys.executable, code], check=True)

    made = {file.name: file.read_text() for file in (code.parent / "dashboards").glob("*.json")}
    committed = {file.name: file.read_text() for file in GRAFANA.glob("dashboards/*.json")}
    assert made == committed


@pytest.mark.parametrize("panel", PANELS)
def test_each_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == SOURCE
        assert target["legendFormat"]
        # a rate over a fixed time is wrong at another zoom; a sum over a stated hour is not
        assert not re.search(r"rate\([^)]*\[\d", target["expr"])


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_each_dashboard_can_be_found_and_filtered(board: dict[str, Any]) -> None:
    assert board["uid"]
    assert "modelwatch" in board["tags"]
    assert board["links"]
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names == ["model_name", "model_version"]


def test_identifiers_are_the_known_ones() -> None:
    assert BOARDS["data_drift"]["uid"] == "evidently-drift"
    titles = [board["title"] for board in BOARDS.values()]
    assert "Evidently - Data Drift Monitoring" in titles
    assert "ML Monitoring" in titles
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
        bare = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", expression)
        asked = set(re.findall(r"[a-z]+(?:[_:]\w+)+", bare))
        assert asked - {"histogram_quantile", "sort_desc"} <= served, expression


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
