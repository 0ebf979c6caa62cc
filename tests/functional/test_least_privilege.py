"""The functions do their whole work with exactly the roles of their templates, and no more.

Each runs as it is, with the variables that a deployment gives it, on moto's S3 and SQS; MLflow is a
stand-in. `roles` evaluates every call to AWS.
"""

import importlib
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import numpy as np
import pandas as pd
import pytest
from chalice.test import Client
from moto import mock_aws
from sklearn.linear_model import LogisticRegression

import modelwatch
from apps import real_app
from modelwatch.adapters.aws.snapshots import close_connections
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.monitors import Monitor, MonitorSet, encode_monitors
from modelwatch.settings.serving import RegistrySettings
from modelwatch_cli.deployment.building.packaging import package_app
from modelwatch_cli.deployment.cloudformation.parameters import (
    common_parameters,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import APPS, make_plan
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings
from roles import ACCOUNT, REGION, Role, Stack, acting_as
from stand_in import Request, stand_in

MODEL = "wine"
QUEUE = "modelwatch-prod-captures"
CAPTURES = f"modelwatch-prod-captures-{ACCOUNT}-{REGION}"
REPORTS = f"modelwatch-prod-reports-{ACCOUNT}-{REGION}"
MODELS = "acme-mlflow"
ARTIFACTS = "mlflow/1/models/m-1/artifacts"


class Account:
    """An account on AWS with a registered model, and the stacks of the three apps."""

    def __init__(self, folder, mlflow, monkeypatch):
        self._monkeypatch = monkeypatch
        self.s3 = boto3.client("s3", region_name=REGION)
        self.sqs = boto3.client("sqs", region_name=REGION)
        for bucket in (CAPTURES, REPORTS, MODELS):
            self.s3.create_bucket(Bucket=bucket)
        self.queue, dead = (
            self.sqs.create_queue(QueueName=name)["QueueUrl"] for name in (QUEUE, f"{QUEUE}-dead")
        )
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{ARTIFACTS}/{path.relative_to(folder)}"
                self.s3.put_object(Bucket=MODELS, Key=key, Body=path.read_bytes())
        settings = Settings(
            {
                "STAGE": "prod",
                "AWS_ACCOUNT_ID": ACCOUNT,
                "MODEL_NAME": MODEL,
                "MODEL_BUCKET": MODELS,
                "MODEL_PREFIX": "mlflow/",
                "MLFLOW_TRACKING_URI": mlflow,
                "LAMBDA_ARCHITECTURE": "x86_64",
                "COMPACTION_LAG_SECONDS": "60",
                "ANALYSIS_MIN_ROWS": "20",
                # soon after midnight a day would be due as well
                "ANALYSIS_WINDOWS": "PT1H",
            }
        )
        outputs = {
            "CaptureQueueUrl": self.queue,
            "CaptureQueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}",
            "DeadLetterQueueUrl": dead,
            "DeadLetterQueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}-dead",
            **dict.fromkeys(("CoreLayer", "InferenceLayer", "CaptureLayer"), "arn:layer"),
        }
        provided = common_parameters(make_plan(settings), settings) | outputs
        self.stacks = {}
        for app in APPS:
            template = package_app(Project(), app, REGION).template
            self.stacks[app] = Stack(template, template_parameters(template, settings, provided))
        self.due = self.sqs.create_queue(
            QueueName=self.stacks["analyze"].queue("AnalysisQueue"),
            Attributes={"FifoQueue": "true"},
        )["QueueUrl"]
        self.roles = {app: Role(stack.statements) for app, stack in self.stacks.items()}

    @contextmanager
    def running(self, app, cache):
        """Run an app as it is deployed; give Chalice's test client."""
        with self._monkeypatch.context() as patch:
            for name, value in self.stacks[app].variables.items():
                patch.setenv(name, value)
            patch.setenv("MODEL_CACHE", str(cache))
            patch.setenv("AWS_DEFAULT_REGION", REGION)
            role = self.roles[app]
            with acting_as(role), real_app(app) as made, Client(made) as client:
                yield client
            assert role.refused == []

    def keys(self, bucket, prefix):
        """Return the keys below ``prefix``."""
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def messages(self, queue):
        """Take what waits in a queue, as Lambda would hand it over."""
        taken = self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        return {
            "Records": [
                {
                    "messageId": each["MessageId"],
                    "receiptHandle": each["ReceiptHandle"],
                    "body": each["Body"],
                    "attributes": each["Attributes"],
                }
                for each in taken
            ]
        }


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A version as `register_model` makes it, in a folder."""
    folder = tmp_path_factory.mktemp("registry")
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(120, 2)), columns=["a", "b"])
    labels = (rows["a"] > 0).astype(int)
    done = modelwatch.register_model(
        LogisticRegression().fit(rows, labels),
        name=MODEL,
        train=rows[:80],
        test=rows[80:],
        labels=labels[80:],
        settings=RegistrySettings({"MODEL_REGISTRY": folder.as_uri()}),
    )
    assert done.onnx
    return done.version


@pytest.fixture
def account(registered, monkeypatch):
    found = {
        "registered-models/get": {
            "registered_model": {
                "name": MODEL,
                "aliases": [{"alias": "production", "version": "1"}],
            }
        },
        "registered-models/search": {"registered_models": [{"name": MODEL}]},
        "model-versions/get": {
            "model_version": {
                "name": MODEL,
                "tags": [
                    {"key": "modelwatch.manifest_sha256", "value": registered.manifest_sha256}
                ],
            }
        },
        "model-versions/get-download-uri": {"artifact_uri": f"s3://{MODELS}/{ARTIFACTS}"},
        "runs/get": {"run": {"data": {}}},
    }

    def respond(request: Request):
        return 200, found[urlsplit(request.path).path.removeprefix("/api/2.0/mlflow/")]

    with mock_aws(), stand_in(respond) as address:
        yield Account(Path.from_uri(registered.source), address, monkeypatch)


MUST_NOT = {
    "predict": [
        ("s3:GetObject", f"{CAPTURES}/captures/model_name=wine/x.parquet"),
        ("s3:PutObject", f"{MODELS}/{ARTIFACTS}/modelwatch/model.onnx"),
        ("s3:PutObject", f"{MODELS}/serving/wine.json"),
        ("s3:GetObject", f"{MODELS}/elsewhere/MLmodel"),
        ("s3:GetObject", f"{REPORTS}/analyses/wine/1/result.json"),
        ("s3:PutObject", f"{REPORTS}/monitors/000002.json"),
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:SendMessage", f"{QUEUE}-dead"),
        ("lambda:UpdateFunctionConfiguration", "modelwatch-prod-predict"),
        ("lambda:GetFunctionConfiguration", "modelwatch-prod-predict"),
    ],
    "capture": [
        ("s3:GetObject", f"{MODELS}/{ARTIFACTS}/MLmodel"),
        ("s3:PutObject", f"{REPORTS}/analyses/wine/1/result.json"),
        ("s3:PutObject", f"{REPORTS}/monitors/000002.json"),
        ("s3:PutObject", f"{CAPTURES}/erasures/x"),
        ("s3:DeleteObject", f"{CAPTURES}/performance/x"),
        ("sqs:ReceiveMessage", f"{QUEUE}-dead"),
    ],
    "analyze": [
        ("s3:PutObject", f"{CAPTURES}/captures/x.parquet"),
        ("s3:DeleteObject", f"{CAPTURES}/captures/x.parquet"),
        ("s3:DeleteObject", f"{REPORTS}/analyses/wine/1/result.json"),
        ("s3:PutObject", f"{REPORTS}/baselines/wine/x"),
        ("s3:PutObject", f"{REPORTS}/monitors/wine/x"),
        ("s3:PutObject", f"{REPORTS}/serving/wine.json"),
        ("s3:DeleteObject", f"{REPORTS}/asked/x/done.json"),
        ("lambda:InvokeFunction", "modelwatch-prod-predict"),
        ("s3:PutObject", f"{MODELS}/{ARTIFACTS}/MLmodel"),
        ("sqs:SendMessage", QUEUE),
        ("sqs:ReceiveMessage", "modelwatch-prod-analyses-dead.fifo"),
    ],
}

UNUSED = {
    "predict": {"WriteLogs", "ListModels"},
    "capture": {"WriteLogs", "TakeRecords"},
    "analyze": {"WriteLogs", "ListModels", "InvokeItself"},
}
"""What this test does not come to: Lambda writes the logs and takes messages from the queue, with a
function's role. Without the right to list, S3 says of a file
that a model does not have that it is forbidden."""


def test_the_functions_work_with_their_roles_and_may_do_nothing_else(account, tmp_path):
    record = {"model_name": MODEL, "model_version": "1", "source": "shop", "prediction": 1}
    now = datetime.now(UTC)
    # it says nothing: both functions read it all the same
    held = encode_monitors(MonitorSet(number=1, monitors={MODEL: Monitor(stage="prod")}))
    account.s3.put_object(Bucket=REPORTS, Key="monitors/000001.json", Body=held)
    hour_ago = now.replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)
    with account.running("predict", tmp_path) as predict:
        body = json.dumps({"features": {"a": 1.0, "b": 0.5}}).encode()
        headers = {"Content-Type": "application/json"}
        # as with SNAP_START: what the hooks do needs no further right
        wiring = importlib.import_module("chalicelib.lambda_handler").wiring
        wiring.prepare()
        close_connections()
        wiring.renew()
        assert wiring.predict_service().health()["model_loaded"]
        for _ in range(2):
            response = predict.http.post("/predict", body=body, headers=headers)
            assert response.status_code == 200, response.body
        event_id = response.json_body["event_id"]
        assert predict.http.get("/health").json_body["model_loaded"]
        response = predict.http.post("/model/reload", body=b"{}", headers=headers)
        assert response.status_code == 200, response.body
    # whoever may write models must not say which of them the registry vouches for
    assert account.keys(MODELS, "serving/") == []
    assert sorted(key.split(".")[-1] for key in account.keys(REPORTS, "serving/")) == [
        "json",
        "reload",
    ]

    with account.running("capture", tmp_path) as capture:
        for start in (0, 25):
            sent = [
                record
                | {
                    "event_id": new_event_id(int(now.timestamp() * 1000)),
                    "captured_at": (hour_ago + timedelta(seconds=number)).isoformat(),
                    "features": {"a": number / 10, "b": -number / 10},
                }
                for number in range(start, start + 25)
            ]
            body = json.dumps(sent).encode()
            response = capture.http.post("/capture/batch", body=body, headers=headers)
            assert response.status_code == 202, response.body
            label = json.dumps({"event_id": event_id, "label": 1}).encode()
            response = capture.http.post("/ground-truth", body=label, headers=headers)
            assert response.status_code == 202, response.body
            poison = {"QueueUrl": account.queue, "MessageBody": "no record"}
            account.sqs.send_message(**poison)
            while records := account.messages(account.queue)["Records"]:
                response = capture.lambda_.invoke("consume", {"Records": records})
                assert response.payload == {"batchItemFailures": []}
                for each in records:
                    account.sqs.delete_message(
                        QueueUrl=account.queue, ReceiptHandle=each["receiptHandle"]
                    )
        # another model, so that a run has two to evaluate
        other = sent[0] | {"event_id": new_event_id(1), "model_name": "other"}
        body = json.dumps([other | {"captured_at": (now - timedelta(minutes=9)).isoformat()}])
        response = capture.http.post("/capture/batch", body=body.encode(), headers=headers)
        assert response.status_code == 202, response.body
        records = account.messages(account.queue)
        assert capture.lambda_.invoke("consume", records).payload == {"batchItemFailures": []}
        planned = capture.events.generate_cw_event("aws.events", "x", {}, [], REGION)
        merged = capture.lambda_.invoke("compact", planned).payload
        assert (merged["merged"], merged["failures"], merged["labels"]["failures"]) == (1, {}, {})

    with account.running("analyze", tmp_path) as analyze:
        window = {"window_end": (hour_ago + timedelta(hours=1)).replace(minute=0).isoformat()}
        body = json.dumps(window | {"window_seconds": 3600, "min_rows": 20}).encode()
        response = analyze.http.post("/analyze", body=body, headers=headers)
        assert response.status_code == 200, response.body
        (result,) = response.json_body["results"]
        assert result["status"] == "drift"
        found = analyze.lambda_.invoke("analyze", planned | {"time": now.isoformat()}).payload
        assert (found["results"], found["failures"]) == ({}, {})
        # an hour of each model; in the first hour of a day, days that have captures, too
        assert found["sent"] >= 2
        due = account.messages(account.due)
        assert analyze.lambda_.invoke("evaluate", due).payload == {"batchItemFailures": []}
        listed = analyze.http.get("/reports").json_body
        assert result["name"] in json.dumps(listed)
        assert analyze.http.get("/models").status_code == 200
        (request,) = [
            key for key in account.keys(REPORTS, "asked/") if key.endswith("/request.json")
        ]
        again = analyze.http.get(f"/analyze/{request.split('/')[1]}")
        assert again.json_body["results"] == [result]

    for app, forbidden in MUST_NOT.items():
        role = account.roles[app]
        rest = {each["Sid"] for each in account.stacks[app].statements} - role.used
        assert rest == UNUSED[app]
        for action, name in forbidden:
            service = action.partition(":")[0]
            place = {"s3": "::"}.get(service, f"{REGION}:{ACCOUNT}:")
            place += "function:" if service == "lambda" else ""
            assert not role.allows(action, f"arn:aws:{service}:{place}{name}"), (app, action, name)
        # without this right, S3 says of an object that is gone that it is forbidden
        for bucket in {"predict": [MODELS, REPORTS], "capture": [CAPTURES, REPORTS]}.get(
            app, [CAPTURES, REPORTS, MODELS]
        ):
            assert role.allows("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        # another account's bucket of the same name
        assert not role.allows(
            "s3:ListBucket", f"arn:aws:s3:::{CAPTURES}", **{"aws:ResourceAccount": "9" * 12}
        )
