"""boto3 clients for a deployment, from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from modelwatch.adapters.aws.clients import expect_owner
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Clients:
    """Clients of the AWS services of a deployment.

    Parameters
    ----------
    apis, events
        API Gateway and EventBridge, to check what a stack made.
    logs
        CloudWatch Logs, which a key of one's own encrypts.
    packages
        S3 as CloudFormation sees it: AWS_ENDPOINT_URL_S3 is the S3 of models and captures, and does
        not count here.
    """

    cloudformation: CloudFormationClient
    functions: LambdaClient
    apis: Any
    events: Any
    logs: Any
    packages: S3Client


def client_maker(settings: Settings) -> Callable[[str], Any]:
    """Return what makes the client of a service at AWS_ENDPOINT_URL, or on AWS if it is empty."""
    endpoint_url = settings.aws_endpoint_url or None
    region = settings.aws_default_region
    session = boto3.Session(region_name=region)
    # The stacks of a deployment are read and written side by side.
    config = Config(
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # the stubs lack it
        max_pool_connections=16,
        retries={"mode": "standard", "max_attempts": 5},
    )
    # A custom endpoint need not serve <bucket>.<host>.
    if endpoint_url:
        config = config.merge(Config(s3={"addressing_style": "path"}))
    make: Any = session.client
    return lambda service: make(service, endpoint_url=endpoint_url, config=config)


def make_clients(settings: Settings) -> Clients:
    """Return the clients of a deployment; see `client_maker`."""
    make = client_maker(settings)
    packages = make("s3")
    if not settings.aws_endpoint_url and settings.text("AWS_ACCOUNT_ID"):
        expect_owner(packages, settings.aws_account_id, {})
    return Clients(
        make("cloudformation"),
        make("lambda"),
        make("apigateway"),
        make("events"),
        make("logs"),
        packages,
    )
