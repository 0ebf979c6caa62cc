"""Moving from SageMaker Model Monitor, and back: the commands on the real stack."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.constraints import check
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift, ResultName
from modelwatch.domain.windows import Window
from modelwatch_cli.settings import Settings
from running_stack import RunningStack

pytestmark = pytest.mark.servers

HOUR = datetime(2026, 1, 11, 17, tzinfo=UTC)
WINDOW = Window(HOUR, HOUR + timedelta(hours=2))
BETWEEN = ("--since", "2026-01-11T17:00", "--until", "2026-01-11T19:00Z")
EVENT_ID = "018bcfe5-6800-7000-8000-000000000001"


class Stack:
    """The running stack, seen through its S3."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        environ = stack.json("env")
        settings = Settings(environ)
        self.client = stack.client("s3")
        self.bucket = settings.capture_bucket
        self.records = S3RecordStore(self.client, self.bucket)
        self.labels = S3LabelStore(self.client, self.bucket)
        self.baselines = S3BaselineStore(self.client, settings.report_bucket)
        self.reports = S3ReportStore(self.client, settings.report_bucket)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.stack.run(*arguments, "--json")

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def table(self, model_name: str) -> pa.Table:
        """Return what is stored of version 1, whatever the order of rows and columns."""
        table = self.records.read(model_name, "1", WINDOW)
        return table.select(sorted(table.column_names)).sort_by("event_id")

    def objects(self, model_name: str) -> dict[str, str]:
        """Return a model's captures and all labels of the day, with their digests."""
        list_objects = self.client.get_paginator("list_objects_v2").paginate
        return {
            entry["Key"]: entry["ETag"]
            for prefix in (f"captures/model_name={model_name}/", f"labels/date={HOUR:%Y-%m-%d}/")
            for page in list_objects(Bucket=self.bucket, Prefix=prefix)
            for entry in page.get("Contents", ())
        }


@pytest.fixture(scope="module")
def moved(stack: RunningStack) -> Stack:
    return Stack(stack)


def captured(stack: Stack, model_name: str, rows: int = 200) -> pa.Table:
    """Store rows of a model; return them as they are stored."""
    made = [
        Record(
            event_id=derived_event_id(EVENT_ID, f"{model_name} {number}"),
            captured_at=HOUR + timedelta(seconds=36 * number, milliseconds=number),
            model_name=model_name,
            model_version="1",
            variant="champion" if number % 2 else "",
            features={
                "alcohol": 11 + number % 30 / 10,
                "bottles": None if number % 9 == 0 else number % 7,
                "colour": ["red", "white, dry", "", "007"][number % 4],
                "sparkling": number % 3 == 0,
            },
            types="dlsb",
            prediction=["red", "white"][number % 2],
            probabilities=[0.25, 0.75],
            latency_ms=0.125,
            source="predict",
            sample_rate=0.5,
        )
        for number in range(rows)
    ]
    for start in (HOUR, HOUR + timedelta(hours=1)):
        end = start + timedelta(hours=1)
        stack.records.write([each for each in made if start <= each.captured_at < end])
    return stack.table(model_name)


@pytest.mark.parametrize("encoding", ["csv", "json"])
def test_captures_go_out_and_come_in_as_they_were(moved, tmp_path, encoding):
    name = f"exported-as-{encoding}"
    before = captured(moved, name)
    folder = encoding == "csv"
    place = str(tmp_path) if folder else f"s3://{moved.bucket}/sagemaker"
    arguments = ("--format", "sagemaker", "--model", name, *BETWEEN, "--encoding", encoding)
    done = moved.json("captures", "export", place, *arguments)
    assert (done["records"], done["files"]) == (200, 4)
    names = ",".join(done["versions"][0]["features"])
    assert names == "alcohol,bottles,colour,sparkling"
    if folder:
        keys = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jsonl")]
    else:
        found = moved.client.list_objects_v2(Bucket=moved.bucket, Prefix="sagemaker/")["Contents"]
        keys = [entry["Key"].removeprefix("sagemaker/") for entry in found]
    hours = {key.rpartition("/")[0] for key in keys}
    assert f"{name}/champion/2026/01/11/18" in hours
    assert f"{name}/AllTraffic/2026/01/11/17" in hours

    # under another model's name, or they would be there already
    other = f"imported-from-{encoding}"
    importing = ("--model", other, *(("--feature-names", names) if folder else ()))
    done = moved.json("captures", "import", place, *importing)
    assert done["records"] == {"found": 200, "stored": 200, "known": 0, "left_out": 0}
    assert moved.table(other).equals(before)
    objects = moved.objects(other)
    assert objects
    done = moved.json("captures", "import", place, *importing)
    assert done["records"] == {"found": 200, "stored": 0, "known": 200, "left_out": 0}
    assert moved.objects(other) == objects


def line(given: str, came: str, inference_id: str, second: int) -> dict[str, Any]:
    """Return what an endpoint captures of a request."""
    sides = {"endpointInput": given, "endpointOutput": came}
    data = {
        side: {"observedContentType": "text/csv", "mode": side[8:], "data": data, "encoding": "CSV"}
        for side, data in sides.items()
    }
    metadata = {
        "eventId": derived_event_id(EVENT_ID, inference_id),
        "inferenceId": inference_id,
        "inferenceTime": f"2026-01-11T17:05:{second:02}Z",
    }
    return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}


def write_lines(path: Path, *lines: dict[str, Any] | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))


def test_what_an_endpoint_captured_is_imported_with_its_ground_truth(moved, tmp_path):
    hour = "wine-endpoint/AllTraffic/2026/01/11/17"
    write_lines(
        tmp_path / "captured" / hour / "05-00-042-5e0b.jsonl",
        line("13.5,red", "0.75", "request-1", 1),
        line("12.0,white\n11.5,", "0.25\n0.5", "request-2", 2),
    )
    write_lines(
        tmp_path / "truth/2026/01/12/09/own.jsonl",
        *(
            {
                "groundTruthData": {"data": label, "encoding": "CSV"},
                "eventMetadata": {"eventId": event_id},
                "eventVersion": "0",
            }
            for event_id, label in (("request-1", "1"), ("request-2", "0\n1"))
        ),
    )
    model = ("--model", "endpoint", "--version", "1")
    names = ("--feature-names", "alcohol,colour")

    # ground truth alone: its predictions are not there yet
    done = moved.run("captures", "import", str(tmp_path / "truth"), *model)
    assert done.returncode == 1
    assert "3 labels belong to no known prediction" in done.stderr

    write_lines(tmp_path / "captured/bad.jsonl", line("13.5", "0.75", "request-3", 3), "{")
    done = moved.run("captures", "import", str(tmp_path), *model, *names)
    assert done.returncode == 1
    problems = json.loads(done.stdout)["problems"]
    assert [problem.split(": ")[0] for problem in problems] == [
        "captured/bad.jsonl:1",
        "captured/bad.jsonl:2",
    ]
    assert "nothing was imported" in done.stderr
    assert moved.records.read("endpoint", "1", WINDOW).num_rows == 0

    done = moved.json("captures", "import", str(tmp_path), *model, *names, "--skip-invalid")
    assert done["records"] == {"found": 3, "stored": 3, "known": 0, "left_out": 0}
    assert (done["labels"]["stored"], done["invalid"]) == (3, 2)
    table = moved.records.read("endpoint", "1", WINDOW)
    assert table["feature_alcohol"].to_pylist() == [13.5, 12.0, 11.5]
    assert table["feature_colour"].to_pylist() == ["red", "white", None]
    assert set(table["variant"].to_pylist()) == {"AllTraffic"}
    stored = moved.labels.read(moved.labels.objects(HOUR.date())[HOUR]).to_pylist()
    labels = {label["event_id"]: label["label"] for label in stored}
    assert [labels[event_id] for event_id in table["event_id"].to_pylist()] == [1.0, 0.0, 1.0]

    objects = moved.objects("endpoint")
    done = moved.json("captures", "import", str(tmp_path), *model, *names, "--skip-invalid")
    assert done["records"]["known"] == done["labels"]["known"] == 3
    assert moved.objects("endpoint") == objects


def test_a_baseline_is_written_and_its_constraints_are_read_as_model_monitor_has_them(
    moved, tmp_path
):
    captured(moved, "watched")
    model = ("--model", "watched")
    moved.json("baseline", "create", "january", *BETWEEN, "--version", "1", *model)
    done = moved.json("model-monitor", "baseline", str(tmp_path), "--name", "january", *model)
    assert done["files"] == ["statistics.json", "constraints.json"]
    statistics = json.loads((tmp_path / "statistics.json").read_text())
    assert statistics["dataset"] == {"item_count": 200}
    bottles = next(each for each in statistics["features"] if each["name"] == "bottles")
    assert bottles["numerical_statistics"]["common"] == {"num_present": 177, "num_missing": 23}

    constraints = json.loads((tmp_path / "constraints.json").read_text())
    colour = next(each for each in constraints["features"] if each["name"] == "colour")
    colour["string_constraints"]["domains"] = ["red"]
    colour["monitoringConfigOverrides"]["domain_content_threshold"] = 1.0
    (tmp_path / "constraints.json").write_text(json.dumps(constraints))
    replaced = moved.json(
        "baseline", "constraints", "january", "--input", f"{tmp_path}/constraints.json", *model
    )
    assert any("colour" in sentence for sentence in replaced["broken_by_the_baseline"])
    held = moved.baselines.constraints(moved.baselines.baseline("watched", "january"))
    assert list(held.columns["colour"].categories.known) == ["red"]

    # an analysis of those rows, as analyze stores it
    name = str(ResultName("watched", "1", WINDOW.end, "PT2H"))
    quality = check(held, moved.baselines.profile(moved.baselines.baseline("watched", "january")))
    drift = FeatureDrift(
        feature="alcohol",
        kind="numerical",
        status="drift",
        method="wasserstein",
        threshold=0.1,
        score=0.5,
    )
    moved.reports.save(
        AnalysisResult(
            name=name,
            model_name="watched",
            model_version="1",
            window_start=WINDOW.start,
            window_end=WINDOW.end,
            status="drift",
            reason="",
            rows=200,
            reference_rows=200,
            features=(drift,),
            quality=quality,
        ),
        {},
    )
    done = moved.json("model-monitor", "result", name, str(tmp_path))
    violations = json.loads((tmp_path / "constraint_violations.json").read_text())["violations"]
    assert done["violations"] == len(violations)
    found = {(each["feature_name"], each["constraint_check_type"]) for each in violations}
    assert {("colour", "categorical_values_check"), ("alcohol", "baseline_drift_check")} <= found
