"""Results and reports on S3.

``analyses/M/V/<window end>.<window>[.<variant>]/result.json`` and ``report.html``: below a model
version they stand in the order of time. ``analyses/M/V/last.json`` remembers its newest analyses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.s3_objects import S3Objects
from modelwatch.domain.drift import AnalysisResult, LastAnswer, ResultName
from modelwatch.errors import NotFoundError, StoreError

_PREFIX = "analyses/"
_RESULT = "/result.json"
_LAST = "last.json"
_JSON = "application/json"
_HORIZONS = (timedelta(hours=3), timedelta(days=3), timedelta(days=100), None)
"""How far back the newest results are looked for, until there are enough."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnalysisResult).decode
_decode_last = msgspec.json.Decoder(dict[str, LastAnswer]).decode


class S3ReportStore:
    """Results in ``bucket``; see `modelwatch.ports.ReportStore`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._objects = S3Objects(client, bucket)

    def save(self, result: AnalysisResult, html: bytes | None, *, replace: bool = False) -> bool:
        """Store the report, then the result: a result that says it has a report has one."""
        folder = _folder(result.name)
        report, page = f"{folder}/report.html", "text/html; charset=utf-8"
        key, payload = f"{folder}{_RESULT}", _encode(result)
        if replace:
            if html is not None:
                self._objects.write(report, html, page)
            self._objects.write(key, payload, _JSON)
            return True
        if html is not None:
            self._objects.write_once(report, html, page)
        return self._objects.write_once(key, payload, _JSON)

    def results(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results, newest first."""
        now = datetime.now(UTC)
        versions = list(self._versions())
        keys: list[str] = []
        for horizon in _HORIZONS:
            since = None if horizon is None else now - horizon
            keys = [key for version in versions for key in self._keys(version, since)]
            if len(keys) >= limit:
                break
        keys.sort(key=lambda key: key.removesuffix(_RESULT).rsplit("/", 1)[1], reverse=True)
        return [_decode(self._objects.read(key)) for key in keys[:limit]]

    def last(self, model_name: str, model_version: str) -> dict[str, LastAnswer]:
        """Return what is remembered of a version's newest analyses."""
        try:
            payload = self._objects.read(f"{version_prefix(model_name, model_version)}{_LAST}")
        except NotFoundError:
            return {}
        return _decode_last(payload)

    def remember(
        self, model_name: str, model_version: str, answers: Mapping[str, LastAnswer]
    ) -> None:
        """Remember a version's newest analyses."""
        key = f"{version_prefix(model_name, model_version)}{_LAST}"
        self._objects.write(key, _encode(answers), _JSON)

    def report_url(self, name: str, expires_seconds: int) -> str:
        """Return a presigned URL of the report of the result ``name``."""
        key = f"{_folder(name)}/report.html"
        try:
            self._client.head_object(Bucket=self._objects.bucket, Key=key)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                raise NotFoundError(f"there is no report '{name}'") from error
            raise StoreError(f"cannot read {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"cannot read {key}: {error}") from error
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._objects.bucket, "Key": key},
            ExpiresIn=expires_seconds,
        )
        return url

    def _versions(self) -> Iterator[str]:
        for model in self._objects.folders(_PREFIX):
            for version in self._objects.folders(f"{_PREFIX}{model}/"):
                yield f"{_PREFIX}{model}/{version}/"

    def _keys(self, prefix: str, since: datetime | None) -> Iterator[str]:
        start = "" if since is None else f"{prefix}{since:%Y%m%dT%H%M%SZ}"
        for key, _ in self._objects.keys(prefix, after=start):
            if key.endswith(_RESULT):
                yield key


def version_prefix(model_name: str, model_version: str) -> str:
    """Return the start of the keys of all results of a version."""
    return f"{_PREFIX}{quote(model_name, safe=' -._')}/{quote(model_version, safe=' -._')}/"


def _folder(name: str) -> str:
    parts = ResultName.parse(name)
    if parts is None or "/" in name:
        raise NotFoundError(f"'{name[:300]}' is not the name of a result")
    return f"{version_prefix(parts.model_name, parts.model_version)}{parts.ending}"
