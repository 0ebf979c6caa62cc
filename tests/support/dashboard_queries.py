"""What the Grafana dashboards ask, as Grafana would ask Prometheus."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

BOARDS = Path(__file__).parents[2] / "templates" / "grafana" / "dashboards"
LOOK_BACK_SECONDS = 900


class Question(NamedTuple):
    """A query of a panel: dashboard, panel, PromQL with its variables still in it."""

    board: str
    panel: str
    expression: str


def questions() -> Iterator[Question]:
    """Yield every query of every panel."""
    for file in sorted(BOARDS.glob("*.json")):
        board = json.loads(file.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Question(board["title"], panel["title"], target["expr"])


def variable_queries() -> Iterator[tuple[str, str]]:
    """Yield series selector and label of every variable that Prometheus fills."""
    for file in sorted(BOARDS.glob("*.json")):
        for variable in json.loads(file.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
                assert found is not None, variable["query"]
                yield found[1], found[2]


def filled_in(text: str, model: str, version: str) -> str:
    """Return ``text`` with a choice of one model version on either side, and all variants."""
    values = {
        "__rate_interval": "1m",
        "__range": f"{LOOK_BACK_SECONDS}s",
        "model_name": model,
        "model_version": version,
        "version_a": version,
        "version_b": version,
        "variant_a": ".*",
        "variant_b": ".*",
    }
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], text)


def has_data(prometheus: str, expression: str, patience_seconds: float = 30) -> bool:
    """Return whether a query has a number anywhere in the last minutes; wait for one a little.

    Raises
    ------
    httpx.HTTPStatusError
        When Prometheus cannot parse or run it.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        now = time.time()
        span: dict[str, Any] = {"start": now - LOOK_BACK_SECONDS, "end": now, "step": 10}
        answer = httpx.get(
            f"{prometheus}/api/v1/query_range", params={"query": expression, **span}, timeout=30
        )
        answer.raise_for_status()
        series = answer.json()["data"]["result"]
        if any(value != "NaN" for one in series for _, value in one["values"]):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(2)
