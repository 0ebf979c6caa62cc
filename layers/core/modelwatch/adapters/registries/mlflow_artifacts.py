"""Artifacts of MLflow's versions: on S3, or behind the MLflow server itself.

`mlflow server` keeps artifacts behind itself unless it is set otherwise: clients then know the
address ``mlflow-artifacts:/…`` alone. What it serves is read with the credentials of the registry;
a version at any other address is refused, with what would be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from modelwatch.adapters.models.artifacts import MEGABYTE
from modelwatch.adapters.models.s3_artifacts import S3Artifacts
from modelwatch.adapters.registries.mlflow_http import SERVED, MlflowHttp
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import ModelLoadError, RegistryError

_CHUNK = 1 << 20
MOST_ENTRIES = 10_000
"""Files and folders of a version: a list without an end would be read without an end."""

_ELSEWHERE = {
    "dbfs": "in Databricks' file store, which MLFLOW_TRACKING_URI=databricks reads",
    "file": "a folder of the machine that MLflow runs on",
    "": "a folder of the machine that MLflow runs on",
}


class MlflowArtifacts(S3Artifacts):
    """Artifacts in the model bucket, or behind ``http``'s server."""

    failures = (*S3Artifacts.failures, RegistryError, urllib3.exceptions.HTTPError)

    def __init__(self, http: MlflowHttp, client: Any, bucket: str, **more: Any) -> None:
        super().__init__(client, bucket, **more)
        self._http = http

    def _open(self, version: ModelVersion, path: str) -> tuple[int, Callable[[], bytes]] | None:
        folder = self._served(version)
        if folder is None:
            return super()._open(version, path)
        response = self._http.artifact("GET", f"{folder}/{path}")
        if response.status != 200:
            response.close()
            # a server over S3 says 500 of a file that is not there
            parent, _, name = f"{folder}/{path}".rpartition("/")
            if response.status == 404 or not any(
                each.path == name for each in self._http.artifacts_in(parent)
            ):
                return None
            raise RegistryError(f"MLflow returned {response.status} for {path}")
        chunks = at_most(self._limit_bytes, version, response)
        return response.length_remaining or 0, lambda: b"".join(chunks)

    def _sizes(self, version: ModelVersion) -> dict[str, int]:
        top = self._served(version)
        if top is None:
            return super()._sizes(version)
        found: dict[str, int] = {}
        folders, entries = [""], 0
        while folders:
            inside = folders.pop()
            for each in self._http.artifacts_in(f"{top}/{inside}".rstrip("/")):
                entries += 1
                if entries > MOST_ENTRIES:
                    raise ModelLoadError(f"{version.title} has over {MOST_ENTRIES} artifacts")
                path = f"{inside}/{each.path}".lstrip("/")
                if each.is_dir:
                    folders.append(path)
                else:
                    found[path] = each.file_size
        return found

    def _fetch(self, version: ModelVersion, path: str, target: Path) -> None:
        folder = self._served(version)
        if folder is None:
            super()._fetch(version, path, target)
            return
        response = self._http.artifact("GET", f"{folder}/{path}")
        if response.status != 200:
            response.close()
            raise RegistryError(f"MLflow returned {response.status} for {path}")
        with target.open("wb") as file:
            file.writelines(at_most(self._limit_bytes, version, response))

    def _put(self, version: ModelVersion, path: str, payload: bytes) -> None:
        folder = self._served(version)
        if folder is None:
            super()._put(version, path, payload)
            return
        response = self._http.artifact("PUT", f"{folder}/{path}", body=payload)
        response.close()
        if response.status != 200:
            raise RegistryError(f"MLflow returned {response.status}")

    def _served(self, version: ModelVersion) -> str | None:
        """Return the folder behind the server; None if the version is on S3.

        Raises ModelLoadError when it is neither.
        """
        source = version.source
        parts, own = urlsplit(source), urlsplit(self._http.address)
        if parts.scheme == "s3":
            return None
        if parts.scheme == "mlflow-artifacts":
            path = parts.path.removeprefix(f"{SERVED}/")
        elif parts.scheme in ("http", "https"):
            path = parts.path.removeprefix(own.path).removeprefix(f"{SERVED}/")
            if path == parts.path or parts.query:
                path = ""
        else:
            where = _ELSEWHERE.get(parts.scheme, f"at an address of the kind '{parts.scheme}:'")
            raise ModelLoadError(
                f"the artifacts of {version.title} are at '{source}', {where}: modelwatch reads "
                "them from MODEL_BUCKET on S3 (`mlflow server --default-artifact-root s3://…`), "
                "and from behind MLflow (`--artifacts-destination`)"
            )
        if parts.netloc not in ("", own.netloc):
            raise ModelLoadError(
                f"the artifacts of {version.title} are at '{source}', which is not the server "
                f"of MLFLOW_TRACKING_URI, {self._http.address}"
            )
        path = unquote(path).strip("/")
        if not path or not {".", ".."}.isdisjoint(path.split("/")):
            raise ModelLoadError(f"the artifacts of {version.title} are at '{source}', no folder")
        return path


def at_most(
    limit_bytes: int, version: ModelVersion, response: urllib3.BaseHTTPResponse
) -> Iterator[Any]:
    """Yield what a response has, and stop one that has more than its server said it has."""
    left = limit_bytes
    try:
        for chunk in response.stream(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ModelLoadError(
                    f"{version.title} has over {limit_bytes / MEGABYTE:.0f} MB, more than is loaded"
                )
            yield chunk
    except BaseException:
        response.close()
        raise
    response.release_conn()
