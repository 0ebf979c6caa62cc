"""What a principal that deploys needs: policies, made from the templates.

CloudFormation acts in its name, and AWS publishes which rights the handlers of a type of resource
need; cfn-lint has them. What the command itself asks for is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from modelwatch_cli.deployment.all_templates import all_templates, packages
from modelwatch_cli.settings import Settings

MOST_CHARACTERS = 6144
"""Of a managed policy, without blanks."""

SETTINGS = Settings(
    {
        "STAGE": "prod",
        "AWS_ACCOUNT_ID": "123456789012",
        "AWS_ENDPOINT_URL": "",
        "AWS_ENDPOINT_URL_S3": "",
        "MLFLOW_TRACKING_URI": "https://mlflow.example",
        "API_AUTH": "iam",
        "KMS_KEY_ARN": "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d",
        "FUNCTION_SUBNETS": "subnet-0a1b2c3d,subnet-4e5f6a7b",
        "FUNCTION_SECURITY_GROUPS": "sg-0a1b2c3d",
        "ALARM_EMAILS": "on-call@example.com",
        "ALARM_SLACK": "T0123ABCD/C0123ABCD",
        "PREDICT_ROLLOUT": "Canary10Percent15Minutes",
        "METRICS_TRANSPORT": "firehose",
        "SQL_TABLES": "on",
    }
)
"""With everything that a stack has by a setting."""

_SERVERLESS = {
    "AWS::Serverless::Function": ("Lambda::Function", "Lambda::EventSourceMapping", "Events::Rule"),
    "AWS::Serverless::Api": ("ApiGateway::RestApi", "ApiGateway::Deployment", "ApiGateway::Stage"),
}
"""What SAM makes of a type."""

_RESOURCES: dict[str, tuple[str, ...]] = {
    "apigateway": ("arn:aws:apigateway:*::/*",),
    "athena": ("arn:aws:athena:*:*:workgroup/modelwatch-*",),
    "cloudformation": (
        "arn:aws:cloudformation:*:*:stack/modelwatch-*",
        "arn:aws:cloudformation:*:aws:transform/Serverless-2016-10-31",
    ),
    "cloudwatch": (
        "arn:aws:cloudwatch:*:*:alarm:modelwatch-*",
        "arn:aws:cloudwatch::*:dashboard/modelwatch-*",
    ),
    "codedeploy": ("arn:aws:codedeploy:*:*:*",),
    "events": ("arn:aws:events:*:*:rule/modelwatch-*",),
    "firehose": ("arn:aws:firehose:*:*:deliverystream/modelwatch-*",),
    "glue": (
        "arn:aws:glue:*:*:catalog",
        "arn:aws:glue:*:*:database/modelwatch_*",
        "arn:aws:glue:*:*:table/modelwatch_*/*",
    ),
    "iam": (
        "arn:aws:iam::*:role/*modelwatch-*",
        "arn:aws:iam::*:policy/*modelwatch-*",
        "arn:aws:iam::*:role/aws-service-role/management.chatbot.amazonaws.com/*",
    ),
    "lambda": (
        "arn:aws:lambda:*:*:function:modelwatch-*",
        "arn:aws:lambda:*:*:layer:modelwatch-*",
        "arn:aws:lambda:*:*:event-source-mapping:*",
    ),
    "logs": ("arn:aws:logs:*:*:log-group:/aws/lambda/modelwatch-*",),
    "s3": ("arn:aws:s3:::modelwatch-*",),
    "sns": ("arn:aws:sns:*:*:modelwatch-*",),
    "sqs": ("arn:aws:sqs:*:*:modelwatch-*",),
}
"""Where a service's actions are needed; of other services everywhere: on a key, on networks."""

_LEFT_OUT = ("s3tables", "s3files", "elasticfilesystem", "lakeformation")
"""Services of which no template uses anything."""

_OWN = {
    "cloudformation": (
        *("CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet"),
        *("DescribeStacks", "DescribeStackEvents", "DeleteStack", "UpdateTerminationProtection"),
        *("ContinueUpdateRollback", "TagResource", "UntagResource"),
    ),
    "iam": ("SimulatePrincipalPolicy",),
    "kms": ("GetKeyPolicy",),
    "lambda": ("ListLayerVersions", "GetAccountSettings", "ListEventSourceMappings"),
    "logs": (
        *("DescribeLogGroups", "CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy"),
        *("AssociateKmsKey", "DisassociateKmsKey", "FilterLogEvents", "TagResource"),
    ),
    "s3": ("PutObject", "ListAllMyBuckets"),
    "tag": ("GetResources",),
    "ecr": (
        *("GetAuthorizationToken", "DescribeRepositories", "BatchCheckLayerAvailability"),
        *("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage"),
        *("BatchGetImage", "GetDownloadUrlForLayer", "SetRepositoryPolicy", "GetRepositoryPolicy"),
    ),
}
"""What the command itself asks for, and Docker for it."""

_WITHOUT_RESOURCE = {
    "cloudformation:DescribeStacks",
    "cloudwatch:DescribeAlarms",
    "iam:SimulatePrincipalPolicy",
    "lambda:CreateEventSourceMapping",
    "lambda:GetAccountSettings",
    "lambda:ListEventSourceMappings",
    "logs:DescribeLogGroups",
    "s3:ListAllMyBuckets",
    "sns:GetSubscriptionAttributes",
    "sns:Unsubscribe",
}
"""IAM knows no resource of them, or a list begins before there is one."""

_PARTS = {
    "functions": ("apigateway", "cloudformation", "codedeploy", "ec2", "ecr", "events", "iam",
                  "lambda", "logs"),
    "data": ("athena", "chatbot", "cloudwatch", "firehose", "glue", "kms", "s3", "sns", "sqs",
             "tag"),
}  # fmt: skip


def actions() -> dict[str, set[str]]:
    """Return the actions of each service."""
    types: set[str] = set()
    for _, template in all_templates(SETTINGS, packages(SETTINGS.aws_default_region)):
        types |= {each["Type"] for each in template["Resources"].values()}
    plain = {f"AWS::{name}" for each in types for name in _SERVERLESS.get(each, ())}
    found: dict[str, set[str]] = {}
    for name in plain | (types - _SERVERLESS.keys()):
        for action in _of_type(name):
            found.setdefault(action.partition(":")[0], set()).add(action)
    for service, names in _OWN.items():
        found.setdefault(service, set()).update(f"{service}:{name}" for name in names)
    return {service: each for service, each in found.items() if service not in _LEFT_OUT}


def _of_type(name: str) -> Iterator[str]:
    schema: Any = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema
    for handler, needs in schema["handlers"].items():
        if handler != "list":
            yield from needs["permissions"]


def policies() -> dict[str, dict[str, Any]]:
    """Return the policy documents by what they are about."""
    found = actions()
    return {
        part: {
            "Version": "2012-10-17",
            "Statement": [each for name in services for each in _statements(name, found[name])],
        }
        for part, services in _PARTS.items()
    }


def _statements(service: str, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    everywhere = [each for each in names if each in _WITHOUT_RESOURCE or service not in _RESOURCES]
    there = [each for each in names if each not in everywhere]
    title = service.capitalize()
    if there:
        yield _statement(title, there, list(_RESOURCES[service]))
    if everywhere:
        yield _statement(f"{title}Everywhere", everywhere, "*")


def _statement(title: str, names: Iterable[str], resource: object) -> dict[str, Any]:
    return {"Sid": title, "Effect": "Allow", "Action": sorted(names), "Resource": resource}


_INTRODUCTION = """A principal that runs `modelwatch deploy`, `undeploy`, `rollback` or `acceptance`
needs these two policies, with every setting that a stack can have. They are made from the
templates: CloudFormation acts in the principal's name, and AWS publishes what the handlers of each
type of resource need. **Nothing of it was tried on AWS**; `modelwatch deploy --check` simulates a
part of it. Names are those of the defaults: a bucket or queue of your own needs its ARN added.
What no setting of yours asks for (`codedeploy`, `firehose`, `ecr`, `ec2`, `sns`, `kms`, `athena`,
`glue`, `chatbot`) can go."""


def page_text() -> str:
    """Return the text of the page."""
    parts = [_INTRODUCTION]
    for part, document in policies().items():
        text = json.dumps(document, indent=1)
        parts.append(f"## modelwatch-deploy-{part}\n\n```json\n{text}\n```")
    return "\n\n".join(parts)
