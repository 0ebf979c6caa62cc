"""The model pool: refresh, reload, refusals and the last known good."""

import threading

import pytest

from in_memory import (
    ConstantModel,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryRegistry,
    InMemoryServingPlanCache,
)
from modelwatch.domain.routing import Routing
from modelwatch.errors import ModelLoadError, NoModelError, RegistryError
from modelwatch.services.serving import REFUSAL_SECONDS, ModelPool


class Stage:
    def __init__(self, plan_cache: InMemoryServingPlanCache | None = None) -> None:
        self.registry = InMemoryRegistry()
        self.registry.point("wine", "production", "1")
        self.loader = InMemoryLoader(ConstantModel())
        self.plan_cache = plan_cache or InMemoryServingPlanCache()
        self.metrics = InMemoryMetrics()
        self.now = 1000.0
        self.started: list = []
        self.waited: list[float] = []
        self.pool = self.pool_with(start=self.started.append, patience_seconds=0)

    def pool_with(self, **options) -> ModelPool:
        return ModelPool(
            **{"wait": self.waited.append} | options,
            model_name="wine",
            alias="production",
            registry=self.registry,
            loader=self.loader,
            plan_cache=self.plan_cache,
            metrics=self.metrics,
            refresh_seconds=30,
            clock=lambda: self.now,
        )

    def version(self) -> str:
        return self.pool.serving().primary.version.version

    def pass_time(self, seconds: float) -> None:
        """Let time pass, a request come, and what it started beside it finish."""
        self.now += seconds
        self.version()
        while self.started:
            self.started.pop()()


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    assert stage.version() == "1"
    return stage


def test_a_moved_alias_is_picked_up_beside_the_requests(stage):
    stage.registry.point("wine", "production", "2")
    stage.now += 2
    assert (stage.version(), stage.started) == ("1", [])
    for _ in range(4):
        stage.pass_time(3)
    assert (stage.version(), stage.plan_cache.looks) == ("1", 4)
    stage.now += 1
    assert stage.version() == "1"
    assert stage.version() == "1"
    assert len(stage.started) == 0, "a second ago it looked"
    stage.now += 2
    assert stage.version() == "1"
    assert stage.version() == "1"
    assert len(stage.started) == 1, "one refresh at a time"
    stage.started.pop()()
    assert stage.version() == "2"
    assert stage.loader.loads == ["1", "2"]


def test_the_first_request_after_a_pause_waits_for_what_is_fresh(stage):
    pool = stage.pool_with(patience_seconds=30)
    assert pool.serving().primary.version.version == "1"
    stage.registry.point("wine", "production", "2")
    stage.now += 31
    assert pool.serving().primary.version.version == "2"


def test_a_reload_is_in_force_when_it_has_responded(stage):
    stage.registry.point("wine", "production", "2")
    assert stage.pool.reload().primary.version.version == "2"
    assert stage.version() == "2"


def test_no_environment_serves_an_older_version_after_a_reload(stage):
    """Two environments: one is asked to reload, the other looked just before it was."""
    other = Stage()
    other.registry, other.loader = stage.registry, stage.loader
    other.pool = other.pool_with(start=lambda work: work())
    assert other.version() == "1"
    stage.plan_cache.others = [other.plan_cache]
    stage.registry.point("wine", "production", "2")
    other.now += 3
    assert (other.version(), other.plan_cache.looks) == ("1", 1)
    stage.pool.reload()
    other.now += sum(stage.waited)
    assert other.version() == "2"
    assert stage.waited == [5.0]


def test_a_request_after_a_reload_waits_for_what_it_brings(stage):
    """Loading takes longer than the patience with a look; the request gets the new version."""
    loading, may_load = threading.Event(), threading.Event()
    load = stage.loader.load

    def slowly(version):
        loading.set()
        assert may_load.wait(30)
        return load(version)

    stage.registry.point("wine", "production", "2")
    stage.plan_cache.is_old = True
    stage.loader.load = slowly
    stage.now += 3
    assert stage.version() == "1", "it looks beside the requests"
    threading.Thread(target=stage.started.pop()).start()
    assert loading.wait(30)
    threading.Timer(0.01, may_load.set).start()
    assert stage.version() == "2"


def test_a_reload_also_tries_refused_versions_again_elsewhere(stage):
    stage.loader.model = None
    stage.registry.point("wine", "production", "2")
    stage.pass_time(30)
    assert stage.pool.serving().problem
    stage.loader.model = ConstantModel()
    stage.pass_time(6)
    assert stage.version() == "1"
    stage.plan_cache.is_old = True
    stage.pass_time(6)
    assert stage.version() == "2"


def test_a_version_that_cannot_be_loaded_is_refused_and_not_tried_again(stage):
    stage.loader.model = None
    stage.registry.point("wine", "production", "2")
    stage.pass_time(30)
    serving = stage.pool.serving()
    assert serving.primary.version.version == "1"
    assert serving.problem == "version 2 cannot be loaded"
    since = serving.stale_since
    stage.pass_time(30)
    assert stage.loader.loads == ["1", "2"]
    assert stage.pool.serving().stale_since == since
    stage.pass_time(REFUSAL_SECONDS)
    assert stage.loader.loads == ["1", "2", "2"]
    with pytest.raises(ModelLoadError, match="version 2"):
        stage.pool.reload()
    assert stage.version() == "1"
    stage.loader.model = ConstantModel()
    assert stage.pool.reload().problem == ""
    assert stage.version() == "2"


def test_a_new_environment_starts_from_the_plan_that_was_good_last(stage):
    fresh = Stage(stage.plan_cache)
    fresh.registry.failure = RegistryError("away")
    serving = fresh.pool.serving()
    assert (serving.primary.version.version, serving.problem) == ("1", RegistryError.public)
    assert fresh.metrics.value("model_stale") == 1
    fresh.registry.failure = None
    fresh.pass_time(30)
    assert fresh.pool.serving().problem == ""


def test_without_a_plan_in_reach_the_failure_is_reported():
    stage = Stage()
    stage.registry.failure = RegistryError("away")
    with pytest.raises(RegistryError):
        stage.pool.serving()
    stage.registry.failure = None
    assert stage.version() == "1"


def test_no_model_is_not_covered_up_by_an_old_plan(stage):
    fresh = Stage(stage.plan_cache)
    fresh.registry.aliases.clear()
    with pytest.raises(NoModelError):
        fresh.pool.serving()


def test_half_of_a_new_routing_is_not_served(stage):
    stage.registry.routing = Routing({"production": 1, "canary": 1})
    stage.pass_time(30)
    serving = stage.pool.serving()
    assert serving.routing.aliases == ("production",)
    assert "no alias 'canary'" in serving.problem


def test_a_shadow_that_cannot_be_loaded_stops_nothing(stage, caplog):
    stage.registry.routing = Routing({"production": 1}, ("candidate",))
    stage.pass_time(30)
    assert stage.pool.serving().shadows() == []
    assert stage.pool.serving().problem == ""
    assert "a shadow does not run" in caplog.text


def test_a_version_under_two_aliases_is_loaded_once(stage):
    stage.registry.point("wine", "canary", "1")
    stage.registry.routing = Routing({"production": 9, "canary": 1})
    stage.pass_time(30)
    models = stage.pool.serving().models
    assert {alias: loaded.version.alias for alias, loaded in models.items()} == {
        "production": "production",
        "canary": "canary",
    }
    assert stage.loader.loads == ["1"]


def test_many_first_requests_load_the_model_once():
    stage = Stage()
    threads = [threading.Thread(target=stage.version) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.loader.loads == ["1"]


@pytest.mark.parametrize(
    ("weights", "shadows"), [({}, ()), ({"a": 0}, ()), ({"a": -1, "b": 2}, ()), ({"a": 1}, ("a",))]
)
def test_a_routing_that_makes_no_sense_is_refused(weights, shadows):
    with pytest.raises(ValueError, match=r"weights|shadow"):
        Routing(weights, shadows)


def test_moving_a_share_moves_only_the_keys_in_between():
    before, after = Routing({"old": 90, "new": 10}), Routing({"old": 80, "new": 20})
    keys = [str(number) for number in range(5000)]
    moved = [key for key in keys if before.choose(key) != after.choose(key)]
    assert all(before.choose(key) == "old" for key in moved)
    assert 0.08 < len(moved) / len(keys) < 0.12


class Failing:
    """Raises ``error`` at every call."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def load(self, _version):
        raise self.error

    def plan(self, _name, _alias):
        raise self.error


@pytest.mark.parametrize("error", [ImportError("no onnxruntime"), SystemExit(3), KeyError("x")])
def test_whatever_loading_raises_is_a_model_that_cannot_be_loaded(stage, error):
    stage.pool._loader = Failing(error)
    stage.registry.point("wine", "production", "2")
    with pytest.raises(
        ModelLoadError, match=f"wine version 2 cannot be loaded: {type(error).__name__}"
    ):
        stage.pool.reload()
    assert stage.version() == "1", "what was loaded goes on serving"


def test_an_unexpected_response_of_the_registry_is_a_registry_error(stage):
    stage.pool._registry = Failing(KeyError("alias"))
    with pytest.raises(RegistryError, match="unexpected response"):
        stage.pool.reload()
    stage.pass_time(30)
    assert stage.pool.loaded.problem == RegistryError.public
