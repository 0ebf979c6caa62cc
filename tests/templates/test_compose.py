"""compose.yaml is one that Compose accepts, and runs what `modelwatch up` runs.

Nothing is pulled or started here; `make test-compose` does that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwatch_bridge.settings import BridgeSettings
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack import servers
from modelwatch_cli.stack.plan import Plan

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).parent / "docker-compose"
SECRETS = {
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "POSTGRES_PASSWORD": "p@ss/word",
    "GRAFANA_ADMIN_PASSWORD": "password",
}
PORTS = ("LOCALSTACK_PORT", "S3_PORT", "MLFLOW_PORT", "BRIDGE_PORT", "PROMETHEUS_PORT")
GRAFANA_PORT = 3000


IMAGES = {
    "db": "POSTGRES_IMAGE",
    "grafana": "GRAFANA_IMAGE",
    "modelwatch": "MODELWATCH_IMAGE",
    "prometheus": "PROMETHEUS_IMAGE",
    "s3": "MINIO_IMAGE",
}


def _config(directory: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config`, without the .env that a developer may have."""
    command = ["config", "--format", "json", "--no-path-resolution"]
    return subprocess.run(
        [COMPOSE, "-f", ROOT / "compose.yaml", "--project-directory", directory,
         "--profile", "tools", *command],
        env={"PATH": os.environ["PATH"], "HOME": str(directory), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    outcome = _config(tmp_path_factory.mktemp("compose"), SECRETS)
    assert outcome.returncode == 0, outcome.stderr
    return dict(json.loads(outcome.stdout)["services"])


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan.of({"MODELWATCH_HOME": str(tmp_path)})


@pytest.mark.parametrize("secret", SECRETS)
def test_there_is_no_default_for_a_secret(tmp_path: Path, secret: str) -> None:
    outcome = _config(tmp_path, {name: value for name, value in SECRETS.items() if name != secret})
    assert outcome.returncode != 0
    assert f"set {secret} in .env" in outcome.stderr


def test_only_the_shared_network_publishes_and_only_to_this_machine(services):
    assert [name for name, service in services.items() if service.get("ports")] == ["network"]
    ports = services["network"]["ports"]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert all(int(port["published"]) == port["target"] for port in ports)
    defaults = {int(Settings({}).text(name)) for name in PORTS}
    assert {port["target"] for port in ports} == {*defaults, GRAFANA_PORT}
    others = {name for name in services if name != "network"}
    assert {services[name]["network_mode"] for name in others} == {"service:network"}


def test_every_image_is_pinned_or_built_here(services: dict[str, Any]) -> None:
    for service in services.values():
        if service["image"] == "modelwatch":
            assert (ROOT / service["build"]["dockerfile"]).exists()
        else:
            assert _is_pinned(service["image"])


def test_every_image_can_come_from_a_mirror(tmp_path: Path) -> None:
    mirrored = {name: f"mirror.example/{name.lower()}:1" for name in IMAGES.values()}
    outcome = _config(tmp_path, {**SECRETS, **mirrored, "BASE_IMAGE": "mirror.example/python:1"})
    services = json.loads(outcome.stdout)["services"]
    assert {service["image"] for service in services.values()} == set(mirrored.values())
    for name, variable in IMAGES.items():
        assert services[name]["image"] == mirrored[variable]
    assert services["modelwatch"]["build"]["args"] == {"BASE_IMAGE": "mirror.example/python:1"}


def test_dockerfiles_are_built_on_the_base_that_they_are_given(services: dict[str, Any]) -> None:
    (default,) = services["modelwatch"]["build"]["args"].values()
    assert _is_pinned(default)
    for name in ("templates/compose/Dockerfile", "localstack/Dockerfile"):
        lines = (ROOT / name).read_text().splitlines()
        assert f"ARG BASE_IMAGE={default}" in lines
        assert [line for line in lines if line.startswith("FROM ")] == ["FROM ${BASE_IMAGE}"]


def _is_pinned(image: str) -> bool:
    _, _, tag = image.rpartition(":")
    return any(character.isdigit() for character in tag)


def test_every_server_has_a_health_check(services: dict[str, Any]) -> None:
    jobs = {"buckets", "modelwatch"}  # they end by themselves
    for name in services.keys() - jobs:
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_every_service_waits_until_what_it_needs_is_well(services: dict[str, Any]) -> None:
    for name in services.keys() - {"network"}:
        needed = services[name]["depends_on"]
        assert "network" in needed  # if nothing else: Compose adds it itself
        for other in needed.keys() - {"network"}:
            done = other == "buckets"
            wanted = "service_completed_successfully" if done else "service_healthy"
            assert needed[other]["condition"] == wanted


def test_what_is_kept_is_in_volumes(services: dict[str, Any]) -> None:
    kept = {
        mount["target"]
        for service in services.values()
        for mount in service.get("volumes", [])
        if mount["type"] == "volume"
    }
    assert {"/data", "/var/lib/postgresql/data", "/var/lib/bridge", "/prometheus"} <= kept


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    bound = [mount for mount in mounts if mount["type"] == "bind"]
    assert bound
    for mount in bound:
        assert (ROOT / mount["source"]).exists()
        assert mount["read_only"]


def test_the_stack_is_found_as_modelwatch_up_says(services: dict[str, Any], plan: Plan) -> None:
    stack_variables = plan.stack_env()
    # folders of this machine: containers have their own
    own = {"IMAGE_REPOSITORY", "MODEL_CACHE"}
    for name in ("bridge", "buckets", "mlflow", "modelwatch"):
        environ = services[name]["environment"]
        assert stack_variables.keys() - own <= environ.keys()
        for variable in stack_variables.keys() - own:
            if "KEY" not in variable:
                assert environ[variable] == stack_variables[variable]
        assert environ["AWS_ACCESS_KEY_ID"] == environ["S3_ACCESS_KEY_ID"] == "key"
        assert environ["AWS_SECRET_ACCESS_KEY"] == environ["S3_SECRET_ACCESS_KEY"] == "secret"


def test_every_variable_of_the_bridge_is_declared(services: dict[str, Any], plan: Plan) -> None:
    declared = BridgeSettings.declared().keys()
    assert services["bridge"]["environment"].keys() - plan.stack_env().keys() <= declared


def test_localstack_runs_as_it_does_without_docker(services: dict[str, Any], plan: Plan) -> None:
    part = servers.localstack(plan)
    inherited = plan.base_environ().keys() - {"PATH", "HOME", "TMPDIR"}
    here = {name: value for name, value in part.environ().items() if name not in inherited}
    there = services["localstack"]["environment"]
    assert there.keys() - here.keys() == set()
    assert here.keys() - there.keys() <= {"PYTHONUNBUFFERED"}  # the image has it
    for name, value in here.items():
        if name in there and "/" not in value and name != "GATEWAY_LISTEN":
            assert there[name] == value, name
    assert services["localstack"]["command"][1:] == part.command[1:]


def test_mlflow_runs_as_it_does_without_docker(services: dict[str, Any], plan: Plan) -> None:
    part = servers.mlflow(plan)
    _, artifacts, *_ = part.command[part.command.index(str(servers.MLFLOW_SERVER)) + 1 :]
    command = services["mlflow"]["command"]
    assert "--no-serve-artifacts" in command
    assert f"--default-artifact-root={artifacts}" in command
    here = dict(part.environ())
    assert f"--allowed-hosts={here.pop('MLFLOW_SERVER_ALLOWED_HOSTS')}" in command
    environ = services["mlflow"]["environment"]
    for name, value in here.items():
        if name.startswith(("MLFLOW_", "DO_NOT")):
            assert environ[name] == value


def test_mlflow_keeps_its_records_in_the_database(services: dict[str, Any]) -> None:
    mlflow, db = services["mlflow"], services["db"]
    assert mlflow["environment"]["PGUSER"] == db["environment"]["POSTGRES_USER"]
    assert mlflow["environment"]["PGPASSWORD"] == db["environment"]["POSTGRES_PASSWORD"]
    store = next(word for word in mlflow["command"] if word.startswith("--backend-store-uri="))
    # no password: it would show in every list of processes
    assert store.endswith(
        f"=postgresql+psycopg://127.0.0.1:5432/{db['environment']['POSTGRES_DB']}"
    )


def test_prometheus_runs_as_it_does_without_docker(services: dict[str, Any], plan: Plan) -> None:
    here = {option.split("=")[0] for option in servers.prometheus(plan).command[1:]}
    assert {option.split("=")[0] for option in services["prometheus"]["command"]} == here
    targets = json.loads((ROOT / "templates/prometheus/targets/bridge.json").read_text())
    assert targets[0]["targets"] == [f"127.0.0.1:{plan.port('BRIDGE_PORT')}"]


def test_grafana_gets_what_its_provisioning_asks_for(services: dict[str, Any]) -> None:
    environ = services["grafana"]["environment"]
    for file in (ROOT / "templates/grafana/provisioning").rglob("*.yml"):
        for line in file.read_text().splitlines():
            _, dollar, name = line.partition(": $")
            if dollar:
                assert name in environ
    mounted = {mount["target"] for mount in services["grafana"]["volumes"]}
    assert environ["DASHBOARDS_PATH"] in mounted
    assert environ["PROMETHEUS_URL"] == f"http://127.0.0.1:{Settings({}).text('PROMETHEUS_PORT')}"
