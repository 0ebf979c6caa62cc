"""Results and reports on S3.

``analyses/M/V/<window end>.<window>[-<ad hoc>][.<variant>]/result.json`` and ``report.html``: below
a model version they stand in the order of time, and are written once. ``analyses/M/V/last.json``
remembers the schedule's newest analyses.

Beside a result is what it was made of, each part by its digest, so that two runs of the same window
do not mix: ``manifest-<digest>.json``, ``window-<digest>.profile`` and, of a rolling reference,
``reference-<start>-<end>-<digest>.profile``. Labels that come late restate its performance:
``performance-000001.json`` and so on, each written once. A reference of many windows is once in
``analyses/M/V/.references/``.

The rows of a result are also a table, for programs that read tables: see
`modelwatch.adapters.results.rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.parquet import compress, decompress
from modelwatch.adapters.results.listing import RESULT, newest_results
from modelwatch.adapters.results.rows import PARQUET, rows_key, rows_object
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.keys import RESULTS, escape, unescape
from modelwatch.domain.performance.results import PerformanceResult
from modelwatch.domain.verdict.evidence import (
    Evidence,
    ReadReference,
    decode_manifest,
    encode_manifest,
    sha256,
)
from modelwatch.domain.verdict.results import AnalysisResult, LastResult, ResultName
from modelwatch.errors import (
    DamagedError,
    EvidenceError,
    NotFoundError,
    ProfileFormatError,
    StoreError,
)
from modelwatch.ports.analysis import Listed

REFERENCES = ".references"
"""Folder of the references of many windows, below a model version."""

_CONNECTIONS = 8
_PREFIX = "analyses/"
_LAST = "last.json"
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_BYTES = "application/octet-stream"
_DIGITS = 16
"""So much of a digest is in a name."""
_LONGEST_FOLDER = 900
"""S3 takes keys of 1,024 bytes; the rest is for the names of the files."""

_encode = msgspec.json.Encoder().encode
_RESULT = msgspec.json.Decoder(AnalysisResult)
_PERFORMANCE = msgspec.json.Decoder(PerformanceResult)
_REMEMBERED = msgspec.json.Decoder(dict[str, LastResult])


class S3ReportStore:
    """Results in ``bucket``; see `modelwatch.ports.analysis.ReportStore`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._objects = S3Objects(client, bucket)
        self._kept: set[str] = set()
        self._read: dict[str, bytes] = {}

    def save(
        self,
        result: AnalysisResult,
        files: Mapping[str, bytes],
        evidence: Evidence | None = None,
    ) -> bool:
        """Store the result after what it says it has: a report, a manifest. Its rows come last.

        Where it is there already, its rows are those of the one that is.
        """
        folder = _folder(result.name)
        if evidence is not None:
            self._keep(folder, evidence)
        write = self._objects.write_once
        for name, body in files.items():
            write(f"{folder}/{name}", body, _HTML if name.endswith(".html") else _JSON)
        is_new = write(f"{folder}{RESULT}", _encode(result), _JSON)
        self._save_rows(result if is_new else self.result(result.name))
        return is_new

    def result(self, name: str, restated: int = 0) -> AnalysisResult:
        """Return a result, with a restatement of its performance if ``restated`` is not 0.

        Raises NotFoundError when there is none of that name, DamagedError when it cannot be read.
        """
        folder = _folder(name)
        try:
            found = self._document(_RESULT, f"{folder}{RESULT}")
        except NotFoundError:
            raise NotFoundError(f"there is no result '{name[:300]}'") from None
        if not restated:
            return found
        performance = self._document(_PERFORMANCE, _restated_key(folder, restated))
        return msgspec.structs.replace(found, performance=performance)

    def restate(self, name: str, performance: PerformanceResult, number: int) -> bool:
        """Store a restated performance beside a result; False when there is one of that number."""
        key = _restated_key(_folder(name), number)
        is_new = self._objects.write_once(key, _encode(performance), _JSON)
        self._save_rows(self.result(name, number), number)
        return is_new

    def evidence(self, result: AnalysisResult) -> Evidence:
        """Return what a result was made of; raises EvidenceError when it is missing or damaged."""
        if not result.manifest:
            raise EvidenceError(f"{result.name} has no stored evidence")
        folder = _folder(result.name)
        key = f"{folder}/manifest-{result.manifest[:_DIGITS]}.json"
        manifest = decode_manifest(self._part("manifest", key, result.manifest, packed=False))
        window = reference = b""
        if digest := manifest.window.profile_sha256:
            window = self._part("profile of the window", _window_key(folder, digest), digest)
        if manifest.reference is not None:
            reference = self._reference(folder, manifest.reference)
        return Evidence(manifest, window, reference)

    def names(self, model_name: str, since: datetime, until: datetime) -> list[str]:
        """Return the names of a model's results whose windows end from ``since`` to ``until``."""
        model = model_prefix(model_name)
        found = []
        for version in self._objects.folders(model):
            for key in self._keys(f"{model}{version}/", since):
                ending = key.removesuffix(RESULT).rpartition("/")[2]
                name = ResultName.parse(f"model.version.{ending}")
                if name is not None and since <= name.window_end <= until:
                    found.append(
                        name._replace(model_name=model_name, model_version=unescape(version))
                    )
        return [str(name) for name in sorted(found, key=lambda name: name.window_end)]

    def versions(self, model_name: str = "") -> list[tuple[str, str]]:
        """Return (model name, version) of all that has results, of one model or all, sorted."""
        if model_name:
            models = [escape(model_name, RESULTS)]
        else:
            models = list(self._objects.folders(_PREFIX))
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            folders = threads.map(
                lambda each: [*self._objects.folders(f"{_PREFIX}{each}/")], models
            )
            return sorted(
                (unescape(model), unescape(version))
                for model, versions in zip(models, folders, strict=True)
                for version in versions
            )

    def newest(
        self,
        versions: Sequence[tuple[str, str]],
        since: datetime | None,
        until: datetime | None,
        most: int,
        before: ResultName | None = None,
    ) -> list[Listed]:
        """Return the newest results of versions, newest first; they are not read."""
        folders = {version_prefix(*each): each for each in versions}
        place = None
        if before is not None:
            place = (before.ending, version_prefix(before.model_name, before.model_version))
        found = newest_results(self._objects, list(folders), since, until, most, place)
        names = ((ResultName.parse(f"model.version.{each.ending}"), each) for each in found)
        return [
            Listed(
                name._replace(
                    model_name=folders[each.folder][0], model_version=folders[each.folder][1]
                ),
                each.size_bytes,
                each.restated,
            )
            for name, each in names
            if name is not None
        ]

    def results(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results, newest first."""
        found = self.newest(self.versions(), None, None, limit)
        return [self.result(str(each.name), each.restated) for each in found]

    def last(self, model_name: str, model_version: str) -> dict[str, LastResult]:
        """Return what is remembered of a version's newest analyses.

        Raises DamagedError when it cannot be read.
        """
        try:
            key = f"{version_prefix(model_name, model_version)}{_LAST}"
            return self._document(_REMEMBERED, key)
        except NotFoundError:
            return {}

    def remember(
        self, model_name: str, model_version: str, newest: Mapping[str, LastResult]
    ) -> None:
        """Remember a version's newest analyses."""
        key = f"{version_prefix(model_name, model_version)}{_LAST}"
        self._objects.write(key, _encode(newest), _JSON)

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

    def _save_rows(self, result: AnalysisResult, restated: int = 0) -> None:
        name = ResultName.parse(result.name)
        assert name is not None
        rows = rows_object(result, only_window=restated > 0)
        self._objects.write_once(rows_key(name, restated), rows, PARQUET)

    def _keep(self, folder: str, evidence: Evidence) -> None:
        """Store what a result is made of; the same again changes nothing."""
        manifest = evidence.manifest
        if evidence.window:
            key = _window_key(folder, manifest.window.profile_sha256)
            self._objects.write_once(key, compress(evidence.window), _BYTES)
        if manifest.reference is not None:
            key = _reference_key(folder, manifest.reference)
            if key not in self._kept:
                self._objects.write_once(key, compress(evidence.reference), _BYTES)
            if manifest.reference.is_shared:
                self._kept.add(key)
        key = f"{folder}/manifest-{evidence.digest[:_DIGITS]}.json"
        self._objects.write_once(key, encode_manifest(manifest), _JSON)

    def _reference(self, folder: str, reference: ReadReference) -> bytes:
        """Return a reference; that of many windows is read once for those that follow."""
        key = _reference_key(folder, reference)
        found = self._read.get(key)
        if found is None:
            found = self._part("reference", key, reference.sha256)
            if reference.is_shared:
                self._read = {key: found}
        return found

    def _document[T](self, decoder: msgspec.json.Decoder[T], key: str) -> T:
        payload = self._objects.read(key)
        try:
            return decoder.decode(payload)
        except UNREADABLE as error:
            raise DamagedError(key, error) from error

    def _part(self, what: str, key: str, digest: str, *, packed: bool = True) -> bytes:
        try:
            payload = self._objects.read(key)
            payload = decompress(payload) if packed else payload
        except NotFoundError:
            raise EvidenceError(f"the {what} no longer exists: {key}") from None
        except ProfileFormatError as error:
            raise EvidenceError(f"the {what} is damaged: {key}: {error}") from None
        if sha256(payload) != digest:
            raise EvidenceError(f"the {what} is damaged: {key} has a wrong digest")
        return payload

    def _keys(self, prefix: str, since: datetime) -> Iterator[str]:
        start = f"{prefix}{since:%Y%m%dT%H%M%SZ}"
        for key, _ in self._objects.keys(prefix, after=start):
            if key.endswith(RESULT):
                yield key


def model_prefix(model_name: str) -> str:
    """Return the start of the keys of all results of a model."""
    return f"{_PREFIX}{escape(model_name, RESULTS)}/"


def version_prefix(model_name: str, model_version: str) -> str:
    """Return the start of the keys of all results of a version."""
    return f"{model_prefix(model_name)}{escape(model_version, RESULTS)}/"


def _restated_key(folder: str, number: int) -> str:
    return f"{folder}/performance-{number:06}.json"


def _window_key(folder: str, digest: str) -> str:
    return f"{folder}/window-{digest[:_DIGITS]}.profile"


def _reference_key(folder: str, reference: ReadReference) -> str:
    """Return where a reference is; of captures, the key says when they were captured."""
    if reference.is_shared:
        folder = f"{folder.rpartition('/')[0]}/{REFERENCES}"
    times = ""
    if reference.start is not None and reference.end is not None:
        times = f"{reference.start:%Y%m%dT%H%M%SZ}-{reference.end:%Y%m%dT%H%M%SZ}-"
    return f"{folder}/reference-{times}{reference.sha256[:_DIGITS]}.profile"


def _folder(name: str) -> str:
    parts = ResultName.parse(name)
    if parts is not None and "/" not in name:
        folder = f"{version_prefix(parts.model_name, parts.model_version)}{parts.ending}"
        if len(folder) <= _LONGEST_FOLDER:
            return folder
    raise NotFoundError(f"'{name[:300]}' is not the name of a result")
