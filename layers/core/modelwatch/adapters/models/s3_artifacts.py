"""Artifacts of model versions on S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.models.artifacts import MEGABYTE, Artifacts
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import ModelLoadError


class S3Artifacts(Artifacts):
    """Artifacts below ``s3://bucket/…``, the project's own model bucket.

    Parameters
    ----------
    bucket
        The model bucket: artifacts elsewhere are refused.
    prefix
        The folder in it outside of which they are refused, too.
    """

    failures: tuple[type[Exception], ...] = (BotoCoreError, ClientError)

    def __init__(
        self,
        client: Any,
        bucket: str,
        *,
        prefix: str = "",
        limit_bytes: int = 500 * MEGABYTE,
        cache: Path | None = None,
    ) -> None:
        super().__init__(limit_bytes=limit_bytes, cache=cache)
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def _open(self, version: ModelVersion, path: str) -> tuple[int, Callable[[], bytes]] | None:
        key = self._key(version, path)
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        return found["ContentLength"], found["Body"].read

    def _sizes(self, version: ModelVersion) -> dict[str, int]:
        prefix = self._key(version, "")
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        return {
            entry["Key"].removeprefix(prefix): entry["Size"]
            for page in pages
            for entry in page.get("Contents", ())
        }

    def _fetch(self, version: ModelVersion, path: str, target: Path) -> None:
        self._client.download_file(self._bucket, self._key(version, path), str(target))

    def _put(self, version: ModelVersion, path: str, payload: bytes) -> None:
        key = self._key(version, path)
        self._client.put_object(Bucket=self._bucket, Key=key, Body=payload)

    def _key(self, version: ModelVersion, path: str) -> str:
        start = f"s3://{self._bucket}/"
        allowed = f"{start}{self._prefix}"
        if not version.source.startswith(allowed) or version.source == allowed:
            folder = f"'{self._prefix}' of " if self._prefix else ""
            raise ModelLoadError(
                f"the artifacts of {version.title} are at '{version.source}', which is not in "
                f"{folder}the model bucket '{self._bucket}'"
            )
        return f"{version.source.removeprefix(start).rstrip('/')}/{path}"
