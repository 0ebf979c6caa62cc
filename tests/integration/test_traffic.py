"""Simulated traffic and the numbered scenarios on the real stack: they see what they say."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from typing import Any

import pytest

from running_stack import RunningStack
from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def deployed(stack: RunningStack) -> RunningStack:
    """The shared stack with a version of its own: what others sent is of other versions."""
    trained = stack.run("train", "--json")
    assert trained.returncode == 0, trained.stderr
    version = json.loads(trained.stdout)["registration"]["version"]["version"]
    for command in (["deploy"], ["promote", version, "--now"]):
        outcome = stack.run(*command)
        assert outcome.returncode == 0, outcome.stderr
    return stack


def found(stack: RunningStack, *command: str) -> Any:
    outcome = stack.run(*command, "--json")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


@pytest.mark.parametrize(
    ("number", "seen"),
    [
        ("1", ["the analysis of its window says 'ok'", "the alert DataDriftDetected is inactive"]),
        (
            "3",
            ["the analysis of its window says 'drift'", "the alert DataDriftDetected is pending"],
        ),
        (
            "4",
            ["it names the broken rules of data quality", "the alert ConstraintsViolated is pend"],
        ),
    ],
)
def test_a_scenario_sees_what_it_says(deployed: RunningStack, number: str, seen: list[str]) -> None:
    if shutil.which("prometheus") is None and os.environ.get("CI"):
        pytest.fail("prometheus is not installed: the alerts of the scenarios are NOT looked at")
    command = ("scenarios", number, "-n", "150", "--rate", "15", "--seed", "3")
    (report,) = found(deployed, *command)
    assert report["passed"]
    by_sentence = {each["expected"]: each for each in report["expectations"]}
    for start in seen:
        (looked,) = [each for sentence, each in by_sentence.items() if sentence.startswith(start)]
        if shutil.which("prometheus") is None and "alert" in start:
            assert looked["met"] is None
        else:
            assert looked["met"] is True, looked


def test_an_expectation_that_fails_is_named_and_fails_the_command(deployed: RunningStack) -> None:
    # two rows allow no verdict
    outcome = deployed.run("scenarios", "normal-day", "-n", "2")
    assert outcome.returncode == 1
    said = " ".join(outcome.stderr.split())
    assert "not as expected: 1 normal_day: " in said
    assert "the analysis of its window says 'ok'" in said


def test_a_verdict_that_is_not_expected_fails_simulate(deployed: RunningStack) -> None:
    command = ("simulate", "-n", "120", "--rps", "20", "--seed", "3", "-s", "severe_drift")
    outcome = deployed.run(*command, "--analyze", "--expect", "ok", "--json")
    assert outcome.returncode == 1
    assert "the verdict should be 'ok', and is 'drift'" in " ".join(outcome.stderr.split())
    summary = json.loads(outcome.stdout)
    assert (summary["captured"], summary["statuses"]) == (120, {"200": 120})
    assert summary["results"][0]["status"] == "drift"


def test_the_api_takes_traffic_by_its_address_and_rows_of_a_file(deployed, tmp_path):
    from sklearn.datasets import load_wine

    load_wine(as_frame=True).data.to_csv(tmp_path / "wines.csv", index=False)
    url = deployed.json("urls")["predict API"]
    elsewhere = RunningStack(deployed.home, {**deployed.environ, "MLFLOW_TRACKING_URI": "http://x"})
    rows = ("--rows", str(tmp_path / "wines.csv"))
    summary = found(elsewhere, "simulate", "--url", url, "-n", "20", "-p", "burst", *rows)
    assert summary["statuses"] == {"200": 20}
    refused = elsewhere.run("simulate", "--url", url, "-n", "1")
    assert refused.returncode == 1
    assert "--rows FILE" in refused.stderr


def test_ctrl_c_ends_for_ever_with_the_summary(deployed: RunningStack) -> None:
    command = [*deployed.command, "simulate", "--forever", "--rate", "5", "--json"]
    running = subprocess.Popen(
        command, env=deployed.whole_environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stderr is not None
    # the first line of progress: it is sending
    assert b"responses" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, error
    summary = json.loads(out)
    assert summary["interrupted"]
    assert summary["statuses"]["200"] == summary["requests"] > 0


def test_the_stress_finds_the_highest_rate_that_holds(deployed: RunningStack) -> None:
    # so low that a slow machine holds the first step, and ends
    options = ("--slo-ms", "2000", "--step-seconds", "3", "--rate", "2")
    outcome = deployed.run("scenarios", "6", *options, "--json")
    (report,) = json.loads(outcome.stdout)
    assert report["steps"][0]["held"], outcome.stderr
    held = [step["asked"] for step in report["steps"] if step["held"]]
    assert report["highest_rate"] == max(held)
    assert report["passed"], outcome.stderr
