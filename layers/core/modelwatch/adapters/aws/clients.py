"""boto3 clients, made from settings. boto3 itself reads endpoints and region from AWS_*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.aws.snapshots import closed_for_snapshots
from modelwatch.settings.serving import RegistrySettings
from modelwatch.settings.store import StoreSettings

_ON_AWS = Config(
    # addresses ``<bucket>.s3.<region>…``: links without it have AWS's global host, which redirects
    s3={"addressing_style": "virtual"},
    # a bucket with Object Lock takes no object without one
    request_checksum_calculation="when_supported",
)

_STORE_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 4},
    # hours are read in threads, and the objects of each hour, too
    max_pool_connections=32,
    # boto3 signs links in some regions as S3 once did
    signature_version="s3v4",
    # S3s other than AWS's do not all know the newer default checksums
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


def s3_client(settings: StoreSettings, budget_ms: int | None = None) -> Any:
    """Return a client of the S3 that holds models, captures and reports.

    With ``budget_ms`` it gives up within that time, tries again included.

    `S3_ACCESS_KEY_ID` is for an S3 with keys of its own, such as MinIO: a function's role means
    nothing to it, and Lambda reserves the name AWS_ACCESS_KEY_ID.
    """
    config = _STORE_CONFIG if budget_ms is None else _STORE_CONFIG.merge(_hasty(budget_ms))
    on_aws = not (settings.aws_endpoint_url_s3 or settings.aws_endpoint_url)
    if on_aws:
        config = config.merge(_ON_AWS)
    key = secret(settings, "S3_ACCESS_KEY_ID") or None
    its_secret = secret(settings, "S3_SECRET_ACCESS_KEY") or None
    client = boto3.client(
        "s3",
        region_name=settings.aws_default_region,
        aws_access_key_id=key,
        aws_secret_access_key=its_secret,
        # a function's session token belongs to its role, not to that key
        aws_session_token=None,
        config=config,
    )
    if on_aws and settings.aws_account_id:
        owners = {}
        if isinstance(settings, RegistrySettings) and settings.model_bucket_owner:
            owners[settings.model_bucket] = settings.model_bucket_owner
        expect_owner(client, settings.aws_account_id, owners)
    return closed_for_snapshots(client)


def lent_s3_client(region: str, key: str, its_secret: str, token: str) -> Any:
    """Return a client of AWS's S3 by credentials that someone lent, for a bucket of theirs."""
    return boto3.client(
        "s3",
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=its_secret,
        aws_session_token=token,
        config=_STORE_CONFIG.merge(_ON_AWS),
    )


def expect_owner(client: Any, account: str, owners: Mapping[str, str]) -> None:
    """Have AWS refuse each request of an S3 client for a bucket that is not ``account``'s.

    Parameters
    ----------
    owners
        Other accounts, by the name of a bucket.
    """

    def add(params: dict[str, Any], model: Any, context: Any, **_: Any) -> None:
        members = model.input_shape.members if model.input_shape else {}
        # whoever follows a link would have to send the owner, too
        if "ExpectedBucketOwner" in members and not (context or {}).get("is_presign_request"):
            params.setdefault("ExpectedBucketOwner", owners.get(params.get("Bucket", ""), account))

    client.meta.events.register("provide-client-params.s3", add)


def _hasty(budget_ms: int) -> Config:
    # two tries, and at most a second of botocore's own between them
    try_seconds = (budget_ms / 1000 - 1) / 2
    return Config(
        connect_timeout=try_seconds / 4,
        read_timeout=try_seconds * 3 / 4,
        retries={"mode": "standard", "total_max_attempts": 2},
    )


def sqs_client(settings: StoreSettings, budget_ms: int) -> Any:
    """Return an SQS client that gives up within ``budget_ms`` and does not try again."""
    budget_seconds = budget_ms / 1000
    config = Config(
        connect_timeout=budget_seconds / 4,
        read_timeout=budget_seconds * 3 / 4,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return closed_for_snapshots(
        boto3.client("sqs", region_name=settings.aws_default_region, config=config)
    )


def events_client(settings: StoreSettings) -> Any:
    """Return a client of EventBridge that gives up within half a minute."""
    config = Config(
        connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
    )
    return boto3.client("events", region_name=settings.aws_default_region, config=config)


def lambda_client(settings: StoreSettings) -> Any:
    """Return a client of the Lambda service."""
    return boto3.client("lambda", region_name=settings.aws_default_region)


class LazyClient:
    """A client that is made when it is first used: a cold start does not wait for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _client(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
