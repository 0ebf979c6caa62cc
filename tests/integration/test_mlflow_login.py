"""A real MLflow that asks who you are: the registry signs in, and again with another password."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto import mock_aws

from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import RegistryError, StoreError
from modelwatch.settings import Settings
from running_stack import free_ports
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers

ADMIN = ("admin", "open sesame 1234")


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    login = tmp_path / "login.ini"
    login.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{tmp_path}/login.db\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    port = free_ports()
    environ = {
        "PATH": "/usr/bin:/bin",
        "MLFLOW_AUTH_CONFIG_PATH": str(login),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for a test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven more processes
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: responds(address) or server.poll() is not None)
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield address
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


def responds(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def test_the_registry_signs_in_by_a_secret_and_again_when_it_changed(uri: str) -> None:
    with pytest.raises(RegistryError, match="MLflow refused with 401"):
        registry_of(Settings({"MLFLOW_TRACKING_URI": uri})).names()
    with mock_aws():
        store = boto3.client("secretsmanager", region_name="us-east-1")
        arn = store.create_secret(Name="mlflow", SecretString=ADMIN[1])["ARN"]
        given = {"MLFLOW_TRACKING_USERNAME": ADMIN[0], "MLFLOW_TRACKING_PASSWORD": arn}
        registry = registry_of(Settings({"MLFLOW_TRACKING_URI": uri} | given))
        assert registry.names() == []
        changed = httpx.patch(
            f"{uri}/api/2.0/mlflow/users/update-password",
            json={
                "username": ADMIN[0],
                "password": "another one 1234",
                "current_password": ADMIN[1],
            },
            auth=ADMIN,
            timeout=60,
        )
        assert changed.status_code == 200, changed.text
        with pytest.raises(RegistryError, match="refused with 401"):
            registry.names()
        # the server keeps artifacts behind itself, as is its default
        settings = Settings({"MLFLOW_TRACKING_URI": uri} | given)
        artifacts = artifacts_of(settings)
        version = ModelVersion("wine", "1", "mlflow-artifacts:/0/models/m-1/artifacts")
        with pytest.raises(StoreError, match="MLflow refused with 401"):
            artifacts.write(version, "MLmodel", b"flavors: {}")
        store.put_secret_value(SecretId=arn, SecretString="another one 1234")
        assert registry.names() == []
        artifacts.write(version, "MLmodel", b"flavors: {}")
        assert artifacts_of(settings).read(version, "MLmodel") == b"flavors: {}"
