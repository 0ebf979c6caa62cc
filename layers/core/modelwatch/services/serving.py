"""Serving: which model versions are in memory: the newest if they load, else the last good ones.

The registry's plan (routing and versions) is read at the first need. Under traffic, a thread reads
it again beside the requests, twice in `refresh_seconds`, so that none waits and none is served by
an older plan than that. A reload reaches every environment through `ServingPlanCache`: the same
thread looks there, twice in `LOOK_SECONDS`, whether one was asked for, and then reads the plan at
once. Only a request after a pause longer than `LOOK_SECONDS` waits for the thread, a moment at
most; and one that comes after a reload, for the versions that it brings. A version that cannot be
loaded is refused for a while, and the version before it keeps serving. When the registry itself
cannot be read, a new environment starts from the last good plan, kept in `ServingPlanCache`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.routing import Routing, ServingPlan
from modelwatch.errors import (
    ModelLoadError,
    ModelwatchError,
    NoModelError,
    RegistryError,
    public_text,
)
from modelwatch.ports.metrics import MetricSink, Sample
from modelwatch.ports.serving import Model, ModelLoader, ModelRegistry, ServingPlanCache
from modelwatch.services.capturing import ModelCapture

_LOG = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Within which every environment that gets requests knows of a reload: two looks at S3."""

PATIENCE_SECONDS = 1.0
"""Longest that the first request after a pause waits for a look."""

RENEWAL_SECONDS = 5.0
"""Longest that a renewal waits: Lambda allows the hooks after a restore 10 s."""

RELOAD_PATIENCE_SECONDS = 20.0
"""Longest that a request waits for what a reload brings: less than a function's time."""

REFUSAL_SECONDS = 600.0
"""How long a version that could not be loaded is not tried again, unless a reload is asked for."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: what it is, when it was loaded and how long that took."""

    version: ModelVersion
    model: Model
    loaded_at: datetime
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves at a moment: never changed, only replaced.

    ``problem`` says why this is not what the registry asks for, since ``stale_since``.
    """

    routing: Routing
    models: dict[str, LoadedModel]
    problem: str = ""
    stale_since: datetime | None = None

    def model_for(self, key: str) -> LoadedModel:
        """Return the model that serves the request with ``key``."""
        return self.models[self.routing.choose(key)]

    def shadows(self) -> list[LoadedModel]:
        """Return the models that predict as well, unseen."""
        return [self.models[alias] for alias in self.routing.shadows if alias in self.models]

    @property
    def primary(self) -> LoadedModel:
        """The model with the largest share."""
        weights = self.routing.weights
        return self.models[max(weights, key=lambda alias: weights[alias])]


@dataclass(slots=True)
class _Refusal:
    reason: str
    public: str
    until: float


class ModelPool:
    """Keeps the models that serve.

    Parameters
    ----------
    refresh_seconds
        Within which a moved alias is followed, in seconds.
    start
        Runs a function beside the requests; a thread by default.
    patience_seconds
        Longest that the first request after a pause waits for a look.
    wait
        Lets seconds pass, so that a reload responds when every environment knows of it.
    capture
        What of the predictions is captured; read again whenever the registry is asked.
    on_first
        Is called when models are in memory that were not.
    """

    def __init__(
        self,
        *,
        model_name: str,
        alias: str,
        registry: ModelRegistry,
        loader: ModelLoader,
        plan_cache: ServingPlanCache,
        metrics: MetricSink,
        refresh_seconds: float,
        clock: Callable[[], float] = time.time,
        start: Callable[[Callable[[], None]], None] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        wait: Callable[[float], None] = time.sleep,
        capture: ModelCapture | None = None,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        self.model_name = model_name
        self._alias = alias
        self._registry = registry
        self._loader = loader
        self._plan_cache = plan_cache
        self._metrics = metrics
        self._refresh_seconds = refresh_seconds
        self._look_seconds = min(LOOK_SECONDS, refresh_seconds)
        self._clock = clock
        self._start = start or _in_a_thread
        self._patience_seconds = patience_seconds
        self._wait = wait
        self.capture = capture or ModelCapture(model_name, CaptureRules())
        self._on_first = on_first
        self._serving: Serving | None = None
        self._checked_at = 0.0
        self._looked_at = 0.0
        self._reloading = False
        self._gave_up = False
        self._refusals: dict[tuple[str, str], _Refusal] = {}
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._refreshed = threading.Event()

    @property
    def loaded(self) -> Serving | None:
        """What serves now, without loading anything."""
        return self._serving

    def serving(self) -> Serving:
        """Return what serves; load it at the first need, and see to its freshness.

        Raises NoModelError, ModelLoadError, RegistryError, StoreError when nothing is loaded and
        nothing can be.
        """
        serving = self._serving
        if serving is None:
            with self._lock:
                if self._serving is not None:
                    return self._serving
                serving = self._first()
            self._on_first()
            return serving
        age_seconds = self._clock() - self._looked_at
        if age_seconds < self._look_seconds / 2:
            return serving
        if self._refreshing.acquire(blocking=False):
            self._refreshed.clear()
            self._gave_up = False
            self._start(self._refresh)
        if age_seconds >= self._look_seconds:
            self._wait_for_refresh(self._patience_seconds)
        if self._reloading:
            self._wait_for_refresh(RELOAD_PATIENCE_SECONDS)
        return self._serving or serving

    def _wait_for_refresh(self, seconds: float) -> None:
        # a store that is away makes one request wait, and not each
        if not self._gave_up:
            self._gave_up = not self._refreshed.wait(seconds)

    def renew(self) -> None:
        """Follow the registry after a snapshot, which may be days old, before any request.

        A registry that does not respond soon costs no more than `RENEWAL_SECONDS`: what is loaded
        serves, and says so, as after any other pause.
        """
        if self._serving is not None and self._refreshing.acquire(blocking=False):
            self._refreshed.clear()
            self._gave_up = False
            self._start(self._refresh)
            self._wait_for_refresh(RENEWAL_SECONDS)

    def release(self) -> None:
        """Keep no model in memory: the next request loads what serves then."""
        self._serving = None

    def reload(self) -> Serving:
        """Ask the registry now, trying refused versions again, and serve what it says everywhere.

        It is loaded here first: what cannot be loaded is not given to other environments. After the
        return they serve no request by an older version, unless S3 or the registry fails them.

        Raises ModelwatchError when it cannot be loaded; the loaded versions keep serving.
        """
        with self._lock:
            was_empty = self._serving is None
            self._refusals.clear()
            self.capture.refresh()
            serving = self._follow(self._plan())
            if serving.problem:
                raise ModelLoadError(serving.problem)
        if was_empty:
            self._on_first()
        self._plan_cache.expire(self.model_name)
        self._wait(self._look_seconds)
        return serving

    def metrics(self, version: ModelVersion) -> Mapping[str, float] | None:
        """Return the metrics of ``version``, or None while the registry does not respond."""
        try:
            return self._registry.metrics(version)
        except ModelwatchError:
            return None

    def _first(self) -> Serving:
        self._looked_at = self._clock()
        self.capture.refresh()
        try:
            plan = self._plan()
        except NoModelError:
            raise
        except ModelwatchError as error:
            remembered = self._plan_cache.recall(self.model_name)
            if remembered is None:
                raise
            _LOG.warning("serving the last good versions: %s", error)
            return self._follow(remembered, problem=public_text(error))
        return self._follow(plan)

    def _refresh(self) -> None:
        began = self._clock()
        try:
            with self._lock:
                if self._serving is None:  # released meanwhile: no one waits for it
                    return
                self._reloading = self._plan_cache.is_expired(self.model_name)
                if self._reloading:
                    self._refusals.clear()
                if self._reloading or began - self._checked_at >= self._refresh_seconds / 2:
                    self.capture.refresh()
                    self._follow(self._plan())
        except ModelwatchError as error:
            self._mark_stale(public_text(error), str(error))
        finally:
            self._looked_at = began
            self._reloading = False
            self._refreshed.set()
            self._refreshing.release()

    def _plan(self) -> ServingPlan:
        self._checked_at = self._clock()
        try:
            return self._registry.plan(self.model_name, self._alias)
        except ModelwatchError:
            raise
        except Exception as error:  # a response that no one foresaw
            problem = f"unexpected response of the model registry: {type(error).__name__}: {error}"
            raise RegistryError(problem) from error

    def _follow(self, plan: ServingPlan, problem: str = "") -> Serving:
        before = self._serving
        models, problems = self._load_all(plan)
        needed = [alias for alias, weight in plan.routing.weights.items() if weight]
        if not all(alias in models for alias in needed):
            reason = "; ".join(problems)
            if before is None:
                raise ModelLoadError(reason)
            # half of a new plan would send requests where no one wants them to go
            self._mark_stale(reason, reason)
            return self._serving or before
        if problems:
            _LOG.warning("a shadow does not run: %s", "; ".join(problems))
        serving = Serving(plan.routing, models)
        if problem:
            serving = Serving(plan.routing, models, problem, self._now())
        else:
            self._plan_cache.remember(plan)
        self._report(serving)
        self._serving = serving
        return serving

    def _load_all(self, plan: ServingPlan) -> tuple[dict[str, LoadedModel], list[str]]:
        """Return the models by alias, and why some are not there."""
        present = {
            (loaded.version.name, loaded.version.version): loaded
            for loaded in (self._serving.models.values() if self._serving else ())
        }
        models: dict[str, LoadedModel] = {}
        problems: list[str] = []
        for alias in plan.routing.aliases:
            version = plan.versions.get(alias)
            if version is None:
                problems.append(f"{plan.model_name} has no alias '{alias}'")
                continue
            key = (version.name, version.version)
            try:
                loaded = present.get(key) or self._load(version)
            except ModelwatchError as error:
                problems.append(public_text(error))
                continue
            present[key] = loaded
            # the same version may serve under two aliases
            models[alias] = replace(loaded, version=version)
        return models, problems

    def _load(self, version: ModelVersion) -> LoadedModel:
        key = (version.name, version.version)
        refusal = self._refusals.get(key)
        if refusal and self._clock() < refusal.until:
            raise ModelLoadError(refusal.reason, refusal.public)
        began = time.perf_counter()
        title = f"{version.name} version {version.version}"
        try:
            try:
                model = self._loader.load(version)
                loaded = LoadedModel(version, model, self._now(), time.perf_counter() - began)
                # what it cannot be made for cannot serve
                self.capture.now().plan(version, model.schema)
            except ModelwatchError:
                raise
            # loading runs its author's code, and that may end in anything, SystemExit included
            except (Exception, SystemExit) as error:
                problem = f"{title} cannot be loaded: {type(error).__name__}"
                raise ModelLoadError(f"{problem}: {error}", problem) from error
        except ModelwatchError as error:
            _LOG.error("version %s of %s is not loaded: %s", version.version, version.name, error)
            if not isinstance(error, ModelLoadError):  # it may be there at the next attempt
                raise
            until = self._clock() + REFUSAL_SECONDS
            self._refusals[key] = _Refusal(str(error), error.public, until)
            raise
        name = {"model_name": version.name}
        self._metrics.emit([Sample("model_load_time_seconds", loaded.load_seconds, name)])
        return loaded

    def _mark_stale(self, problem: str, whole: str) -> None:
        """Say ``problem`` to callers from now on, and the ``whole`` of it in the log, once."""
        serving = self._serving
        if serving is None:
            return
        if serving.problem != problem:
            _LOG.warning("the loaded versions keep serving: %s", whole)
        since = serving.stale_since or self._now()
        stale = Serving(serving.routing, serving.models, problem, since)
        self._report(stale)
        self._serving = stale

    def _report(self, serving: Serving) -> None:
        name = {"model_name": self.model_name}
        samples = [Sample("model_stale", int(bool(serving.problem)), name)]
        before = self._serving
        if before is None or before.primary.version != serving.primary.version:
            version = serving.primary.version.version
            samples.append(Sample("model_version_info", 1, {**name, "version": version}))
        self._metrics.emit(samples)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock() * 1000) / 1000, UTC)


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="model-refresh", daemon=True).start()
