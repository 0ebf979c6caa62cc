"""Versions of predict: PREDICT_ROLLOUT and SNAP_START.

With one of them, API Gateway calls the alias ``live`` of the function, and each change of the
function is a version of its own. With a rollout CodeDeploy moves the alias: a new predict takes a
part of the requests first, and all of them if it is well. An alarm on predict moves it back, and
CloudFormation brings the stack back to what it was. SnapStart has Lambda keep a snapshot of each
version. Without both settings nothing of this is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwatch.errors import SettingError
from modelwatch_cli.deployment.additions.alarms.twins import alarm_names
from modelwatch_cli.deployment.additions.limits import shared_by_roles
from modelwatch_cli.deployment.building.packaging import functions
from modelwatch_cli.deployment.cloudformation.plan import wants_alarms
from modelwatch_cli.deployment.cloudformation.stacks import stack_digest
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.settings import Settings

AT_ONCE = "at-once"

_FUNCTION, _ALIAS, _ROLLOUTS, _GROUP, _ROLE = (
    "APIHandler",
    "Live",
    "Rollouts",
    "RolloutGroup",
    "RolloutRole",
)
_NAME = "live"
_NOT_OF_A_VERSION = {"Events", "EventInvokeConfig", "ReservedConcurrentExecutions", "Tags"}


_SNAPSHOT_DISK_MB = 512
"""The disk of a function that has snapshots: Lambda allows no more."""


def check_versions(settings: Settings) -> None:
    """Refuse a rollout that nothing would stop, and snapshots that have no room for two models.

    Raises SettingError also on another endpoint than AWS's.
    """
    if settings.snap_start == "on":
        if settings.aws_endpoint_url:
            raise SettingError("SNAP_START", "needs SnapStart, which only AWS has")
        if settings.model_max_mb * 2 > _SNAPSHOT_DISK_MB:
            raise SettingError(
                "SNAP_START",
                "leaves predict a disk of 512 MB, for a model and the one that takes its place: "
                f"say MODEL_MAX_MB={_SNAPSHOT_DISK_MB // 2} or less, too",
            )
    if settings.predict_rollout == AT_ONCE:
        return
    if settings.aws_endpoint_url:
        raise SettingError("PREDICT_ROLLOUT", "needs CodeDeploy, which only AWS has")
    if not wants_alarms(settings):
        raise SettingError(
            "PREDICT_ROLLOUT",
            "needs alarms, which stop it: ALARM_EMAILS, ALARM_SLACK or ALARM_TOPIC_ARN",
        )


def with_versions(
    template: Template, parameters: Mapping[str, str], settings: Settings
) -> Template:
    """Return predict's ``template`` whose alias moves to a new version as the setting says.

    Parameters
    ----------
    template
        Finished, with the code of the function.
    parameters
        Of the stack: a version is new if one of them is that the function gets.
    """
    is_zip = "CodeUri" in template["Resources"][_FUNCTION]["Properties"]
    snaps = settings.snap_start == "on" and is_zip
    if settings.predict_rollout == AT_ONCE and not snaps:
        return template
    if snaps:
        template = _with_snapshots(template)
    resources = dict(template["Resources"])
    version = f"Version{_digest(template, parameters)}"
    api = resources["RestAPI"]
    definition = _calling_alias(api["Properties"]["DefinitionBody"])
    resources["RestAPI"] = api | {"Properties": api["Properties"] | {"DefinitionBody": definition}}
    permission = resources["APIHandlerInvokePermission"]
    called = permission["Properties"] | {"FunctionName": {"Ref": _ALIAS}}
    resources["APIHandlerInvokePermission"] = permission | {"Properties": called}
    resources[version] = {
        "Type": "AWS::Lambda::Version",
        "Properties": {"FunctionName": {"Ref": _FUNCTION}},
    }
    resources[_ALIAS] = {
        "Type": "AWS::Lambda::Alias",
        "Properties": {
            "Name": _NAME,
            "FunctionName": {"Ref": _FUNCTION},
            "FunctionVersion": {"Fn::GetAtt": [version, "Version"]},
        },
    }
    if settings.predict_rollout != AT_ONCE:
        resources |= _rollout(template, resources[_ALIAS], settings)
    outputs = template["Outputs"] | {"APIHandlerArn": {"Value": {"Ref": _ALIAS}}}
    return template | {"Resources": resources, "Outputs": outputs}


def _with_snapshots(template: Template) -> Template:
    function = template["Resources"][_FUNCTION]
    properties = function["Properties"] | {
        "SnapStart": {"ApplyOn": "PublishedVersions"},
        "EphemeralStorage": {"Size": _SNAPSHOT_DISK_MB},
    }
    resources = template["Resources"] | {_FUNCTION: function | {"Properties": properties}}
    return template | {"Resources": resources}


def at_once(template: Template) -> Template:
    """Return an app's ``template`` whose alias moves at once: for a rollback.

    The alarm that asks for the rollback would stop a rollout.
    """
    alias = template["Resources"].get(_ALIAS)
    if alias is None:
        return template
    moved = {name: value for name, value in alias.items() if name != "UpdatePolicy"}
    return template | {"Resources": template["Resources"] | {_ALIAS: moved}}


def _rollout(template: Template, alias: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the alias that CodeDeploy moves, and what of CodeDeploy does it."""
    policy = {"ApplicationName": {"Ref": _ROLLOUTS}, "DeploymentGroupName": {"Ref": _GROUP}}
    return {
        _ALIAS: alias | {"UpdatePolicy": {"CodeDeployLambdaAliasUpdate": policy}},
        _ROLLOUTS: {
            "Type": "AWS::CodeDeploy::Application",
            "Properties": {"ComputePlatform": "Lambda"},
        },
        _GROUP: _group(template, settings),
        _ROLE: _role(settings),
    }


def _group(template: Template, settings: Settings) -> dict[str, Any]:
    (function,) = functions(template).values()
    name = function["FunctionName"]["Fn::Sub"].replace("${Stage}", settings.stage)
    watching = alarm_names(settings, name, "serving")
    return {
        "Type": "AWS::CodeDeploy::DeploymentGroup",
        "Properties": {
            "ApplicationName": {"Ref": _ROLLOUTS},
            "ServiceRoleArn": {"Fn::GetAtt": [_ROLE, "Arn"]},
            "DeploymentConfigName": f"CodeDeployDefault.Lambda{settings.predict_rollout}",
            "DeploymentStyle": {
                "DeploymentType": "BLUE_GREEN",
                "DeploymentOption": "WITH_TRAFFIC_CONTROL",
            },
            "AutoRollbackConfiguration": {
                "Enabled": True,
                "Events": [
                    "DEPLOYMENT_FAILURE",
                    "DEPLOYMENT_STOP_ON_ALARM",
                    "DEPLOYMENT_STOP_ON_REQUEST",
                ],
            },
            "AlarmConfiguration": {
                "Enabled": True,
                "Alarms": [{"Name": each} for each in watching],
            },
        },
    }


def _role(settings: Settings) -> dict[str, Any]:
    """Return the role of CodeDeploy: it moves this alias, and looks at this stage's alarms."""
    here = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:"
    function = {"Fn::GetAtt": [_FUNCTION, "Arn"]}
    statements = [
        {
            "Sid": "MoveAlias",
            "Effect": "Allow",
            "Action": ["lambda:GetAlias", "lambda:UpdateAlias"],
            "Resource": [function, {"Fn::Sub": f"${{{_FUNCTION}.Arn}}:{_NAME}"}],
        },
        {
            "Sid": "LookAtAlarms",
            "Effect": "Allow",
            "Action": "cloudwatch:DescribeAlarms",
            "Resource": {"Fn::Sub": f"{here % 'cloudwatch'}alarm:modelwatch-${{Stage}}-*"},
        },
    ]
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "codedeploy.amazonaws.com"},
        "Action": "sts:AssumeRole",
        # not for what another account has CodeDeploy do
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    return {
        "Type": "AWS::IAM::Role",
        "Properties": shared_by_roles(settings)
        | {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": "rollout",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                }
            ],
        },
    }


def _digest(template: Template, parameters: Mapping[str, str]) -> str:
    """Return the digest of what makes a version of the function: its code and its configuration.

    Lambda makes no second version of the same, and CloudFormation fails then.
    """
    properties = template["Resources"][_FUNCTION]["Properties"]
    known = {name: each for name, each in properties.items() if name not in _NOT_OF_A_VERSION}
    known["Globals"] = template.get("Globals")
    declared = template["Parameters"]
    used = {
        name: each for name, each in declared.items() if name in parameters and _uses(known, name)
    }
    values = {name: parameters[name] for name in used}
    return stack_digest(known | {"Parameters": used}, values)[:16]


def _uses(part: Any, parameter: str) -> bool:
    """Return whether a part of a template refers to a parameter."""
    if isinstance(part, str):
        return f"${{{parameter}}}" in part
    if isinstance(part, list):
        return any(_uses(each, parameter) for each in part)
    if isinstance(part, dict):
        return part.get("Ref") == parameter or any(_uses(each, parameter) for each in part.values())
    return False


def _calling_alias(definition: Any) -> Any:
    """Return an API's definition that calls the alias in place of the function."""
    if isinstance(definition, list):
        return [_calling_alias(each) for each in definition]
    if not isinstance(definition, dict):
        return definition
    pattern = definition.get("Fn::Sub")
    if isinstance(pattern, str):
        return {"Fn::Sub": pattern.replace(f"${{{_FUNCTION}.Arn}}", f"${{{_ALIAS}}}")}
    return {name: _calling_alias(each) for name, each in definition.items()}
