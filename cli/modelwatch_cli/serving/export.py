"""Adding a verified ONNX form to a version that is registered already."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.mlflow_registry import MANIFEST_TAG, MlflowRegistry
from modelwatch.adapters.parquet import FEATURE_PREFIX
from modelwatch.adapters.s3_artifacts import S3Artifacts, check_files
from modelwatch.domain.models import (
    ONNX_PATH,
    Manifest,
    ModelVersion,
    OnnxArtifact,
)
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import InvalidInputError, ModelLoadError, ModelwatchError
from modelwatch.settings import Settings
from modelwatch_cli.training.onnx_export import NotExportableError, export_onnx
from modelwatch_cli.training.registration import (
    file_digests,
    quiet,
    write_manifest,
)

if TYPE_CHECKING:
    from modelwatch_cli.serving.registry import RegistryEditor


@dataclass(frozen=True, slots=True)
class Exported:
    """What was added to a version."""

    model_name: str
    model_version: str
    onnx: OnnxArtifact
    reference_rows: int


def add_onnx(
    settings: Settings,
    number: str,
    editor: RegistryEditor,
    step: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Make the ONNX form of version ``number``, verify it on its reference data, and add it.

    The registry's tag moves last: until then the version is served as it was before.

    Raises
    ------
    ModelwatchError
        When the version, its rows or its ONNX form cannot be had.
    """
    quiet()
    name = settings.text("MODEL_NAME")
    version = MlflowRegistry.of(settings).version(name, number)
    artifacts = S3Artifacts(
        s3_client(settings),
        settings.text("MODEL_BUCKET"),
        limit_bytes=settings.integer("MODEL_MAX_MB") * 1_000_000,
    )
    manifest = artifacts.manifest(version)
    step("loading the original")
    model, schema, files = _original(artifacts, version, manifest)
    rows = _reference_rows(artifacts, version, schema)
    step("making and verifying the ONNX form")
    try:
        payload, onnx = export_onnx(model, schema, rows)
    except NotExportableError as error:
        raise ModelwatchError(
            f"{name} version {number} has no ONNX form that is the same model: {error}"
        ) from error
    artifacts.write(version, ONNX_PATH, payload)
    digest = write_manifest(artifacts, version, Manifest(schema, onnx, files, len(rows)))
    editor.tag_version(name, number, MANIFEST_TAG, digest)
    editor.tag_version(name, number, "onnx", "verified")
    return Exported(name, number, onnx, len(rows))


def _original(
    artifacts: S3Artifacts, version: ModelVersion, manifest: Manifest | None
) -> tuple[Any, Schema, dict[str, str]]:
    """Return the scikit-learn model, its input columns, and the digests of MLflow's files."""
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifacts.download(version, folder)
        if manifest is not None:
            check_files(version, manifest, folder)
        files = dict(manifest.files) if manifest else file_digests(folder)
        try:
            loaded = mlflow.pyfunc.load_model(str(folder))
            signature = loaded.metadata.get_input_schema()
            schema = schema_from_signature(signature.to_dict() if signature else [])
            model = loaded.get_raw_model()
        except Exception as error:  # whatever a foreign model raises means: it cannot be exported
            raise ModelLoadError(
                f"{version.name} version {version.version} cannot be exported: {error}"
            ) from error
    return model, schema, files


def _reference_rows(artifacts: S3Artifacts, version: ModelVersion, schema: Schema) -> pd.DataFrame:
    table = artifacts.reference(version)
    if table is None:
        raise InvalidInputError(
            "--reference",
            f"{version.name} version {version.version} has no reference data to verify an "
            "ONNX form with: give a CSV or Parquet file of training rows",
        )
    rows = table.to_pandas().rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    return rows[list(schema.names)]
