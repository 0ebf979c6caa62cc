"""Make buckets over the S3 API, for an S3 without CloudFormation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import StoreError

_MINE_ALREADY = frozenset({"BucketAlreadyOwnedByYou"})


def ensure_buckets(client: Any, names: Iterable[str]) -> list[str]:
    """Make the buckets that do not exist; return their names.

    A new bucket refuses public access, if the S3 supports that. An existing bucket does not
    change.

    Raises StoreError when a bucket cannot be made, or another account has its name.
    """
    made = []
    for name in names:
        try:
            if _exists(client, name):
                continue
            _create(client, name)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"bucket {name} cannot be made: {error}") from error
        made.append(name)
        _block_public_access(client, name)
    return made


def _exists(client: Any, name: str) -> bool:
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _create(client: Any, name: str) -> None:
    region = client.meta.region_name
    # the one region that must not be named
    where = {} if region == "us-east-1" else {"LocationConstraint": region}
    configuration = {"CreateBucketConfiguration": where} if where else {}
    try:
        client.create_bucket(Bucket=name, **configuration)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MINE_ALREADY:  # made meanwhile by another
            raise


def _block_public_access(client: Any, name: str) -> None:
    everything = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    try:
        client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=everything)
    except ClientError as error:
        # an S3 without it (SeaweedFS, MinIO) has nothing public to begin with
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code not in ("NotImplemented", "MethodNotAllowed") and status not in (400, 405, 501):
            raise StoreError(f"bucket {name} cannot be closed to the public: {error}") from error
