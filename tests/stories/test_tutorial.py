"""The tutorial does what it says: its programs and commands run as they stand, on a real stack."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from running_stack import RunningStack

pytestmark = pytest.mark.servers

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "monitor-your-model.md"
BLOCK = re.compile(r"^```(python title=\"(?P<file>[\w.]+)\"|bash)\n(?P<text>.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def outcomes(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each block of commands printed, in the page's order, in one shell."""
    folder = tmp_path_factory.mktemp("tutorial")
    script = ["set -eu", f"cd {folder}"]
    for block in BLOCK.finditer(PAGE.read_text()):
        if block["file"]:
            (folder / block["file"]).write_text(block["text"])
        else:
            script += [block["text"], "echo '<end of block>'"]
    # a stage of its own: other tests deploy on the same stack
    own = {"STAGE": "tutorial", "CAPTURE_QUEUE_NAME": "modelwatch-tutorial-captures"}
    path = f"{Path(sys.executable).parent}:{stack.whole_environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        env={**stack.whole_environ, **own, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("<end of block>")


def test_normal_traffic_is_ok_and_the_campaign_drifts(outcomes: list[str]) -> None:
    _, _, adopted, normal, campaign, *_ = outcomes
    assert "ONNX form" in adopted
    assert "\n500 predictions of churn" in normal
    assert "500 rows: ok (0 of 4 features drifted" in normal
    assert "\n1500 predictions of churn" in campaign
    assert "2000 rows: drift (3 of 4 features drifted" in campaign
    for feature in ("tenure_months", "monthly_charge", "plan"):
        assert re.search(rf"^{feature} +\d+% +drift ", campaign, re.M)


def test_the_drift_is_seen_in_results_metrics_and_alerts(outcomes: list[str]) -> None:
    seen, alert = outcomes[5:7]
    assert "drift" in seen
    assert "live page" in seen
    assert re.search(r'evidently_data_drift_detected\{.*model_name="churn".*\} 1\.0', alert)
    if shutil.which("prometheus"):
        assert "DataDriftDetected is pending" in alert or "DataDriftDetected is firing" in alert
