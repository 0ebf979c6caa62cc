"""What a deployment consists of, from settings alone."""

import pytest

from modelwatch.errors import InvalidInputError, SettingError
from modelwatch.settings import Settings
from modelwatch_cli.deployment.plan import make_plan

ELSEWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_S3": "http://s3:8333"}


def plan_of(*apps: str, **environ: str):
    return make_plan(Settings({"LAMBDA_ARCHITECTURE": "x86_64"} | environ), apps)


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


def test_buckets_on_another_s3_are_no_stack():
    plan = plan_of(**ELSEWHERE)
    assert not plan.owns_buckets
    assert "storage" not in plan.stacks


def test_buckets_are_a_stack_where_s3_is_cloudformations_own():
    same = {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://a:1"}
    assert plan_of(**same).owns_buckets
    assert plan_of().owns_buckets


def test_predict_as_an_image_has_an_environment_and_no_layers():
    plan = plan_of("predict", PREDICT_PACKAGE="image")
    assert plan.apps["predict"].environment == "pyfunc"
    assert plan.apps["predict"].layers == plan.layers == ()
    assert plan.stacks == {"pipeline": frozenset(), "predict": {"pipeline"}}


def test_an_unknown_app_is_refused_with_those_that_there_are():
    with pytest.raises(InvalidInputError, match=r"'predikt'; there are predict, capture, analyze"):
        plan_of("predikt")


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("STAGE", "Prod_1", "beginning with a letter"),
        ("PREDICT_PACKAGE", "tar", "not one of zip, image"),
        ("LAMBDA_ARCHITECTURE", "riscv", "not one of x86_64, arm64"),
        ("CAPTURE_BATCH_SIZE", "10001", "more than the 10000"),
        ("CAPTURE_BATCH_WINDOW_SECONDS", "301", "more than 300"),
        ("CAPTURE_BATCH_WINDOW_SECONDS", "0", "no more than 10"),
    ],
)
def test_settings_that_aws_would_refuse_are_refused_at_once(setting, value, why):
    with pytest.raises(SettingError, match=why):
        plan_of(**{setting: value})


def test_without_a_setting_the_architecture_is_this_machines():
    assert make_plan(Settings({})).architecture in ("x86_64", "arm64")
