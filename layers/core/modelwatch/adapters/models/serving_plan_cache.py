"""The last good serving plan, on S3 for every environment and on disk for this one."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.models.whole_files import write_whole
from modelwatch.domain.keys import PLANS, escape
from modelwatch.domain.routing import ServingPlan

_LOG = logging.getLogger(__name__)

PREFIX = "modelwatch-serving/"
"""Where plans are in the model bucket."""

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
            self._write_file(plan.model_name, payload)
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
        except (OSError, msgspec.DecodeError) as error:
            _LOG.warning("there is no cached plan: %s", error)
            return None

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
        return self._folder / f"{quote(model_name, safe='')}.{self._source}.json"

    def _write_file(self, model_name: str, payload: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._file(model_name), payload, 0o600)

    def _key(self, model_name: str) -> str:
        return f"{PREFIX}{escape(model_name, PLANS)}.{self._source}.json"
