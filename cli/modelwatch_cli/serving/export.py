"""Adds a verified ONNX form to a registered version."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from modelwatch.adapters.models.artifacts import Artifacts, check_files
from modelwatch.adapters.models.pyfunc_model import PyfuncModel
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.models import ONNX_PATH, Manifest, ModelVersion, OnnxArtifact
from modelwatch.domain.schemas import Schema
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.settings import Settings
from modelwatch_training.onnx_export import NotExportableError, export_onnx
from modelwatch_training.registration import file_digests, quiet, tags_of, write_manifest
from modelwatch_training.rows_files import features_frame


@dataclass(frozen=True, slots=True)
class Exported:
    """The form that was added to a version."""

    model_name: str
    model_version: str
    onnx: OnnxArtifact
    reference_rows: int


def add_onnx(
    settings: Settings,
    number: str,
    step: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Make the ONNX form of version ``number``, verify it on its reference data, and add it.

    The registry's tag changes last: until then the version is served as before.

    Raises ModelwatchError when the version, its rows or its ONNX form is not available.
    """
    quiet()
    name = settings.model_name
    registry = registry_of(settings)
    version = registry.version(name, number)
    artifacts = artifacts_of(settings)
    manifest = artifacts.manifest(version)
    step("loading the original")
    original, files = _original(artifacts, version, manifest)
    schema = original.schema
    rows = _reference_rows(artifacts, version, schema)
    step("making and verifying the ONNX form")
    try:
        payload, onnx = export_onnx(original, rows)
    except NotExportableError as error:
        raise ModelwatchError(
            f"{name} version {number} has no ONNX form that is the same model: {error}"
        ) from error
    artifacts.write(version, ONNX_PATH, payload)
    digest = write_manifest(artifacts, version, Manifest(schema, onnx, files, len(rows)))
    for key, value in tags_of(digest, onnx).items():
        registry.tag_version(name, number, key, value)
    return Exported(name, number, onnx, len(rows))


def _original(
    artifacts: Artifacts, version: ModelVersion, manifest: Manifest | None
) -> tuple[PyfuncModel, dict[str, str]]:
    """Return the version as MLflow loads it, and the digests of MLflow's files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifacts.download(version, folder)
        if manifest is not None:
            check_files(version, manifest, folder)
        files = dict(manifest.files) if manifest else file_digests(folder)
        return PyfuncModel(folder, manifest.schema if manifest else None), files


def _reference_rows(artifacts: Artifacts, version: ModelVersion, schema: Schema) -> pd.DataFrame:
    table = artifacts.reference(version)
    if table is None:
        raise InvalidInputError(
            "--reference",
            f"{version.name} version {version.version} has no reference data to verify an "
            "ONNX form with: give a CSV or Parquet file of training rows",
        )
    return features_frame(table)[list(schema.names)]
