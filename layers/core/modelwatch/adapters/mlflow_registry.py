"""MLflow's model registry over its REST API: mlflow itself takes seconds to import."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

from modelwatch.domain.models import ModelVersion
from modelwatch.errors import NoModelError, RegistryError

_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
_RETRIES = urllib3.Retry(total=1, backoff_factor=0.2)


class MlflowRegistry:
    """Reads versions from the MLflow server at ``tracking_uri``."""

    def __init__(self, tracking_uri: str, headers: Mapping[str, str] | None = None) -> None:
        self._base = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow"
        self._http = urllib3.PoolManager(headers=dict(headers or {}))

    def resolve(self, name: str, alias: str) -> ModelVersion:
        """Return the version that ``alias`` points to; see `ModelRegistry.resolve`."""
        answer = self._get("registered-models/alias", name=name, alias=alias)
        return self._version(answer, alias)

    def version(self, name: str, version: str) -> ModelVersion:
        """Return version ``version``; see `ModelRegistry.version`."""
        return self._version(self._get("model-versions/get", name=name, version=version), "")

    def _version(self, answer: Mapping[str, Any], alias: str) -> ModelVersion:
        found = answer.get("model_version") or {}
        name, version = found.get("name"), found.get("version")
        if not name or not version:
            raise RegistryError("the model registry answered without a model version")
        uri = self._get("model-versions/get-download-uri", name=name, version=version)
        return ModelVersion(
            name=name,
            version=str(version),
            source=str(uri.get("artifact_uri", "")),
            run_id=found.get("run_id", ""),
            alias=alias,
        )

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
        # an alias that is not there is INVALID_PARAMETER_VALUE to MLflow
        if code == "RESOURCE_DOES_NOT_EXIST" or (
            code == "INVALID_PARAMETER_VALUE" and "alias" in message.lower()
        ):
            raise NoModelError(f"{message} (register one with `modelwatch train`)")
        raise RegistryError(f"the model registry answered {response.status}: {message}")
