"""Which alias of a model serves a request: weights for A/B tests and canaries, and shadows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import RegistryError


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests are shared out.

    Attributes
    ----------
    weights
        Share by alias, in any unit: ``{"champion": 90, "challenger": 10}``.
    shadows
        Aliases that predict every request as well, and whose predictions no one gets.
    """

    weights: Mapping[str, int]
    shadows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(weight < 0 for weight in self.weights.values()) or sum(self.weights.values()) <= 0:
            raise ValueError("weights must be 0 or more, and one of them more than 0")
        if set(self.shadows) & set(self.weights):
            raise ValueError("an alias cannot both serve and be a shadow")

    def choose(self, key: str) -> str:
        """Return the alias that serves the request with ``key``.

        The same key always gets the same alias; over keys, each alias gets its share (the key's
        BLAKE2 hash is uniform). Aliases are laid out in the order of ``weights``, so that moving a
        share from the first to the last moves no other key.

        Examples
        --------
        >>> routing = Routing({"champion": 90, "challenger": 10})
        >>> sum(routing.choose(str(user)) == "challenger" for user in range(10_000))
        1068
        """
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        point = int.from_bytes(digest) / 2**64 * sum(self.weights.values())
        for alias, weight in self.weights.items():
            if point < weight:
                return alias
            point -= weight
        return next(alias for alias, weight in reversed(list(self.weights.items())) if weight)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every alias to load, those that serve first."""
        serving = (alias for alias, weight in self.weights.items() if weight)
        return (*serving, *self.shadows)


ROUTING_TAG = "modelwatch.routing"
"""Tag of the registered model that holds its routing, as JSON."""


class ServingPlan(msgspec.Struct, frozen=True):
    """What serves, as the registry says: the routing, and the version behind each alias."""

    model_name: str
    routing: Routing
    versions: Mapping[str, ModelVersion]


class RegisteredModel(msgspec.Struct, frozen=True):
    """A model as its registry knows it.

    Attributes
    ----------
    aliases, stages
        The version behind each alias; the newest version in each stage.
    routing
        How its requests are shared out; None where MODEL_ALIAS serves them all.
    """

    name: str
    aliases: Mapping[str, str] = {}
    routing: Routing | None = None
    stages: Mapping[str, str] = {}

    def in_stage(self, stage: str) -> str | None:
        """Return the newest version in ``stage``, whose case does not count.

        >>> RegisteredModel("wine", stages={"Production": "3"}).in_stage("production")
        '3'
        """
        return next((v for s, v in self.stages.items() if s.lower() == stage.lower()), None)


_decode = msgspec.json.Decoder(Routing).decode


def read_routing(name: str, text: str) -> Routing:
    """Return the routing of the model ``name`` as its registry keeps it; raises RegistryError."""
    try:
        return _decode(text)
    except UNREADABLE as error:
        raise RegistryError(f"tag {ROUTING_TAG} of {name}: {error}") from error
