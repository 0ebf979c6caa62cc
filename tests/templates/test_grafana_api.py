"""Data source and dashboards go into a running Grafana by its HTTP API, as the docs show."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from grafana_api import PASSWORD, USER, Grafana, served

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates" / "grafana"
BOARDS = [json.loads(path.read_text()) for path in sorted(TEMPLATES.glob("dashboards/*.json"))]


@pytest.fixture
def grafana() -> Grafana:
    return Grafana()


@pytest.fixture
def address(grafana: Grafana) -> Iterator[str]:
    with served(grafana) as address:
        yield address


def _documented(endpoint: str) -> str:
    """Return the shell lines of docs/how-to/use-dashboards-and-alerts.md that call an endpoint."""
    text = (ROOT / "docs" / "how-to" / "use-dashboards-and-alerts.md").read_text()
    (found,) = (
        block for block in re.findall(r"```bash\n(.*?)```", text, re.S) if endpoint in block
    )
    return str(found)


def _run(lines: str, address: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    variables = {
        "GRAFANA": address,
        "GRAFANA_LOGIN": f"{USER}:{password}",
        "PROMETHEUS": "http://prometheus.example:9090",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documented_lines_make_the_data_source_and_the_dashboards(grafana, address):
    completed = _run(_documented("/api/datasources"), address)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    source = grafana.sources["prometheus-datasource"]
    assert source["url"] == "http://prometheus.example:9090"
    file = (TEMPLATES / "provisioning" / "datasources" / "prometheus.yml").read_text()
    (provisioned,) = yaml.safe_load(file)["datasources"]
    for name in ("name", "uid", "type", "access", "isDefault", "jsonData"):
        assert source[name] == provisioned[name], name

    for version in (1, 2):  # and once more, over what is there
        completed = _run(_documented("/api/dashboards/db"), address)
        assert completed.returncode == 0, completed.stdout + completed.stderr
        assert grafana.dashboards.keys() == {board["uid"] for board in BOARDS}
        for board in BOARDS:
            stored = grafana.dashboards[board["uid"]]
            assert stored["version"] == version
            assert {**stored, "version": 1, "id": 1} == {**board, "version": 1, "id": 1}


@pytest.mark.parametrize("endpoint", ["/api/datasources", "/api/dashboards/db"])
def test_a_refusal_is_seen(endpoint: str, grafana: Grafana, address: str) -> None:
    completed = _run(_documented(endpoint), address, password="wrong")
    assert completed.returncode != 0
    assert "401" in completed.stderr
    assert grafana.sources == grafana.dashboards == {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_a_dashboard_is_imported_as_it_is(board: dict[str, object], address: str) -> None:
    """It asks for no input, since it names the data source by its uid; nor has it an id."""
    with httpx.Client(base_url=address, auth=(USER, PASSWORD)) as client:
        body = {"dashboard": board, "inputs": [], "overwrite": True}
        imported = client.post("/api/dashboards/import", json=body)
        assert imported.status_code == 200, imported.text
        assert imported.json()["importedUrl"].startswith(f"/d/{board['uid']}/")
        stored = client.get(f"/api/dashboards/uid/{board['uid']}").json()["dashboard"]
    assert stored["panels"] == board["panels"]


def test_what_grafana_refuses_is_refused(address: str) -> None:
    with httpx.Client(base_url=address, auth=(USER, PASSWORD)) as client:
        source = {
            "name": "P",
            "uid": "p",
            "type": "prometheus",
            "access": "proxy",
            "url": "http://p",
        }
        assert client.post("/api/datasources", json={**source, "access": ""}).status_code == 400
        assert client.post("/api/datasources", json=source).status_code == 200
        assert client.post("/api/datasources", json=source).status_code == 409
        assert client.put("/api/datasources/uid/p", json=source).status_code == 200
        assert client.get("/api/datasources/uid/other").status_code == 404
        board = {"dashboard": {"title": "B", "uid": "b"}}
        assert client.post("/api/dashboards/db", json=board).status_code == 200
        again = client.post("/api/dashboards/db", json=board)
        assert (again.status_code, again.json()["status"]) == (412, "version-mismatch")
        assert client.post("/api/dashboards/db", json={"dashboard": {}}).status_code == 400
