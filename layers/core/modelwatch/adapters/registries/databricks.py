"""Databricks' model registries, over REST: the workspace's, and Unity Catalog's.

They are MLflow's API with other ways to a version's files. The workspace keeps them in its file
store (``dbfs:``) and gives a link for each; Unity Catalog lends credentials for the place on S3.
Neither takes a file for a version that is registered: versions are made on Databricks, and what
modelwatch would add to them has no place there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Self, override

import msgspec
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.clients import lent_s3_client
from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.models.s3_artifacts import S3Artifacts
from modelwatch.adapters.registries.base import Complete, NewVersion, Published, Step
from modelwatch.adapters.registries.mlflow import MlflowRegistry
from modelwatch.adapters.registries.mlflow_artifacts import MOST_ENTRIES, at_most
from modelwatch.adapters.registries.mlflow_http import Entry, MlflowHttp
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import ModelLoadError, NoModelError, RegistryError, SettingError
from modelwatch.settings.kinds import CATALOG
from modelwatch.settings.serving import RegistrySettings

_READ_ONLY = (
    "Databricks takes no files for a version that is registered: register it there "
    "(`mlflow.<flavor>.log_model(…, registered_model_name=…)`)"
)
_RENEWED_SECONDS = 300
"""Credentials are asked for anew so long before they end."""
_FILES = urllib3.Timeout(connect=2.0, read=60.0)


class _Page(msgspec.Struct, frozen=True):
    files: tuple[Entry, ...] = ()
    next_page_token: str = ""


class _Header(msgspec.Struct, frozen=True):
    name: str
    value: str


class _Link(msgspec.Struct, frozen=True):
    signed_uri: str
    headers: tuple[_Header, ...] = ()


class _Keys(msgspec.Struct, frozen=True):
    access_key_id: str
    secret_access_key: str
    session_token: str


class _Lent(msgspec.Struct, frozen=True):
    aws_temp_credentials: _Keys | None = None
    expiration_time: int = 0
    storage_mode: str = ""


class _Credentials(msgspec.Struct, frozen=True):
    credentials: _Lent


class DatabricksRegistry(MlflowRegistry):
    """The registry of a Databricks workspace, or of its Unity Catalog."""

    page_size = 100

    def __init__(
        self, http: MlflowHttp, *, is_catalog: bool, stage: str = "", stage_alias: str = ""
    ) -> None:
        super().__init__(http, stage=stage, stage_alias=stage_alias)
        if is_catalog:
            self._call = _catalog_call(http)

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the registry that MLFLOW_TRACKING_URI names; raises SettingError."""
        is_catalog = settings.mlflow_tracking_uri == CATALOG
        if is_catalog and settings.model_stage:
            raise SettingError("MODEL_STAGE", "Unity Catalog has no stages: leave it empty")
        return cls(
            MlflowHttp.of(settings),
            is_catalog=is_catalog,
            stage=settings.model_stage,
            stage_alias=settings.model_alias,
        )

    @classmethod
    @override
    def artifacts(
        cls, settings: RegistrySettings, s3: Any, *, limit_bytes: int, cache: Path | None
    ) -> Artifacts:
        """Return the artifacts of its versions, to be read alone."""
        http = MlflowHttp.of(settings)
        if settings.mlflow_tracking_uri == CATALOG:
            region = settings.aws_default_region
            return CatalogArtifacts(
                http,
                lambda *keys: lent_s3_client(region, *keys),
                limit_bytes=limit_bytes,
                cache=cache,
            )
        return WorkspaceArtifacts(http, limit_bytes=limit_bytes, cache=cache)

    def remove(self, name: str) -> None:
        """Refuse: what is on Databricks is deleted there."""
        raise RegistryError(f"{name} is deleted on Databricks, not by modelwatch")

    @override
    def _publish(
        self, name: str, alias: str, new: NewVersion, complete: Complete, step: Step
    ) -> Published:
        raise RegistryError(_READ_ONLY)


class WorkspaceArtifacts(Artifacts):
    """Files of versions in a workspace's registry: each by a link that it signs."""

    failures = (RegistryError, urllib3.exceptions.HTTPError)

    def __init__(self, http: MlflowHttp, **more: Any) -> None:
        super().__init__(**more)
        self._http = http

    def _open(self, version: ModelVersion, path: str) -> tuple[int, Callable[[], bytes]] | None:
        folder = path.rpartition("/")[0]
        found = next((each for each in self._inside(version, folder) if each.path == path), None)
        if found is None:
            return None
        chunks = self._chunks(version, path)
        return found.file_size, lambda: b"".join(chunks)

    def _sizes(self, version: ModelVersion) -> dict[str, int]:
        found: dict[str, int] = {}
        folders, entries = [""], 0
        while folders:
            for each in self._inside(version, folders.pop()):
                entries += 1
                if entries > MOST_ENTRIES:
                    raise ModelLoadError(f"{version.title} has over {MOST_ENTRIES} artifacts")
                if each.is_dir:
                    folders.append(each.path)
                else:
                    found[each.path] = each.file_size
        return found

    def _fetch(self, version: ModelVersion, path: str, target: Path) -> None:
        with target.open("wb") as file:
            file.writelines(self._chunks(version, path))

    @override
    def _put(self, version: ModelVersion, path: str, payload: bytes) -> NoReturn:
        raise RegistryError(_READ_ONLY)

    def _inside(self, version: ModelVersion, folder: str) -> list[Entry]:
        found: list[Entry] = []
        page: dict[str, str] = {}
        while True:
            try:
                answer = self._ask("list-artifacts", version, path=folder, **page)
            except NoModelError:
                return found
            listed = _as(answer, _Page)
            found += listed.files
            if not listed.files or not listed.next_page_token or len(found) > MOST_ENTRIES:
                return found
            page = {"page_token": listed.next_page_token}

    def _chunks(self, version: ModelVersion, path: str) -> Any:
        link = _as(self._ask("get-signed-download-uri", version, path=path), _Link)
        if self._http.address.startswith("https:") and not link.signed_uri.startswith("https:"):
            raise RegistryError(f"Databricks gave a link for {path} that is not https")
        # a stranger to who asks: the link says it, and the token is for Databricks alone
        response = urllib3.request(
            "GET",
            link.signed_uri,
            headers={each.name: each.value for each in link.headers},
            timeout=_FILES,
            retries=urllib3.Retry(total=1, redirect=False),
            preload_content=False,
        )
        if response.status != 200:
            response.close()
            raise RegistryError(f"the link of Databricks for {path} returned {response.status}")
        return at_most(self._limit_bytes, version, response)

    def _ask(self, what: str, version: ModelVersion, **fields: str) -> dict[str, Any]:
        query = {"name": version.name, "version": version.version}
        return self._http.call("GET", f"model-versions/{what}", **query, **fields)


class CatalogArtifacts(Artifacts):
    """Files of versions in Unity Catalog, on S3: by credentials that it lends for each version.

    Parameters
    ----------
    open_s3
        Returns a client of S3 for key, secret and session token.
    now
        Seconds since 1970.
    """

    failures = (BotoCoreError, ClientError, RegistryError)

    def __init__(
        self,
        http: MlflowHttp,
        open_s3: Callable[[str, str, str], Any],
        *,
        now: Callable[[], float] = time.time,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self._call = _catalog_call(http)
        self._open_s3 = open_s3
        self._now = now
        self._lent: dict[tuple[str, str], tuple[float, S3Artifacts]] = {}

    def _open(self, version: ModelVersion, path: str) -> tuple[int, Callable[[], bytes]] | None:
        return self._place(version)._open(version, path)

    def _sizes(self, version: ModelVersion) -> Mapping[str, int]:
        return self._place(version)._sizes(version)

    def _fetch(self, version: ModelVersion, path: str, target: Path) -> None:
        self._place(version)._fetch(version, path, target)

    @override
    def _put(self, version: ModelVersion, path: str, payload: bytes) -> NoReturn:
        raise RegistryError(_READ_ONLY)

    def _place(self, version: ModelVersion) -> S3Artifacts:
        key = (version.name, version.version)
        until, place = self._lent.get(key, (0.0, None))
        if place is not None and self._now() < until:
            return place
        bucket, slash, folder = version.source.removeprefix("s3://").partition("/")
        if not version.source.startswith("s3://") or not slash or not folder.strip("/"):
            raise ModelLoadError(
                f"the artifacts of {version.title} are at '{version.source}': modelwatch reads "
                "versions of Unity Catalog from S3, so its storage has to be on AWS"
            )
        answer = self._call(
            "POST",
            "model-versions/generate-temporary-credentials",
            name=version.name,
            version=version.version,
            operation="MODEL_VERSION_OPERATION_READ",
        )
        lent = _as(answer, _Credentials).credentials
        keys = lent.aws_temp_credentials
        if keys is None:
            raise ModelLoadError(
                f"Unity Catalog lends no credentials of AWS for {version.title}: modelwatch does "
                "not read its default storage, or one that is not on AWS"
            )
        client = self._open_s3(keys.access_key_id, keys.secret_access_key, keys.session_token)
        place = S3Artifacts(client, bucket, limit_bytes=self._limit_bytes)
        self._lent[key] = (lent.expiration_time / 1000 - _RENEWED_SECONDS, place)
        return place


def _catalog_call(http: MlflowHttp) -> Callable[..., dict[str, Any]]:
    """Return what calls Unity Catalog for models and versions, and the workspace for the rest."""

    def call(method: str, path: str, /, **fields: str | bool) -> dict[str, Any]:
        is_registry = path.startswith(("registered-models/", "model-versions/"))
        return http.call(method, f"unity-catalog/{path}" if is_registry else path, **fields)

    return call


def _as[T](answer: Mapping[str, Any], kind: type[T]) -> T:
    try:
        # 64 bits come as text
        return msgspec.convert(answer, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RegistryError(f"an unexpected response of Databricks: {error}") from error
