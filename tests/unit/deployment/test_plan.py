"""What a deployment consists of, from settings alone."""

import pytest

from modelwatch.errors import InvalidInputError
from modelwatch_cli.deployment.cloudformation.plan import make_plan, own_architecture
from modelwatch_cli.settings import Settings

ELSEWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_S3": "http://s3:8333"}


def plan_of(*apps: str, predict_package: str = "zip", **environ: str):
    settings = Settings({"LAMBDA_ARCHITECTURE": "x86_64"} | environ)
    return make_plan(settings, apps, predict_package)


def test_everything_is_deployed_when_no_app_is_named():
    plan = plan_of()
    assert list(plan.apps) == ["predict", "capture", "analyze"]
    assert plan.layers == ("core", "inference", "capture")
    assert plan.stacks["predict"] == {"pipeline", "layers", "capture"}
    assert plan.stacks["capture"] == {"pipeline", "layers", "storage"}
    assert plan.stacks["analyze"] == {"storage"}
    assert plan.stacks["pipeline"] == plan.stacks["layers"] == plan.stacks["storage"] == frozenset()


def test_one_app_brings_only_what_it_needs():
    plan = plan_of("analyze")
    assert plan.layers == ()
    assert plan.stacks == {"storage": frozenset(), "analyze": {"storage"}}


def test_functions_wait_for_the_way_of_their_lines():
    plan = plan_of(METRICS_TRANSPORT="firehose")
    assert plan.stacks["metrics"] == frozenset()
    assert all("metrics" in plan.stacks[app] for app in plan.apps)
    assert "metrics" not in plan_of().stacks


def test_buckets_on_another_s3_are_no_stack():
    plan = plan_of(**ELSEWHERE)
    assert not plan.owns_buckets
    assert "storage" not in plan.stacks


def test_buckets_are_a_stack_where_s3_is_cloudformations_own():
    same = {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://a:1"}
    assert plan_of(**same).owns_buckets
    assert plan_of().owns_buckets


def test_predict_as_an_image_has_an_environment_and_no_layers():
    plan = plan_of("predict", predict_package="image")
    assert plan.apps["predict"].environment == "pyfunc"
    assert plan.apps["predict"].layers == plan.layers == ()
    assert plan.stacks == {"pipeline": frozenset(), "predict": {"pipeline"}}


def test_an_unknown_app_is_refused_with_those_that_there_are():
    with pytest.raises(InvalidInputError, match=r"'predikt'; there are predict, capture, analyze"):
        plan_of("predikt")


def test_on_one_machine_the_architecture_is_its_own():
    local = Settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    assert make_plan(local).architecture == own_architecture()
