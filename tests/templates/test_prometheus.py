"""The rules hold: promtool runs their tests, and each alert is complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwatch.metric_names import CATALOG

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "templates" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


ALERTS = [rule for rule in _rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in _rules() if "record" in rule}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not on the PATH: the Prometheus rules are NOT tested")
    return found


def test_the_configuration_is_valid(promtool: str) -> None:
    command = [promtool, "check", "config", PROMETHEUS / "prometheus.yml"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_fire_and_do_not_fire(promtool: str, file: Path) -> None:
    command = [promtool, "test", "rules", file]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_is_complete(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    runbook = ROOT / alert["annotations"]["runbook"]
    assert runbook.read_text().startswith(f"# {alert['alert']}\n")
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    assert f"({alert['alert']}.md)" in index


def test_alerts_about_a_model_have_the_owner_and_the_labels_of_its_monitor() -> None:
    named = {alert["alert"]: alert for alert in ALERTS if "$labels.model_name" in str(alert)}
    without = [
        name for name, alert in named.items() if not {"owner", "labels"} <= {*alert["labels"]}
    ]
    assert without == []


def test_each_alert_has_a_test_of_firing_and_one_of_not_firing() -> None:
    fires: set[str] = set()
    stays_silent: set[str] = set()
    for file in RULE_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for check in test["alert_rule_test"]:
                (fires if check["exp_alerts"] else stays_silent).add(check["alertname"])

    names = {alert["alert"] for alert in ALERTS}
    assert fires == names
    assert stays_silent == names


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    served = set(RECORDED) | {"up"}
    for metric in CATALOG.values():
        served.add(metric.name)
        if metric.kind == "histogram":
            served |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    expression = re.sub(r"\{[^}]*\}", "", rule["expr"])
    expression = re.sub(r"\b(by|on) \([^)]*\)", "", expression)
    functions = {"histogram_quantile", "min_over_time", "quantile_over_time", "label_replace"}
    asked = set(re.findall(r"[a-z]+(?:[_:]\w+)+", expression)) - functions

    assert asked <= served


def test_no_runbook_is_left_over() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in ALERTS}
