"""A policy and a rate on the real stack: what is in the queue, the bucket, the logs, the files."""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from modelwatch import Client
from modelwatch.domain.capture_policy import apply_policy, read_policy
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.sampling import is_sampled
from modelwatch_cli.capture.dlq import packed_records
from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

KEY = "a key of this test, and no other"
POLICY = {
    "alcohol": "drop",
    "malic_acid": "hash",
    "proline": "hash",
    "magnesium": {"bucket": 50},
    "probabilities": {"bucket": 0.25},
}
RATE = 0.5
VARIABLES = {
    "CAPTURE_POLICY": json.dumps(POLICY),
    "CAPTURE_HASH_KEY": KEY,
    "CAPTURE_SAMPLE_RATE": str(RATE),
}
ROW = {
    "alcohol": 14.2371828,
    "malic_acid": 1.7154321,
    "ash": 2.4312345,
    "alcalinity_of_ash": 15.6,
    "magnesium": 127.7654321,
    "total_phenols": 2.8,
    "flavanoids": 3.06,
    "nonflavanoid_phenols": 0.28,
    "proanthocyanins": 2.29,
    "color_intensity": 5.64,
    "hue": 1.04,
    "od280/od315_of_diluted_wines": 3.92,
    "proline": 1065.7654321,
}
KEPT_BACK = ("alcohol", "malic_acid", "magnesium", "proline")


def secrets_in(data: bytes) -> list[str]:
    """Return whose values are in ``data``: as text, or as Parquet holds them."""
    return [
        name
        for name in KEPT_BACK
        if str(ROW[name])[:9].encode() in data or struct.pack("<d", ROW[name]) in data
    ]


class Deployed:
    """Predict under the policy, on a stack of its own; capture is not deployed yet."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.environ = self.stack.json("env")
        self.stack.text("train")
        self.url = self.stack.json("deploy", "predict")["urls"]["predict"]

    def predict(self) -> str:
        response = httpx.post(f"{self.url}/predict", json={"features": ROW}, timeout=60)
        assert response.status_code == 200, response.text
        return str(response.json()["event_id"])

    def messages(self) -> list[str]:
        """Return what waits in the queue, and leave it there."""
        sqs = self.stack.client("sqs")
        url = sqs.get_queue_url(QueueName="modelwatch-local-captures")["QueueUrl"]
        found: dict[str, str] = {}
        for _ in range(30):
            received = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=2
            )
            for message in received.get("Messages", ()):
                found[message["MessageId"]] = message["Body"]
        # numbers of a packed message are bytes: what they say is what must not be there
        return ["".join(packed_records(body)) or body for body in found.values()]

    def predict_sampled(self) -> str:
        """Predict until a prediction is one that the deployment's rate captures, too."""
        while not is_sampled(event_id := self.predict(), RATE):
            pass
        return event_id

    def rows(self) -> list[dict[str, Any]]:
        """Return all captured rows."""
        tables = [pq.ParquetFile(io.BytesIO(payload)).read() for payload in self.objects()]
        return [row for table in tables for row in table.to_pylist()]

    def objects(self, prefix: str = "captures/") -> list[bytes]:
        s3, bucket = self.stack.client("s3"), "modelwatch-captures"
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
        return [s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in listed]

    def logs(self) -> bytes:
        """Return every line of every function's log."""
        logs = self.stack.client("logs")
        names = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        events = [
            event["message"]
            for name in names
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            for event in page["events"]
        ]
        return "\n".join(events).encode()

    def files(self) -> dict[str, bytes]:
        """Return every file of the stack that is no database of a part: its logs among them."""
        paths = [path for path in self.stack.home.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.stack.home)): path.read_bytes()
            for path in paths
            if path.stat().st_size < 50_000_000
        }


@pytest.fixture(scope="module")
def deployed(new_stack: Callable[..., RunningStack]) -> Deployed:
    stack = new_stack(**VARIABLES)
    outcome = stack.run("up")
    assert outcome.returncode == 0, outcome.stderr
    return Deployed(stack)


def test_what_leaves_predict_is_what_the_policy_and_the_rate_say(deployed):
    event_ids = [deployed.predict() for _ in range(40)]
    wrong = httpx.post(
        f"{deployed.url}/predict", json={"features": {**ROW, "ash": "x"}}, timeout=60
    )
    assert wrong.status_code == 400
    chosen = {event_id for event_id in event_ids if is_sampled(event_id, RATE)}
    assert 0 < len(chosen) < len(event_ids)

    in_queue: dict[str, str] = {}

    def queued() -> bool:
        in_queue.update(dict.fromkeys(deployed.messages(), ""))
        # dense requests share messages
        together = "".join(in_queue)
        return all(event_id in together for event_id in chosen)

    eventually(queued)
    assert all(str(ROW["ash"]) in body for body in in_queue)
    assert secrets_in("".join(in_queue).encode()) == []

    deployed.stack.text("deploy", "capture")

    def rows() -> list[dict[str, Any]]:
        found = deployed.rows()
        return found if {row["event_id"] for row in found} >= chosen else []

    stored = eventually(rows)
    assert {row["event_id"] for row in stored} == chosen
    expected = apply_policy(
        read_policy(json.dumps(POLICY), KEY), {name: [value] for name, value in ROW.items()}
    )
    for row in stored:
        features = {
            name.removeprefix("feature_"): value
            for name, value in row.items()
            if name.startswith("feature_")
        }
        assert features == {name: values[0] for name, values in expected.items()}
        assert row["sample_rate"] == RATE
        assert {each * 4 for each in row["probabilities"]} <= {0, 1, 2, 3, 4}
    assert "alcohol" not in features
    assert features["magnesium"] == 100
    assert re.fullmatch("[0-9a-f]{16}", features["proline"])

    assert all(secrets_in(payload) == [] for payload in deployed.objects())
    logs = deployed.logs()
    assert b"model_predictions_total" in logs
    assert secrets_in(logs) == []
    assert KEY.encode() not in logs
    files = deployed.files()
    assert any(path.endswith(".log") for path in files)
    assert {path: found for path, data in files.items() if (found := secrets_in(data))} == {}
    assert [path for path, data in files.items() if KEY.encode() in data] == []

    page = f"http://127.0.0.1:{deployed.stack.environ['BRIDGE_PORT']}/metrics"
    left_out = float(len(event_ids) - len(chosen))
    counted = f'\ncapture_records_total{{outcome="sampled_out"}} {left_out}\n'
    eventually(lambda: counted in httpx.get(page, timeout=60).text)


def test_simulated_labels_are_stored_for_every_prediction(deployed):
    options = ("-n", "30", "--labels", "--label-delay", "0.5", "--label-accuracy", "0.7")
    done = deployed.stack.json("simulate", *options, "--seed", "1")
    assert done["labels"]["accepted"] == 30
    assert 10 < done["labels"]["right"] < 30

    def labelled() -> set[str]:
        tables = [pq.ParquetFile(io.BytesIO(data)).read() for data in deployed.objects("labels/")]
        return {event_id for table in tables for event_id in table["event_id"].to_pylist()}

    eventually(lambda: labelled() >= set(done["event_ids"]))


def test_the_reference_is_compared_as_it_would_have_been_captured(deployed):
    url = deployed.stack.json("deploy", "analyze")["urls"]["analyze"]
    done = deployed.stack.json("simulate", "-n", "300", "--rate", "10", "--seed", "1")
    chosen = {event_id for event_id in done["event_ids"] if is_sampled(event_id, RATE)}

    def analyzed() -> dict[str, Any]:
        with Client(analyze=url) as client:
            found = client.analyze(min_rows=len(chosen))
        assert found.failures == {}
        return {each.feature: each for each in found.results[0].features}

    features = eventually(analyzed)
    assert set(features) == set(ROW) - {"alcohol"}
    assert features["proline"].kind == "categorical"
    # a reference that is not in buckets is 25 higher on average: 1.7 standard deviations
    assert features["magnesium"].score < 0.6
    assert features["hue"].kind == "numerical"


def test_a_models_monitor_decides_without_a_deployment(deployed, tmp_path):
    url = deployed.stack.json("deploy", "capture")["urls"]["capture"]
    model = httpx.get(f"{deployed.url}/health", timeout=60).json()["model_name"]
    file = tmp_path / "own.toml"
    file.write_text(
        f"""
        model = "{model}"
        [capture]
        sample_rate = 1
        [capture.fields]
        "*" = "drop"
        hue = "keep"
        proline = "hash"
        """
    )
    other = tmp_path / "shop.toml"
    other.write_text("[capture.fields]\nashes = 'drop'")
    deployed.stack.text("monitors", "apply", str(file), str(other))

    def features_of(event_id: str) -> set[str]:
        def row() -> dict[str, Any]:
            found = deployed.rows()
            return next((each for each in found if each["event_id"] == event_id), {})

        return {
            name.removeprefix("feature_")
            for name, value in eventually(row).items()
            if name.startswith("feature_") and value is not None
        }

    def event_of_the_new_rules() -> str:
        event_id = deployed.predict()
        return "" if is_sampled(event_id, RATE) else event_id

    # within MODEL_REFRESH_SECONDS
    eventually(lambda: features_of(deployed.predict_sampled()) == {"hue", "proline"})
    # what the deployment's rate would leave out
    assert features_of(eventually(event_of_the_new_rules)) == {"hue", "proline"}

    def captured_of_the_shop() -> set[str]:
        record = {
            "event_id": (event_id := new_event_id(0)),
            "captured_at": datetime.now(UTC).isoformat(),
            "model_name": "shop",
            "model_version": "1",
            "features": {"ashes": 14.2371828, "price": 2.5},
            "prediction": 1,
        }
        assert httpx.post(f"{url}/capture", json=record, timeout=60).status_code == 202
        return features_of(event_id)

    # capture's environments read the monitors at other times than predict's
    eventually(lambda: captured_of_the_shop() == {"price"})

    refused = tmp_path / "refused.toml"
    refused.write_text(f'model = "{model}"\n[capture.fields]\nalcohl = "drop"')
    done = deployed.stack.run("monitors", "apply", str(refused))
    assert done.returncode != 0
    assert "'alcohl' is no feature of the model" in re.sub(r"\s+", " ", done.stderr)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CAPTURE_POLICY": '{"alcohl": "drop"}'}, "'alcohl' is no feature of the model"),
        ({"CAPTURE_HASH_KEY": ""}, "setting CAPTURE_HASH_KEY: is not set"),
        ({"CAPTURE_SAMPLE_RATE": "50"}, "setting CAPTURE_SAMPLE_RATE"),
    ],
)
def test_a_deployment_refuses_what_misses_its_aim(deployed, variables, said):
    stack = replace(deployed.stack, environ={**deployed.stack.environ, **variables})
    done = stack.run("deploy", "predict")
    assert done.returncode != 0
    assert said in re.sub(r"\s+", " ", done.stderr)
    assert KEY not in done.stdout + done.stderr
