"""The models that one deployment serves: the default one, and further ones by their names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from modelwatch.errors import NotFoundError
from modelwatch.services.contract import ServedModel
from modelwatch.services.predict import PredictService
from modelwatch.services.serving import ModelPool

type MakeService = Callable[[str, str, Callable[[], None]], tuple[ModelPool, PredictService]]
"""Makes what serves a model from its name, its alias, and what to call when it is loaded."""


class ServedModels:
    """Finds the service of a model by its name; of the further ones few are in memory.

    Each has a pool and a service of its own, so that what goes wrong with one is not seen by the
    callers of another. When one more is loaded than may be, those used least recently leave memory:
    their requests end as they began, and the next one loads the model again. A model that cannot
    be loaded takes no one's place.

    Parameters
    ----------
    aliases
        Alias by name of each model that is served, the default one first. No other name is served.
    make
        Makes the pool and the service of a further model, at its first request.
    in_memory
        Most further models in memory.
    default
        Serves the default model, which always stays.
    """

    def __init__(
        self,
        aliases: Mapping[str, str],
        make: MakeService,
        in_memory: int,
        default: Callable[[], PredictService],
    ) -> None:
        self._aliases = aliases
        self._make = make
        self._in_memory = in_memory
        self._default_name = next(iter(aliases))
        self._default = default
        # by name, the one used last at the end
        self._known: dict[str, tuple[ModelPool, PredictService]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are served, the default one first."""
        return tuple(self._aliases)

    def of(self, name: str) -> PredictService:
        """Return what serves a model; raises NotFoundError when none of this name is served."""
        if name == self._default_name:
            return self._default()
        if name not in self._aliases:
            # neither the caller's own text nor the registry's names: both may be anything
            raise NotFoundError("no such model is served here; GET /models lists those that are")
        with self._lock:
            found = self._known.pop(name, None)
            if found is None:
                found = self._make(name, self._aliases[name], self._make_room)
            self._known[name] = found
        return found[1]

    def states(self) -> list[ServedModel]:
        """Return the models that are served, and what of them is in memory now; it loads none."""
        with self._lock:
            known = dict(self._known)
        loaded = {name: pool.loaded for name, (pool, _) in known.items()}
        loaded[self._default_name] = self._default().loaded
        return [
            {
                "model_name": name,
                "alias": alias,
                "model_loaded": (serving := loaded.get(name)) is not None,
                "model_version": serving.primary.version.version if serving else None,
                "is_default": name == self._default_name,
            }
            for name, alias in self._aliases.items()
        ]

    def _make_room(self) -> None:
        with self._lock:
            loaded = [pool for pool, _ in self._known.values() if pool.loaded]
        for pool in loaded[: -self._in_memory]:
            pool.release()
