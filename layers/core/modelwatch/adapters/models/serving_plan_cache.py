"""The last good serving plan, on S3 for every environment and on disk for this one.

Beside it is an object that a reload replaces. Environments look at its tag by a conditional GET,
which has no body while nothing changed: a function needs no right on itself to reach the others.

Both are in the bucket of reports. A plan says which digest of a version's manifest the registry
has: whoever may write to the bucket of models must not say that, too.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.models.whole_files import write_whole
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.keys import PLANS, escape
from modelwatch.domain.routing import ServingPlan
from modelwatch.errors import StoreError

_LOG = logging.getLogger(__name__)

PREFIX = "serving/"
"""Where plans are in the bucket."""

_LONGEST_FILE = 180
"""Most file systems take names of 255 bytes."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(ServingPlan).decode


class StoredServingPlanCache:
    """A `modelwatch.ports.serving.ServingPlanCache` in ``bucket`` and below ``folder``.

    Parameters
    ----------
    client
        S3; None for a registry on this machine, which needs ``folder`` alone.
    source
        What made the plans: the registry, and the alias or stage that it was asked for. A bucket
        that several deployments share has a plan for each.
    """

    def __init__(self, client: Any | None, bucket: str, folder: Path, source: str) -> None:
        self._client = client
        self._source = hashlib.sha256(source.encode()).hexdigest()[:16]
        self._bucket = bucket
        self._folder = folder
        self._kept = b""
        self._reload = ""
        self._is_away = False

    def remember(self, plan: ServingPlan) -> None:
        """Keep ``plan`` in both places; what fails is logged."""
        payload = _encode(plan)
        if payload == self._kept:
            return
        key = self._key(plan.model_name)
        try:
            # environments start with the plan that is there already: read before you write
            if self._client is not None and self._stored(key) != payload:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=payload)
            self._write(self._file(plan.model_name), payload)
        except (BotoCoreError, ClientError, OSError) as error:
            _LOG.warning("the current plan is not cached: %s", error)
            return
        self._kept = payload

    def recall(self, model_name: str) -> ServingPlan | None:
        """Return the plan kept last: from S3, or else from disk."""
        payload: bytes | None = None
        try:
            payload = self._stored(self._key(model_name))
        except (BotoCoreError, ClientError) as error:
            _LOG.warning("the cached plan cannot be read from S3: %s", error)
        try:
            payload = payload or self._file(model_name).read_bytes()
            return _decode(payload)
        except (OSError, *UNREADABLE) as error:
            _LOG.warning("there is no cached plan: %s", error)
            return None

    def expire(self, model_name: str) -> None:
        """Have every other environment ask the registry again; raises StoreError."""
        mark = secrets.token_hex(16)
        try:
            if self._client is None:
                self._write(self._mark_file(model_name), mark.encode())
                self._reload = mark
            else:
                done = self._client.put_object(
                    Bucket=self._bucket, Key=self._mark_key(model_name), Body=mark.encode()
                )
                self._reload = done["ETag"]
        except (BotoCoreError, ClientError, OSError) as error:
            raise StoreError(f"the other environments cannot be told to reload: {error}") from error

    def is_expired(self, model_name: str) -> bool:
        """Return whether another environment expired the plan; what fails is logged once."""
        try:
            found = self._mark(model_name)
        except (BotoCoreError, ClientError, OSError) as error:
            if not self._is_away:
                _LOG.warning("it is not known whether a reload was asked for: %s", error)
            self._is_away = True
            return False
        self._is_away = False
        if found in ("", self._reload):
            return False
        self._reload = found
        return True

    def _mark(self, model_name: str) -> str:
        """Return what the last reload left; empty where there was none."""
        try:
            if self._client is None:
                return self._mark_file(model_name).read_text()
            known = {"IfNoneMatch": self._reload} if self._reload else {}
            found: str = self._client.get_object(
                Bucket=self._bucket, Key=self._mark_key(model_name), **known
            )["ETag"]
        except FileNotFoundError:
            return ""
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return ""
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                return self._reload
            raise
        return found

    def _stored(self, key: str) -> bytes | None:
        if self._client is None:
            return None
        try:
            payload: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None
        return payload

    def _file(self, model_name: str) -> Path:
        return self._folder / f"{_file_name(model_name)}.{self._source}.json"

    def _mark_file(self, model_name: str) -> Path:
        return self._folder / f"{_file_name(model_name)}.{self._source}.reload"

    def _write(self, file: Path, payload: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, payload, 0o600)

    def _key(self, model_name: str) -> str:
        return f"{PREFIX}{escape(model_name, PLANS)}.{self._source}.json"

    def _mark_key(self, model_name: str) -> str:
        return f"{PREFIX}{escape(model_name, PLANS)}.{self._source}.reload"


def _file_name(model_name: str) -> str:
    """Return a name of a file that stands for this model alone."""
    name = quote(model_name, safe="")
    if len(name) <= _LONGEST_FILE:
        return name
    digest = hashlib.sha256(model_name.encode()).hexdigest()
    return f"{name[: _LONGEST_FILE - len(digest) - 1]}~{digest}"
