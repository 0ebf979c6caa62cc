"""The way of the functions' log lines to the bridge: METRICS_TRANSPORT=firehose.

The stack ``metrics`` has the stream and its bucket; each function's stack has the filters of its
log groups, so that they come and go with the functions.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from modelwatch.errors import SettingError
from modelwatch_cli.deployment.building.packaging import functions
from modelwatch_cli.deployment.cloudformation.errors import StackError
from modelwatch_cli.deployment.cloudformation.plan import wants_firehose
from modelwatch_cli.deployment.cloudformation.stacks import Action, StackDeployer
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.settings import Settings

_PARAMETERS = ("MetricsStreamArn", "MetricsSendingRoleArn")

PATTERN = '?"_aws" ?"REPORT RequestId" ?"[ERROR]" ?"Task timed out" ?"Error:"'
"""The lines that the bridge counts: metrics, and what Lambda writes of an invocation."""


def check_transport(settings: Settings) -> None:
    """Raise SettingError if Firehose would write where the bridge does not read."""
    if wants_firehose(settings) and settings.aws_endpoint_url_s3 not in (
        "",
        settings.aws_endpoint_url,
    ):
        raise SettingError(
            "METRICS_TRANSPORT",
            "firehose writes to the S3 of AWS_ENDPOINT_URL, and AWS_ENDPOINT_URL_S3 is another",
        )


def with_filters(template: Template, settings: Settings) -> Template:
    """Return an app's ``template`` whose functions' log groups send their lines to the stream.

    The groups have to be there before the stack.
    """
    if not wants_firehose(settings):
        return template
    stream, role = _PARAMETERS
    filters = {
        f"{logical}Lines": {
            "Type": "AWS::Logs::SubscriptionFilter",
            "Properties": {
                "LogGroupName": _group_of(properties["FunctionName"]),
                # LocalStack does not filter, and events have other ids behind a pattern
                "FilterPattern": "" if settings.aws_endpoint_url else PATTERN,
                "DestinationArn": {"Ref": stream},
                "RoleArn": {"Ref": role},
            },
        }
        for logical, properties in functions(template).items()
    }
    declared = {name: {"Type": "String"} for name in _PARAMETERS}
    return template | {
        "Parameters": template.get("Parameters", {}) | declared,
        "Resources": template["Resources"] | filters,
    }


def _group_of(name: dict[str, Any]) -> dict[str, str]:
    return {"Fn::Sub": f"/aws/lambda/{name['Fn::Sub']}"}


def delete_transport(stacks: StackDeployer, s3: Any, name: str, *, is_protected: bool) -> Action:
    """Delete the stack of the stream, with what is in its bucket; the logs have the same lines.

    Raises StackError when it cannot be deleted.

    Parameters
    ----------
    s3
        boto3's client of the S3 that CloudFormation uses.
    name
        Of the stack.
    is_protected
        Whether it is protected from deletion, as on AWS.
    """
    stack = stacks.read(name)
    if stack is None:
        return "absent"
    bucket = stack.parameters["MetricsBucket"]
    _empty(s3, bucket)
    try:
        return stacks.delete(name, is_protected)
    except StackError:
        _empty(s3, bucket)  # Firehose wrote what it still had
        return stacks.delete(name)


def _empty(s3: Any, bucket: str) -> None:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if found := page.get("Contents"):
                keys = [{"Key": each["Key"]} for each in found]
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
