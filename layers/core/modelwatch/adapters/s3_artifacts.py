"""Artifacts of model versions on S3: the manifest, the ONNX form, the reference data."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.domain.models import MANIFEST_PATH, REFERENCE_PATH, Manifest, ModelVersion
from modelwatch.errors import ModelLoadError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa


class S3Artifacts:
    """Reads and adds to what lies below a model version's artifact URI (``s3://bucket/prefix``)."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def manifest(self, version: ModelVersion) -> Manifest | None:
        """Return the version's manifest, or None when modelwatch did not make one.

        Raises
        ------
        ModelLoadError
            When there is one that cannot be read.
        """
        payload = self.read(version, MANIFEST_PATH)
        if payload is None:
            return None
        try:
            return msgspec.json.decode(payload, type=Manifest)
        except msgspec.DecodeError as error:
            raise ModelLoadError(f"{MANIFEST_PATH} of {_title(version)}: {error}") from error

    def read(self, version: ModelVersion, path: str, sha256: str | None = None) -> bytes | None:
        """Return an artifact, or None when it is not there.

        Raises
        ------
        ModelLoadError
            When ``sha256`` is given and the artifact has another digest.
        StoreError
            When the store does not answer.
        """
        bucket, prefix = _location(version)
        try:
            payload: bytes = self._client.get_object(Bucket=bucket, Key=f"{prefix}/{path}")[
                "Body"
            ].read()
        except self._client.exceptions.NoSuchKey:
            return None
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot read {path} of {_title(version)}: {error}") from error
        if sha256 is not None and hashlib.sha256(payload).hexdigest() != sha256:
            raise ModelLoadError(f"{path} of {_title(version)} is not what was registered")
        return payload

    def download(self, version: ModelVersion, folder: Path) -> None:
        """Write every artifact of the version below ``folder``.

        Raises
        ------
        StoreError
            When the store does not answer.
        """
        bucket, prefix = _location(version)
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=f"{prefix}/"
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    target = (folder / entry["Key"].removeprefix(f"{prefix}/")).resolve()
                    if not target.is_relative_to(folder.resolve()):
                        raise ModelLoadError(f"{_title(version)} has an artifact outside itself")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._client.download_file(bucket, entry["Key"], str(target))
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot read the artifacts of {_title(version)}: {error}") from error

    def write(self, version: ModelVersion, path: str, payload: bytes) -> None:
        """Put an artifact beside the version's others.

        Raises
        ------
        StoreError
            When the store does not take it.
        """
        bucket, prefix = _location(version)
        try:
            self._client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=payload)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot write {path} of {_title(version)}: {error}") from error

    def reference(self, version: ModelVersion) -> pa.Table | None:
        """Return the version's reference data; see `ReferenceStore.reference`."""
        payload = self.read(version, REFERENCE_PATH)
        if payload is None:
            return None
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(payload))


def _location(version: ModelVersion) -> tuple[str, str]:
    scheme, _, rest = version.source.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket or not prefix:
        raise ModelLoadError(
            f"the artifacts of {_title(version)} are at '{version.source}', not on S3"
        )
    return bucket, prefix.rstrip("/")


def _title(version: ModelVersion) -> str:
    return f"{version.name} version {version.version}"
