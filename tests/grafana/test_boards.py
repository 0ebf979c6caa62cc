"""The dashboards are what Grafana 12.1 takes: types, names, places, colours."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GRAFANA = HERE.parents[1] / "templates" / "grafana"
TEXTS = {
    path.relative_to(GRAFANA).with_suffix("").as_posix().replace("/", "-"): path.read_text()
    for folder in ("dashboards", "cloudwatch")
    for path in sorted(GRAFANA.glob(f"{folder}/*.json"))
}
BOARDS = {name: json.loads(text) for name, text in TEXTS.items()}
ALL_PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
]
PANELS = [param for param in ALL_PANELS if param.values[0]["type"] != "row"]
OF_ONE_VALUE = [param for param in PANELS if param.values[0]["type"] in ("stat", "bargauge")]
#: What `vocabulary.cjs` shows of each of them: nothing found, then these.
VALUES = (None, 0, 1, 79, 81, 1e6)


def _complaints(workshop: Path, texts: dict[str, str]) -> str:
    """Return what the compiler says of dashboards, by their file."""
    for name, text in texts.items():
        source = f'import type {{ Board }} from "./board";\nexport const board: Board = {text};\n'
        (workshop / f"{name}.ts").write_text(source)
    compiler = ["node", "node_modules/typescript/bin/tsc", "-p", ".", "--pretty", "false"]
    completed = subprocess.run(compiler, cwd=workshop, capture_output=True, text=True, check=False)
    for name in texts:
        (workshop / f"{name}.ts").unlink()
    return completed.stdout + completed.stderr


def test_grafanas_types_take_them(workshop: Path) -> None:
    assert _complaints(workshop, TEXTS) == ""


def test_grafanas_types_refuse_what_is_misspelled(workshop: Path) -> None:
    mistakes = {
        "option": ('"colorMode": "value"', '"colorMode": "valu"'),
        "option_key": ('"graphMode": "area"', '"graphMode": "area", "graph": 1'),
        "field_key": ('"fillOpacity": 8', '"fillOpacty": 8'),
        "thresholds": ('"mode": "absolute"', '"mode": "abs"'),
        "place": ('"x": 0', '"x": "0"'),
        "panel": ('"type": "stat"', '"type": "stta"'),
        "query": ('"refId": "A"', '"refId": "A", "formt": "table"'),
        "data_link": ('"title": "Newest report"', '"title": "Newest report", "placement": "x"'),
        "variable": ('"skipUrlSync": false', '"skipUrlSync": false, "auto": false'),
        "board": ('"graphTooltip": 0', '"graphToltip": 0'),
    }
    of_cloudwatch = {
        "statistic": ('"statistic": "Maximum"', '"statistics": "Maximum"'),
        "dimension": ('"dimensions": {', '"dimensions": {"a": 1, '),
        "editor_mode": ('"metricEditorMode": 0', '"metricEditorMode": 2'),
    }
    good = TEXTS["dashboards-data_drift"]
    wrong = {name: good.replace(*mistake, 1) for name, mistake in mistakes.items()}
    assert good not in wrong.values()
    good = TEXTS["cloudwatch-data_drift"]
    wrong |= {name: good.replace(*mistake, 1) for name, mistake in of_cloudwatch.items()}
    assert good not in wrong.values()
    complaints = _complaints(workshop, wrong)
    assert {
        line.partition(".ts(")[0] for line in complaints.splitlines() if "): error" in line
    } == {*mistakes, *of_cloudwatch}


@pytest.fixture(scope="module")
def vocabulary(workshop: Path) -> dict[str, Any]:
    """What Grafana's data library knows by name, and what it makes of values."""
    completed = subprocess.run(
        ["node", "vocabulary.cjs"],
        cwd=workshop,
        input=json.dumps([param.values[0] for param in OF_ONE_VALUE]),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(completed.stdout)  # type: ignore[no-any-return]


def _found(key: str, thing: Any) -> Iterator[Any]:
    """Yield what stands under ``key`` anywhere in ``thing``."""
    if isinstance(thing, dict):
        for name, value in thing.items():
            if name == key:
                yield value
            yield from _found(key, value)
    elif isinstance(thing, list):
        for item in thing:
            yield from _found(key, item)


def test_every_name_is_one_that_grafana_knows(vocabulary: dict[str, Any]) -> None:
    panels = [param.values[0] for param in PANELS]
    used = {
        "units": set(_found("unit", panels)),
        "reducers": {calc for calcs in _found("calcs", panels) for calc in calcs},
        "transformations": {
            item["id"] for items in _found("transformations", panels) for item in items
        },
        "matchers": {matcher["id"] for matcher in _found("matcher", panels)},
        "colourModes": {
            mode for colour in _found("color", panels) for mode in _found("mode", colour)
        },
        "panels": {panel["type"].replace("-", "") for panel in panels},
    }
    unknown = {kind: names - {*vocabulary[kind]} for kind, names in used.items()}
    assert unknown == {kind: set() for kind in used}
    assert used["units"]
    assert used["reducers"] == {"lastNotNull"}


@pytest.mark.parametrize("number", range(len(OF_ONE_VALUE)), ids=[p.id for p in OF_ONE_VALUE])
def test_a_value_has_the_colour_that_it_means(number: int, vocabulary: dict[str, Any]) -> None:
    """Nothing found is never green, and no number is red that the panel does not call bad."""
    panel = OF_ONE_VALUE[number].values[0]
    colours = vocabulary["colours"]
    nothing, *others = vocabulary["shown"][number]
    assert nothing == {"text": "No data", "colour": colours["text"]}
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    for value, shown in zip(VALUES[1:], others, strict=True):
        reached = [step["color"] for step in steps if (step["value"] or 0) <= value]
        assert shown["colour"] == colours[reached[-1]], value


@pytest.mark.parametrize(
    "panel", [param.values[0] for param in OF_ONE_VALUE], ids=lambda p: p["title"]
)
def test_each_stat_and_bar_has_thresholds_and_a_minimum_of_its_own(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["min"] == 0
    first, *others = defaults["thresholds"]["steps"]
    assert first["value"] is None
    assert [step["value"] for step in others] == sorted(step["value"] for step in others)
    if others:
        assert first["color"] == "green"
    else:
        assert first["color"] == "blue"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_lie_on_the_grid_and_fill_its_lines(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == 24 * height  # no hole either


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_each_panel_has_a_number_of_its_own(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert ids == list(range(1, len(ids) + 1))


@pytest.mark.parametrize("panel", PANELS)
def test_lines_say_which_they_are_and_shares_end_at_one(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"] is True
    defaults = panel["fieldConfig"]["defaults"]
    if panel["type"] in ("timeseries", "bargauge") and defaults["unit"] == "percentunit":
        assert defaults["max"] == 1


def test_buckets_come_in_their_order() -> None:
    """As plain series they come in the order of `le` as text, +Inf first."""
    by_bound = [
        target
        for board in BOARDS.values()
        for panel in board["panels"]
        for target in panel.get("targets", ())
        if "by (le)" in target.get("expr", "") and "histogram_quantile" not in target["expr"]
    ]
    assert len(by_bound) == 3
    assert {target["format"] for target in by_bound} == {"heatmap"}


def test_made_twice_they_are_the_same_bytes() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="the dashboards' code is NOT tested")
    show = "import json, dashboards; print(json.dumps(dashboards.rendered()))"
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", show],
            cwd=GRAFANA,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        found = {
            path.removesuffix(".json").replace("/", "-"): text
            for path, text in json.loads(made.stdout).items()
        }
        assert found == TEXTS


def test_the_lock_names_hashes_and_no_download_addresses() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["name"] == "modelwatch-dashboards"
    assert not any("resolved" in package for package in packages.values())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
