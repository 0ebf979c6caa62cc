"""The bucket of function packages, on the S3 where CloudFormation looks."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_cli.deployment.cloudformation.errors import PackageStoreError
from modelwatch_cli.digests import digest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def sha256_of(path: Path) -> str:
    """Return the digest of a file in base64, as S3 shows it."""
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()


class PackageStore:
    """Uploads once; what is there already has the same content, or is replaced.

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

    def has(self, key: str, sha256: str) -> bool:
        """Return whether ``key`` has the content of this digest, by S3's own computation.

        Raises PackageStoreError when the bucket cannot be read.
        """
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise PackageStoreError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise PackageStoreError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        return found.get("ChecksumSHA256") == sha256

    def upload(self, key: str, path: Path) -> bool:
        """Upload the file to ``key`` unless it is there; return whether it was uploaded.

        What was there with another content is replaced: someone else may have put it there.

        Raises PackageStoreError when S3 does not accept it.
        """
        sha256 = sha256_of(path)
        if self.has(key, sha256):
            return False
        try:
            with path.open("rb") as file:  # one request: of several, S3 has no digest of the whole
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=file,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=sha256,
                )
        except Exception as error:  # boto3 wraps some failures and not others
            raise PackageStoreError(f"{path} cannot be uploaded: {error}") from error
        return True

    def store_template(self, body: bytes) -> str:
        """Store a template; return its URL for CloudFormation."""
        key = f"templates/{digest(body)[:24]}.json"
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
        return f"{self._client.meta.endpoint_url.rstrip('/')}/{self._bucket}/{key}"
