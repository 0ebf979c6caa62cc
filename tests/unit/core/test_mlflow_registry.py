"""The registry over its REST API, against a small server that answers as MLflow does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from modelwatch.adapters.registries import registry_of
from modelwatch.errors import NoModelError, RegistryError
from modelwatch_cli.settings import Settings

MODEL = {
    "aliases": [{"alias": "production", "version": "1"}, {"alias": "candidate", "version": "3"}],
    "latest_versions": [
        {"version": "2", "current_stage": "Production"},
        {"version": "3", "current_stage": "Staging"},
    ],
}


class Mlflow(BaseHTTPRequestHandler):
    """Answers what is asked of one model."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self):
        self.seen.append(self.headers["Authorization"])
        path = urlsplit(self.path).path.rpartition("/mlflow/")[2]
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        alias = {each["alias"]: each for each in MODEL["aliases"]}.get(query.get("alias", ""))
        answers = {
            "registered-models/get": {"registered_model": MODEL},
            "registered-models/alias": {"model_version": alias},
            "model-versions/get": {"model_version": {"name": "wine"}},
            "model-versions/get-download-uri": {"artifact_uri": "s3://models/x"},
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answers[path]).encode())

    def refuse(self):
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    def log_message(self, *_):
        """Write nothing."""


@pytest.fixture(scope="module")
def registry_with():
    server = HTTPServer(("127.0.0.1", 0), Mlflow)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    uri = f"http://127.0.0.1:{server.server_address[1]}"
    yield lambda **given: registry_of(Settings({"MLFLOW_TRACKING_URI": uri, **given}))
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize(("stage", "version"), [("", "1"), ("Production", "2"), ("staging", "3")])
def test_the_version_that_serves_is_the_same_for_all_who_ask(registry_with, stage, version):
    registry = registry_with(MODEL_STAGE=stage)
    plan = registry.plan("wine", "production")
    assert plan.versions["production"].version == version
    assert registry.resolve("wine", "production").version == version
    assert registry.resolve("wine", "candidate").version == "3", "an alias of its own stays one"


def test_a_stage_without_a_version_is_no_model(registry_with):
    registry = registry_with(MODEL_STAGE="Archived")
    for ask in (registry.plan, registry.resolve):
        with pytest.raises(NoModelError, match="no version in stage 'Archived'"):
            ask("wine", "production")


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({}, None),
        ({"USERNAME": "ann", "PASSWORD": "pass word"}, "Basic YW5uOnBhc3Mgd29yZA=="),
        ({"TOKEN": "secret"}, "Bearer secret"),
        ({"TOKEN": "secret", "USERNAME": "ann", "PASSWORD": "p"}, "Bearer secret"),
    ],
)
def test_every_request_says_who_asks(registry_with, given, header):
    Mlflow.seen.clear()
    registry_with(**{f"MLFLOW_TRACKING_{name}": value for name, value in given.items()}).plan(
        "wine", "production"
    )
    assert Mlflow.seen == [header] * 3


def test_whom_mlflow_refuses_is_said_what_to_set(registry_with, monkeypatch):
    monkeypatch.setattr(Mlflow, "do_GET", Mlflow.refuse)
    with pytest.raises(RegistryError, match="refused with 401: MLFLOW_TRACKING_TOKEN, or"):
        registry_with().names()
