"""The dashboards of a finished demo, drawn by Grafana's libraries and read as an operator reads.

    make test-grafana

With MODELWATCH_PICTURES=docs/images the pictures of the documentation are made anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, Page, Route

from running_stack import RunningStack

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "templates" / "grafana"
BOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))
}
WIDTH = 1360
#: Grafana's grid: height of a cell, and the space between two.
CELL, SPACE = 30, 8
SCRAPE = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
SCRAPE_SECONDS = int(SCRAPE["datasources"][0]["jsonData"]["timeInterval"].removesuffix("s"))
COLOURS = {"red": "rgb(242, 73, 92)", "green": "rgb(115, 191, 105)", "blue": "rgb(87, 148, 242)"}
#: Panels that need more than the demo, as docs/observability.md says.
MAY_BE_EMPTY = {"Segments over time", "Duration of cold starts, p95"}

pytestmark = [pytest.mark.drawing, pytest.mark.servers, pytest.mark.timeout(900)]


@dataclass
class Drawn:
    """A dashboard on its page: what each panel says and in which colours, and where it is."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    panels: dict[str, dict[str, Any]] = field(default_factory=dict)

    def said(self, title: str) -> list[str]:
        """Return the texts of a panel, without its title."""
        return [text for text, _ in self.panels[title]["texts"]]

    def colour(self, title: str, text: str) -> str:
        """Return the colour in which a panel writes ``text``."""
        return next(colour for said, colour in self.panels[title]["texts"] if said == text)


@pytest.fixture(scope="module")
def demo(new_stack: Callable[..., RunningStack]) -> Iterator[tuple[RunningStack, float]]:
    """A stack on which the demo has ended, and when it began."""
    if shutil.which("prometheus") is None:
        reason = "prometheus is not installed: the dashboards are NOT drawn"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    stack = new_stack()
    began = time.time()
    told = stack.run("demo", timeout=600)
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    time.sleep(3 * SCRAPE_SECONDS)  # until Prometheus has what the bridge read last
    yield stack, began
    stack.run("down", "--force")


@pytest.fixture(scope="module")
def prometheus(demo: tuple[RunningStack, float]) -> str:
    address: str = json.loads(demo[0].run("urls", "--json").stdout)["Prometheus"]
    return address


@pytest.fixture(scope="module")
def bundle(drawing_workshop: Path) -> Path:
    """The page's script, with its styles beside it."""
    out = drawing_workshop / "out" / "page.js"
    subprocess.run(["node", "build.mjs", out], cwd=drawing_workshop, check=True)
    return out


@pytest.fixture(scope="module")
def drawn(
    demo: tuple[RunningStack, float], prometheus: str, bundle: Path, chromium: Browser
) -> dict[str, Drawn]:
    """Each dashboard, drawn."""
    period = {"from": f"{demo[1]:.0f}000", "to": f"{time.time():.0f}000"}
    pictures = Path(os.environ.get("MODELWATCH_PICTURES") or bundle.parent)
    made = {}
    for name, board in BOARDS.items():
        made[name] = _draw(chromium, prometheus, bundle, {"board": board, **period})
        made[name].page.screenshot(path=pictures / f"grafana-{name.replace('_', '-')}.png")
    return made


def _draw(chromium: Browser, prometheus: str, bundle: Path, asked: dict[str, Any]) -> Drawn:
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in asked["board"]["panels"])
    height = lines * (CELL + SPACE) + 100
    result = Drawn(chromium.new_page(viewport={"width": WIDTH, "height": height}))
    page = result.page
    page.on("pageerror", lambda error: result.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: result.complaints.append(said.text) if said.type == "error" else None,
    )
    asked = {**asked, "scrapeSeconds": SCRAPE_SECONDS}
    whole = (
        '<!doctype html><meta charset="utf-8"><title>board</title><link rel="icon" href="data:">'
        '<link rel="stylesheet" href="page.css"><style>body{margin:0}</style><div id="root"></div>'
        f'<script>window.asked={json.dumps(asked)}</script><script src="page.js"></script>'
    )

    def answer(route: Route) -> None:
        file = bundle.parent / Path(route.request.url).name
        if file.suffix in (".js", ".css"):
            route.fulfill(path=file)
        else:
            route.fulfill(body=whole, content_type="text/html")

    # beside Prometheus's own pages, so that the browser lets the page ask it
    page.route(f"{prometheus}/drawn/**", answer)
    page.goto(f"{prometheus}/drawn/{asked['board']['uid']}")
    page.wait_for_function("window.isDrawn && window.isDrawn()", timeout=60_000)
    page.wait_for_timeout(1000)  # the canvases are painted after the data came
    result.panels = page.evaluate((Path(__file__).parent / "read.js").read_text())
    return result


@pytest.fixture(params=BOARDS)
def name(request: pytest.FixtureRequest) -> str:
    board: str = request.param
    return board


def _shown(name: str) -> dict[str, dict[str, Any]]:
    return {panel["title"]: panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"}


def test_the_console_is_free_of_errors(name: str, drawn: dict[str, Drawn]) -> None:
    assert drawn[name].complaints == []


def test_every_panel_is_there_and_has_data(name: str, drawn: dict[str, Drawn]) -> None:
    assert drawn[name].panels.keys() == _shown(name).keys()
    empty = {
        title
        for title in drawn[name].panels
        if not (said := drawn[name].said(title)) or "No data" in said
    }
    assert empty <= MAY_BE_EMPTY


def test_every_panel_is_in_its_place(name: str, drawn: dict[str, Drawn]) -> None:
    """Where its place on the grid says, to three pixels: so none overlaps another."""
    boxes = {title: panel["box"] for title, panel in drawn[name].panels.items()}
    top = min(box["y"] for box in boxes.values())
    first = min(panel["gridPos"]["y"] for panel in _shown(name).values())
    left = min(box["x"] for box in boxes.values())
    whole = max(box["x"] + box["width"] for box in boxes.values()) - left
    assert whole <= WIDTH
    for title, panel in _shown(name).items():
        place, box = panel["gridPos"], boxes[title]
        assert box["x"] - left == pytest.approx(place["x"] * (whole + SPACE) / 24, abs=3), title
        assert box["y"] - top == pytest.approx((place["y"] - first) * (CELL + SPACE), abs=3), title
        assert box["width"] == pytest.approx(place["w"] * (whole + SPACE) / 24 - SPACE, abs=3), (
            title
        )
        assert box["height"] == pytest.approx(place["h"] * (CELL + SPACE) - SPACE, abs=3), title


def _asked(prometheus: str, query: str) -> list[tuple[dict[str, str], float]]:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30)
    found = answer.raise_for_status().json()["data"]["result"]
    return [(series["metric"], float(series["value"][1])) for series in found]


def test_a_drift_is_read_as_one(drawn: dict[str, Drawn], prometheus: str) -> None:
    board = drawn["data_drift"]
    ((of, status),) = _asked(prometheus, "evidently_drift_status")
    assert status == 1
    version = f"{of['model_name']} {of['model_version']}"
    assert "drift" in board.said("Status")
    assert board.colour("Status", "drift") == COLOURS["red"]
    (link,) = board.panels["Status"]["links"]
    assert link.endswith(f"/reports/newest?model={of['model_name']}&version={of['model_version']}")
    cells = board.panels["Status over time"]["cells"]
    assert cells[version][-1] == ["drift", COLOURS["red"]]
    assert {text for text, _ in cells[version]} >= {"no drift", "drift"}
    ((_, share),) = _asked(prometheus, "evidently_drift_score")
    (shown,) = (text for text in _numbers(board, "Drift score"))
    assert shown.endswith("%")
    assert float(shown[:-1]) == pytest.approx(100 * share, abs=0.6)


def _numbers(board: Drawn, title: str) -> list[str]:
    """Return the values that a panel writes, unit and all: they begin with a digit or a sign."""
    return [text for text in board.said(title) if re.match(r"[-$<]?\d", text)]


def test_scores_are_sorted_and_red_where_a_feature_drifted(
    drawn: dict[str, Drawn], prometheus: str
) -> None:
    board = drawn["data_drift"]
    drifted = {
        of["feature"] for of, _ in _asked(prometheus, "evidently_feature_drift_detected == 1")
    }
    scores = _asked(prometheus, "evidently_feature_drift_score")
    assert drifted
    assert len(drifted) < len(scores)
    order = sorted(scores, key=lambda one: (one[0]["feature"] not in drifted, -one[1]))
    names = ["{model_name} {model_version} {feature} ({method})".format(**of) for of, _ in order]
    said = board.panels["Scores by feature"]["texts"]
    assert [text for text, _ in said if text in names] == names
    values = [(float(text), colour) for text, colour in said if re.fullmatch(r"[\d.]+", text)]
    assert [value for value, _ in values] == pytest.approx([s for _, s in order], abs=0.0006)
    assert [colour for _, colour in values] == [
        COLOURS["red" if of["feature"] in drifted else "blue"] for of, _ in order
    ]


def test_the_distribution_has_its_buckets_in_order(drawn: dict[str, Drawn]) -> None:
    board = drawn["ml_monitoring"]
    said = board.panels["Prediction distribution"]["texts"]
    bounds = [text.removeprefix("<= ") for text, _ in said if text.startswith("<= ")]
    assert bounds == sorted(bounds, key=lambda bound: float(bound.replace("+Inf", "inf")))
    assert bounds[-1] == "+Inf"
    counts = [(text, colour) for text, colour in said if not text.startswith("<= ")]
    assert {colour for _, colour in counts} == {COLOURS["blue"]}
    assert len(counts) == len(bounds)


def test_numbers_have_units_and_are_red_for_a_reason_only(drawn: dict[str, Drawn]) -> None:
    pipeline = drawn["pipeline"]
    (cost,) = _numbers(pipeline, "Cost of 1000 predictions")
    assert re.fullmatch(r"\$0\.\d{5}", cost)
    assert pipeline.colour("Cost of 1000 predictions", cost) == COLOURS["blue"]
    for title in ("Dead letters", "Lost in an hour", "Too many series"):
        assert _numbers(pipeline, title) == ["0"], title
        assert pipeline.colour(title, "0") == COLOURS["green"], title
    (lag,) = _numbers(pipeline, "Lag")
    assert re.fullmatch(r"[\d.]+ (ms|s|mins)", lag)
    serving = drawn["ml_monitoring"]
    (requests,) = _numbers(serving, "Requests")
    assert requests.endswith(" req/s")
    assert serving.colour("Requests", requests) == COLOURS["blue"]
