"""The role that a deployment gives a function, and AWS that lets it do nothing else.

moto keeps what is written. Its own IAM refuses every statement with a condition, so each call is
evaluated here, by the statements as they are rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.handlers
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"  # moto's
REGION = "us-east-1"
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}

_S3 = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
}
_SQS = {
    "SendMessage": "sqs:SendMessage",
    "SendMessageBatch": "sqs:SendMessage",
    "DeleteMessage": "sqs:DeleteMessage",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "ChangeMessageVisibility": "sqs:ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "ReceiveMessage": "sqs:ReceiveMessage",
    "GetQueueAttributes": "sqs:GetQueueAttributes",
    "GetQueueUrl": "sqs:GetQueueUrl",
}


class Stack:
    """A packaged template with the values of its parameters."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._template = template
        defaults = {name: each.get("Default", "") for name, each in template["Parameters"].items()}
        self._values: dict[str, Any] = {**_PSEUDO, **defaults, **parameters}

    @property
    def statements(self) -> list[dict[str, Any]]:
        """All that the role may do."""
        policies = self._template["Resources"]["Role"]["Properties"]["Policies"]
        return [
            self._resolved(each)
            for policy in policies
            for each in policy["PolicyDocument"]["Statement"]
        ]

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of the functions."""
        own = [
            each["Properties"].get("Environment", {}).get("Variables", {})
            for each in self._template["Resources"].values()
            if each["Type"] == "AWS::Serverless::Function"
        ]
        variables = dict(self._template["Globals"]["Function"]["Environment"]["Variables"])
        for each in own:
            variables |= each
        found = {name: self._resolved(value) for name, value in variables.items()}
        return {name: str(value) for name, value in found.items() if value is not None}

    def queue(self, logical: str) -> str:
        """Return the name of a queue of the template."""
        return str(self._resolved(self._template["Resources"][logical]["Properties"]["QueueName"]))

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        match next(iter(value.items())):
            case ("Ref", name) if name in self._values:
                return self._values[name]
            case ("Ref", name):
                return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self.queue(name)}"
            case ("Fn::GetAtt", [name, "Arn"]):
                return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.queue(name)}"
            case ("Fn::Sub", str(text)):
                return re.sub(r"\$\{([\w:]+)\}", lambda found: str(self._values[found[1]]), text)
            case ("Fn::If", [condition, yes, no]):
                holds = self._holds(self._template["Conditions"][condition])
                return self._resolved(yes if holds else no)
        return {key: self._resolved(each) for key, each in value.items()}

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        match next(iter(condition.items())):
            case ("Fn::Not", [inner]):
                return not self._holds(inner)
            case ("Fn::Equals", [left, right]):
                return bool(self._resolved(left) == self._resolved(right))
        raise NotImplementedError(condition)


class Role:
    """Evaluates calls; keeps which statements were of use.

    Attributes
    ----------
    refused
        Actions with their resource that no statement allows.
    """

    def __init__(self, statements: Sequence[Mapping[str, Any]]) -> None:
        self._statements = statements
        self.used: set[str] = set()
        self.refused: list[str] = []

    def allows(self, action: str, resource: str, **context: str) -> bool:
        """Return whether a statement allows it; ``context`` is what the request says beside."""
        known = {"aws:ResourceAccount": ACCOUNT, **context}
        for each in self._statements:
            assert each["Effect"] == "Allow"
            if (
                _matches(each["Action"], action)
                and _matches(each["Resource"], resource)
                and _fulfils(each.get("Condition", {}), known)
            ):
                self.used.add(each["Sid"])
                return True
        return False

    def check(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        """Raise botocore's ClientError when the call may not be made."""
        for action, resource, context in _asked(service, operation, params):
            if not self.allows(action, resource, **context):
                self.refused.append(f"{action} {resource}")
                error: Any = {"Error": {"Code": "AccessDenied", "Message": self.refused[-1]}}
                raise ClientError(error, operation)


@contextmanager
def acting_as(role: Role) -> Iterator[None]:
    """Have every call of boto3 within it made by ``role``."""

    def before(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        role.check(model.service_model.service_name, model.name, params)

    handler: Any = ("before-parameter-build", before)
    botocore.handlers.BUILTIN_HANDLERS.append(handler)
    session, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    try:
        yield
    finally:
        botocore.handlers.BUILTIN_HANDLERS.remove(handler)
        boto3.DEFAULT_SESSION = session


def _asked(
    service: str, operation: str, params: Mapping[str, Any]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    if service == "s3":
        bucket = f"arn:aws:s3:::{params['Bucket']}"
        if operation == "ListObjectsV2":
            prefix = {"s3:prefix": params["Prefix"]} if "Prefix" in params else {}
            yield _S3[operation], bucket, prefix
            return
        keys = [each["Key"] for each in params.get("Delete", {}).get("Objects", ())]
        for key in keys or [params["Key"]]:
            yield _S3[operation], f"{bucket}/{key}", {}
    elif service == "sqs":
        name = params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]
        yield _SQS[operation], f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", {}
    else:
        raise NotImplementedError(f"{service} {operation}")


def _matches(patterns: str | Sequence[str], value: str) -> bool:
    return any(
        re.fullmatch(re.escape(each).replace(r"\*", ".*"), value)
        for each in ([patterns] if isinstance(patterns, str) else patterns)
    )


def _fulfils(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, asked in conditions.items():
        kind = operator.removesuffix("IfExists")
        assert kind in ("StringEquals", "StringLike"), operator
        for key, wanted in asked.items():
            if key not in context:
                if kind == operator:
                    return False
            elif not _matches(wanted, context[key]):
                return False
    return True
