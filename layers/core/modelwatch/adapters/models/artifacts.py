"""Artifacts of model versions: the manifest, the ONNX form, the reference data."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelwatch.adapters.models.whole_files import write_whole
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.importance import Importance
from modelwatch.domain.models import (
    HOLDOUT_PATH,
    IMPORTANCE_PATH,
    LOSSES_PATH,
    MANIFEST_PATH,
    REFERENCE_PATH,
    Manifest,
    ModelVersion,
    manifest_path,
)
from modelwatch.errors import ModelLoadError, ProfileFormatError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwatch.domain.performance.losses import LossModel

_LOG = logging.getLogger(__name__)
_decode_manifest = msgspec.json.Decoder(Manifest).decode
_decode_importance = msgspec.json.Decoder(Importance).decode

MEGABYTE = 1_000_000


class Artifacts(ABC):
    """Reads and adds to what lies below a model version's artifact URI.

    What is outside the project's own place (its bucket, its folder) is refused, since loading a
    model is running its author's code.

    Parameters
    ----------
    limit_bytes
        The most that a version may have, unpacked.
    cache
        Folder that keeps artifacts by digest, for a process that starts while the store is away.
    """

    failures: tuple[type[Exception], ...]
    """What the four methods below raise when the store refuses, or does not respond."""

    def __init__(self, *, limit_bytes: int = 500 * MEGABYTE, cache: Path | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._cache = cache

    @abstractmethod
    def _open(self, version: ModelVersion, path: str) -> tuple[int, Callable[[], bytes]] | None:
        """Return an artifact's size in bytes and what reads it; None when it is not there."""

    @abstractmethod
    def _sizes(self, version: ModelVersion) -> Mapping[str, int]:
        """Return the size in bytes of every artifact, by path."""

    @abstractmethod
    def _fetch(self, version: ModelVersion, path: str, target: Path) -> None:
        """Write an artifact to the file ``target``."""

    @abstractmethod
    def _put(self, version: ModelVersion, path: str, payload: bytes) -> None:
        """Keep an artifact, in the place of what was there."""

    def manifest(self, version: ModelVersion) -> Manifest | None:
        """Return the version's manifest, or None when modelwatch did not make one.

        Raises ModelLoadError when there is one that cannot be read, or is not the one that was
        registered.
        """
        digest = version.manifest_sha256
        payload = self.read(version, manifest_path(digest), digest)
        if payload is None and digest:
            # registered before manifests were kept by digest
            payload = self.read(version, MANIFEST_PATH, digest)
        if payload is None:
            if version.manifest_sha256:
                raise ModelLoadError(f"{MANIFEST_PATH} of {version.title} is missing")
            return None
        try:
            return _decode_manifest(payload)
        except UNREADABLE as error:
            raise ModelLoadError(f"{MANIFEST_PATH} of {version.title}: {error}") from error

    def read(self, version: ModelVersion, path: str, sha256: str = "") -> bytes | None:
        """Return an artifact, or None when it is not there.

        Raises
        ------
        ModelLoadError
            When ``sha256`` is given and the artifact has another digest, or it is too large.
        StoreError
            When the store does not respond, and the cache has no copy.
        """
        cached = self._cached(sha256)
        if cached is not None:
            return cached
        try:
            found = self._open(version, path)
            if found is None:
                return None
            size, read = found
            self._check_size(version, size)
            payload = read()
        except self.failures as error:
            raise StoreError(f"cannot read {path} of {version.title}: {error}") from error
        if sha256:
            _check_digest(version, path, payload, sha256)
            self._keep(sha256, payload)
        return payload

    def download(self, version: ModelVersion, folder: Path) -> None:
        """Write every artifact of the version below ``folder``.

        Raises
        ------
        ModelLoadError
            When there is too much of it, or a path leads out of ``folder``.
        StoreError
            When the store does not respond.
        """
        try:
            sizes = self._sizes(version)
            self._check_size(version, sum(sizes.values()))
            written = 0
            for path in sizes:
                target = (folder / path).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise ModelLoadError(f"{version.title} has an artifact outside itself")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(version, path, target)
                # what a server says of its files need not be so
                written += target.stat().st_size
                self._check_size(version, written)
        except self.failures as error:
            raise StoreError(f"cannot read the artifacts of {version.title}: {error}") from error

    def write(self, version: ModelVersion, path: str, payload: bytes) -> None:
        """Put an artifact beside the version's others.

        Raises StoreError when the store does not take it.
        """
        try:
            self._put(version, path, payload)
        except self.failures as error:
            raise StoreError(f"cannot write {path} of {version.title}: {error}") from error

    def reference(self, version: ModelVersion) -> pa.Table | None:
        """Return the version's reference data; see `ReferenceStore.reference`."""
        return self._table(version, REFERENCE_PATH)

    def holdout(self, version: ModelVersion) -> pa.Table | None:
        """Return rows that it was not trained on; see `ReferenceStore.holdout`."""
        return self._table(version, HOLDOUT_PATH)

    def _table(self, version: ModelVersion, path: str) -> pa.Table | None:
        payload = self.read(version, path)
        if payload is None:
            return None
        from modelwatch.adapters.captures.parquet import read_table

        return read_table(payload)

    def importance(self, version: ModelVersion) -> Importance | None:
        """Return how much the version depends on each feature; see `ReferenceStore`."""
        payload = self.read(version, IMPORTANCE_PATH)
        if payload is None:
            return None
        try:
            return _decode_importance(payload)
        except UNREADABLE as error:
            raise StoreError(f"{IMPORTANCE_PATH} of {version.title}: {error}") from error

    def losses(self, version: ModelVersion) -> LossModel | None:
        """Return what the version's errors depend on, or None when that was not learned."""
        payload = self.read(version, LOSSES_PATH)
        if payload is None:
            return None
        # predict reads artifacts, too, and needs none of this
        from modelwatch.domain.performance.losses import decode_loss_model

        try:
            return decode_loss_model(payload)
        except ProfileFormatError as error:
            raise StoreError(f"{LOSSES_PATH} of {version.title}: {error}") from error

    def _check_size(self, version: ModelVersion, payload_bytes: int) -> None:
        if payload_bytes > self._limit_bytes:
            raise ModelLoadError(
                f"{version.title} has {payload_bytes / MEGABYTE:.0f} MB; "
                f"at most {self._limit_bytes / MEGABYTE:.0f} MB are loaded"
            )

    def _cached(self, sha256: str) -> bytes | None:
        if not sha256 or self._cache is None:
            return None
        try:
            payload = (self._cache / sha256).read_bytes()
        except OSError:
            return None
        return payload if hashlib.sha256(payload).hexdigest() == sha256 else None

    def _keep(self, sha256: str, payload: bytes) -> None:
        if self._cache is None:
            return
        try:
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._cache / sha256, payload, 0o600)
        except OSError as error:
            _LOG.warning("the artifact is not kept in %s: %s", self._cache, error)


def check_files(version: ModelVersion, manifest: Manifest, folder: Path) -> None:
    """Check the files in ``folder`` against the manifest's digests.

    Raises ModelLoadError when one is missing or is not what was registered.
    """
    for path, sha256 in manifest.files.items():
        try:
            payload = (folder / path).read_bytes()
        except OSError:
            raise ModelLoadError(f"{path} of {version.title} is missing") from None
        _check_digest(version, path, payload, sha256)


def keep_registered(manifest: Manifest, folder: Path) -> None:
    """Delete the files in ``folder`` that the manifest does not name: they could be modules."""
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in manifest.files:
            path.unlink()


def _check_digest(version: ModelVersion, path: str, payload: bytes, sha256: str) -> None:
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise ModelLoadError(f"{path} of {version.title} is not what was registered")
