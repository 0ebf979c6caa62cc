"""Artifacts behind an MLflow server that is not as it should be, and versions elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.adapters.registries.mlflow import MlflowRegistry
from modelwatch.adapters.registries.mlflow_http import MlflowHttp
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import ModelLoadError, NoModelError, RegistryError, SettingError, StoreError
from modelwatch.settings import Settings
from signatures import SECRET, expected_signature
from stand_in import Request, serving, stand_in

SERVED = "/api/2.0/mlflow-artifacts/artifacts"
VERSION = ModelVersion("wine", "3", "mlflow-artifacts:/1/models/m-1/artifacts")


class Server(ThreadingHTTPServer):
    """What a test makes of MLflow: bodies by path, and a list by folder."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.folders: dict[str, list[dict[str, Any]]] = {}
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.missing = 404
        self.seen: list[tuple[str, dict[str, str]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Responds as a server over S3 does: with no length, and 500 for what is not there."""

    server: Server
    protocol_version: ClassVar[str] = "HTTP/1.0"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.server.seen.append((path, dict(self.headers)))
        if path in self.server.answers:
            status, body, headers = self.server.answers[path]
        elif path == SERVED:
            files = self.server.folders.get(parse_qs(parts.query)["path"][0], [])
            status, body, headers = 200, json.dumps({"files": files}).encode(), {}
        elif path in self.server.files:
            status, body, headers = 200, self.server.files[path], {}
        else:
            status, body, headers = self.server.missing, b"{}", {}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    with serving(running):
        yield running


@pytest.fixture
def opened(server: Server) -> Callable[..., Artifacts]:
    return lambda **given: artifacts_of(
        Settings({"MLFLOW_TRACKING_URI": server.address, "MODEL_MAX_MB": "1"} | given)
    )


def below(path: str) -> str:
    return f"{SERVED}/1/models/m-1/artifacts/{path}"


def test_a_file_that_a_server_over_s3_does_not_have_is_not_there(
    server: Server, opened: Callable[..., Artifacts]
) -> None:
    server.missing = 500
    assert opened().read(VERSION, "modelwatch/reference.parquet") is None
    entry = {"path": "reference.parquet", "is_dir": False, "file_size": "3"}
    server.folders["1/models/m-1/artifacts/modelwatch"] = [entry]
    with pytest.raises(StoreError, match="MLflow returned 500 for modelwatch/reference"):
        opened().read(VERSION, "modelwatch/reference.parquet")


def test_more_than_a_server_said_is_not_read(
    server: Server, opened: Callable[..., Artifacts], tmp_path: Path
) -> None:
    server.files[below("model.pkl")] = bytes(1_100_000)
    top = "1/models/m-1/artifacts"
    server.folders[top] = [{"path": "model.pkl", "is_dir": False, "file_size": 10}]
    with pytest.raises(ModelLoadError, match="over 1 MB, more than is loaded"):
        opened().read(VERSION, "model.pkl")
    with pytest.raises(ModelLoadError, match="over 1 MB, more than is loaded"):
        opened().download(VERSION, tmp_path)
    server.files[below("model.pkl")] = server.files[below("other")] = bytes(600_000)
    server.folders[top] += [{"path": "other"}]
    with pytest.raises(ModelLoadError, match="has 1 MB; at most 1 MB are loaded"):
        opened().download(VERSION, tmp_path)


def test_no_name_leads_out_of_the_version_and_no_list_has_no_end(
    server: Server, opened: Callable[..., Artifacts], tmp_path: Path
) -> None:
    top = "1/models/m-1/artifacts"
    server.folders[top] = [{"path": "../../evil.py"}]
    with pytest.raises(ModelLoadError, match="has an artifact outside itself"):
        opened().download(VERSION, tmp_path / "folder")
    server.folders[top] = [{"path": "", "is_dir": True}]
    server.folders[top] *= 1000
    with pytest.raises(ModelLoadError, match="over 10000 artifacts"):
        opened().download(VERSION, tmp_path / "folder")


def test_what_says_who_asks_follows_no_redirect_to_a_stranger(
    server: Server, opened: Callable[..., Artifacts]
) -> None:
    stranger = Server()
    stranger.files["/elsewhere"] = b"a model"
    with serving(stranger):
        server.answers[below("MLmodel")] = (302, b"", {"Location": f"{stranger.address}/elsewhere"})
        artifacts = opened(MLFLOW_TRACKING_HEADER="X-Proxy-Key: open sesame")
        assert artifacts.read(VERSION, "MLmodel") == b"a model"
    assert server.seen[0][1]["X-Proxy-Key"] == "open sesame"
    assert "X-Proxy-Key" not in stranger.seen[0][1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "dbfs:/databricks/mlflow/1/artifacts",
            "Databricks' file store, which MLFLOW_TRACKING_URI=databricks reads",
        ),
        ("file:///mlruns/1/artifacts", "a folder of the machine that MLflow runs on"),
        ("/mlruns/1/artifacts", "a folder of the machine that MLflow runs on"),
        ("gs://models/1", "at an address of the kind 'gs:'"),
        ("s3://another-bucket/1", "which is not in the model bucket 'modelwatch-models'"),
        ("mlflow-artifacts://evil.example/1/x", "which is not the server of MLFLOW_TRACKING_URI"),
        (f"http://evil.example{SERVED}/1/x", "which is not the server of MLFLOW_TRACKING_URI"),
        ("mlflow-artifacts:/", "no folder"),
        ("mlflow-artifacts:/1/../2", "no folder"),
        ("mlflow-artifacts:/1/%2e%2e/2", "no folder"),
        ("{server}/index.html", "no folder"),
    ],
)
def test_a_version_elsewhere_is_refused_with_what_would_be_right(
    source: str, message: str, server: Server, opened: Callable[..., Artifacts]
) -> None:
    version = ModelVersion("wine", "3", source.replace("{server}", server.address))
    with pytest.raises(ModelLoadError, match=message):
        opened().read(version, "MLmodel")
    assert not server.seen


@pytest.mark.parametrize("uri", ["models:/wine/3", "models:/wine@champion", "runs:/r/model"])
def test_an_address_that_leads_nowhere_is_said(uri: str, server: Server) -> None:
    api = "/api/2.0/mlflow"
    version = {"model_version": {"name": "wine", "version": "3"}}
    server.answers = {
        f"{api}/model-versions/get": (200, json.dumps(version).encode(), {}),
        f"{api}/model-versions/get-download-uri": (
            *(200, json.dumps({"artifact_uri": uri}).encode(), {}),
        ),
        f"{api}/runs/get": (200, b"{}", {}),
    }
    registry = registry_of(Settings({"MLFLOW_TRACKING_URI": server.address}))
    with pytest.raises(
        RegistryError, match=r"leads to no|names no version|is nothing at"
    ) as caught:
        registry.version("wine", "3")
    assert not isinstance(caught.value, NoModelError)


MANAGED = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/ours"


def test_an_mlflow_that_sagemaker_manages_gets_signed_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-session")
    known = MlflowHttp.of(Settings({"MLFLOW_TRACKING_URI": MANAGED}))
    assert known.address == "https://eu-central-1.experiments.sagemaker.aws"
    assert known.uri == MANAGED
    seen: list[Request] = []

    def respond(request: Request) -> tuple[int, object]:
        seen.append(request)
        return 200, {"registered_model": {"name": "größe + 1"}}

    with stand_in(respond) as address:
        http = MlflowHttp(address, headers=known.headers, sign=known.sign)
        MlflowRegistry(http).model("größe + 1")
        MlflowRegistry(http).tag_version("wine", "1", "owner", "größe")
        for each in seen:
            sent = httpx.Request(
                each.method, address + each.path, headers=dict(each.headers), content=each.body
            )
            assert each.headers["x-mlflow-sm-tracking-server-arn"] == MANAGED
            assert each.headers["X-Amz-Content-SHA256"] == hashlib.sha256(each.body).hexdigest()
            expected = expected_signature(sent, "sagemaker-mlflow", "eu-central-1")
            assert each.headers["Authorization"].endswith(f"Signature={expected}")
            assert each.headers["X-Amz-Security-Token"] == "of-the-session"
    assert [each.method for each in seen] == ["GET", "POST"]


def test_a_refusal_of_sagemakers_says_whose_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    sign = MlflowHttp.of(Settings({"MLFLOW_TRACKING_URI": MANAGED})).sign
    with (
        stand_in(lambda _: (403, {"message": "no"})) as address,
        pytest.raises(RegistryError, match="403: these AWS credentials may not ask it"),
    ):
        MlflowRegistry(MlflowHttp(address, sign=sign)).names()


@pytest.mark.parametrize("uri", ["arn:aws:s3:::x", MANAGED + "/more", "/mlruns"])
def test_what_is_no_server_is_refused(uri: str) -> None:
    with pytest.raises(SettingError, match="or the ARN of an MLflow that SageMaker manages"):
        _ = Settings({"MLFLOW_TRACKING_URI": uri}).mlflow_tracking_uri
