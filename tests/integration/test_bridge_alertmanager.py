"""The real Alertmanager, with our configuration, delivers an alert to a web hook."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from running_stack import free_ports
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers

CONFIGURATION = Path(__file__).parents[2] / "templates" / "prometheus" / "alertmanager.yml"


@pytest.fixture
def deliveries() -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """Receive web hooks; yield the address and what arrives."""
    received: queue.Queue[dict[str, Any]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.put(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/alerts", received
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def alertmanager(
    tmp_path: Path, deliveries: tuple[str, queue.Queue[dict[str, Any]]]
) -> Iterator[str]:
    """Run Alertmanager with our configuration; yield its address."""
    program = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Alertmanager is not installed")
        pytest.skip("Alertmanager is not on the PATH: its configuration is NOT tested")
    text = CONFIGURATION.read_text()
    assert "http://127.0.0.1:9099/alerts" in text
    text = text.replace("http://127.0.0.1:9099/alerts", deliveries[0])
    (tmp_path / "alertmanager.yml").write_text(text.replace("group_wait: 30s", "group_wait: 1s"))
    address = f"127.0.0.1:{free_ports()}"
    with (tmp_path / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: is_ready(f"http://{address}/-/ready"))
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60):
            return True
    except OSError:
        return False


def post(address: str, *alerts: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{address}/api/v2/alerts",
        json.dumps(alerts).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60):
        pass


def drift(name: str, severity: str) -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity, "stage": "local"}
    model = {"model_name": "wine", "model_version": "3"}
    return {"labels": labels | model, "annotations": {"summary": f"{name} in wine"}}


def test_an_alert_reaches_the_web_hook(alertmanager, deliveries):
    post(alertmanager, drift("DataDriftDetected", "warning"))

    delivery = deliveries[1].get(timeout=PATIENCE_SECONDS)

    assert delivery["status"] == "firing"
    assert delivery["commonLabels"]["alertname"] == "DataDriftDetected"
    assert delivery["alerts"][0]["annotations"]["summary"] == "DataDriftDetected in wine"


def test_the_worse_alert_hides_the_lesser_one(alertmanager, deliveries):
    post(alertmanager, drift("HighDriftScore", "critical"), drift("DataDriftDetected", "warning"))

    delivery = deliveries[1].get(timeout=PATIENCE_SECONDS)
    assert delivery["commonLabels"]["alertname"] == "HighDriftScore"
    with pytest.raises(queue.Empty):
        deliveries[1].get(timeout=3)
