"""The notebook of examples/ in a kernel of Jupyter, on what the analyze app made in moto's S3."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import nbformat
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from nbclient import NotebookClient

from apps import real_app, served
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.analysis_settings import monitored
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.domain.baselines import Baseline, CapturedWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.labels import Label
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.windows import Window
from modelwatch.services.analysis_requests import AnalysisTask
from modelwatch.settings.functions import AnalyzeSettings
from wine_records import wine_record

NOTEBOOK = Path(__file__).parents[2] / "examples" / "read-back.ipynb"
HOUR = timedelta(hours=1)
HOURS = 6


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A real S3 API, to which the environment of the deployment and of the kernel leads."""
    (tmp_path / "models").mkdir()
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "CAPTURE_BUCKET": "captures",
        "REPORT_BUCKET": "reports",
        "MODEL_NAME": "wine",
        "MODEL_REGISTRY": (tmp_path / "models").as_uri(),
        "EVENT_BUS": "none",
        "ANALYSIS_MIN_ROWS": "50",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    for bucket in ("captures", "reports"):
        client.create_bucket(Bucket=bucket)
    yield client
    server.stop()


def capture(s3: Any, end: datetime) -> None:
    """Capture some hours up to ``end``: a new version takes over, and its wines are stronger."""
    draw = np.random.default_rng(1)
    for back in range(HOURS, 0, -1):
        is_new = back <= HOURS // 2
        records = [
            wine_record(
                captured_at=end - back * HOUR + timedelta(seconds=10 * index),
                model_version="2" if is_new else "1",
                # whole numbers in one version, real ones in the other
                types="ds" if is_new else "ls",
                features={
                    "alcohol": float(draw.normal(16, 1)) if is_new else int(draw.normal(13, 1)),
                    "colour": ["red", "white", None][index % 3],
                },
                prediction=index % 2,
            )
            for index in range(300)
        ]
        S3RecordStore(s3, "captures").write(records)
        labels = [
            Label(event_id=each.event_id, label=1, labelled_at=end, predicted_at=each.captured_at)
            for each in records[: len(records) * 2 // 3]
        ]
        S3LabelStore(s3, "captures").write(labels)


def use_a_baseline(s3: Any, window: Window) -> None:
    found = S3ProfileStore(s3, "captures").profiles("wine", "1", window)
    profile = merge_profiles(list(found.variants.values()))
    baseline = Baseline(
        name="first",
        model_name="wine",
        origin=CapturedWindow(version="1", start=window.start, end=window.end),
        made_at=window.end,
        rows=profile.rows,
    )
    store = S3BaselineStore(s3, "reports")
    store.create(baseline, profile, learn_constraints(profile))
    store.use("wine", "first")


def test_the_notebook_reads_and_draws_a_deployment(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    capture(s3, end)
    use_a_baseline(s3, Window(end - HOURS * HOUR, end - (HOURS - 1) * HOUR))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    with real_app("analyze") as app, served(app) as url:
        from chalicelib.wiring import evaluator

        rules = monitored(AnalyzeSettings())
        for back in reversed(range(HOURS)):
            hour_end = end - back * HOUR
            version = "2" if back < HOURS // 2 else "1"
            window = Window(hour_end - HOUR, hour_end)
            task = AnalysisTask("wine", version, window, "PT1H", rules, present=False, past=True)
            assert len(evaluator().evaluate(task).results) == 1
        monkeypatch.setenv("ANALYZE_URL", url)
        NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert {output.output_type for output in outputs} == {"stream", "execute_result"}
    said = "".join(output.get("text", "") for output in outputs)
    assert "6 results; the newest: drift" in said
    assert "('alcohol',)" in said
    shown = [output["data"] for output in outputs if "data" in output]
    assert "<Captures of wine" in shown[2]["text/plain"]
    assert "1,000 of 1,800 captured rows" in shown[2]["text/plain"]
    pictures = [base64.b64decode(each["image/png"]) for each in shown if "image/png" in each]
    assert len(pictures) == 2
    assert all(len(each) > 5_000 for each in pictures)
