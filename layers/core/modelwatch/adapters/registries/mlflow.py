"""MLflow's model registry, over its REST API: mlflow itself takes seconds to import.

Only `publish` imports it: what is published is logged by MLflow's own functions.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
import urllib3

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
from modelwatch.errors import NoModelError, RegistryError
from modelwatch.settings.serving import RegistrySettings

_LOG = logging.getLogger(__name__)

_READING = urllib3.Timeout(connect=2.0, read=5.0)
_RETRIES = urllib3.Retry(total=1, backoff_factor=0.2)
_WRITING = urllib3.Timeout(connect=2.0, read=30.0)


class MlflowRegistry(Registry):
    """The registry of the MLflow server at ``tracking_uri``.

    Parameters
    ----------
    headers
        Sent with every request: what says who asks.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        stage: str = "",
        stage_alias: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(stage=stage, stage_alias=stage_alias)
        self._tracking_uri = tracking_uri
        self._base = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow"
        self._http = urllib3.PoolManager(headers=dict(headers or {}))
        # where a version's artifacts are never changes
        self._versions: dict[tuple[str, str], ModelVersion] = {}

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the registry at MLFLOW_TRACKING_URI."""
        return cls(
            settings.mlflow_tracking_uri,
            stage=settings.model_stage,
            stage_alias=settings.model_alias,
            headers=_authorization(settings),
        )

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
        with _refusals(), contextlib.ExitStack() as undo:
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

    def _call(self, method: str, path: str, **fields: str | bool) -> dict[str, Any]:
        url = f"{self._base}/{path}"
        try:
            if method == "GET":
                url = f"{url}?{urlencode(fields)}"
                response = self._http.request("GET", url, timeout=_READING, retries=_RETRIES)
            else:
                response = self._http.request(
                    method, url, json=fields, timeout=_WRITING, retries=False
                )
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the model registry does not respond: {error}") from error
        try:
            body = json.loads(response.data)
        except ValueError:
            body = None
        if response.status in (401, 403):
            raise RegistryError(
                f"MLflow refused with {response.status}: MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, say who asks"
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
    token = settings.mlflow_tracking_token
    if token:
        return {"Authorization": f"Bearer {token}"}
    user = settings.mlflow_tracking_username
    pair = f"{user}:{settings.mlflow_tracking_password}" if user else None
    return dict(urllib3.make_headers(basic_auth=pair))


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
