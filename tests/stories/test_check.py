"""`modelwatch check` on the real stack: green when all is well, red with the right line if not."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

STEPS = ["deployed", "functions", "health", "predict", "capture", "analysis", "report", "metrics"]


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., RunningStack]) -> Iterator[RunningStack]:
    """A stack of this module's own, for it breaks parts; the wine model is deployed on it."""
    stack = new_stack()
    for command in ("up", "train", "deploy"):
        done = stack.run(command)
        assert done.returncode == 0, done.stderr
    yield stack
    stack.run("down", "--force")


def check(stack: RunningStack, *arguments: str) -> tuple[int, Any]:
    done = stack.run("check", *arguments, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def states(outcome: Any) -> dict[str, str]:
    return {step["step"]: step["state"] for step in outcome["steps"]}


def wrong(outcome: Any) -> list[Any]:
    return [finding for finding in outcome["findings"] if finding["state"] == "wrong"]


def test_all_is_well_once_it_is_deployed(stack: RunningStack) -> None:
    code, outcome = check(stack)
    assert (code, outcome["ok"]) == (0, True), outcome
    assert states(outcome) == dict.fromkeys(STEPS, "ok")
    found = {step["step"]: step["found"] for step in outcome["steps"]}
    assert "wine_quality_model version 1" in found["health"]
    assert "20 of 20 requests" in found["predict"]
    assert found["capture"] == "20 predictions are on S3"
    assert found["analysis"].startswith("20 rows of version 1: ")
    report = found["report"].rpartition(" at ")[2]
    assert "<html" in httpx.get(report, follow_redirects=True, timeout=60).text


def test_a_person_reads_one_line_a_step(stack: RunningStack) -> None:
    done = stack.run("check")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["✓", step] for step in STEPS]
    assert lines[-1].startswith("All is well (")


def test_every_metric_and_query_is_right_after_traffic_and_an_analysis(stack):
    # the gauges of an analysis are there at once, not when the schedule comes to it
    analyzed = stack.run("analyze")
    assert analyzed.returncode == 0, analyzed.stderr

    def right() -> Any:
        code, outcome = check(stack, "metrics")
        print(wrong(outcome))  # noqa: T201 - pytest shows it when the test fails
        return outcome if code == 0 else None

    outcome = eventually(right)
    assert outcome["ok"]
    by_place: dict[str, list[str]] = {}
    for finding in outcome["findings"]:
        by_place.setdefault(finding["place"], []).append(finding["state"])
    assert {"catalog", "recording rules", "alert rules", "ML Monitoring"} <= by_place.keys()
    assert len(by_place) == 7
    # what is rightly empty says why
    assert all(each["why"] for each in outcome["findings"] if each["state"] == "empty")
    assert by_place["ML Monitoring"].count("data") > 15
    if shutil.which("prometheus") is None and os.environ.get("CI"):
        pytest.fail("prometheus is not installed: the queries are NOT run")


def test_a_version_is_promoted_only_if_it_measures_up(stack: RunningStack) -> None:
    refused = stack.run("promote", "1", "--alias", "gated", "--least", "accuracy=1.5")
    assert refused.returncode == 1
    assert "may not serve: accuracy is " in refused.stderr
    measured = ("--least", "f1=0.8", "--max-drop", "f1=0.02")
    promoted = stack.run("promote", "1", "--alias", "gated", *measured, "--json")
    assert promoted.returncode == 0, promoted.stderr
    # nothing had been there before: the refusal had changed nothing
    assert json.loads(promoted.stdout)["before"] is None


def test_without_a_prometheus_the_bridge_is_asked(stack: RunningStack) -> None:
    page = f"http://127.0.0.1:{stack.environ['BRIDGE_PORT']}/metrics"
    code, outcome = check(stack, "metrics", "--bridge", page)
    assert (code, outcome["source"]) == (0, page), wrong(outcome)
    assert len(outcome["findings"]) > 150


def test_elsewhere_has_to_be_said(stack: RunningStack, tmp_path: Any) -> None:
    elsewhere = tmp_path / "elsewhere.env"
    elsewhere.write_text("AWS_ENDPOINT_URL=http://127.0.0.1:9\n")
    done = stack.run("--env-file", str(elsewhere), "check", "metrics")
    assert done.returncode == 1
    assert "say where they are, with --bridge" in done.stderr


def test_a_deployment_elsewhere_is_checked_by_its_addresses(stack, new_stack, tmp_path):
    """From a home that knows nothing of the stack: an operator's machine."""
    there = tmp_path / "there.env"
    there.write_text((stack.home / "stack.env").read_text())
    page = f"http://127.0.0.1:{stack.environ['BRIDGE_PORT']}/metrics"
    here = new_stack()
    done = here.run("--env-file", str(there), "check", "--bridge", page, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(json.loads(done.stdout)) == dict.fromkeys(STEPS, "ok")


def test_a_bridge_that_is_down_is_the_only_thing_wrong(stack: RunningStack) -> None:
    parts = json.loads(stack.run("status", "--json").stdout)["parts"]
    os.kill(next(part["pid"] for part in parts if part["name"] == "bridge"), signal.SIGKILL)
    code, outcome = check(stack)
    assert code == 1
    assert states(outcome) == {**dict.fromkeys(STEPS, "ok"), "metrics": "failed"}
    step = outcome["steps"][-1]
    assert "/metrics does not show metrics" in step["found"]
    assert "modelwatch status" in step["remedy"]
    page = f"http://127.0.0.1:{stack.environ['BRIDGE_PORT']}/metrics"
    done = stack.run("check", "metrics", "--bridge", page)
    assert done.returncode == 1
    assert "does not show metrics" in done.stderr
    if shutil.which("prometheus"):
        code, outcome = check(stack, "metrics")
        assert code == 1
        assert {"there is no bridge_lag_seconds"} <= {each["why"] for each in wrong(outcome)}
    assert stack.run("up").returncode == 0


def test_a_capture_function_that_is_gone_is_named_and_what_needs_it_is_not_tried(stack):
    stack.client("lambda").delete_function(FunctionName="modelwatch-local-capture")
    done = stack.run("check")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    marks = {line.split()[1]: line.split()[0] for line in lines if not line.startswith(" ")}
    marks.pop("is")  # the last line
    assert marks == {
        **dict.fromkeys(STEPS, "✓"),
        **dict.fromkeys(("functions", "capture"), "✗"),
        **dict.fromkeys(("analysis", "report"), "-"),
    }
    shown = next(line for line in lines if line.startswith("✗ functions"))
    assert "the function modelwatch-local-capture is gone" in shown
    shown = next(line for line in lines if line.startswith("✗ capture"))
    assert "0 of 20 predictions are on S3" in shown
    assert "of the queue modelwatch-local-captures" in shown
    assert "→ `modelwatch undeploy`, then `modelwatch deploy`" in done.stdout
