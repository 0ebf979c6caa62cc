"""`modelwatch adopt`: adds a reference and digests to a version logged with plain MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from mlflow.models import infer_signature

from modelwatch.adapters.captures.parquet import read_table
from modelwatch.adapters.models.artifacts import check_files
from modelwatch.adapters.models.onnx_model import OnnxModel
from modelwatch.adapters.models.pyfunc_model import PyfuncModel, typed_frame
from modelwatch.adapters.registries import Registry, artifacts_of, registry_of
from modelwatch.domain.models import (
    IMPORTANCE_PATH,
    ONNX_PATH,
    REFERENCE_PATH,
    Manifest,
    ModelVersion,
    OnnxArtifact,
    Predictions,
)
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import InvalidInputError, ModelLoadError, ModelwatchError
from modelwatch.ports.serving import Model
from modelwatch.settings.serving import RegistrySettings
from modelwatch_training.given_rows import check_labels
from modelwatch_training.given_times import parsed, times_of
from modelwatch_training.importance import measure_importance
from modelwatch_training.onnx_export import NotExportableError, export_onnx
from modelwatch_training.registration import (
    file_digests,
    predicted_data,
    quiet,
    tags_of,
    write_manifest,
)
from modelwatch_training.rows_files import read_rows, rows_of

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Adopted:
    """What a version has now.

    Attributes
    ----------
    schema_from
        Where its columns come from: ``manifest``, ``signature`` or ``reference``.
    onnx, onnx_problem
        Its ONNX form, and why there is none where one was asked for.
    importance_problem
        Why the importance of its features is not known; empty if it is.
    trained_from, trained_until
        The first and last time of its rows; None where no times were given.
    """

    model_name: str
    model_version: str
    columns: dict[str, str]
    schema_from: str
    reference_rows: int
    onnx: OnnxArtifact | None
    onnx_problem: str
    importance_problem: str
    trained_from: datetime | None
    trained_until: datetime | None


def adopt(
    settings: RegistrySettings,
    name: str,
    number: str | None,
    reference: Path,
    *,
    labels_column: str | None = None,
    timestamps_column: str | None = None,
    verify_onnx: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> Adopted:
    """Add a manifest, the reference data and, if it verifies, an ONNX form to a version.

    It makes everything before it writes anything, and changes the registry's tag last. Until then
    the version is served as before.

    Raises ModelwatchError when the version or the rows cannot be read, or do not fit each other.

    Parameters
    ----------
    number
        The version; None: the one that MODEL_ALIAS or MODEL_STAGE names.
    reference
        Parquet or CSV file of training rows.
    labels_column
        Its column with the labels, which is no feature.
    timestamps_column
        Its column with the time of each row; see `register_model`.
    verify_onnx
        Make an ONNX form, and compare it with the original on these rows.
    step
        Called before each step, with a few words on it.
    """
    quiet()
    registry = registry_of(settings)
    version = _version(registry, settings.model_alias, name, number)
    artifacts = artifacts_of(settings)
    manifest = artifacts.manifest(version)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        step("reading the model")
        artifacts.download(version, folder)
        if manifest is not None:
            check_files(version, manifest, folder)
        files = dict(manifest.files) if manifest else file_digests(folder)
        step(f"reading {reference}")
        besides = [name for name in (labels_column, timestamps_column) if name]
        schema, schema_from = _schema(folder, manifest, reference, besides)
        frame, labels, times = _rows(reference, schema, labels_column, timestamps_column)
        step("loading the model")
        model = PyfuncModel(folder, schema)
    step(f"predicting {len(frame)} rows")
    predictions = _predict(model, frame, reference)
    onnx, payload, onnx_problem = manifest.onnx if manifest else None, None, ""
    if verify_onnx:
        step("making and verifying the ONNX form")
        try:
            payload, onnx = export_onnx(model, frame)
        except NotExportableError as error:
            onnx_problem = str(error)
        else:
            predictions = _predict(OnnxModel(payload, schema, onnx), frame, reference)
    data = predicted_data(
        version, schema, frame, predictions.values, predictions.probabilities, labels, times
    )
    if labels is not None:
        check_labels(read_table(data), "--labels-column")
    step("measuring how much it depends on each feature")
    importance, importance_problem = b"", ""
    try:
        importance = msgspec.json.encode(
            measure_importance(model.predict_frame, typed_frame(frame, schema))
        )
    except Exception as error:  # noqa: BLE001 - a foreign model may refuse shuffled rows
        importance_problem = f"{type(error).__name__}: {error}"
    step("writing")
    if payload is not None:
        artifacts.write(version, ONNX_PATH, payload)
    if importance:
        artifacts.write(version, IMPORTANCE_PATH, importance)
    artifacts.write(version, REFERENCE_PATH, data)
    digest = write_manifest(artifacts, version, Manifest(schema, onnx, files, len(frame)))
    for key, value in tags_of(digest, onnx).items():
        registry.tag_version(name, version.version, key, value)
    return Adopted(
        name,
        version.version,
        {column.name: column.type for column in schema.columns},
        schema_from,
        len(frame),
        onnx,
        onnx_problem,
        importance_problem,
        *((min(times), max(times)) if times else (None, None)),
    )


def _version(registry: Registry, alias: str, name: str, number: str | None) -> ModelVersion:
    if number is not None:
        return registry.version(name, number)
    plan = registry.plan(name, alias)
    if len(plan.versions) > 1 and alias not in plan.versions:
        known = ", ".join(each.version for each in plan.versions.values())
        raise InvalidInputError("--version", f"is needed: versions {known} of {name} serve")
    return plan.versions.get(alias) or next(iter(plan.versions.values()))


def _schema(
    folder: Path, manifest: Manifest | None, reference: Path, besides: Sequence[str]
) -> tuple[Schema, str]:
    """Return the input columns, and where they come from; ``besides`` are columns that are none."""
    if manifest is not None:
        return manifest.schema, "manifest"
    import mlflow

    try:
        signature = mlflow.models.Model.load(str(folder)).signature
    except Exception as error:  # whatever a foreign model raises means: it cannot be read
        raise ModelLoadError(f"MLmodel cannot be read: {error}") from error
    came_from = "signature"
    if signature is None or signature.inputs is None:
        features = _features(folder, read_rows(reference), besides)
        signature, came_from = infer_signature(features), "reference"
    try:
        return schema_from_signature(signature.inputs.to_dict()), came_from
    except ValueError as error:
        raise ModelwatchError(str(error)) from error


def _features(folder: Path, rows: pd.DataFrame, besides: Sequence[str]) -> pd.DataFrame:
    """Return the columns that a model without a signature takes: those that it was fitted on."""
    import mlflow.pyfunc

    try:
        raw = mlflow.pyfunc.load_model(str(folder)).get_raw_model()
        fitted_on = [str(name) for name in raw.feature_names_in_]
    except Exception:  # noqa: BLE001 - not every model knows; loading it says what is wrong with it
        fitted_on = []
    if fitted_on and set(fitted_on) <= set(rows.columns):
        return rows[fitted_on]
    return rows.drop(columns=besides, errors="ignore")


def _rows(
    reference: Path, schema: Schema, labels_column: str | None, timestamps_column: str | None
) -> tuple[pd.DataFrame, list[Any] | None, list[datetime] | None]:
    texts = [column.name for column in schema.columns if column.type == "string"]
    rows = read_rows(reference, texts)
    frame = rows_of(rows, schema, str(reference))
    labels = times = None
    if labels_column is not None:
        if labels_column in schema.names:
            problem = f"'{labels_column}' is a feature of the model"
            raise InvalidInputError("--labels-column", problem)
        values = _column(rows, labels_column, "--labels-column", reference).astype(object)
        labels = values.where(values.notna(), None).tolist()
    if timestamps_column is not None:
        values = _column(rows, timestamps_column, "--timestamps-column", reference)
        times = times_of(
            parsed(values, "--timestamps-column"), len(rows), None, "--timestamps-column"
        )
    return frame, labels, times


def _column(rows: pd.DataFrame, name: str, option: str, reference: Path) -> pd.Series:
    if name not in rows.columns:
        raise InvalidInputError(option, f"{reference} has no column '{name}'")
    return rows[name]


def _predict(model: Model, frame: pd.DataFrame, reference: Path) -> Predictions:
    """Return the model's predictions for the rows, as predict would."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    starts = range(0, len(rows), _BATCH)
    try:
        parts = [model.predict(rows[start : start + _BATCH]) for start in starts]
    except Exception as error:  # whatever a foreign model raises means: these are not its rows
        raise ModelwatchError(
            f"the model does not take the rows of {reference}: {type(error).__name__}: {error} "
            "(--labels-column names a column that is no feature)"
        ) from error
    probabilities = [each for part in parts for each in part.probabilities or ()]
    values = [value for part in parts for value in part.values]
    return Predictions(values, probabilities if len(probabilities) == len(values) else None)
