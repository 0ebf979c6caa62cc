"""Registering a trained model: with its signature, its ONNX form and its reference data."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import pandas as pd
import pyarrow as pa
from mlflow.exceptions import RestException
from mlflow.models import infer_signature

from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.mlflow_registry import MANIFEST_TAG, MlflowRegistry
from modelwatch.adapters.parquet import records_table, write_table
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.models import (
    ARTIFACT_FOLDER,
    HOLDOUT_PATH,
    IMPORTANCE_PATH,
    MANIFEST_PATH,
    ONNX_PATH,
    REFERENCE_PATH,
    Manifest,
    ModelVersion,
    OnnxArtifact,
    manifest_path,
)
from modelwatch.domain.records import Record, Value
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.settings import Settings
from modelwatch_cli.training.importance import measure_importance
from modelwatch_cli.training.onnx_export import Estimator, NotExportableError, export_onnx

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Registration:
    """What was registered; ``onnx_problem`` says why there is no ONNX form, if there is none."""

    version: ModelVersion
    onnx: OnnxArtifact | None
    onnx_problem: str
    reference_rows: int


def register_model(
    model: Estimator,
    *,
    name: str,
    train: pd.DataFrame,
    test: pd.DataFrame,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    settings: Settings,
    labels: Sequence[Value] | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Registration:
    """Log ``model`` to MLflow, register it, and move the alias `MODEL_ALIAS` to the new version.

    The alias moves last: a version that it points to is complete.

    Parameters
    ----------
    model
        A fitted scikit-learn model.
    name
        Registered model; also the experiment's name.
    train, test
        Feature columns of both sets. The training rows and the model's predictions on them become
        the version's reference data; an ONNX form must predict both sets as the model does. What
        it says of the test rows is what its predictions and probabilities are compared with.
    labels
        Of the test rows: what its probabilities are worth is learned from them.
    parameters, metrics
        What is logged to the run.
    settings
        Where MLflow and S3 are, and the alias.
    step
        Told what happens next, in a few words.
    """
    quiet()
    tracking_uri = settings.text("MLFLOW_TRACKING_URI")
    alias = settings.text("MODEL_ALIAS")
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(name)
    client = mlflow.MlflowClient()
    step("logging the run to MLflow")
    signature = infer_signature(train, model.predict(train))
    schema = schema_from_signature(signature.inputs.to_dict())
    with mlflow.start_run() as run:
        mlflow.log_params(dict(parameters))
        mlflow.log_metrics(dict(metrics))
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature,
            input_example=train.head(3),
            # what a forest of scikit-learn is made of; skops refuses it otherwise
            skops_trusted_types=["sklearn.tree._tree.Tree"],
            pip_requirements=_pip_requirements(),
        )
        step("registering the version")
        with contextlib.suppress(RestException):  # it is there already
            client.create_registered_model(name)
        registered = client.create_model_version(
            name, logged.model_uri, run.info.run_id, model_id=logged.model_id
        )
        version = MlflowRegistry(tracking_uri).version(name, str(registered.version))
        step("making and verifying the ONNX form")
        onnx, problem, digest = _add_artifacts(
            S3Artifacts(s3_client(settings), settings.text("MODEL_BUCKET")),
            version,
            model,
            schema,
            train,
            test,
            labels,
        )
        if onnx:
            mlflow.log_metric("onnx_verified_rows", onnx.verification.rows)
            mlflow.log_metric("onnx_label_agreement", onnx.verification.label_agreement)
            mlflow.log_metric("onnx_max_difference", onnx.verification.max_difference)
        else:
            mlflow.set_tag("onnx_problem", problem[:500])
    client.set_model_version_tag(name, version.version, "onnx", "verified" if onnx else "none")
    # the registry vouches for the manifest, the manifest for every artifact
    client.set_model_version_tag(name, version.version, MANIFEST_TAG, digest)
    client.set_registered_model_alias(name, alias, version.version)
    version = msgspec.structs.replace(version, run_id=run.info.run_id, alias=alias)
    return Registration(version, onnx, problem, len(train))


def _add_artifacts(
    artifacts: S3Artifacts,
    version: ModelVersion,
    model: Estimator,
    schema: Schema,
    train: pd.DataFrame,
    test: pd.DataFrame,
    labels: Sequence[Value] | None,
) -> tuple[OnnxArtifact | None, str, str]:
    """Add what modelwatch needs; return the ONNX form, why there is none, the manifest's digest."""
    onnx: OnnxArtifact | None = None
    problem = ""
    with tempfile.TemporaryDirectory() as folder:
        artifacts.download(version, Path(folder))
        files = file_digests(Path(folder))
    try:
        payload, onnx = export_onnx(model, schema, pd.concat([train, test]))
        artifacts.write(version, ONNX_PATH, payload)
    except NotExportableError as error:
        problem = str(error)
    artifacts.write(version, REFERENCE_PATH, reference_data(version, model, train))
    artifacts.write(version, HOLDOUT_PATH, reference_data(version, model, test, labels))
    artifacts.write(version, IMPORTANCE_PATH, _encode(measure_importance(model, train)))
    # the manifest last: what it names is there
    digest = write_manifest(artifacts, version, Manifest(schema, onnx, files, len(train)))
    return onnx, problem, digest


def write_manifest(artifacts: S3Artifacts, version: ModelVersion, manifest: Manifest) -> str:
    """Put ``manifest`` beside the version's artifacts; return its SHA-256.

    It goes where its digest says, so that it takes the place of another only when the registry
    names its digest; and where a version is looked for whose digest the registry does not know.
    """
    payload = _encode(manifest)
    digest = hashlib.sha256(payload).hexdigest()
    artifacts.write(version, manifest_path(digest), payload)
    artifacts.write(version, MANIFEST_PATH, payload)
    return digest


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of MLflow's own files in ``folder``, by path."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path): hashlib.sha256((folder / path).read_bytes()).hexdigest()
        for path in paths
        if path.parts[0] != ARTIFACT_FOLDER
    }


def reference_data(
    version: ModelVersion,
    model: Estimator,
    frame: pd.DataFrame,
    labels: Sequence[Value] | None = None,
) -> bytes:
    """Return rows and the model's predictions on them, in the columns of captures.

    ``labels``, where they are known, are in one more column, ``label``.
    """
    probabilities = model.predict_proba(frame).tolist() if hasattr(model, "predict_proba") else None
    predictions = pd.Series(model.predict(frame)).tolist()
    return predicted_data(version, frame, predictions, probabilities, labels)


def predicted_data(
    version: ModelVersion,
    frame: pd.DataFrame,
    predictions: Sequence[Any],
    probabilities: Sequence[list[float]] | None,
    labels: Sequence[Value] | None = None,
) -> bytes:
    """Return rows and what was predicted for them; see `reference_data`."""
    now = time.time()
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    records = [
        Record(
            event_id=new_event_id(int(now * 1000)),
            captured_at=pd.Timestamp(int(now), unit="s", tz="UTC").to_pydatetime(),
            model_name=version.name,
            model_version=version.version,
            features=row,
            prediction=prediction,
            probabilities=probability,
            source="training",
        )
        for row, prediction, probability in zip(
            rows, predictions, probabilities or repeat(None, len(frame)), strict=True
        )
    ]
    table = records_table(records)
    if labels is not None:
        table = table.append_column("label", pa.array(labels))
    return write_table(table)


def _pip_requirements() -> list[str]:
    # named here, so that mlflow does not go looking for them by loading the model once more
    import sklearn
    import skops

    return [f"scikit-learn=={sklearn.__version__}", f"skops=={skops.__version__}", "pandas<3.1"]


def quiet() -> None:
    """Keep mlflow and skl2onnx from talking of what a user cannot act on."""
    # mlflow tells things that a user of this command cannot act on, some of them on stdout
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
