"""What predict needs from outside: a registry, models, a cache of plans, its environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from modelwatch.domain.models import ModelVersion, Predictions
    from modelwatch.domain.records import Value
    from modelwatch.domain.routing import ServingPlan
    from modelwatch.domain.schemas import Schema
from modelwatch.ports.metrics import Sample


class ModelRegistry(Protocol):
    """Knows which version of a model an alias points to."""

    def resolve(self, name: str, alias: str) -> ModelVersion:
        """Return the version behind ``alias``.

        Raises
        ------
        NoModelError
            When there is no such model or alias.
        RegistryError
            When the registry does not respond as it should.
        """
        ...

    def plan(self, name: str, alias: str) -> ServingPlan:
        """Return what serves: the model's routing, or ``alias`` alone when it has none."""
        ...

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number; raises as `resolve` does."""
        ...

    def metrics(self, version: ModelVersion) -> Mapping[str, float]:
        """Return what the version was found to be worth when it was made."""
        ...


class Model(Protocol):
    """A loaded model version."""

    @property
    def schema(self) -> Schema:
        """Its input columns."""
        ...

    @property
    def flavor(self) -> str:
        """What runs it: ``onnx`` or ``pyfunc``."""
        ...

    @property
    def flavor_reason(self) -> str:
        """Why it is not run in its verified ONNX form; empty where it is."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of what was loaded, in hexadecimal; empty where there is no one artifact."""
        ...

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict rows that hold the schema's columns in the schema's order."""
        ...


class ModelLoader(Protocol):
    """Brings a version into memory."""

    def load(self, version: ModelVersion) -> Model:
        """Load ``version``.

        Raises
        ------
        ModelLoadError
            When it cannot be loaded here.
        StoreError
            When its artifacts cannot be read.
        """
        ...


class ServingPlanCache(Protocol):
    """What all environments of a function know: the plan that was good last, and if it is old.

    A memory that fails must not stop the serving: only `expire` raises.
    """

    def remember(self, plan: ServingPlan) -> None:
        """Keep ``plan``."""
        ...

    def recall(self, model_name: str) -> ServingPlan | None:
        """Return the plan kept last, or None when there is none within reach."""
        ...

    def expire(self, model_name: str) -> None:
        """Have every other environment ask the registry again.

        Raises StoreError when they cannot be told.
        """
        ...

    def is_expired(self, model_name: str) -> bool:
        """Return whether another environment called `expire` since this one asked last.

        Also at the first call, if one ever did.
        """
        ...


class AfterResponse(Protocol):
    """Runs work that the caller of a request need not wait for."""

    def __call__(self, work: Callable[[], list[Sample]]) -> list[Sample]:
        """Run ``work`` once, now or later.

        Returns the samples for the request's own line of metrics: those of ``work`` when it ran
        now; else samples that stand for it until its own samples are emitted.
        """
        ...
