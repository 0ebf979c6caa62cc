"""Whether the principal that deploys may do what a deployment does, by IAM's own simulation."""

from __future__ import annotations

import re
from typing import Any

from modelwatch_cli.deployment.additions.versions import AT_ONCE
from modelwatch_cli.deployment.cloudformation.plan import wants_firehose, wants_tables
from modelwatch_cli.settings import Settings

# what CloudFormation does in the deploying principal's name, or in that of CLOUDFORMATION_ROLE,
# by the resource that it concerns
_ACTIONS: dict[str, tuple[str, ...]] = {
    "arn:{P}:cloudformation:{R}:{A}:stack/modelwatch-{S}-predict/*": (
        "cloudformation:CreateChangeSet",
        "cloudformation:DescribeChangeSet",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:DescribeStacks",
        "cloudformation:DescribeStackEvents",
        "cloudformation:UpdateTerminationProtection",
    ),
    "arn:{P}:lambda:{R}:{A}:function:modelwatch-{S}-predict": (
        "lambda:CreateFunction",
        "lambda:GetFunction",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
        "lambda:AddPermission",
    ),
    "arn:{P}:lambda:{R}:{A}:layer:modelwatch-{S}-core": ("lambda:PublishLayerVersion",),
    "arn:{P}:iam::{A}:role/modelwatch-{S}-predict-Role": (
        "iam:CreateRole",
        "iam:GetRole",
        "iam:PutRolePolicy",
        "iam:PassRole",
    ),
    "arn:{P}:sqs:{R}:{A}:{CAPTURE_QUEUE_NAME}": ("sqs:CreateQueue", "sqs:SetQueueAttributes"),
    "arn:{P}:s3:::{CAPTURE_BUCKET}": (
        "s3:CreateBucket",
        "s3:PutBucketPolicy",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    "arn:{P}:s3:::{PACKAGE_BUCKET}/functions/x": ("s3:PutObject", "s3:GetObject"),
    "arn:{P}:events:{R}:{A}:rule/modelwatch-{S}-analyze": ("events:PutRule", "events:PutTargets"),
    "arn:{P}:logs:{R}:{A}:log-group:/aws/lambda/modelwatch-{S}-predict": (
        "logs:CreateLogGroup",
        "logs:PutRetentionPolicy",
    ),
    "arn:{P}:apigateway:{R}::/restapis": ("apigateway:POST",),
}

_FIREHOSE_ACTIONS: dict[str, tuple[str, ...]] = {
    "arn:{P}:firehose:{R}:{A}:deliverystream/modelwatch-{S}-metrics": (
        "firehose:CreateDeliveryStream",
        "firehose:DescribeDeliveryStream",
    ),
    "arn:{P}:logs:{R}:{A}:log-group:/aws/lambda/modelwatch-{S}-predict": (
        "logs:PutSubscriptionFilter",
    ),
}

_VERSION_ACTIONS: dict[str, tuple[str, ...]] = {
    "arn:{P}:lambda:{R}:{A}:function:modelwatch-{S}-predict": (
        "lambda:PublishVersion",
        "lambda:CreateAlias",
        "lambda:UpdateAlias",
    ),
}

_ROLLOUT_ACTIONS: dict[str, tuple[str, ...]] = {
    "arn:{P}:codedeploy:{R}:{A}:application:modelwatch-{S}-predict-Rollouts": (
        "codedeploy:CreateApplication",
    ),
    "arn:{P}:codedeploy:{R}:{A}:deploymentgroup:modelwatch-{S}-predict-Rollouts/"
    "modelwatch-{S}-predict-RolloutGroup": (
        "codedeploy:CreateDeploymentGroup",
        "codedeploy:CreateDeployment",
        "codedeploy:GetDeployment",
    ),
    "arn:{P}:codedeploy:{R}:{A}:deploymentconfig:CodeDeployDefault.Lambda{PREDICT_ROLLOUT}": (
        "codedeploy:GetDeploymentConfig",
    ),
    "arn:{P}:iam::{A}:role/modelwatch-{S}-predict-RolloutRole": ("iam:PassRole",),
}


_LOCK_ACTIONS: dict[str, tuple[str, ...]] = {
    "arn:{P}:s3:::{REPORT_BUCKET}": (
        "s3:PutBucketVersioning",
        "s3:GetBucketObjectLockConfiguration",
        "s3:PutBucketObjectLockConfiguration",
    ),
}


_TABLE_ACTIONS: dict[str, tuple[str, ...]] = {
    "arn:{P}:glue:{R}:{A}:catalog": ("glue:CreateDatabase", "glue:CreateTable", "glue:UpdateTable"),
    "arn:{P}:athena:{R}:{A}:workgroup/modelwatch-{S}": (
        "athena:CreateWorkGroup",
        "athena:UpdateWorkGroup",
    ),
}

_BY_COMMAND = ("arn:{P}:cloudformation:", "arn:{P}:s3:::{PACKAGE_BUCKET}")
"""Beginnings of resources with which CloudFormation's role has nothing to do."""


def denied_actions(settings: Settings, arn: str, iam: Any) -> tuple[list[str], list[str]]:
    """Return the actions that the principal ``arn`` may not take, and those that are not certain.

    With CLOUDFORMATION_ROLE most of them are that role's, and the principal has to pass it.

    Raises botocore's errors when IAM does not say it.
    """
    names = {
        "P": arn.split(":")[1],
        "R": settings.aws_default_region,
        "A": arn.split(":")[4],
        "S": settings.stage,
        **{name: settings.text(name) for name in ("CAPTURE_QUEUE_NAME", "PREDICT_ROLLOUT")},
        **{
            name: settings.text(name)
            for name in ("CAPTURE_BUCKET", "REPORT_BUCKET", "PACKAGE_BUCKET")
        },
    }
    if arn.endswith(":root"):
        return [], []
    source = _policy_source(arn, iam)
    denied: list[str] = []
    unsure: list[str] = []
    asked = [*_ACTIONS.items()]
    if wants_firehose(settings):
        asked += _FIREHOSE_ACTIONS.items()
    if settings.predict_rollout != AT_ONCE or settings.snap_start == "on":
        asked += _VERSION_ACTIONS.items()
    if settings.predict_rollout != AT_ONCE:
        asked += _ROLLOUT_ACTIONS.items()
    if wants_tables(settings):
        asked += _TABLE_ACTIONS.items()
    if settings.report_lock:
        asked += _LOCK_ACTIONS.items()
    role = settings.cloudformation_role
    if role:
        asked.append((role, ("iam:PassRole",)))
    for resource, actions in asked:
        is_role_s = role and resource != role and not resource.startswith(_BY_COMMAND)
        found = iam.simulate_principal_policy(
            PolicySourceArn=role if is_role_s else source,
            ActionNames=list(actions),
            ResourceArns=[resource.format(**names)],
        )
        for result in found["EvaluationResults"]:
            if result["EvalDecision"] == "allowed":
                continue
            # what a condition asks for is known only when the request is made
            is_unsure = bool(result.get("MissingContextValues"))
            name = result["EvalActionName"] + (f" (as {role})" if is_role_s else "")
            (unsure if is_unsure else denied).append(name)
    return denied, unsure


def _policy_source(arn: str, iam: Any) -> str:
    """Return the user or role behind a caller's ARN; that of a session lacks the role's path."""
    match = re.fullmatch(r"arn:[a-z-]+:sts::\d+:assumed-role/([^/]+)/.*", arn)
    return str(iam.get_role(RoleName=match[1])["Role"]["Arn"]) if match else arn
