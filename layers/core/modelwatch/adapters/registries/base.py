"""What every model registry does, and what is the same for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.names import (
    check_alias,
    check_model_name,
    check_model_version,
    stage_of,
)
from modelwatch.domain.routing import RegisteredModel, Routing, ServingPlan
from modelwatch.errors import InvalidInputError, NoModelError, RegistryError
from modelwatch.settings.serving import RegistrySettings

MANIFEST_TAG = "modelwatch.manifest_sha256"
"""Tag of a version that holds the digest of its manifest."""

ONNX_TAG = "onnx"
"""Tag of a version that says whether it has an ONNX form: ``verified`` or ``none``."""

REMEDY = "(register your model with `register_model`, or the example with `modelwatch train`)"


def no_alias(name: str, alias: str) -> NoModelError:
    """Return the error that a model has no version with an alias."""
    remedy = (
        f"`modelwatch promote VERSION --alias {alias}` gives it to one, `register_model` makes one"
    )
    return NoModelError(f"{name} has no version with alias '{alias}' ({remedy})")


class SavedModel(Protocol):
    """A model, and how MLflow writes it down."""

    def save(self, path: str) -> None:
        """Write MLflow's files of the model into the new folder ``path``."""
        ...

    def log(self) -> Any:
        """Log the model to MLflow's active run; return what MLflow says of it."""
        ...


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a version is made of.

    Attributes
    ----------
    parameters, metrics
        How it was trained and what it was found to be worth.
    notes
        What else is to be known of its training, by name.
    """

    model: SavedModel
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """A version that was made, and where its alias pointed before; empty where it is new."""

    version: ModelVersion
    alias_before: str


type Complete = Callable[[ModelVersion], Mapping[str, str]]
"""Adds to a new version's artifacts; returns its tags."""

type Step = Callable[[str], None]
"""Called before each step, with a few words on it."""


class Registry(ABC):
    """Knows models, their versions and what points to them; plays `ModelRegistry`.

    Methods raise NoModelError when a model, version or alias is not there, and RegistryError when
    the registry does not respond as it should.

    Parameters
    ----------
    stage
        For models that are promoted by stage, MLflow's way before aliases: plans then follow the
        newest version in this stage, and the alias is not asked for.
    stage_alias
        The alias that stands for that stage.
    """

    is_local = False
    """Whether programs on other machines cannot reach it."""

    def __init__(self, *, stage: str = "", stage_alias: str = "") -> None:
        self._stage = stage
        self._stage_alias = stage_alias

    # -- what each registry does in its own way

    @classmethod
    @abstractmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the registry that the settings name."""

    @classmethod
    def artifacts(
        cls, settings: RegistrySettings, s3: Any, *, limit_bytes: int, cache: Path | None
    ) -> Artifacts:
        """Return the artifacts of its versions: those in MODEL_BUCKET, for most registries."""
        from modelwatch.adapters.aws.clients import s3_client
        from modelwatch.adapters.models.s3_artifacts import S3Artifacts

        return S3Artifacts(
            s3 or s3_client(settings),
            settings.model_bucket,
            prefix=settings.model_prefix,
            limit_bytes=limit_bytes,
            cache=cache,
        )

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all models, sorted."""

    @abstractmethod
    def model(self, name: str) -> RegisteredModel:
        """Return a model."""

    @abstractmethod
    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number."""

    @abstractmethod
    def metrics(self, version: ModelVersion) -> dict[str, float]:
        """Return what a version was found to be worth when it was made."""

    @abstractmethod
    def tag_version(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""

    @abstractmethod
    def route(self, name: str, routing: Routing | None) -> None:
        """Set a model's routing, or take it away."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a model with all its versions; raises NoModelError when there is none."""

    @abstractmethod
    def _promote(self, name: str, alias: str, version: str) -> None:
        """Point a valid alias to a version."""

    @abstractmethod
    def _to_stage(self, name: str, version: str, stage: str) -> None:
        """Put a version into one of `STAGES`, and archive those that were in it."""

    @abstractmethod
    def _publish(
        self, name: str, alias: str, new: NewVersion, complete: Complete, step: Step
    ) -> Published:
        """See `publish`; the names are valid."""

    # -- what is the same for all

    def promote(self, name: str, alias: str, version: str) -> None:
        """Point ``alias`` to ``version``; raises InvalidInputError when it is no alias."""
        check_alias(alias)
        self._promote(name, alias, version)

    def to_stage(self, name: str, version: str, stage: str) -> None:
        """Put a version into a stage, and archive those that were in it: the newest is served."""
        self._to_stage(name, version, stage_of(stage))

    def publish(
        self,
        name: str,
        alias: str,
        new: NewVersion,
        complete: Complete,
        step: Step = lambda _: None,
    ) -> Published:
        """Make a version, have it completed, tag it, and move ``alias`` to it: in this order.

        The model is made where there is none. When a step fails, what the steps before it made
        goes: no version is left, no model without one, and the alias stays where it was.
        """
        check_model_name(name)
        check_alias(alias)
        return self._publish(name, alias, new, complete, step)

    def plan(self, name: str, alias: str) -> ServingPlan:
        """Return the versions to serve; see `ModelRegistry.plan`."""
        model = self.model(name)
        routing, versions = Routing({alias: 1}), model.aliases
        if self._stage:
            versions = {alias: self._in_stage(model)}
        elif model.routing is not None:
            routing = model.routing
        if not any(each in versions for each in routing.weights):
            raise no_alias(name, alias)
        known = {
            each: self._behind(each, name, versions[each])
            for each in routing.aliases
            if each in versions
        }
        return ServingPlan(name, routing, known)

    def resolve(self, name: str, alias: str) -> ModelVersion:
        """Return the version that ``alias`` points to; see `ModelRegistry.resolve`."""
        model = self.model(name)
        if self._stage and alias == self._stage_alias:
            return self._behind(alias, name, self._in_stage(model))
        if alias not in model.aliases:
            raise no_alias(name, alias)
        return self._behind(alias, name, model.aliases[alias])

    def _behind(self, alias: str, name: str, version: str) -> ModelVersion:
        try:
            # it is part of keys: no record of a version that has no such name could be stored
            check_model_version(version)
        except InvalidInputError as error:
            raise RegistryError(f"{name}: {error}") from None
        return msgspec.structs.replace(self.version(name, version), alias=alias)

    def _in_stage(self, model: RegisteredModel) -> str:
        version = model.in_stage(self._stage)
        if version is None:
            raise NoModelError(f"{model.name} has no version in stage '{self._stage}'")
        return version
