"""A drift in one segment alone, on the real stack: deployed, captured, merged, found and named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.reference import reference_features
from modelwatch_cli.traffic.scenarios import Segment, segment_of
from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

REQUESTS = 1000
STATUS = "evidently_segment_drift_status"


def segment_that_moves(stack: RunningStack) -> Segment:
    """Return the one that the scenario moves, of the version that serves."""
    variables = stack.json("env")
    with pytest.MonkeyPatch.context() as environ:
        for name, value in variables.items():
            environ.setenv(name, value)
        return segment_of(reference_features(Settings(variables)))


@pytest.fixture(scope="module")
def watching(stack: RunningStack) -> Iterator[RunningStack]:
    """Deploy with three segments: one that will move, one that will not, and one without rows."""
    version = stack.json("train")["registration"]["version"]["version"]
    moving = segment_that_moves(stack).expression
    declared = f"dear: {moving}; cheap: not {moving}; `od280/od315_of_diluted_wines` > 99"
    # a tenth of the reference's rows are few: the schedule evaluates them as well
    settings = {
        "ANALYSIS_SEGMENTS": declared,
        "ANALYSIS_MIN_ROWS": "10",
        "ANALYSIS_VERDICT_RULE": "share",
    }
    watching = replace(stack, environ={**stack.environ, **settings})
    watching.json("deploy")
    # no environment goes on with the version before
    outcome = stack.run("promote", version, "--now")
    assert outcome.returncode == 0, outcome.stderr
    yield watching
    stack.json("deploy")


def declared(stack: RunningStack, segments: str) -> RunningStack:
    return replace(stack, environ={**stack.environ, "ANALYSIS_SEGMENTS": segments})


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ("colour", "'colour' is no feature of the model; its features are alcohol, "),
        ("alcohol >> 13", "ANALYSIS_SEGMENTS: 'alcohol >> 13'"),
    ],
)
def test_wrong_segments_are_not_deployed(watching: RunningStack, segments: str, said: str) -> None:
    outcome = declared(watching, segments).run("deploy", "--dry-run")
    assert outcome.returncode == 1
    assert said in " ".join(outcome.stderr.split())


def test_a_drift_in_one_segment_alone_is_found_and_named(watching: RunningStack) -> None:
    command = ("simulate", "-n", str(REQUESTS), "--rate", "10", "--seed", "1")
    sent = watching.json(*command, "--scenario", "segment_drift")
    assert sent["statuses"] == {"200": REQUESTS}
    result = analyzed(watching)
    assert (result["status"], result["severity"]) == ("ok", "warning")
    found = {each["name"]: each for each in result["segments"]}
    assert {name: each["status"] for name, each in found.items()} == {
        "dear": "drift",
        "cheap": "ok",
        "`od280/od315_of_diluted_wines` > 99": "unknown",
    }
    assert found["dear"]["rows"] + found["cheap"]["rows"] == REQUESTS
    assert len(found["dear"]["drifted_features"]) >= 7
    assert "in the segment dear: " in result["headline"]
    assert result["reason"].endswith("; drift in the segment dear")
    expect_status(watching, "dear", 1)
    expect_status(watching, "cheap", 0)

    shown = watching.run("analyze").stdout
    assert "drift in the segment dear" in " ".join(shown.split())
    assert "0 rows in the window; 10 are needed" in " ".join(shown.split())
    assert "dear" in watching.run("reports").stdout


def analyzed(stack: RunningStack) -> dict[str, Any]:
    """Analyze until all rows are seen."""

    def whole() -> Any:
        found = stack.json("analyze")
        failed = [each for each in found["failures"] if each.startswith("wine_quality_model")]
        assert not failed, found["failures"]
        ours = [each for each in found["results"] if each["model_name"] == "wine_quality_model"]
        newest = max(ours, key=lambda each: int(each["model_version"]))
        return newest if newest["rows"] >= REQUESTS else None

    return dict(eventually(whole))


def expect_status(stack: RunningStack, segment: str, status: int) -> None:
    """Wait for the bridge to show the status of a segment."""
    url = f"http://127.0.0.1:{stack.environ['BRIDGE_PORT']}/metrics"

    def is_shown() -> bool:
        lines = httpx.get(url, timeout=60).text.splitlines()
        mine = [line for line in lines if line.startswith(STATUS) and f'"{segment}"' in line]
        print(mine)  # noqa: T201 - pytest shows it when the test fails
        return any(float(line.rpartition(" ")[2]) == status for line in mine)

    eventually(is_shown)
