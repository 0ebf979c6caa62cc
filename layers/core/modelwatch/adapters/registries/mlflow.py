"""MLflow's model registry, over its REST API: mlflow itself takes seconds to import.

Only `publish` imports it: what is published is logged by MLflow's own functions.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import quote

import msgspec

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.registries.base import (
    MANIFEST_TAG,
    Complete,
    NewVersion,
    Published,
    Registry,
    Step,
)
from modelwatch.adapters.registries.mlflow_http import PEM, MlflowHttp
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.routing import ROUTING_TAG, RegisteredModel, Routing, read_routing
from modelwatch.errors import NoModelError, RegistryError
from modelwatch.settings.serving import RegistrySettings

_LOG = logging.getLogger(__name__)

_MOST_STEPS = 10
"""From a version to its artifacts, by way of other versions, models and runs."""

_MOST_PAGES = 1_000
"""Of a list of models: a server could go on for ever."""


def _understood[**P, T](read: Callable[P, T]) -> Callable[P, T]:
    """Have ``read`` raise a RegistryError where a response has another form than MLflow's."""

    @functools.wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            problem = f"the model registry's response is not understood: {error!r:.200}"
            raise RegistryError(problem) from error

    return reading


class MlflowRegistry(Registry):
    """The registry of an MLflow server."""

    page_size = 1000
    """Most models that are listed at once."""

    def __init__(self, http: MlflowHttp, *, stage: str = "", stage_alias: str = "") -> None:
        super().__init__(stage=stage, stage_alias=stage_alias)
        self._http = http
        self._call: Callable[..., dict[str, Any]] = http.call
        # where a version's artifacts are never changes
        self._versions: dict[tuple[str, str], ModelVersion] = {}

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the registry at MLFLOW_TRACKING_URI."""
        return cls(
            MlflowHttp.of(settings),
            stage=settings.model_stage,
            stage_alias=settings.model_alias,
        )

    @classmethod
    def artifacts(
        cls, settings: RegistrySettings, s3: Any, *, limit_bytes: int, cache: Path | None
    ) -> Artifacts:
        """Return the artifacts of its versions: in MODEL_BUCKET, or behind the server."""
        from modelwatch.adapters.registries.mlflow_artifacts import MlflowArtifacts

        return MlflowArtifacts(
            MlflowHttp.of(settings),
            s3 or s3_client(settings),
            settings.model_bucket,
            prefix=settings.model_prefix,
            limit_bytes=limit_bytes,
            cache=cache,
        )

    @_understood
    def names(self) -> list[str]:
        """Return the names of all models; see `Registry.names`."""
        names: list[str] = []
        token = ""
        for _ in range(_MOST_PAGES):
            page = {"page_token": token} if token else {}
            found = self._call(
                "GET", "registered-models/search", max_results=str(self.page_size), **page
            )
            names += [str(each["name"]) for each in found.get("registered_models", ())]
            token = found.get("next_page_token", "")
            if not token:
                return sorted(names)
        raise RegistryError(f"the model registry lists models on more than {_MOST_PAGES} pages")

    @_understood
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

    @_understood
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
                source=self._located(str(uri)),
                run_id=found.get("run_id", ""),
                manifest_sha256=_tags(found).get(MANIFEST_TAG, ""),
            )
        return self._versions[name, version]

    def _located(self, uri: str) -> str:
        """Return where artifacts are: MLflow may say so in terms of a model, a run or a version.

        Raises RegistryError when they cannot be found.
        """
        for _ in range(_MOST_STEPS):
            scheme, _, rest = uri.partition(":")
            try:
                if scheme == "models":
                    uri = self._behind_model(rest.lstrip("/"))
                elif scheme == "runs":
                    uri = self._behind_run(rest.lstrip("/"))
                else:
                    return uri
            except (NoModelError, LookupError) as error:
                raise RegistryError(f"there is nothing at '{uri}': {error}") from error
        raise RegistryError(f"'{uri}' leads to no artifacts")

    def _behind_model(self, path: str) -> str:
        name, _, version = path.partition("/")
        if version.isdigit():
            query = {"name": name, "version": version}
            return str(
                self._call("GET", "model-versions/get-download-uri", **query)["artifact_uri"]
            )
        if version or "@" in name:
            # what such an address leads to changes, and a version does not
            raise RegistryError(f"'models:/{path}' names no version by its number")
        return str(self._logged(name)["artifact_uri"])

    def _behind_run(self, path: str) -> str:
        run_id, _, inside = path.partition("/")
        run = self._call("GET", "runs/get", run_id=run_id).get("run") or {}
        # since MLflow 3, a run has the model at its side, and not in its folder
        name, slash, rest = inside.partition("/")
        for each in (run.get("outputs") or {}).get("model_outputs", ()):
            found = self._logged(each["model_id"])
            if found.get("name") == name:
                return f"{found['artifact_uri']}{slash}{rest}"
        return f"{run['info']['artifact_uri']}/{inside}"

    def _logged(self, model_id: str) -> dict[str, Any]:
        found = self._call("GET", f"logged-models/{quote(model_id, safe='')}")
        return dict((found.get("model") or {})["info"])

    @_understood
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

    def remove(self, name: str) -> None:
        """Remove a model, and the experiment of its name; `mlflow gc` removes their files."""
        self._call("DELETE", "registered-models/delete", name=name)
        found = self._call("GET", "experiments/get-by-name", experiment_name=name)
        self._call("POST", "experiments/delete", experiment_id=found["experiment"]["experiment_id"])

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

        mlflow.set_tracking_uri(self._http.uri)
        with (
            _signed_in(self._http),
            _refusals(),
            contextlib.ExitStack() as undo,
        ):
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


@contextlib.contextmanager
def _signed_in(http: MlflowHttp) -> Iterator[None]:
    """Have MLflow's own client, which knows no references, say who asks and whom it trusts."""
    from mlflow import environment_variables
    from mlflow.tracking.request_header import registry

    known: Any = environment_variables
    providers: list[Any] = registry._request_header_provider_registry._registry
    headers, certificates = http.headers(), http.certificates()
    kind, _, value = headers.get("Authorization", "").partition(" ")
    own = SimpleNamespace(in_context=lambda: True, request_headers=lambda: headers)
    with tempfile.TemporaryDirectory() as folder:
        if certificates.startswith(PEM):
            path = Path(folder) / "certificates.pem"
            path.write_text(certificates)
            certificates = str(path)
        if certificates:
            known.MLFLOW_TRACKING_SERVER_CERT_PATH.set(certificates)
        if kind == "Bearer":
            known.MLFLOW_TRACKING_TOKEN.set(value)
        elif kind == "Basic":
            user, _, password = base64.b64decode(value).decode().partition(":")
            known.MLFLOW_TRACKING_USERNAME.set(user)
            known.MLFLOW_TRACKING_PASSWORD.set(password)
        elif http.sign is None:
            providers.append(own)
        try:
            yield
        finally:
            providers[:] = [each for each in providers if each is not own]


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
