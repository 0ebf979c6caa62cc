"""PREDICT_ROLLOUT and SNAP_START: versions, an alias that moves to them, alarms that stop it."""

import json

import pytest
from cfnlint.api import ManualArgs, lint

from modelwatch.errors import SettingError
from modelwatch_cli.deployment.additions.alarms.stack import alarm_template
from modelwatch_cli.deployment.additions.versions import at_once, check_versions, with_versions
from modelwatch_cli.deployment.building.packaging import as_image, package_app, with_code
from modelwatch_cli.deployment.cloudformation.parameters import (
    common_parameters,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import make_plan
from modelwatch_cli.deployment.deployer import configured
from modelwatch_cli.deployment.settings import ROLLOUTS
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

REGION = "eu-central-1"
VARIABLES = {
    "STAGE": "prod",
    "AWS_ENDPOINT_URL": "",
    "AWS_ENDPOINT_URL_S3": "",
    "AWS_DEFAULT_REGION": REGION,
    "API_AUTH": "iam",
    "ALARM_EMAILS": "on-call@example.com",
    "PREDICT_ROLLOUT": ROLLOUTS[0],
    "KMS_KEY_ARN": f"arn:aws:kms:{REGION}:123456789012:key/0a1b2c3d",
    "ROLE_PATH": "/apps/",
    "MLFLOW_TRACKING_PASSWORD": "secret",
}
SETTINGS = Settings(VARIABLES)
LAYER = "arn:aws:lambda:eu-central-1:1:layer:core"
OUTPUTS = {
    "CaptureQueueUrl": "https://sqs/q",
    "CaptureQueueArn": "arn:aws:sqs:eu-central-1:1:q",
    "CoreLayer": f"{LAYER}:1",
    "InferenceLayer": "arn:aws:lambda:eu-central-1:1:layer:inference:1",
}


@pytest.fixture(scope="module")
def chalice():
    return package_app(Project(), "predict", REGION).template


def rendered(chalice, code="functions/key.zip", image="", given=None, **changed):
    """Return predict's template as `deploy` sends it."""
    settings = Settings(VARIABLES | changed)
    template = configured(chalice, "predict", settings)
    template = as_image(template, image, "-image") if image else with_code(template, "b", code)
    provided = common_parameters(make_plan(settings), settings) | OUTPUTS | (given or {})
    return with_versions(template, template_parameters(template, settings, provided), settings)


def version_of(template):
    (name,) = template["Resources"]["Live"]["Properties"]["FunctionVersion"]["Fn::GetAtt"][:1]
    assert template["Resources"][name]["Type"] == "AWS::Lambda::Version"
    return name


def role_of(template, name):
    policies = template["Resources"][name]["Properties"]["Policies"]
    return [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]


@pytest.mark.parametrize("image", ["", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/m:a"])
@pytest.mark.parametrize("rollout", ROLLOUTS)
def test_it_is_clean_and_the_api_calls_the_alias_alone(rollout, image, chalice):
    template = rendered(chalice, image=image, PREDICT_ROLLOUT=rollout)
    found = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []
    resources = template["Resources"]
    api = json.dumps(resources["RestAPI"])
    assert "${Live}/invocations" in api
    assert "APIHandler" not in api
    permission = resources["APIHandlerInvokePermission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": "Live"}
    assert template["Outputs"]["APIHandlerArn"]["Value"] == {"Ref": "Live"}
    assert resources["Live"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"] == {
        "ApplicationName": {"Ref": "Rollouts"},
        "DeploymentGroupName": {"Ref": "RolloutGroup"},
    }
    group = resources["RolloutGroup"]["Properties"]
    assert group["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{rollout}"
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


@pytest.mark.parametrize("suffix", ["", "-image"])
def test_it_stops_on_alarms_of_predict_that_there_are_and_that_look_back_no_longer(suffix, chalice):
    name = f"modelwatch-prod-predict{suffix}"
    template = rendered(chalice, image="r:a" if suffix else "")
    group = template["Resources"]["RolloutGroup"]["Properties"]
    watched = {each["Name"] for each in group["AlarmConfiguration"]["Alarms"]}
    made = {
        each["Properties"]["AlarmName"]: each["Properties"]
        for each in alarm_template(SETTINGS, {name: 30}, "q")["Resources"].values()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert watched == {
        f"modelwatch-prod-{each}"
        for each in (
            f"FunctionErrors-predict{suffix}",
            f"FunctionThrottled-predict{suffix}",
            f"HighLatency-predict{suffix}-timeout",
            "HighErrorRate-predict",
            "HighLatency-predict",
        )
    }
    assert watched <= made.keys()
    assert len(watched) <= 10, "CodeDeploy takes no more"
    shortest = 15 * 60  # of ROLLOUTS
    for each in watched:
        alarm = made[each]
        read = [metric["MetricStat"]["Period"] for metric in alarm.get("Metrics", ())[:1]]
        seconds = alarm.get("Period") or read[0]
        assert seconds * alarm["EvaluationPeriods"] <= shortest, each


def test_a_version_is_new_exactly_if_code_or_configuration_is(chalice):
    known = version_of(rendered(chalice))
    for same in (
        rendered(chalice),
        rendered(chalice, API_RATE="5"),
        rendered(chalice, FUNCTION_CONCURRENCY="predict=5"),
        rendered(chalice, given={"CaptureQueueArn": "arn:aws:sqs:eu-central-1:1:other"}),
        rendered(chalice, PREDICT_ROLLOUT=ROLLOUTS[1]),
    ):
        assert version_of(same) == known
    for name, other in {
        "code": rendered(chalice, code="functions/other.zip"),
        "memory": rendered(chalice, FUNCTION_MEMORY="predict=2048"),
        "variable": rendered(chalice, MODEL_ALIAS="challenger"),
        "secret": rendered(chalice, MLFLOW_TRACKING_PASSWORD="changed"),
        "layer": rendered(chalice, given={"CoreLayer": f"{LAYER}:2"}),
    }.items():
        assert version_of(other) != known, name


def test_codedeploy_may_move_this_alias_and_look_at_the_alarms_of_this_stage(chalice):
    template = rendered(chalice)
    move, look = role_of(template, "RolloutRole")
    assert move["Action"] == ["lambda:GetAlias", "lambda:UpdateAlias"]
    assert move["Resource"] == [
        {"Fn::GetAtt": ["APIHandler", "Arn"]},
        {"Fn::Sub": "${APIHandler.Arn}:live"},
    ]
    assert look["Action"] == "cloudwatch:DescribeAlarms"
    assert look["Resource"]["Fn::Sub"].endswith(":alarm:modelwatch-${Stage}-*")
    role = template["Resources"]["RolloutRole"]["Properties"]
    assert role["Path"] == "/apps/"
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codedeploy.amazonaws.com"}
    own = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert trust["Condition"] == {"StringEquals": own}, "or any account's CodeDeploy may"


@pytest.mark.parametrize("rollout", ["at-once", ROLLOUTS[0]])
def test_snapshots_are_of_versions_that_the_alias_names(rollout, chalice):
    template = rendered(chalice, SNAP_START="on", MODEL_MAX_MB="250", PREDICT_ROLLOUT=rollout)
    # W2530 looks for SAM's own version, and ours is a resource
    config = ManualArgs(regions=[REGION], ignore_checks=["W2530"])
    found = lint(json.dumps(template), config=config)
    assert [f"{each.rule.id} {each.message}" for each in found] == []
    function = template["Resources"]["APIHandler"]["Properties"]
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert function["EphemeralStorage"] == {"Size": 512}, "Lambda allows no more"
    assert version_of(template) != version_of(rendered(chalice))
    assert "${Live}/invocations" in json.dumps(template["Resources"]["RestAPI"])
    is_rollout = rollout != "at-once"
    assert ("UpdatePolicy" in template["Resources"]["Live"]) is is_rollout
    assert ("RolloutRole" in template["Resources"]) is is_rollout


def test_an_image_has_no_snapshots(chalice):
    template = rendered(chalice, image="r:a", SNAP_START="on", PREDICT_ROLLOUT="at-once")
    assert "SnapStart" not in template["Resources"]["APIHandler"]["Properties"]
    assert "Live" not in template["Resources"]


def test_snapshots_without_room_for_two_models_are_refused():
    check_versions(Settings(VARIABLES | {"SNAP_START": "on", "MODEL_MAX_MB": "256"}))
    with pytest.raises(SettingError, match="MODEL_MAX_MB=256 or less"):
        check_versions(Settings(VARIABLES | {"SNAP_START": "on", "MODEL_MAX_MB": "257"}))
    local = {"SNAP_START": "on", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    with pytest.raises(SettingError, match="SNAP_START: needs SnapStart"):
        check_versions(Settings(VARIABLES | local))


def test_without_the_setting_nothing_of_it_is_there(chalice):
    template = rendered(chalice, PREDICT_ROLLOUT="at-once")
    kinds = " ".join(each["Type"] for each in template["Resources"].values())
    assert not any(part in kinds for part in ("CodeDeploy", "Version", "Alias"))


def test_a_rollback_does_not_wait_and_no_alarm_stops_it(chalice):
    template = rendered(chalice)
    moved = at_once(template)
    assert "UpdatePolicy" not in moved["Resources"]["Live"]
    assert version_of(moved) == version_of(template)
    assert at_once(moved) == moved


def test_a_rollout_that_nothing_would_stop_is_refused():
    check_versions(SETTINGS)
    for changed, why in (
        ({"ALARM_EMAILS": ""}, "needs alarms"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "needs CodeDeploy"),
    ):
        with pytest.raises(SettingError, match=why):
            check_versions(Settings(VARIABLES | changed))
        check_versions(Settings(VARIABLES | changed | {"PREDICT_ROLLOUT": "at-once"}))


def test_capture_is_updated_before_predict():
    # the consumer reads a new form of messages before predict sends it, if only of some requests
    assert "capture" in make_plan(SETTINGS).stacks["predict"]
