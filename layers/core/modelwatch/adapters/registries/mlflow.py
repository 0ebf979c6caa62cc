"""MLflow's model registry, over its REST API: mlflow itself takes seconds to import.

Only `publish` imports it: what is published is logged by MLflow's own functions.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
import urllib3

from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.registries.base import (
    MANIFEST_TAG,
    REMEDY,
    Complete,
    NewVersion,
    Published,
    Registry,
    Step,
)
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.routing import ROUTING_TAG, RegisteredModel, Routing, read_routing
from modelwatch.errors import NoModelError, RegistryError, SettingError
from modelwatch.settings.serving import RegistrySettings

_LOG = logging.getLogger(__name__)

_READING = urllib3.Timeout(connect=2.0, read=5.0)
_RETRIES = urllib3.Retry(total=1, backoff_factor=0.2)
_PEM = "-----BEGIN"
_WRITING = urllib3.Timeout(connect=2.0, read=30.0)


class MlflowRegistry(Registry):
    """The registry of the MLflow server at ``tracking_uri``.

    Parameters
    ----------
    headers
        Returns what is sent with every request and says who asks. It is asked again when MLflow
        does not accept it: a password may be another one now.
    certificates
        Returns the file or text of certificates (PEM) that its address is checked by; empty: those
        of the system.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        stage: str = "",
        stage_alias: str = "",
        headers: Callable[[], Mapping[str, str]] = dict,
        certificates: Callable[[], str] = str,
    ) -> None:
        super().__init__(stage=stage, stage_alias=stage_alias)
        self._tracking_uri = tracking_uri
        self._base = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow"
        self._headers = headers
        self._certificates = certificates
        # where a version's artifacts are never changes
        self._versions: dict[tuple[str, str], ModelVersion] = {}

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the registry at MLFLOW_TRACKING_URI."""
        return cls(
            settings.mlflow_tracking_uri,
            stage=settings.model_stage,
            stage_alias=settings.model_alias,
            headers=lambda: _authorization(settings),
            certificates=lambda: secret(settings, "MLFLOW_CA_BUNDLE"),
        )

    @cached_property
    def _http(self) -> urllib3.PoolManager:
        found = self._certificates()
        trusted = _trust(found) if found else None
        return urllib3.PoolManager(headers=dict(self._headers()), ssl_context=trusted)

    def names(self) -> list[str]:
        """Return the names of all models; see `Registry.names`."""
        names: list[str] = []
        token = ""
        while True:
            page = {"page_token": token} if token else {}
            found = self._call("GET", "registered-models/search", max_results="1000", **page)
            names += [str(each["name"]) for each in found.get("registered_models", ())]
            token = found.get("next_page_token", "")
            if not token:
                return sorted(names)

    def model(self, name: str) -> RegisteredModel:
        """Return a model; see `Registry.model`."""
        found = self._call("GET", "registered-models/get", name=name).get("registered_model") or {}
        tags = _tags(found)
        return RegisteredModel(
            name,
            {each["alias"]: str(each["version"]) for each in found.get("aliases", ())},
            read_routing(name, tags[ROUTING_TAG]) if ROUTING_TAG in tags else None,
            {
                str(each.get("current_stage", "None")): str(each["version"])
                for each in found.get("latest_versions", ())
            },
        )

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version; see `Registry.version`."""
        if (name, version) not in self._versions:
            query = {"name": name, "version": version}
            found = self._call("GET", "model-versions/get", **query).get("model_version") or {}
            uri = self._call("GET", "model-versions/get-download-uri", **query).get("artifact_uri")
            if found.get("name") != name or not uri:
                raise RegistryError("the model registry responded without a model version")
            self._versions[name, version] = ModelVersion(
                name=name,
                version=version,
                source=str(uri),
                run_id=found.get("run_id", ""),
                manifest_sha256=_tags(found).get(MANIFEST_TAG, ""),
            )
        return self._versions[name, version]

    def metrics(self, version: ModelVersion) -> dict[str, float]:
        """Return what the run of ``version`` measured; see `Registry.metrics`."""
        run = self._call("GET", "runs/get", run_id=version.run_id).get("run") or {}
        found = (run.get("data") or {}).get("metrics", ())
        # NaN comes as a text
        return {each["key"]: float(each["value"]) for each in found}

    def tag_version(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._call(
            "POST", "model-versions/set-tag", name=name, version=version, key=key, value=value
        )

    def route(self, name: str, routing: Routing | None) -> None:
        """Set a model's routing, or take it away."""
        if routing is None:
            self._call("DELETE", "registered-models/delete-tag", name=name, key=ROUTING_TAG)
            return
        value = msgspec.json.encode(routing).decode()
        self._call("POST", "registered-models/set-tag", name=name, key=ROUTING_TAG, value=value)

    def _promote(self, name: str, alias: str, version: str) -> None:
        self._call("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def _to_stage(self, name: str, version: str, stage: str) -> None:
        self._call(
            "POST",
            "model-versions/transition-stage",
            name=name,
            version=version,
            stage=stage,
            archive_existing_versions=True,
        )

    def _publish(
        self, name: str, alias: str, new: NewVersion, complete: Complete, step: Step
    ) -> Published:
        import mlflow

        mlflow.set_tracking_uri(self._tracking_uri)
        with (
            tempfile.TemporaryDirectory() as folder,
            _refusals(),
            contextlib.ExitStack() as undo,
        ):
            _sign_in(self._headers(), self._certificates(), folder)
            mlflow.set_experiment(name)
            client = mlflow.MlflowClient()
            step("logging the run to MLflow")
            with mlflow.start_run(nested=mlflow.active_run() is not None) as run:
                undo.callback(_undone, client.delete_run, run.info.run_id)
                mlflow.log_params(dict(new.parameters))
                mlflow.log_metrics(dict(new.metrics))
                mlflow.set_tags(dict(new.notes))
                logged = new.model.log()
            if logged.model_id:
                undo.callback(_undone, client.delete_logged_model, logged.model_id)
            step("registering the version")
            alias_before = _make_model(client, name, alias, undo)
            made = client.create_model_version(
                name, logged.model_uri, run.info.run_id, model_id=logged.model_id
            )
            number = str(made.version)
            undo.callback(_undone, client.delete_model_version, name, number)
            source = client.get_model_version_download_uri(name, number)
            version = ModelVersion(name, number, source, run.info.run_id, alias)
            tags = complete(version)
            for key, value in tags.items():
                client.set_model_version_tag(name, number, key, value)
            step(f"moving the alias '{alias}'")
            client.set_registered_model_alias(name, alias, number)
            undo.pop_all()
        digest = tags.get(MANIFEST_TAG, "")
        return Published(msgspec.structs.replace(version, manifest_sha256=digest), alias_before)

    def _send(
        self, method: str, path: str, fields: Mapping[str, str | bool]
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self._base}/{path}"
        if method == "GET":
            url = f"{url}?{urlencode(fields)}"
            return self._http.request("GET", url, timeout=_READING, retries=_RETRIES)
        return self._http.request(method, url, json=fields, timeout=_WRITING, retries=False)

    def _call(self, method: str, path: str, **fields: str | bool) -> dict[str, Any]:
        try:
            response = self._send(method, path, fields)
            if response.status == 401:
                renewed = dict(self._headers())
                if renewed != self._http.headers:
                    self._http.headers = renewed
                    response = self._send(method, path, fields)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the model registry does not respond: {error}") from error
        try:
            body = json.loads(response.data)
        except ValueError:
            body = None
        if response.status in (401, 403):
            raise RegistryError(
                f"MLflow refused with {response.status}: MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_HEADER, say who asks"
            )
        if not isinstance(body, dict):
            raise RegistryError(f"the model registry returned {response.status} without JSON")
        if response.status == 200:
            return body
        message = str(body.get("message", ""))[:300]
        code = body.get("error_code")
        # an alias that is not there is INVALID_PARAMETER_VALUE to MLflow, and so is a version that
        # no registry of its kind can have: an application may call its versions as it likes
        if code == "RESOURCE_DOES_NOT_EXIST" or (
            code == "INVALID_PARAMETER_VALUE"
            and any(
                each in message.lower()
                for each in ("alias", "must be an integer", "required parameter 'version'")
            )
        ):
            raise NoModelError(f"{message} {REMEDY}")
        raise RegistryError(f"the model registry returned {response.status}: {message}")


def _authorization(settings: RegistrySettings) -> dict[str, str]:
    """Return the header that says who asks, by the variables that MLflow's own client reads."""
    header = secret(settings, "MLFLOW_TRACKING_HEADER")
    if header:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not value.strip():
            raise SettingError("MLFLOW_TRACKING_HEADER", "is not of the form NAME: VALUE")
        return {name.strip(): value.strip()}
    token = secret(settings, "MLFLOW_TRACKING_TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user = secret(settings, "MLFLOW_TRACKING_USERNAME")
    if not user:
        return {}
    pair = f"{user}:{secret(settings, 'MLFLOW_TRACKING_PASSWORD')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _trust(certificates: str) -> ssl.SSLContext:
    try:
        if certificates.startswith(_PEM):
            return ssl.create_default_context(cadata=certificates)
        return ssl.create_default_context(cafile=certificates)
    except (OSError, ssl.SSLError) as error:
        raise SettingError("MLFLOW_CA_BUNDLE", f"has no certificates: {error}") from error


def _sign_in(headers: Mapping[str, str], certificates: str, folder: str) -> None:
    """Have MLflow's own client, which knows no references, say who asks and whom it trusts."""
    from mlflow import environment_variables

    known: Any = environment_variables
    kind, _, value = headers.get("Authorization", "").partition(" ")
    if kind == "Bearer":
        known.MLFLOW_TRACKING_TOKEN.set(value)
    elif kind == "Basic":
        user, _, password = base64.b64decode(value).decode().partition(":")
        known.MLFLOW_TRACKING_USERNAME.set(user)
        known.MLFLOW_TRACKING_PASSWORD.set(password)
    if certificates.startswith(_PEM):
        path = Path(folder) / "certificates.pem"
        path.write_text(certificates)
        certificates = str(path)
    if certificates:
        known.MLFLOW_TRACKING_SERVER_CERT_PATH.set(certificates)


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in found.get("tags", ())}


def _make_model(client: Any, name: str, alias: str, undo: contextlib.ExitStack) -> str:
    """Make the registered model where there is none; return what ``alias`` points to now."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_registered_model(name).aliases.get(alias, ""))
    undo.callback(_undone, client.delete_registered_model, name)
    return ""


def _undone(delete: Callable[..., object], *names: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        delete(*names)
    except MlflowException as error:
        # the caller gets the first failure; the log says what is left behind
        _LOG.error("%s %s failed: %s", delete.__name__, " ".join(names), error)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise RegistryError(f"MLflow refused it: {str(error)[:500]}") from error
