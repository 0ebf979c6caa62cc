"""Limits of functions by setting (memory, time, concurrency), tracing, network; what roles share.

All of it is added to Chalice's template of an app before the deployment. What LocalStack 4.14 does
not have (a limit of the consumers of a queue, a place for failed runs) is for AWS alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwatch.services.analysis_requests import START_SECONDS
from modelwatch_cli.deployment.building.packaging import functions
from modelwatch_cli.deployment.cloudformation.plan import most_at_once
from modelwatch_cli.deployment.cloudformation.templates import Template, with_policy
from modelwatch_cli.settings import Settings

_ASYNCHRONOUS = ("capture-compact", "analyze", "analyze-api")
"""EventBridge, or the function itself, invokes these: no one waits, and no one sees a failure."""

_FAILED = "FailedRuns"


_INTERFACES = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]
# Lambda asks for these of the role, on no resource in particular; the code of a function needs none
_IN_A_NETWORK: list[dict[str, Any]] = [
    {"Sid": "Interfaces", "Effect": "Allow", "Action": _INTERFACES, "Resource": "*"},
    {
        "Sid": "NoInterfacesForCode",
        "Effect": "Deny",
        "Action": _INTERFACES,
        "Resource": "*",
        "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
    },
]


def with_limits(template: Template, settings: Settings) -> Template:
    """Return an app's ``template`` with the limits that the settings say."""
    resources = dict(template["Resources"])
    for logical, properties in functions(template).items():
        name = properties["FunctionName"]["Fn::Sub"].removeprefix("modelwatch-${Stage}-")
        resources[logical] = resources[logical] | {
            "Properties": properties | _limits(name, properties, settings)
        }
    api = resources["RestAPI"]["Properties"]
    resources["RestAPI"] = resources["RestAPI"] | {"Properties": api | _of_api(settings)}
    template = with_roles(template | {"Resources": resources}, settings)
    if settings.tracing == "on":
        write = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        # X-Ray knows no resources
        statement = {"Sid": "Trace", "Effect": "Allow", "Action": write, "Resource": "*"}
        template = with_policy(template, "tracing", [statement])
    if settings.function_subnets:
        template = with_policy(template, "network", _IN_A_NETWORK)
    return _with_failed_runs(template)


def _limits(name: str, properties: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    given = {
        "MemorySize": settings.function_memory,
        "ReservedConcurrentExecutions": settings.function_concurrency,
        # the consumer's is a parameter: the queue hides messages six times as long
        "Timeout": settings.function_timeout if name != "capture" else {},
    }
    for what, values in given.items():
        if name in values:
            limits[what] = values[name]
    if settings.tracing == "on":
        limits["Tracing"] = "Active"
    if settings.function_subnets:
        limits["VpcConfig"] = {
            "SubnetIds": list(settings.function_subnets),
            "SecurityGroupIds": list(settings.function_security_groups or ()),
        }
    if settings.aws_endpoint_url:
        return limits
    if name in most_at_once(settings):
        # a backlog must not take the concurrency that predict needs
        (event,) = properties["Events"].values()
        (logical,) = properties["Events"]
        scaling = {"ScalingConfig": {"MaximumConcurrency": most_at_once(settings)[name]}}
        changed = event | {"Properties": event["Properties"] | scaling}
        limits["Events"] = {logical: changed}
    if name in _ASYNCHRONOUS:
        destination = {"Type": "SQS", "Destination": {"Fn::GetAtt": [_FAILED, "Arn"]}}
        limits["EventInvokeConfig"] = {
            "MaximumRetryAttempts": 2,
            "DestinationConfig": {"OnFailure": destination},
        }
        if name == "analyze-api":  # whoever asked knows by then that nothing was started
            limits["EventInvokeConfig"]["MaximumEventAgeInSeconds"] = int(START_SECONDS)
    return limits


def _of_api(settings: Settings) -> dict[str, Any]:
    if not settings.api_rate:
        return {}
    return {
        "MethodSettings": [
            {
                "HttpMethod": "*",
                "ResourcePath": "/*",
                "ThrottlingRateLimit": settings.api_rate,
                # as API Gateway's own limits: twice as many at once
                "ThrottlingBurstLimit": min(2 * settings.api_rate, 5_000),
            }
        ]
    }


def with_roles(template: Template, settings: Settings) -> Template:
    """Return a ``template`` whose roles have the path and the boundary that the settings say."""
    more = shared_by_roles(settings)
    resources = {
        name: resource | {"Properties": resource["Properties"] | more}
        if resource["Type"] == "AWS::IAM::Role"
        else resource
        for name, resource in template["Resources"].items()
    }
    return template | {"Resources": resources}


def shared_by_roles(settings: Settings) -> dict[str, Any]:
    """Return the properties that every role has: a path and a boundary, if the settings say so."""
    found: dict[str, Any] = {}
    if settings.role_boundary:
        found["PermissionsBoundary"] = settings.role_boundary
    if settings.role_path != "/":
        found["Path"] = settings.role_path
    return found


def _with_failed_runs(template: Template) -> Template:
    """Return an app's template with a queue of the runs that failed for good, where it has any."""
    if not any("EventInvokeConfig" in each for each in functions(template).values()):
        return template
    queue = {
        "Type": "AWS::SQS::Queue",
        "UpdateReplacePolicy": "Delete",
        "DeletionPolicy": "Delete",
        "Properties": {"MessageRetentionPeriod": 1_209_600, "SqsManagedSseEnabled": True},
    }
    refuse = {
        "Sid": "OnlyThroughTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": {"Fn::GetAtt": [_FAILED, "Arn"]},
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": _FAILED}],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [refuse]},
        },
    }
    statement = {
        "Sid": "KeepFailedRuns",
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": [_FAILED, "Arn"]},
    }
    template = template | {
        "Resources": template["Resources"] | {_FAILED: queue, f"{_FAILED}AccessPolicy": policy},
        "Outputs": template.get("Outputs", {}) | {f"{_FAILED}Url": {"Value": {"Ref": _FAILED}}},
    }
    return with_policy(template, "failed-runs", [statement])
