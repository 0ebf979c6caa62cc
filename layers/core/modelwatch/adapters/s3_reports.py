"""Results and reports on S3: ``analyses/M/V/<window end>/result.json`` and ``report.html``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.drift import AnalysisResult
from modelwatch.errors import NotFoundError, StoreError

_PREFIX = "analyses/"
_NAME = re.compile(r"[^/]+\.[^/.]+\.\d{8}T\d{6}Z")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnalysisResult).decode


class S3ReportStore:
    """Results in ``bucket``; see `modelwatch.ports.ReportStore`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def save(self, result: AnalysisResult, html: bytes | None) -> None:
        """Store the report, then the result: a result that says it has a report has one."""
        folder = _folder(result.name)
        if html is not None:
            self._put(f"{folder}report.html", html, "text/html; charset=utf-8")
        self._put(f"{folder}result.json", _encode(result), "application/json")

    def results(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results, newest first."""
        keys = [key for key in self._keys() if key.endswith("/result.json")]
        keys.sort(key=lambda key: key.rsplit("/", 2)[1], reverse=True)
        return [_decode(self._get(key)) for key in keys[:limit]]

    def report_url(self, name: str, expires_seconds: int) -> str:
        """Return a presigned URL of the report of the result ``name``."""
        key = f"{_folder(name)}report.html"
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                raise NotFoundError(f"there is no report '{name}'") from error
            raise StoreError(f"cannot read {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"cannot read {key}: {error}") from error
        url: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=expires_seconds
        )
        return url

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=content_type
            )
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot write {key}: {error}") from error

    def _get(self, key: str) -> bytes:
        try:
            payload: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot read {key}: {error}") from error
        return payload

    def _keys(self) -> Iterator[str]:
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=_PREFIX
            )
            for page in pages:
                yield from (entry["Key"] for entry in page.get("Contents", ()))
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot list {self._bucket}: {error}") from error


def _folder(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NotFoundError(f"'{name[:300]}' is not the name of a result")
    model, version, window_end = name.rsplit(".", 2)
    return f"{_PREFIX}{quote(model, safe=' -._')}/{quote(version, safe='-._')}/{window_end}/"
