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
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, Page

from running_stack import RunningStack
from stand_in import serving

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
NO_ICON = '<svg xmlns="http://www.w3.org/2000/svg"/>'
#: The libraries are 9 MB of JavaScript, and other tests may run beside these.
LOADING_MS = 120_000
COLOURS = {"red": "rgb(242, 73, 92)", "green": "rgb(115, 191, 105)", "blue": "rgb(87, 148, 242)"}
#: Panels that need more than the demo, as docs/how-to/use-dashboards-and-alerts.md says.
MAY_BE_EMPTY = {"Segments over time", "Duration of cold starts, p95", "Mean absolute error"}

Ask = Callable[[str], list[tuple[dict[str, str], float]]]

pytestmark = [pytest.mark.drawing, pytest.mark.servers]


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
    completed = stack.run("demo")
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
    time.sleep(3 * SCRAPE_SECONDS)  # until Prometheus has what the bridge read last
    yield stack, began
    stack.run("down", "--force")


@pytest.fixture(scope="module")
def prometheus(demo: tuple[RunningStack, float]) -> str:
    address: str = json.loads(demo[0].run("urls", "--json").stdout)["Prometheus"]
    return address


@pytest.fixture(scope="module")
def period(demo: tuple[RunningStack, float]) -> dict[str, str]:
    """The time that is shown: from the beginning of the demo until now."""
    times = {"from": demo[1], "to": time.time()}
    return {end: datetime.fromtimestamp(at, UTC).isoformat() for end, at in times.items()}


@pytest.fixture(scope="module")
def ask(prometheus: str, period: dict[str, str]) -> Ask:
    """Return what asks Prometheus for labels and values at the end of what is shown."""

    def ask(query: str) -> list[tuple[dict[str, str], float]]:
        asked = {"query": query, "time": period["to"]}
        response = httpx.get(f"{prometheus}/api/v1/query", params=asked, timeout=30)
        found = response.raise_for_status().json()["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    return ask


@pytest.fixture(scope="module")
def bundle(drawing_workshop: Path) -> Path:
    """The page's script, with its styles beside it."""
    out = drawing_workshop / "out" / "page.js"
    subprocess.run(["node", "build.mjs", out], cwd=drawing_workshop, check=True)
    return out


@pytest.fixture(scope="module")
def drawn(
    period: dict[str, str], prometheus: str, bundle: Path, chromium: Browser
) -> dict[str, Drawn]:
    """Each dashboard, drawn."""
    pictures = ROOT / os.environ.get("MODELWATCH_PICTURES", bundle.parent)
    made = {}
    with _served(bundle.parent) as address:
        for name, board in BOARDS.items():
            made[name] = _draw(chromium, prometheus, bundle, address, {"board": board, **period})
            made[name].page.screenshot(path=pictures / f"grafana-{name.replace('_', '-')}.png")
    return made


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder's files; give the address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    with serving(server) as address:
        yield address


def _draw(
    chromium: Browser, prometheus: str, bundle: Path, served: str, asked: dict[str, Any]
) -> Drawn:
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in asked["board"]["panels"])
    height = lines * (CELL + SPACE) + 100
    result = Drawn(chromium.new_page(viewport={"width": WIDTH, "height": height}))
    page = result.page
    page.on("pageerror", lambda error: result.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: result.complaints.append(said.text) if said.type == "error" else None,
    )
    asked = {**asked, "prometheus": prometheus, "scrapeSeconds": SCRAPE_SECONDS}
    whole = (
        '<!doctype html><meta charset="utf-8"><title>board</title><link rel="icon" href="data:">'
        '<link rel="stylesheet" href="page.css"><style>body{margin:0}</style><div id="root"></div>'
        "<script>window.grafanaBootData={settings:{featureToggles:{}},user:{},navTree:[]};"
        f'window.asked={json.dumps(asked)}</script><script src="page.js"></script>'
    )

    (bundle.parent / f"{asked['board']['uid']}.html").write_text(whole)
    # icons and fonts come with Grafana's server
    page.route("**/*.svg", lambda route: route.fulfill(body=NO_ICON, content_type="image/svg+xml"))
    page.route("**/*.woff2", lambda route: route.fulfill(body=b"", content_type="font/woff2"))
    page.goto(f"{served}/{asked['board']['uid']}.html", timeout=LOADING_MS)
    page.wait_for_function("window.isDrawn && window.isDrawn()", timeout=LOADING_MS)
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


def test_a_drift_is_read_as_one(drawn: dict[str, Drawn], ask: Ask) -> None:
    board = drawn["data_drift"]
    ((of, status),) = ask("evidently_drift_status")
    assert status == 1
    version = f"{of['model_name']} {of['model_version']}"
    assert "drift" in board.said("Status")
    assert board.colour("Status", "drift") == COLOURS["red"]
    (link,) = board.panels["Status"]["links"]
    assert link.endswith(f"/reports/newest?model={of['model_name']}&version={of['model_version']}")
    cells = board.panels["Status over time"]["cells"]
    assert cells[version][-1] == ["drift", COLOURS["red"]]
    assert {text for text, _ in cells[version]} >= {"no drift", "drift"}
    ((_, share),) = ask("evidently_drift_score")
    shown = _value(board, "Drift score")
    assert shown.endswith("%")
    assert float(shown[:-1]) == pytest.approx(100 * share, abs=0.6)


def _value(board: Drawn, title: str) -> str:
    """Return the one value that a panel writes, its unit joined to it."""
    return "".join(board.said(title))


def test_scores_are_sorted_and_red_where_a_feature_drifted(drawn, ask):
    board = drawn["data_drift"]
    drifted = {of["feature"] for of, _ in ask("evidently_feature_drift_detected == 1")}
    scores = ask("evidently_feature_drift_score")
    assert drifted
    assert len(drifted) < len(scores)
    order = sorted(scores, key=lambda one: (one[0]["feature"] not in drifted, -one[1]))
    names = ["{model_version} {feature} ({method})".format(**of) for of, _ in order]
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
    assert re.fullmatch(r"\$0\.\d{5}", _value(pipeline, "Cost of 1000 predictions"))
    for title in ("Dead letters", "Lost in an hour", "Too many series"):
        assert pipeline.panels[title]["texts"] == [["0", COLOURS["green"]]], title
    assert re.fullmatch(r"[\d.]+(ms|s|mins)", _value(pipeline, "Lag"))
    serving = drawn["ml_monitoring"]
    assert _value(serving, "Requests").endswith("req/s")
    for board, title in ((pipeline, "Cost of 1000 predictions"), (serving, "Requests")):
        assert {colour for _, colour in board.panels[title]["texts"]} == {COLOURS["blue"]}, title
