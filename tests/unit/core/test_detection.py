"""False alarms and power of drift verdicts, in short: `make bench-detection` is the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def summary() -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.detection", "--brief", "--repetitions", "40"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_false_alarms_stay_within_their_level(summary):
    runs = sum(row["runs"] for row in summary["rows"]["false_alarms"])
    for level in summary["levels"]:
        allowed = level + 3 * (level / runs) ** 0.5
        assert summary["chance_alone"][f"{level:.3g}"]["all"] <= allowed
    assert summary["false_alarms"]["calibrated"]["all"] <= 0.005
    assert summary["false_alarms"]["evidently"]["all"] > 0.3


def test_power_at_the_same_false_alarms_is_no_less_than_evidentlys(summary):
    rows = {row["shift"]: row for row in summary["rows"]["power"]}
    # one row with an unseen category is drift to its chi-square test, whatever its size
    rows.pop("categories: 3 % unseen")
    assert len(rows) == 14
    for row in rows.values():
        assert row["ours at 1 %"] >= row["evidently at 1 %"] - 0.2
    ours, theirs = (
        sum(row[f"{who} at 1 %"] for row in rows.values()) for who in ("ours", "evidently")
    )
    assert ours > theirs


def test_the_stand_ins_are_evidentlys_scores(summary):
    assert summary["difference_of_stand_ins"] < 1e-12


def test_scenarios_that_drift_are_seen_and_those_that_do_not_are_not(summary):
    drifts = {row["scenario"]: row["calibrated"] for row in summary["rows"]["scenarios"]}
    for scenario in ("gradual_drift", "sudden_shift", "moderate_drift"):
        assert drifts[scenario] > 0.95
    for scenario in ("normal", "missing_values"):
        assert drifts[scenario] == 0
