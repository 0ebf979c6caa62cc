"""The last good serving plan, on S3 and on disk."""

import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.models.serving_plan_cache import StoredServingPlanCache
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.routing import Routing, ServingPlan

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
