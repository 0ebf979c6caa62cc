"""What holds for all that is deployed on AWS, whatever the settings: read in the templates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import scan

from modelwatch_cli.deployment.additions.access import check_access
from modelwatch_cli.deployment.all_templates import packages
from modelwatch_cli.settings import Settings

SECRETS = {
    name: f"plain-secret-{name}"
    for name, setting in Settings.declared().items()
    if setting.is_secret
}
BASE = {
    "STAGE": "prod",
    "AWS_ACCOUNT_ID": "123456789012",
    "AWS_DEFAULT_REGION": scan.REGION,
    "MLFLOW_TRACKING_URI": "https://mlflow.example",
    "MODEL_BUCKET": "acme-mlflow",
    "API_RATE": "50",
    "API_JWT_ISSUER": "https://issuer.example",
    "API_JWT_AUDIENCE": "monitoring",
    **SECRETS,
}
KEY = f"arn:aws:kms:{scan.REGION}:123456789012:key/0a1b2c3d"
PRIVATE = {"API_VPC_ENDPOINTS": "vpce-0123456789abcdef0", "API_ALLOWED_CIDRS": "10.0.0.0/8"}
NETWORK = {"FUNCTION_SUBNETS": "subnet-0a1b2c3d", "FUNCTION_SECURITY_GROUPS": "sg-0a1b2c3d"}
ROLES = {"ROLE_PATH": "/apps/", "ROLE_BOUNDARY": "arn:aws:iam::123456789012:policy/boundary"}
NO_ROLES = dict.fromkeys(ROLES, "")
ALARMED = {
    "ALARM_EMAILS": "on-call@example.com",
    "ALARM_SLACK": "T0123ABCD/C0123ABCD",
    "PREDICT_ROLLOUT": "Canary10Percent15Minutes",
}
FIREHOSE = {"METRICS_TRANSPORT": "firehose", "METRICS_TO_CLOUDWATCH": "all", "TRACING": "on"}
SNAPSHOT = {"SNAP_START": "on", "MODEL_MAX_MB": "250"}
DEPLOYMENTS = {
    "plain": {"API_AUTH": "iam"},
    "keys": {"API_AUTH": "api_key", "API_AUTH_CONTROL": "iam", **ALARMED, **FIREHOSE},
    "private": {"API_AUTH": "iam", **PRIVATE, **NETWORK, **FIREHOSE, **ROLES},
    "encrypted": {"API_AUTH": "api_key", "KMS_KEY_ARN": KEY, **ALARMED, **FIREHOSE, **SNAPSHOT},
    "tokens": {"API_AUTH": "jwt", "API_AUTH_CONTROL": "api_key", **SNAPSHOT, **ROLES, **ALARMED},
    "all": {
        **{"API_AUTH": "jwt", "KMS_KEY_ARN": KEY},
        **PRIVATE, **NETWORK, **ROLES, **ALARMED, **FIREHOSE, **SNAPSHOT,
    },
    "open": {"API_AUTH": "none-anyone-may-call", "KMS_KEY_ARN": KEY, **NETWORK},
}  # fmt: skip
NO_RESOURCES = {"Interfaces", "NoInterfacesForCode", "Trace", "LogIn"}
"""Statements of actions that know no resources."""

type Found = Iterator[str]


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def faults_of_role(properties: dict[str, Any], settings: Settings) -> Found:
    for trust in several(properties["AssumeRolePolicyDocument"]["Statement"]):
        # Lambda itself asks for no condition: a function is given a role by who may pass it
        if trust["Principal"] != {"Service": "lambda.amazonaws.com"} and not trust.get("Condition"):
            yield f"{trust['Principal']} takes the role for any account"
    for policy in properties["Policies"]:
        for each in policy["PolicyDocument"]["Statement"]:
            if any("*" in action for action in several(each["Action"])):
                yield f"{each['Sid']} has an action *"
            if "*" in several(each["Resource"]) and each["Sid"] not in NO_RESOURCES:
                yield f"{each['Sid']} has a resource *"
            on_s3 = any(action.startswith("s3:") for action in several(each["Action"]))
            if on_s3 and "aws:ResourceAccount" not in json.dumps(each.get("Condition")):
                yield f"{each['Sid']} is for buckets of any account"
    if settings.role_boundary and properties.get("PermissionsBoundary") != settings.role_boundary:
        yield "has no boundary"
    if settings.role_path != properties.get("Path", "/"):
        yield "has another path"
    if "ManagedPolicyArns" in properties:
        yield "has rights that are written elsewhere"


def faults_of_policy(properties: dict[str, Any], _: Settings) -> Found:
    statements = several(properties["PolicyDocument"]["Statement"])
    if not any("aws:SecureTransport" in json.dumps(each["Condition"]) for each in statements):
        yield "lets requests in without TLS"
    for each in statements:
        condition = json.dumps(each.get("Condition"))
        if each["Effect"] == "Allow" and "aws:Source" not in condition:
            yield f"{each['Sid']} is for every account"


def faults_of_bucket(properties: dict[str, Any], settings: Settings) -> Found:
    block = properties["PublicAccessBlockConfiguration"]
    if len(block) != 4 or not all(block.values()):
        yield "may become public"
    if ("aws:kms" in json.dumps(properties["BucketEncryption"])) != bool(settings.kms_key_arn):
        yield "is encrypted by another key"
    if "BucketOwnerEnforced" not in json.dumps(properties["OwnershipControls"]):
        yield "has ACLs"


def faults_of_queue(properties: dict[str, Any], settings: Settings) -> Found:
    if properties.get("KmsMasterKeyId", "") != settings.kms_key_arn:
        yield "is encrypted by another key"
    if not (settings.kms_key_arn or properties.get("SqsManagedSseEnabled")):
        yield "is not encrypted"


def faults_of_topic(properties: dict[str, Any], settings: Settings) -> Found:
    if properties.get("KmsMasterKeyId", "") != settings.kms_key_arn:
        yield "is encrypted by another key"


def faults_of_stream(properties: dict[str, Any], settings: Settings) -> Found:
    encryption = properties["DeliveryStreamEncryptionConfigurationInput"]
    if encryption.get("KeyARN", "") != settings.kms_key_arn:
        yield "is encrypted by another key"


def faults_of_permission(properties: dict[str, Any], _: Settings) -> Found:
    if not (properties.get("SourceArn") or properties.get("SourceAccount")):
        yield "lets a service of AWS call for any account"


def faults_of_log_group(properties: dict[str, Any], _: Settings) -> Found:
    if "RetentionInDays" not in properties:
        yield "keeps lines for ever"


def faults_of_function(properties: dict[str, Any], settings: Settings) -> Found:
    if "Role" not in properties or "Policies" in properties:
        yield "has a role that SAM makes"
    if properties.get("KmsKeyArn", "") != settings.kms_key_arn:
        yield "has variables that another key encrypts"
    if ("VpcConfig" in properties) != bool(settings.function_subnets):
        yield "is in another network"


def faults_of_api(properties: dict[str, Any], settings: Settings) -> Found:
    definition = properties["DefinitionBody"]
    for path, methods in definition["paths"].items():
        auth = settings.auth_of(path)
        for method, said in methods.items():
            if auth in ("iam", "api_key") and said["security"] != [{auth: []}]:
                yield f"{method} {path} is open"
    if "Cors" in properties or "Access-Control" in json.dumps(definition):
        yield "lets other sites' pages read it"
    is_private = bool(settings.api_vpc_endpoints)
    if (properties["EndpointConfiguration"]["Type"] == "PRIVATE") != is_private:
        yield "has another endpoint"
    if is_private != ("x-amazon-apigateway-policy" in definition):
        yield "has no policy"
    (throttling,) = properties["MethodSettings"]
    if throttling["ThrottlingRateLimit"] != settings.api_rate or "DataTraceEnabled" in throttling:
        yield "has no rate, or logs bodies"


FAULTS = {
    "AWS::IAM::Role": faults_of_role,
    "AWS::KinesisFirehose::DeliveryStream": faults_of_stream,
    "AWS::Lambda::Permission": faults_of_permission,
    "AWS::Logs::LogGroup": faults_of_log_group,
    "AWS::S3::Bucket": faults_of_bucket,
    "AWS::S3::BucketPolicy": faults_of_policy,
    "AWS::SNS::Topic": faults_of_topic,
    "AWS::SNS::TopicPolicy": faults_of_policy,
    "AWS::SQS::Queue": faults_of_queue,
    "AWS::SQS::QueuePolicy": faults_of_policy,
    "AWS::Serverless::Api": faults_of_api,
    "AWS::Serverless::Function": faults_of_function,
}


@pytest.fixture(scope="module")
def packaged():
    return packages(scan.REGION)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_what_is_deployed_is_closed_whatever_the_settings(name, packaged):
    settings = Settings(BASE | DEPLOYMENTS[name])
    check_access(settings)
    found, policies, kept = [], set(), set()
    for template_name, template in scan.templates(settings, packaged):
        assert "plain-secret" not in json.dumps(template)
        # who deploys the bridge's says by other means which roles may be made
        asked = settings.changed(NO_ROLES) if template_name == "bridge" else settings
        for logical, resource in template["Resources"].items():
            place, kind = f"{template_name}.{logical}", resource["Type"]
            if check := FAULTS.get(kind):
                faults = check(resource["Properties"], asked)
                found += [f"{place} {fault}" for fault in faults]
            if kind in ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"):
                kept.add(place)
            if kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
                properties = resource["Properties"]
                targets = properties.get("Queues") or properties.get("Topics")
                for each in targets or [properties["Bucket"]]:
                    policies.add(f"{template_name}.{each['Ref']}")
    assert found == []
    assert policies == kept
