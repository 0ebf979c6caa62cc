"""The last good serving plan, on S3 and on disk."""

import pytest

from in_memory import ConstantModel, InMemoryLoader, InMemoryMetrics, InMemoryRegistry
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.models.serving_plan_cache import StoredServingPlanCache
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.names import MOST_CHARACTERS, check_model_name
from modelwatch.domain.routing import Routing, ServingPlan
from modelwatch.errors import StoreError
from modelwatch.services.serving import LOOK_SECONDS, ModelPool

BUCKET = "models"


def plan(version: str) -> ServingPlan:
    found = ModelVersion(name="wine", version=version, source="s3://models/1", run_id="r")
    return ServingPlan("wine", Routing({"production": 1}), {"production": found})


@pytest.fixture
def s3():
    return InMemoryS3()


@pytest.mark.parametrize("reached", ["s3", "disk"])
@pytest.mark.parametrize(
    "other", ["http://staging:5000 production ", "http://mlflow:5000 challenger "]
)
def test_deployments_that_share_a_bucket_recall_their_own_plan(s3, tmp_path, reached, other):
    client = s3 if reached == "s3" else None
    theirs = StoredServingPlanCache(client, BUCKET, tmp_path, source=other)
    ours = StoredServingPlanCache(client, BUCKET, tmp_path, "http://mlflow:5000 production ")
    theirs.remember(plan("9"))
    assert ours.recall("wine") is None
    ours.remember(plan("3"))
    assert ours.recall("wine") == plan("3")
    assert theirs.recall("wine") == plan("9")


def test_another_environment_recalls_the_plan_from_s3(s3, tmp_path):
    StoredServingPlanCache(s3, BUCKET, tmp_path / "a", "m production").remember(plan("3"))
    assert StoredServingPlanCache(s3, BUCKET, tmp_path / "b", "m production").recall("wine")


@pytest.mark.parametrize("reached", ["s3", "disk"])
def test_an_expired_plan_is_seen_once_by_each_other_environment(s3, tmp_path, reached):
    client = s3 if reached == "s3" else None
    ours, theirs, late = (StoredServingPlanCache(client, BUCKET, tmp_path, "m") for _ in range(3))
    stage = StoredServingPlanCache(client, BUCKET, tmp_path, "staging")
    assert not theirs.is_expired("wine")
    for _ in range(2):
        ours.expire("wine")
        assert [ours.is_expired("wine"), stage.is_expired("wine")] == [False, False]
        assert [theirs.is_expired("wine") for _ in range(3)] == [True, False, False]
        assert not theirs.is_expired("churn")
    assert late.is_expired("wine"), "its plan may be of before"


def test_an_s3_that_is_away_stops_no_serving_and_is_said_once(s3, tmp_path, caplog):
    cache = StoredServingPlanCache(s3, BUCKET, tmp_path, "m")
    s3.fail_at = 1
    assert [cache.is_expired("wine") for _ in range(3)] == [False] * 3
    assert caplog.text.count("it is not known whether a reload was asked for") == 1
    with pytest.raises(StoreError, match="cannot be told to reload"):
        cache.expire("wine")
    s3.fail_at = None
    StoredServingPlanCache(s3, BUCKET, tmp_path, "m").expire("wine")
    assert cache.is_expired("wine")


def test_a_look_is_one_request_without_a_body_and_predictions_need_no_more(s3, tmp_path):
    """10,000 predictions in 100 s, one each 10 ms, on a clock of the test's own."""
    now = [1000.0]
    registry = InMemoryRegistry()
    registry.point("wine", "production", "1")
    pool = ModelPool(
        model_name="wine",
        alias="production",
        registry=registry,
        loader=InMemoryLoader(ConstantModel()),
        plan_cache=StoredServingPlanCache(s3, BUCKET, tmp_path, "m"),
        metrics=InMemoryMetrics(),
        refresh_seconds=30,
        clock=lambda: now[0],
        start=lambda work: work(),
    )
    pool.serving()
    s3.calls.clear()
    for _ in range(10_000):
        now[0] += 0.01
        pool.serving()
    assert len(s3.calls) <= 100 / (LOOK_SECONDS / 2)
    assert set(s3.calls) == {"get"}


@pytest.mark.parametrize("reached", ["s3", "disk"])
@pytest.mark.parametrize(("letter", "most"), [("a", MOST_CHARACTERS), ("ü", 46), ("😀", 23)])
def test_the_longest_name_has_a_plan_of_its_own(s3, tmp_path, reached, letter, most):
    client = s3 if reached == "s3" else None
    names = [letter * (most - 1) + end for end in "xy"]
    for name in names:
        check_model_name(name)
        cache = StoredServingPlanCache(client, BUCKET, tmp_path, "m")
        cache.remember(ServingPlan(name, Routing({"production": 1}), {}))
        cache.expire(name)
    for name in names:
        other = StoredServingPlanCache(client, BUCKET, tmp_path, "m")
        assert other.recall(name).model_name == name
        assert other.is_expired(name)
    assert all(len(key.encode()) <= 1024 for key in s3.objects)
