"""The bucket of function packages, on the S3 where CloudFormation looks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_cli.deployment.digests import digest
from modelwatch_cli.deployment.errors import PackageStoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PackageStore:
    """Uploads by digest: an existing key has the same content.

    Parameters
    ----------
    client
        The S3 of CloudFormation; models and captures may be on another S3.
    bucket
        It is made if it is missing.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    def has(self, key: str) -> bool:
        """Return whether ``key`` exists.

        Raises PackageStoreError when the bucket cannot be read.
        """
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise PackageStoreError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise PackageStoreError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        return True

    def upload(self, key: str, path: Path) -> bool:
        """Upload the file to ``key`` unless it exists; return whether it was uploaded.

        Raises PackageStoreError when S3 does not accept it.
        """
        if self.has(key):
            return False
        try:
            self._client.upload_file(str(path), self._bucket, key)
        except Exception as error:  # boto3 wraps some failures and not others
            raise PackageStoreError(f"{path} cannot be uploaded: {error}") from error
        return True

    def store_template(self, body: bytes) -> str:
        """Store a template; return its URL for CloudFormation."""
        key = f"templates/{digest(body)[:24]}.json"
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
        return f"{self._client.meta.endpoint_url.rstrip('/')}/{self._bucket}/{key}"
