"""A key of one's own in KMS, in place of those of S3, SQS, Lambda and CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from modelwatch_cli.deployment.cloudformation.templates import Template

_REUSE_SECONDS = 3600
"""SQS asks KMS once in that time, not once a message."""


def with_key(template: Template, key: str) -> Template:
    """Return ``template`` with everything in it that can be encrypted by ``key``, an ARN.

    Buckets, queues, topics, streams and the variables of functions are; roles get the right to use
    it. An empty ``key`` leaves all as it is: encrypted by keys of AWS.
    """
    if not key:
        return template
    resources = {
        name: resource | {"Properties": _ENCRYPTED[resource["Type"]](resource["Properties"], key)}
        if resource["Type"] in _ENCRYPTED
        else resource
        for name, resource in template["Resources"].items()
    }
    return template | {"Resources": resources}


def keep_logs(logs: Any, functions: Iterable[str], key: str, days: int) -> None:
    """Have what functions log kept for ``days``, and encrypted by ``key``; empty: by AWS's own.

    Lambda makes a log group at a function's first event, and keeps it for ever: it is made here
    before. It is no resource of the stack: that could not take over a group that is there already,
    and `undeploy` would delete it.

    Raises botocore's errors when CloudWatch Logs refuses: the key's policy has to allow it.
    """
    for name in functions:
        group = f"/aws/lambda/{name}"
        found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        now = next((each for each in found if each["logGroupName"] == group), None)
        if now is None:
            logs.create_log_group(logGroupName=group, **({"kmsKeyId": key} if key else {}))
        elif now.get("kmsKeyId", "") != key:
            if key:
                logs.associate_kms_key(logGroupName=group, kmsKeyId=key)
            else:
                logs.disassociate_kms_key(logGroupName=group)
        if now is None or now.get("retentionInDays") != days:
            logs.put_retention_policy(logGroupName=group, retentionInDays=days)


def _bucket(properties: dict[str, Any], key: str) -> dict[str, Any]:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    # with a key of the bucket, S3 does not ask KMS for every object
    rule = {"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    return properties | {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}


def _queue(properties: dict[str, Any], key: str) -> dict[str, Any]:
    kept = {each: value for each, value in properties.items() if each != "SqsManagedSseEnabled"}
    return kept | {"KmsMasterKeyId": key, "KmsDataKeyReusePeriodSeconds": _REUSE_SECONDS}


def _topic(properties: dict[str, Any], key: str) -> dict[str, Any]:
    return properties | {"KmsMasterKeyId": key}


def _function(properties: dict[str, Any], key: str) -> dict[str, Any]:
    return properties | {"KmsKeyArn": key}


def _role(properties: dict[str, Any], key: str) -> dict[str, Any]:
    statement = {
        "Sid": "UseKey",
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": key,
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    policy = {"PolicyName": "key", "PolicyDocument": document}
    return properties | {"Policies": [*properties["Policies"], policy]}


def _stream(properties: dict[str, Any], key: str) -> dict[str, Any]:
    own = {"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": key}
    return properties | {"DeliveryStreamEncryptionConfigurationInput": own}


_ENCRYPTED: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::SNS::Topic": _topic,
    "AWS::Serverless::Function": _function,
    "AWS::IAM::Role": _role,
    "AWS::KinesisFirehose::DeliveryStream": _stream,
}
