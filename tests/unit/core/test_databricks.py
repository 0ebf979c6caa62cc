"""Databricks' registries: a stand-in responds as their REST API is documented."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from moto import mock_aws

from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.registries import NewVersion, artifacts_of, registry_of
from modelwatch.adapters.registries.databricks import CatalogArtifacts
from modelwatch.adapters.registries.mlflow import MlflowRegistry
from modelwatch.adapters.registries.mlflow_http import MlflowHttp
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import (
    ModelLoadError,
    NoModelError,
    RegistryError,
    SettingError,
    StoreError,
)
from modelwatch.settings import Settings
from stand_in import Request, stand_in

API = "/api/2.0/mlflow/"
CATALOG = f"{API}unity-catalog/"
TOKEN = "dapi-of-the-tests"
NAME = "main.risk.churn"
PLACE = "s3://unity/models/7f/versions/9a"


class Databricks:
    """Responds by path; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[Request] = []
        self.token = TOKEN

    def __call__(self, request: Request) -> tuple[int, Any]:
        self.asked.append(request)
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return 403, {"error_code": 403, "message": "Invalid access token."}
        parts = urlsplit(request.path)
        answer = self.answers.get(parts.path)
        if callable(answer):
            answer = answer(**dict(parse_qsl(parts.query)))
        if answer is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not there"}
        return 200, answer


@pytest.fixture
def databricks() -> Databricks:
    return Databricks()


@pytest.fixture
def host(databricks: Databricks) -> Iterator[str]:
    with stand_in(databricks) as address:
        yield address


def settings(host: str, uri: str = "databricks", **more: str) -> Settings:
    given = {"MLFLOW_TRACKING_URI": uri, "DATABRICKS_HOST": host, "DATABRICKS_TOKEN": TOKEN}
    return Settings(given | {"MODEL_MAX_MB": "1"} | more)


def knows(databricks: Databricks, prefix: str, uri: str, name: str = NAME) -> None:
    databricks.answers |= {
        f"{prefix}registered-models/get": {
            "registered_model": {"name": name, "aliases": [{"alias": "production", "version": "4"}]}
        },
        f"{prefix}model-versions/get": {
            "model_version": {"name": name, "version": "4", "run_id": "r1", "source": "dbfs:/x"}
        },
        f"{prefix}model-versions/get-download-uri": {"artifact_uri": uri},
        f"{API}runs/get": {"run": {"data": {"metrics": [{"key": "auc", "value": 0.9}]}}},
    }


FILES = {
    "MLmodel": b"flavors: {}",
    "model.pkl": b"weights",
    "metadata/conda.yaml": b"name: env",
}


def listing(path: str = "", page_token: str = "", **_: str) -> dict[str, Any] | None:
    """List a folder of `FILES`, one entry a page, with paths as from the version's top."""
    inside = sorted(each for each in FILES if each.startswith(f"{path}/" if path else ""))
    entries: list[dict[str, Any]] = []
    for each in inside:
        rest = each.removeprefix(f"{path}/" if path else "")
        if "/" in rest:
            entries.append({"path": f"{path}/{rest.partition('/')[0]}".strip("/"), "is_dir": True})
        else:
            entries.append({"path": each, "is_dir": False, "file_size": str(len(FILES[each]))})
    if not entries:
        return None
    place = int(page_token or 0)
    more = {"next_page_token": str(place + 1)} if place + 1 < len(entries) else {}
    return {"files": entries[place : place + 1], **more}


@pytest.fixture
def links(databricks: Databricks) -> Iterator[list[Request]]:
    """Another server, as S3 is, to which Databricks' links lead."""
    seen: list[Request] = []

    def serve(request: Request) -> tuple[int, Any]:
        seen.append(request)
        path = urlsplit(request.path).path.lstrip("/")
        return (200, FILES[path]) if path in FILES else (403, b"no")

    with stand_in(serve) as address:
        headers = [{"name": "x-amz-server-side-encryption-customer-key", "value": "k"}]
        databricks.answers |= {
            f"{API}model-versions/list-artifacts": listing,
            f"{API}model-versions/get-signed-download-uri": lambda path, **_: {
                "signed_uri": f"{address}/{path}?X-Amz-Signature=s",
                "headers": headers,
            },
        }
        yield seen


def test_the_workspaces_registry_is_read_by_links(
    databricks: Databricks, host: str, links: list[Request], tmp_path: Path
) -> None:
    knows(databricks, API, "dbfs:/databricks/mlflow-registry/1/models/churn", "churn")
    given = settings(host)
    registry = registry_of(given)
    version = registry.resolve("churn", "production")
    assert (version.version, version.run_id) == ("4", "r1")
    assert registry.metrics(version) == {"auc": 0.9}
    artifacts = artifacts_of(given)
    artifacts.download(version, tmp_path)
    found = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == FILES
    assert artifacts.read(version, "metadata/conda.yaml") == b"name: env"
    assert artifacts.read(version, "modelwatch/manifest.json") is None
    # the token is for Databricks; what a link needs, Databricks says
    assert {each.headers["Authorization"] for each in databricks.asked} == {f"Bearer {TOKEN}"}
    assert {each.headers["Authorization"] for each in links} == {None}
    assert {each.headers["x-amz-server-side-encryption-customer-key"] for each in links} == {"k"}


@pytest.mark.usefixtures("links")
def test_a_link_that_is_not_kept_or_gives_too_much_is_said(
    databricks: Databricks, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ModelVersion("churn", "4", "dbfs:/x")
    artifacts = artifacts_of(settings(host))
    monkeypatch.setitem(FILES, "model.pkl", bytes(1_100_000))
    listed = {"files": [{"path": each} for each in ("model.pkl", "gone")]}
    databricks.answers[f"{API}model-versions/list-artifacts"] = listed
    with pytest.raises(ModelLoadError, match="over 1 MB, more than is loaded"):
        artifacts.read(version, "model.pkl")
    with pytest.raises(StoreError, match="the link of Databricks for gone returned 403"):
        artifacts.read(version, "gone")
    databricks.answers[f"{API}model-versions/list-artifacts"] = {"files": "none"}
    with pytest.raises(StoreError, match="an unexpected response of Databricks"):
        artifacts.read(version, "model.pkl")


def test_a_list_without_an_end_is_not_read_without_an_end(
    databricks: Databricks, host: str, tmp_path: Path
) -> None:
    version = ModelVersion("churn", "4", "dbfs:/x")
    artifacts = artifacts_of(settings(host))
    databricks.answers[f"{API}model-versions/list-artifacts"] = {"next_page_token": "again"}
    assert artifacts.read(version, "model.pkl") is None
    databricks.answers[f"{API}model-versions/list-artifacts"] = {
        "files": [{"path": f"f{number}"} for number in range(6_000)],
        "next_page_token": "again",
    }
    with pytest.raises(ModelLoadError, match="has over 10000 artifacts"):
        artifacts.download(version, tmp_path)


@pytest.fixture
def catalog(databricks: Databricks, host: str) -> Iterator[Callable[..., Artifacts]]:
    """Unity Catalog with `FILES` on S3; makes what reads them, with a clock of the test's own."""
    knows(databricks, CATALOG, PLACE)
    databricks.answers[f"{CATALOG}model-versions/generate-temporary-credentials"] = {
        "credentials": {
            "aws_temp_credentials": {
                "access_key_id": "ASIA1",
                "secret_access_key": "s",
                "session_token": "t",
            },
            "expiration_time": "1000000",
        }
    }
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="unity")
        for path, payload in FILES.items():
            s3.put_object(
                Bucket="unity", Key=f"{PLACE.partition('unity/')[2]}/{path}", Body=payload
            )
        # another version, whose place begins with the same characters
        s3.put_object(Bucket="unity", Key="models/7f/versions/9ab/MLmodel", Body=b"another")
        yield lambda open_s3, now: CatalogArtifacts(
            MlflowHttp.of(settings(host, "databricks-uc")), open_s3, now=now
        )


def test_unity_catalog_lends_credentials_for_a_versions_files(
    databricks: Databricks, host: str, catalog: Callable[..., Artifacts], tmp_path: Path
) -> None:
    registry = registry_of(settings(host, "databricks-uc"))
    version = registry.resolve(NAME, "production")
    assert (version.source, registry.metrics(version)) == (PLACE, {"auc": 0.9})
    borrowed: list[tuple[str, ...]] = []

    def open_s3(*keys: str) -> Any:
        borrowed.append(keys)
        return boto3.client("s3", region_name="us-east-1")

    now = [0.0]
    artifacts = catalog(open_s3, lambda: now[0])
    artifacts.download(version, tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "MLmodel",
        "model.pkl",
        "conda.yaml",
    }
    assert artifacts.read(version, "MLmodel") == FILES["MLmodel"]
    assert artifacts.read(version, "modelwatch/manifest.json") is None
    assert borrowed == [("ASIA1", "s", "t")]
    now[0] = 701.0
    assert artifacts.read(version, "MLmodel") == FILES["MLmodel"]
    assert len(borrowed) == 2, "credentials that end in five minutes are asked for anew"
    (asked, _) = [each for each in databricks.asked if each.method == "POST"]
    assert b'"MODEL_VERSION_OPERATION_READ"' in asked.body


@pytest.mark.usefixtures("catalog")
def test_our_own_client_reads_what_unity_catalog_lends(host: str) -> None:
    artifacts = artifacts_of(settings(host, "databricks-uc", AWS_DEFAULT_REGION="us-east-1"))
    version = ModelVersion(NAME, "4", PLACE)
    assert artifacts.read(version, "model.pkl") == FILES["model.pkl"]


@pytest.mark.parametrize(
    ("source", "lent", "why"),
    [
        ("abfss://c@acme.dfs.core.windows.net/m", {}, "its storage has to be on AWS"),
        ("s3://unity", {}, "its storage has to be on AWS"),
        (PLACE, {"storage_mode": "DEFAULT_STORAGE"}, "lends no credentials of AWS"),
    ],
)
def test_a_place_that_cannot_be_read_is_said(
    databricks: Databricks, host: str, source: str, lent: dict[str, str], why: str
) -> None:
    place = f"{CATALOG}model-versions/generate-temporary-credentials"
    databricks.answers[place] = {"credentials": lent}
    artifacts = artifacts_of(settings(host, "databricks-uc"))
    with pytest.raises(ModelLoadError, match=why):
        artifacts.read(ModelVersion(NAME, "4", source), "MLmodel")


@pytest.mark.parametrize("uri", ["databricks", "databricks-uc"])
def test_nothing_is_written_to_databricks_but_tags_and_aliases(
    databricks: Databricks, host: str, uri: str
) -> None:
    given = settings(host, uri)
    registry, artifacts = registry_of(given), artifacts_of(given)
    with pytest.raises(StoreError, match="takes no files for a version that is registered"):
        artifacts.write(ModelVersion(NAME, "4", PLACE), "modelwatch/model.onnx", b"x")
    new: Any = NewVersion(model=None)  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="register it there"):
        registry.publish(NAME, "production", new, lambda _: {})
    with pytest.raises(RegistryError, match="is deleted on Databricks"):
        registry.remove(NAME)
    assert databricks.asked == []
    prefix = CATALOG if uri == "databricks-uc" else API
    databricks.answers |= {
        f"{prefix}registered-models/alias": {},
        f"{prefix}model-versions/set-tag": {},
    }
    registry.promote(NAME, "production", "4")
    registry.tag_version(NAME, "4", "checked", "yes")
    assert [(each.method, each.path) for each in databricks.asked] == [
        ("POST", f"{prefix}registered-models/alias"),
        ("POST", f"{prefix}model-versions/set-tag"),
    ]


def test_models_are_listed_page_by_page_with_a_size_that_databricks_takes(
    databricks: Databricks, host: str
) -> None:
    def search(max_results: str, page_token: str = "") -> dict[str, Any]:
        assert max_results == "100"
        if page_token:
            return {"registered_models": [{"name": NAME}]}
        # a page may be empty, and more may follow: rights are looked at afterwards
        return {"next_page_token": "2"}

    databricks.answers[f"{CATALOG}registered-models/search"] = search
    assert registry_of(settings(host, "databricks-uc")).names() == [NAME]


def test_what_is_not_there_is_no_model(databricks: Databricks, host: str) -> None:
    with pytest.raises(NoModelError, match="not there"):
        registry_of(settings(host, "databricks-uc")).resolve(NAME, "production")
    databricks.token = "another"
    with pytest.raises(RegistryError, match="403: DATABRICKS_TOKEN says who asks"):
        registry_of(settings(host)).names()


def test_a_token_that_ended_is_read_again(databricks: Databricks, host: str) -> None:
    databricks.answers[f"{API}registered-models/search"] = {}
    tokens = iter(["of yesterday", TOKEN])
    http = MlflowHttp(host, headers=lambda: {"Authorization": f"Bearer {next(tokens)}"})
    assert MlflowRegistry(http).names() == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"MLFLOW_TRACKING_URI": "databricks://prod"}, "names a profile"),
        ({"MLFLOW_TRACKING_URI": "databricks-uc://prod"}, "names a profile"),
        ({"DATABRICKS_HOST": ""}, "setting DATABRICKS_HOST: is needed"),
        ({"DATABRICKS_HOST": "adb-1.azuredatabricks.net"}, "setting DATABRICKS_HOST"),
        (
            {"MLFLOW_TRACKING_URI": "databricks-uc", "MODEL_STAGE": "Production"},
            "setting MODEL_STAGE: Unity Catalog has no stages",
        ),
    ],
)
def test_settings_that_lead_to_no_workspace_are_refused(given: dict[str, str], why: str) -> None:
    said = {"MLFLOW_TRACKING_URI": "databricks", "DATABRICKS_HOST": "https://w.example"} | given
    with pytest.raises(SettingError, match=why):
        registry_of(Settings(said))
