"""`modelwatch demo` as a newcomer runs it, from a wheel, and its report in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

import modelwatch
from installed import install_command
from running_stack import (
    RunningStack,
    listening_addresses,
    processes_left,
    processes_of,
    runs,
)
from waiting import eventually

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of the demo's own: a newcomer's has nothing else on it, and no checkout."""
    stack = install_command(tmp_path_factory.mktemp("installed"))
    yield stack
    stack.run("down", "--force")


@pytest.fixture(scope="module")
def story(stack: RunningStack) -> str:
    """What the demo printed, having ended well."""
    completed = stack.run("demo")
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
    return completed.stdout


def test_the_story_is_told_from_start_to_end(story: str) -> None:
    chapters = re.findall(r"^== (.*)$", story, re.MULTILINE)
    assert chapters == [
        "Start the stack",
        "Train a model and register it",
        "Deploy the functions",
        "Send 150 normal requests",
        "Send 300 drifted requests",
        "Where to look",
    ]
    assert "All 150 predictions are captured on S3." in story
    assert "All 300 predictions are captured on S3." in story
    verdicts = re.findall(r" UTC, \d+ rows: (\w+) \(", story)
    assert verdicts == ["ok", "drift"]
    assert "Normal traffic raised no drift, drifted traffic did" in story
    assert re.search(r"^Watch it live: http://127\.0\.0\.1:\d+/$", story, re.MULTILINE)


@pytest.mark.usefixtures("story")
def test_an_installed_command_keeps_everything_in_its_home(stack: RunningStack) -> None:
    assert stack.folder is not None
    assert [path.name for path in stack.folder.iterdir()] == [".modelwatch"]
    made = {path.name.rpartition("-")[0] for path in (stack.home / "envs").glob("[!.]*")}
    assert made == {"localstack", "runtime", "analysis"}
    version = subprocess.run(
        [*stack.command, "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout == f"modelwatch {modelwatch.__version__}\n"


@pytest.mark.usefixtures("story")
def test_the_addresses_that_it_prints_answer(stack: RunningStack) -> None:
    addresses = stack.json("urls")
    pages = {"predict API": "/docs", "capture API": "/health", "analyze API": "/reports"}
    assert addresses.keys() >= {*pages, "live page", "MLflow", "metrics", "newest report"}
    for name, address in addresses.items():
        page = httpx.get(address + pages.get(name, ""), follow_redirects=True, timeout=60)
        assert page.status_code == 200, name


@pytest.mark.usefixtures("story")
def test_the_newest_report_shows_what_drifted_and_asks_nobody_else(stack, chromium):
    address = stack.json("urls")["newest report"]  # the schedule goes on, and makes newer ones
    results = stack.json("reports")["results"]
    (shown,) = (each for each in results if each["name"] == address.rpartition("/")[2])
    drifted = shown["drifted_features"]
    assert {"alcohol", "malic_acid"} <= set(drifted)
    page = chromium.new_page(viewport={"width": 1200, "height": 1600})
    errors: list[str] = []
    hosts: set[str | None] = set()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(address, timeout=60_000)
    expect(page.get_by_text("Dataset Drift is detected.")).to_be_visible()
    # how many drift depends on the window's share of drifted traffic; the table shows ten rows at
    # first
    page.get_by_role("combobox", name=re.compile("Rows per page")).click()
    page.get_by_role("option", name=re.compile("^20")).click()
    for feature in drifted:
        # our own table stands above Evidently's
        row = page.get_by_test_id("mtablebodyrow").filter(has=page.get_by_text(feature, exact=True))
        expect(row).to_be_visible()
        assert "Not Detected" not in row.inner_text()
        assert "Detected" in row.inner_text()
    assert errors == []
    assert hosts == {"127.0.0.1"}


@pytest.mark.usefixtures("story")
def test_the_live_page_shows_the_drift_and_opens_the_report(stack, chromium):
    page = chromium.new_page(viewport={"width": 1200, "height": 1600})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(stack.json("urls")["live page"])
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#models .status.drift")).to_have_text("drift")
    first = page.locator(".heat tbody tr").first
    expect(first.locator("td.hot")).not_to_have_count(0)
    expect(page.locator("#traffic path.line")).not_to_have_count(0)
    for function in ("predict", "capture", "analyze"):
        expect(page.locator("#functions")).to_contain_text(f"modelwatch-local-{function}")
    expect(page.locator("#reports tbody tr").first).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Newest report").click()
    report = opened.value
    report.on("pageerror", lambda error: errors.append(str(error)))
    expect(report.get_by_text("Dataset Drift is detected.")).to_be_visible()
    assert errors == []


@pytest.mark.usefixtures("story")
def test_every_panel_of_the_dashboards_has_data(stack: RunningStack) -> None:
    if shutil.which("prometheus") is None:
        reason = "prometheus is not installed: the dashboards' queries are NOT run"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def findings(state: str) -> list[dict[str, str]]:
        # it exits with 1 until nothing is wrong
        found = json.loads(stack.run("check", "metrics", "--json").stdout)["findings"]
        return [each for each in found if each["state"] == state]

    # what the demo did last may not have been scraped yet
    eventually(lambda: not findings("wrong"))
    documented = (ROOT / "docs" / "how-to" / "use-dashboards-and-alerts.md").read_text()
    without_data = {
        f"{each['place']}: {each['title']}: {each['why']}"
        for each in findings("empty")
        if each["place"] not in ("catalog", "alert rules", "recording rules")
        and f"*{each['title']}*" not in documented  # the panels that need more than the demo
    }
    assert without_data == set()


def test_down_leaves_no_process_and_no_port(new_stack: Callable[..., RunningStack]) -> None:
    stack = new_stack()
    for command in (["up"], ["deploy", "capture"]):
        outcome = stack.run(*command)
        assert outcome.returncode == 0, outcome.stderr
    api = stack.json("urls")["capture API"]
    assert httpx.get(f"{api}/health", timeout=60).status_code == 200
    processes = processes_of(stack.home)
    # LocalStack, MLflow, SeaweedFS and the bridge; the function has a process by itself
    assert [command for command in processes.values() if "awslambdaric" in command]
    addresses = listening_addresses(set(processes))
    assert len(addresses) > 10
    outcome = stack.run("down")
    assert outcome.returncode == 0, outcome.stderr
    assert processes_left(stack.home) == {}
    left = {pid: command for pid, command in processes.items() if runs(pid)}
    assert left == {}
    for address in addresses:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex(address) != 0, address
