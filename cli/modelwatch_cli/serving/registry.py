"""What the commands change in MLflow's registry, over its REST API.

The library itself takes seconds to import; `modelwatch.adapters.mlflow_registry` only reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from modelwatch.domain.routing import ROUTING_TAG, Routing
from modelwatch.errors import NoModelError, RegistryError


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model: the version behind each alias and stage, and its routing if any."""

    name: str
    aliases: dict[str, str]
    routing: Routing | None
    stages: dict[str, str] = field(default_factory=dict)

    def in_stage(self, stage: str) -> str | None:
        """Return the newest version in ``stage``, whose case does not count."""
        return next((v for s, v in self.stages.items() if s.lower() == stage.lower()), None)


class RegistryEditor:
    """Changes aliases, routing and tags on the MLflow server at ``tracking_uri``."""

    def __init__(self, tracking_uri: str) -> None:
        self._http = httpx.Client(
            base_url=f"{tracking_uri.rstrip('/')}/api/2.0/mlflow/", timeout=30
        )

    def model(self, name: str) -> RegisteredModel:
        """Return the model.

        Raises
        ------
        NoModelError
            When there is none of that name.
        RegistryError
            When MLflow does not answer, or its routing cannot be read.
        """
        found = self._call("GET", "registered-models/get", name=name)["registered_model"]
        tags = {tag["key"]: tag["value"] for tag in found.get("tags", ())}
        routing = None
        if ROUTING_TAG in tags:
            try:
                routing = msgspec.json.decode(tags[ROUTING_TAG], type=Routing)
            except msgspec.DecodeError as error:
                raise RegistryError(f"tag {ROUTING_TAG} of {name}: {error}") from error
        aliases = {each["alias"]: str(each["version"]) for each in found.get("aliases", ())}
        stages = {
            str(each.get("current_stage", "None")): str(each["version"])
            for each in found.get("latest_versions", ())
        }
        return RegisteredModel(name, aliases, routing, stages)

    def names(self) -> list[str]:
        """Return the names of the registered models, a thousand at most."""
        found = self._call("GET", "registered-models/search", max_results="1000")
        return [str(each["name"]) for each in found.get("registered_models", ())]

    def route(self, name: str, routing: Routing | None) -> None:
        """Set the model's routing, or take it away."""
        if routing is None:
            self._call("DELETE", "registered-models/delete-tag", name=name, key=ROUTING_TAG)
            return
        value = msgspec.json.encode(routing).decode()
        self._call("POST", "registered-models/set-tag", name=name, key=ROUTING_TAG, value=value)

    def promote(self, name: str, alias: str, version: str) -> None:
        """Point ``alias`` to ``version``; raises NoModelError when there is no such version."""
        self._call("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def to_stage(self, name: str, version: str, stage: str) -> None:
        """Put a version into a stage, and archive those that were in it: the newest is served."""
        self._call(
            "POST",
            "model-versions/transition-stage",
            name=name,
            version=version,
            stage=stage.capitalize(),
            archive_existing_versions=True,
        )

    def tag_version(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._call(
            "POST", "model-versions/set-tag", name=name, version=version, key=key, value=value
        )

    def _call(self, method: str, path: str, **fields: str | bool) -> dict[str, Any]:
        query = fields if method == "GET" else None
        body = None if method == "GET" else fields
        try:
            response = self._http.request(method, path, params=query, json=body)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(f"MLflow does not answer as it should: {error}") from error
        if response.is_success:
            return dict(answer)
        message = str(answer.get("message", ""))[:300]
        if answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            raise NoModelError(message)
        raise RegistryError(f"MLflow answered {response.status_code}: {message}")
