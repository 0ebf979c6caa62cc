"""What every model registry does: the same cases against the folder and a real MLflow server."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import mlflow.pyfunc
import pytest
from mlflow.server import constants
from msgspec.structs import replace

from modelwatch.adapters.registries import KINDS, NewVersion, Registry, artifacts_of, registry_of
from modelwatch.adapters.registries.base import MANIFEST_TAG
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.routing import Routing
from modelwatch.errors import (
    InvalidInputError,
    ModelLoadError,
    NoModelError,
    RegistryError,
    StoreError,
)
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.servers import MLFLOW_SERVER
from running_stack import free_ports
from stand_in import Request, stand_in
from waiting import PATIENCE_SECONDS, eventually

Open = Callable[..., Registry]


class Zero(mlflow.pyfunc.PythonModel):
    """Predicts nothing but zeros."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - names of mlflow
        return [0] * len(model_input)


class Saved:
    """The model of a new version, as MLflow writes it down."""

    def __init__(self) -> None:
        self._arguments = {"python_model": Zero(), "pip_requirements": []}

    def save(self, path: str) -> None:
        mlflow.pyfunc.save_model(path, **self._arguments)

    def log(self) -> object:
        return mlflow.pyfunc.log_model(name="model", **self._arguments)


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_ports()
    command = [
        *(sys.executable, "-P", str(MLFLOW_SERVER), f"sqlite:///{folder}/mlflow.sqlite"),
        *("mlflow-artifacts:/", "127.0.0.1", str(port)),
    ]
    # as `mlflow server` is without an option for artifacts
    environ = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: str(folder / "artifacts"),
    }
    uri = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
        )

    def is_up() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        try:
            return httpx.get(f"{uri}/health", timeout=60).is_success
        except httpx.TransportError:
            return False

    try:
        eventually(is_up)
        yield uri
    finally:
        os.killpg(server.pid, 15)
        server.wait(PATIENCE_SECONDS)


@pytest.fixture(params=["folder", pytest.param("mlflow", marks=pytest.mark.servers)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return the settings that name the registry."""
    if request.param == "folder":
        return {"MODEL_REGISTRY": (tmp_path / "models").as_uri()}
    return {"MLFLOW_TRACKING_URI": request.getfixturevalue("mlflow_uri")}


@pytest.fixture
def opened(where: dict[str, str]) -> Open:
    """Return what opens the registry anew: ``opened(MODEL_STAGE="Staging")``."""
    return lambda **given: registry_of(Settings({**where, **given}))


@pytest.fixture
def name() -> str:
    """A model that no other test knows, in a registry that is shared by some."""
    return f"größe & co. ({uuid.uuid4().hex[:6]})"


def publish(registry: Registry, name: str, digest: str = "00", **metrics: float) -> str:
    new = NewVersion(Saved(), {"depth": 4}, metrics, {"why": "a test"})
    done = registry.publish(name, "production", new, lambda _: {MANIFEST_TAG: digest})
    assert (done.version.name, done.version.alias) == (name, "production")
    assert done.version.manifest_sha256 == digest
    return done.version.version


def test_a_version_is_published_and_found(opened: Open, name: str) -> None:
    assert publish(opened(), name, "aa", f1=0.5, loss=math.nan) == "1"
    assert publish(opened(), name, "bb", f1=1 / 3) == "2"
    registry = opened()
    assert name in registry.names()
    model = registry.model(name)
    assert (model.name, model.aliases, model.routing) == (name, {"production": "2"}, None)
    found = registry.resolve(name, "production")
    assert (found.version, found.alias, found.manifest_sha256) == ("2", "production", "bb")
    plan = registry.plan(name, "production")
    assert (plan.routing, plan.versions) == (Routing({"production": 1}), {"production": found})
    first = registry.version(name, "1")
    assert (first.manifest_sha256, first.alias) == ("aa", "")
    assert first.source != found.source
    assert registry.metrics(found) == {"f1": 1 / 3}
    assert registry.metrics(first)["f1"] == 0.5
    assert math.isnan(registry.metrics(first)["loss"])


def test_the_files_of_a_version_are_there_when_it_is_completed(
    opened: Open, name: str, where: dict[str, str], tmp_path: Path
) -> None:
    artifacts = artifacts_of(Settings(where))
    added = "modelwatch/größe & %.json"

    def complete(version: ModelVersion) -> dict[str, str]:
        artifacts.download(version, tmp_path / "before")
        artifacts.write(version, added, b"{}")
        return {}

    opened().publish(name, "production", NewVersion(Saved()), complete)
    seen = {file.name for file in (tmp_path / "before").iterdir()}
    assert {"MLmodel", "python_model.pkl", "requirements.txt"} <= seen
    version = opened().resolve(name, "production")
    assert artifacts.read(version, added) == b"{}"
    assert artifacts.read(version, "modelwatch/other.json") is None
    assert artifacts.read(version, "nowhere/at/all") is None
    with pytest.raises(ModelLoadError, match="is not what was registered"):
        artifacts.read(version, added, "00")
    artifacts.download(version, tmp_path / "after")
    assert (tmp_path / "after" / added).read_bytes() == b"{}"


def test_a_version_that_is_too_large_is_not_read(
    opened: Open, name: str, where: dict[str, str], tmp_path: Path
) -> None:
    publish(opened(), name)
    version = opened().resolve(name, "production")
    artifacts_of(Settings(where)).write(version, "large", bytes(1_100_000))
    small = artifacts_of(Settings(where | {"MODEL_MAX_MB": "1"}))
    with pytest.raises(ModelLoadError, match="has 1 MB; at most 1 MB are loaded"):
        small.read(version, "large")
    with pytest.raises(ModelLoadError, match="has 1 MB; at most 1 MB are loaded"):
        small.download(version, tmp_path)
    assert small.read(version, "MLmodel")


@pytest.mark.servers
def test_a_version_of_mlflow_is_found_by_every_address_of_it(mlflow_uri: str, name: str) -> None:
    settings = Settings({"MLFLOW_TRACKING_URI": mlflow_uri})
    publish(registry_of(settings), name)
    first = registry_of(settings).version(name, "1")
    assert first.source.startswith("mlflow-artifacts:/")
    client = mlflow.MlflowClient(mlflow_uri)
    model_id = client.search_logged_models([client.get_run(first.run_id).info.experiment_id])[
        0
    ].model_id
    run = {"run_id": first.run_id}

    def located(source: str, **given: str) -> ModelVersion:
        made = client.create_model_version(name, source, **given)
        return registry_of(settings).version(name, str(made.version))

    served = f"{mlflow_uri}/api/2.0/mlflow-artifacts/artifacts"
    for version in (
        located(f"models:/{name}/1", **run),
        located(f"models:/{model_id}", model_id=model_id),
        located(f"runs:/{first.run_id}/model", **run),
    ):
        assert version.source == first.source
        assert artifacts_of(settings).read(version, "MLmodel")
    by_address = replace(first, source=first.source.replace("mlflow-artifacts:", served))
    assert artifacts_of(settings).read(by_address, "MLmodel")
    logged_before = located(f"runs:/{first.run_id}/other", **run)
    assert logged_before.source.endswith(f"{first.run_id}/artifacts/other")
    assert artifacts_of(settings).read(logged_before, "MLmodel") is None


def test_a_header_of_ones_own_is_sent_by_mlflows_client_too(name: str) -> None:
    seen: list[str | None] = []

    def refuse(request: Request) -> tuple[int, object]:
        seen.append(request.headers["X-Proxy-Key"])
        return 404, {"error_code": "PERMISSION_DENIED", "message": "no"}

    with stand_in(refuse) as uri:
        given = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_TRACKING_HEADER": "X-Proxy-Key: sesame"}
        with pytest.raises(RegistryError, match="MLflow refused it"):
            registry_of(Settings(given)).publish(
                name, "production", NewVersion(Saved()), lambda _: {}
            )
    assert set(seen) == {"sesame"}


def test_an_alias_moves_there_and_back(opened: Open, name: str) -> None:
    for _ in range(2):
        publish(opened(), name)
    opened().promote(name, "production", "1")
    opened().promote(name, "candidate", "2")
    assert opened().model(name).aliases == {"production": "1", "candidate": "2"}
    with pytest.raises(NoModelError):
        opened().promote(name, "production", "7")
    assert opened().resolve(name, "production").version == "1"


@pytest.mark.parametrize("existing", [False, True])
def test_a_step_that_fails_leaves_nothing(opened: Open, name: str, existing: bool) -> None:
    if existing:
        publish(opened(), name)

    def complete(_: ModelVersion) -> dict[str, str]:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        opened().publish(name, "production", NewVersion(Saved()), complete)
    assert (name in opened().names()) == existing
    if existing:
        assert opened().resolve(name, "production").version == "1"
        with pytest.raises(NoModelError):
            opened().version(name, "2")
    else:
        with pytest.raises(NoModelError):
            opened().model(name)
        assert publish(opened(), name) == "1"


def test_a_tag_takes_the_place_of_another(opened: Open, name: str) -> None:
    publish(opened(), name, "aa")
    opened().tag_version(name, "1", MANIFEST_TAG, "bb")
    opened().tag_version(name, "1", "onnx", "verified")
    assert opened().version(name, "1").manifest_sha256 == "bb"
    with pytest.raises(NoModelError):
        opened().tag_version(name, "2", "onnx", "none")


def test_requests_are_shared_out(opened: Open, name: str) -> None:
    for _ in range(3):
        publish(opened(), name)
    opened().promote(name, "production", "1")
    opened().promote(name, "candidate", "2")
    routing = Routing({"production": 9, "candidate": 1}, ("shadow",))
    opened().route(name, routing)
    plan = opened().plan(name, "production")
    assert plan.routing == opened().model(name).routing == routing
    found = {alias: version.version for alias, version in plan.versions.items()}
    assert found == {"production": "1", "candidate": "2"}, "the alias 'shadow' points nowhere"
    opened().route(name, None)
    assert opened().plan(name, "production").routing == Routing({"production": 1})


def test_the_newest_version_in_a_stage_is_followed(opened: Open, name: str) -> None:
    for _ in range(3):
        publish(opened(), name)
    staged = opened(MODEL_STAGE="production")
    with pytest.raises(NoModelError, match="no version in stage 'production'"):
        staged.plan(name, "production")
    opened().to_stage(name, "1", "Production")
    assert staged.plan(name, "production").versions["production"].version == "1"
    opened().to_stage(name, "2", "production")
    assert opened().model(name).stages == {"Production": "2", "Archived": "1", "None": "3"}
    assert staged.plan(name, "production").versions["production"].version == "2"
    assert staged.resolve(name, "production").version == "2"
    with pytest.raises(NoModelError):
        opened().to_stage(name, "9", "Production")
    assert opened().model(name).in_stage("Production") == "2"


def test_what_is_not_there_is_no_model(opened: Open, name: str) -> None:
    publish(opened(), name)
    registry = opened()
    for ask in (registry.plan, registry.resolve):
        with pytest.raises(NoModelError, match="promote VERSION --alias candidate"):
            ask(name, "candidate")
        with pytest.raises(NoModelError, match=r"register_model.*modelwatch train"):
            ask(f"{name} 2", "production")
    # an application may call its versions as it likes
    for version in ("2", "0", "../1", "2026-06", "v1", "latest", ""):
        with pytest.raises(NoModelError):
            registry.version(name, version)
    # and its model, where no registry has such a name
    with pytest.raises(NoModelError):
        registry.version("..wine", "1")
    with pytest.raises(NoModelError):
        registry.route(f"{name} 2", Routing({"production": 1}))


@pytest.mark.parametrize(
    "wrong",
    ["", "a/b", "a=b", "a:b", "tab\there", "end\n", "n" * 251, "__HIVE_DEFAULT_PARTITION__"],
)
def test_a_name_that_no_record_can_have_is_refused(opened: Open, wrong: str) -> None:
    with pytest.raises(InvalidInputError, match="is no name of a model"):
        publish(opened(), wrong)


def test_what_is_no_alias_and_no_stage_is_refused(opened: Open, name: str) -> None:
    publish(opened(), name)
    for wrong in ("", "latest", "v2", "a b", "a.b", "a\n", "a" * 256):
        with pytest.raises(InvalidInputError, match="is not an alias"):
            opened().promote(name, wrong, "1")
        with pytest.raises(InvalidInputError, match="is not an alias"):
            opened().publish(name, wrong, NewVersion(Saved()), lambda _: {})
    with pytest.raises(InvalidInputError, match="is not one of Staging, Production, Archived"):
        opened().to_stage(name, "1", "Prod")
    assert opened().model(name).aliases == {"production": "1"}


@pytest.mark.parametrize("odd", [".lock", "a%20b", "a b", "~", "ß" * 46, "n" * 250])
def test_any_valid_name_is_a_model(opened: Open, odd: str) -> None:
    publish(opened(), odd)
    assert opened().resolve(odd, "production").version == "1"
    assert odd in opened().names()


def test_a_removed_model_is_gone(opened: Open, name: str) -> None:
    publish(opened(), name)
    opened().remove(name)
    assert name not in opened().names()
    with pytest.raises(NoModelError):
        opened().resolve(name, "production")
    with pytest.raises(NoModelError):
        opened().remove(name)


def test_nothing_else_names_a_registry() -> None:
    root = Path(__file__).parents[2]
    files = [
        *(root / "functions").rglob("*.py"),
        *(root / "cli").rglob("*.py"),
        *(root / "bridge").rglob("*.py"),
        *(root / "layers/core/modelwatch").rglob("*.py"),
    ]
    kinds = {target.partition(":")[2] for target in KINDS.values()}
    found = {
        path.name
        for path in files
        if path.parent.name != "registries"
        and re.search(rf"{'|'.join(kinds)}|api/2.0/mlflow|\bS3Artifacts\(\w+[,)]", path.read_text())
        and path.name != "s3_artifacts.py"
    }
    assert found == set()
