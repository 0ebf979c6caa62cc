"""Labels on the real stack: late, twice, corrected, of unknown predictions; and the results."""

from __future__ import annotations

import csv
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn import metrics as sk

from modelwatch.adapters.captures.label_compaction import MIN_OBJECTS, S3LabelCompaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.performance.results import PerformancePolicy, PerformanceResult
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.windows import Window
from modelwatch.services.performance import PerformanceMonitor
from modelwatch_cli.settings import Settings
from waiting import eventually

pytestmark = pytest.mark.servers

MODEL = "labels_model"
WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]
HOURS, ROWS = 6, 600
ID_WITHOUT_TIME = "3c4b2f2e-9a4e-4f6c-8d2b-1f0e2d3c4b5a"


class Labelling:
    """The deployed stack, and predictions of a day ago with what was true."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        environ = self.stack.json("env")
        settings = Settings(environ)
        stack.know_model()
        self.urls: dict[str, str] = self.stack.json("deploy")["urls"]
        client = stack.client("s3")
        bucket = settings.capture_bucket
        self.labels = S3LabelStore(client, bucket)
        self.compaction = S3LabelCompaction(client, bucket)
        self.monitor = PerformanceMonitor(
            outcomes=S3OutcomeStore(client, bucket),
            profiles=S3PerformanceStore(client, bucket),
            policy=PerformancePolicy(min_labels=5),
            refresh_seconds=0,
        )
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.start = now - timedelta(hours=30)
        self.window = Window(self.start, self.start + timedelta(hours=HOURS))
        self.records = [self._record(number) for number in range(ROWS)]
        random = np.random.default_rng(8)
        self.truth = [int(random.random() < record["probabilities"][1]) for record in self.records]

    def post(self, app: str, path: str, body: object) -> httpx.Response:
        return httpx.post(f"{self.urls[app]}{path}", json=body, timeout=60)

    def evaluated(self, version: str = "1", model: str = MODEL) -> PerformanceResult:
        return self.monitor.evaluate(model, version, self.window)

    def _record(self, number: int) -> dict[str, Any]:
        at = self.start + timedelta(hours=HOURS) * number / ROWS
        p = ((number * 37) % 101) / 101
        return {
            "event_id": new_event_id(int(at.timestamp() * 1000) - number % 7),
            "captured_at": at.isoformat(),
            "model_name": MODEL,
            "model_version": "1",
            "features": {"a": p},
            "prediction": int(p > 0.5),
            "probabilities": [1 - p, p],
        }


@pytest.fixture(scope="module")
def labelling(stack: Any) -> Labelling:
    version = stack.json("train")["registration"]["version"]["version"]
    labelling = Labelling(stack)
    # no environment goes on with the version before, which other tests may have labelled
    stack.json("promote", version, "--now")
    return labelling


def test_a_days_labels_come_late_and_twice_and_corrected(labelling, tmp_path):
    records, truth = labelling.records, labelling.truth
    accepted = labelling.post("capture", "/capture/batch", records)
    assert accepted.status_code == 202, accepted.text
    eventually(lambda: labelling.evaluated().records == ROWS)
    # no label yet
    result = labelling.evaluated()
    assert (result.verdict.status, result.maturity) == ("unknown", 0.0)
    assert result.verdict.estimated.status == "ok"

    # the labels of the day, a third of them wrong at first
    first = [1 - each if number % 3 == 0 else each for number, each in enumerate(truth)]
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "label", "labelled_at"])
        day_after = (labelling.start + timedelta(hours=24)).isoformat()
        writer.writerows(
            [record["event_id"], label, day_after]
            for record, label in zip(records, first, strict=True)
        )
    summary = labelling.stack.json("labels", "import", str(path))
    assert (summary["accepted"], summary["invalid"]) == (ROWS, 0)
    eventually(lambda: labelling.evaluated().labelled == ROWS)
    predicted = [record["prediction"] for record in records]
    accuracy = labelling.evaluated().verdict.metrics["accuracy"].value
    assert accuracy == pytest.approx(sk.accuracy_score(first, predicted))

    # the same file again, the corrections, one more label for each unknown prediction
    labelling.stack.text("labels", "import", str(path), "--json")
    corrections = [
        {"event_id": record["event_id"], "label": label}
        for number, (record, label) in enumerate(zip(records, truth, strict=True))
        if number % 3 == 0
    ]
    strangers = [
        {"event_id": new_event_id(int(labelling.start.timestamp() * 1000) + n), "label": 1}
        for n in range(11)
    ]
    for body in (corrections, strangers):
        accepted = labelling.post("capture", "/ground-truth", body)
        assert (accepted.status_code, accepted.json()["accepted"]) == (202, len(body))
    probabilities = [record["probabilities"][1] for record in records]
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, average="macro"),
        "recall": sk.recall_score(truth, predicted, average="macro"),
        "f1": sk.f1_score(truth, predicted, average="macro"),
        "roc_auc": sk.roc_auc_score(truth, probabilities),
        "log_loss": sk.log_loss(truth, probabilities, labels=[0, 1]),
    }

    def corrected() -> PerformanceResult | None:
        result = labelling.evaluated()
        right = result.verdict.metrics["accuracy"].value == pytest.approx(expected["accuracy"])
        return result if right and result.unknown_labels == 11 else None

    result = eventually(corrected)
    found = {name: estimate.value for name, estimate in result.verdict.metrics.items()}
    assert found == pytest.approx(expected, abs=1e-9)
    assert (result.labels, result.unknown_labels) == (ROWS + 11, 11)
    assert (result.labelled, result.maturity) == (ROWS, 1.0)
    assert [(each.records, each.labelled) for each in result.hours] == [(100, 100)] * HOURS
    # far fewer objects than labels
    stored = [
        name
        for day in {labelling.window.start.date(), labelling.window.end.date()}
        for names in labelling.labels.objects(day).values()
        for name in names
    ]
    assert len(stored) < ROWS / 10

    # labels that trickle in are merged, and say the same
    for record, label in zip(records[:MIN_OBJECTS], truth, strict=False):
        trickled = Label(
            event_id=record["event_id"],
            label=label,
            labelled_at=datetime.now(UTC),
            predicted_at=labelling.start,
        )
        labelling.labels.write([trickled])
    (hour,) = labelling.compaction.hours(labelling.window.start, labelling.window.end)
    merged = labelling.compaction.merge(hour, hash_event_ids([]))
    assert (merged.objects, merged.left_out) == (len(hour.objects), 0)
    assert len(labelling.labels.objects(hour.hour.date())[hour.hour]) == 1
    again = labelling.evaluated()
    assert again.verdict == result.verdict
    assert (again.labels, again.unknown_labels) == (ROWS + 11, 11)


def test_a_prediction_is_labelled_by_the_id_of_its_answer_alone(labelling):
    made = [labelling.post("predict", "/predict", {"features": WINE}).json() for _ in range(10)]
    for result in made:
        body = {"event_id": result["event_id"], "label": result["prediction"]}
        assert labelling.post("capture", "/ground-truth", body).status_code == 202
    ids = {result["event_id"] for result in made}

    def stored() -> bool:
        today = datetime.now(UTC).date()
        names = [
            name
            for day in (today, today - timedelta(days=1))
            for found in labelling.labels.objects(day).values()
            for name in found
        ]
        return ids <= set(labelling.labels.read(names)["event_id"].to_pylist())

    eventually(stored)
    window = Window.ending(datetime.now(UTC) + timedelta(minutes=1), seconds=3600)

    def joined() -> bool:
        version = made[0]["model_version"]
        result = labelling.monitor.evaluate("wine_quality_model", version, window)
        return result.labelled >= 10 and result.verdict.metrics["accuracy"].value > 0.9

    eventually(joined)
    options = ["--min-labels", "5", "--min-maturity", "0", "--window", "PT1H", "--json"]
    measured = json.loads(labelling.stack.text("performance", *options))
    assert measured["verdict"]["metrics"]["accuracy"]["value"] > 0.9
    assert measured["verdict"]["estimated"]["status"] == "ok"


def test_a_label_that_does_not_tell_its_hour_is_refused(labelling):
    body = [{"event_id": ID_WITHOUT_TIME, "label": 1}]
    result = labelling.post("capture", "/ground-truth", body)
    assert result.status_code == 400
    assert result.headers["Content-Type"] == "application/problem+json"
    assert result.json()["field"] == "[0].predicted_at"
    assert "version 7" in result.json()["detail"]


def test_a_file_with_a_bad_line_is_not_imported_by_half(labelling, tmp_path):
    path = tmp_path / "labels.jsonl"
    good = {"event_id": new_event_id(int(time.time() * 1000)), "label": "red"}
    path.write_text(f"{json.dumps(good)}\nnot json\n")
    refused = labelling.stack.run("labels", "import", str(path), "--json")
    assert refused.returncode == 1
    assert "line 2" in refused.stderr
    assert json.loads(refused.stdout)["accepted"] == 0
    taken = labelling.stack.json("labels", "import", str(path), "--skip-invalid")
    assert (taken["accepted"], taken["invalid"]) == (1, 1)
