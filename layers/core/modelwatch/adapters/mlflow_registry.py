"""MLflow's model registry over its REST API: mlflow itself takes seconds to import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3

from modelwatch.domain.models import ModelVersion
from modelwatch.domain.routing import ROUTING_TAG, Routing, ServingPlan
from modelwatch.errors import NoModelError, RegistryError
from modelwatch.settings import Settings

_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
_RETRIES = urllib3.Retry(total=1, backoff_factor=0.2)


MANIFEST_TAG = "modelwatch.manifest_sha256"
"""Tag of a version that holds the digest of its manifest."""


class MlflowRegistry:
    """Reads versions from the MLflow server at ``tracking_uri``.

    Parameters
    ----------
    stage
        For models that are promoted by stage, MLflow's way before aliases: plans then follow the
        newest version in this stage, and the alias is not asked for.
    stage_alias
        The alias that stands for that stage.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        stage: str = "",
        stage_alias: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow"
        self._http = urllib3.PoolManager(headers=dict(headers or {}))
        self._stage = stage
        self._stage_alias = stage_alias
        # where a version's artifacts are never changes
        self._versions: dict[tuple[str, str], ModelVersion] = {}

    @classmethod
    def of(cls, settings: Settings) -> MlflowRegistry:
        """Return the registry that the settings name, following MODEL_STAGE where it is set."""
        return cls(
            settings.text("MLFLOW_TRACKING_URI"),
            stage=settings.text("MODEL_STAGE"),
            stage_alias=settings.text("MODEL_ALIAS"),
        )

    def plan(self, name: str, alias: str) -> ServingPlan:
        """Return what shall serve; see `ModelRegistry.plan`."""
        model = self._get("registered-models/get", name=name).get("registered_model") or {}
        versions = {each["alias"]: str(each["version"]) for each in model.get("aliases", ())}
        tags = {each["key"]: each["value"] for each in model.get("tags", ())}
        routing = Routing({alias: 1})
        if self._stage:
            versions = {alias: self._in_stage(name, model.get("latest_versions", ()))}
        elif ROUTING_TAG in tags:
            try:
                routing = msgspec.json.decode(tags[ROUTING_TAG], type=Routing)
            except msgspec.DecodeError as error:
                raise RegistryError(f"tag {ROUTING_TAG} of {name}: {error}") from error
        if not any(alias in versions for alias in routing.weights):
            raise NoModelError(
                f"{name} has no version with alias '{alias}' (register one with `modelwatch train`)"
            )
        known = {
            each: msgspec.structs.replace(self.version(name, versions[each]), alias=each)
            for each in routing.aliases
            if each in versions
        }
        return ServingPlan(name, routing, known)

    def resolve(self, name: str, alias: str) -> ModelVersion:
        """Return the version that ``alias`` points to; see `ModelRegistry.resolve`."""
        if self._stage and alias == self._stage_alias:
            model = self._get("registered-models/get", name=name).get("registered_model") or {}
            version = self._in_stage(name, model.get("latest_versions", ()))
            return msgspec.structs.replace(self.version(name, version), alias=alias)
        found = self._get("registered-models/alias", name=name, alias=alias)
        version = str((found.get("model_version") or {}).get("version", ""))
        return msgspec.structs.replace(self.version(name, version), alias=alias)

    def version(self, name: str, version: str) -> ModelVersion:
        """Return version ``version``; see `ModelRegistry.version`."""
        if (name, version) not in self._versions:
            query = {"name": name, "version": version}
            found = self._get("model-versions/get", **query).get("model_version") or {}
            uri = self._get("model-versions/get-download-uri", **query).get("artifact_uri")
            if found.get("name") != name or not uri:
                raise RegistryError("the model registry answered without a model version")
            tags = {each["key"]: each["value"] for each in found.get("tags", ())}
            self._versions[name, version] = ModelVersion(
                name=name,
                version=version,
                source=str(uri),
                run_id=found.get("run_id", ""),
                manifest_sha256=tags.get(MANIFEST_TAG, ""),
            )
        return self._versions[name, version]

    def metrics(self, version: ModelVersion) -> dict[str, float]:
        """Return what the run of ``version`` measured; see `ModelRegistry.metrics`."""
        run = self._get("runs/get", run_id=version.run_id).get("run") or {}
        found = (run.get("data") or {}).get("metrics", ())
        return {each["key"]: each["value"] for each in found}

    def _in_stage(self, name: str, latest: Sequence[Mapping[str, Any]]) -> str:
        for each in latest:
            if str(each.get("current_stage", "")).lower() == self._stage.lower():
                return str(each["version"])
        raise NoModelError(f"{name} has no version in stage '{self._stage}'")

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self._base}/{path}?{urlencode(query)}"
        try:
            response = self._http.request("GET", url, timeout=_TIMEOUT, retries=_RETRIES)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the model registry does not answer: {error}") from error
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RegistryError(f"the model registry answered {response.status} without JSON")
        if response.status == 200:
            return answer
        message = str(answer.get("message", ""))[:300]
        code = answer.get("error_code")
        # an alias that is not there is INVALID_PARAMETER_VALUE to MLflow, and so is a version that
        # no registry of its kind can have: an application may call its versions as it likes
        if code == "RESOURCE_DOES_NOT_EXIST" or (
            code == "INVALID_PARAMETER_VALUE"
            and ("alias" in message.lower() or "must be an integer" in message)
        ):
            raise NoModelError(f"{message} (register one with `modelwatch train`)")
        raise RegistryError(f"the model registry answered {response.status}: {message}")
