"""Registering a trained model: with its signature, its ONNX form and its reference data."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa

from modelwatch.adapters.captures.parquet import read_table, records_table, write_table
from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.registries import NewVersion, artifacts_of, registry_of
from modelwatch.adapters.registries.base import MANIFEST_TAG, ONNX_TAG
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.models import (
    ARTIFACT_FOLDER,
    HOLDOUT_PATH,
    IMPORTANCE_PATH,
    LOSSES_PATH,
    MANIFEST_PATH,
    ONNX_PATH,
    REFERENCE_PATH,
    Manifest,
    ModelVersion,
    OnnxArtifact,
    fault_of,
    manifest_path,
)
from modelwatch.domain.names import check_model_name
from modelwatch.domain.performance.losses import LossModel, encode_loss_model
from modelwatch.domain.records import PREDICT_SOURCE, Record, Value
from modelwatch.domain.schemas import LETTERS, Schema
from modelwatch.ports.serving import Model
from modelwatch.settings.serving import RegistrySettings
from modelwatch_training.candidate import Candidate, foreign_errors_are_refusals, make_candidate
from modelwatch_training.given_rows import (
    Table,
    check_labels,
    columns_by_type,
    labels_of,
    metrics_of,
    table_of,
)
from modelwatch_training.given_times import times_of
from modelwatch_training.losses import losses_of

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Registration:
    """What was registered.

    Attributes
    ----------
    onnx, onnx_problem
        The verified ONNX form; and, where there is none, why.
    columns
        Names of the input columns by type.
    reference_rows
        Rows that windows are compared with.
    losses_rows, losses_problem
        Labelled test rows from which it is learned what errors of a regression depend on; and,
        where nothing is learned, why. Nothing is of a classifier.
    trained_from, trained_until
        The first and last time of the training rows; None where no times were given.
    alias_before
        The version that the alias pointed to before; empty where it is new.
    """

    version: ModelVersion
    onnx: OnnxArtifact | None
    onnx_problem: str
    columns: Mapping[str, list[str]]
    reference_rows: int
    alias_before: str
    losses_rows: int = 0
    losses_problem: str = ""
    trained_from: datetime | None = None
    trained_until: datetime | None = None

    @property
    def flavor(self) -> str:
        """The form that predict runs: ``onnx`` or ``pyfunc``."""
        return "onnx" if self.onnx else "pyfunc"


def register_model(
    model: Any,
    *,
    name: str,
    train: Table,
    test: Table,
    settings: RegistrySettings | None = None,
    parameters: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    labels: Any = None,
    timestamps: Any = None,
    step: Callable[[str], None] = lambda _: None,
) -> Registration:
    """Make ``model`` a version in the registry, and move the alias `MODEL_ALIAS` to it.

    It refuses a model that cannot be served, before it stores anything. The alias moves last: a
    version to which it points is complete. If a step fails after the version was made, the version
    is deleted.

    Parameters
    ----------
    model
        A fitted model: scikit-learn's, LightGBM's, XGBoost's, CatBoost's, a pipeline of these, or a
        `mlflow.pyfunc.PythonModel`.
    name
        Registered model; with MLflow also the experiment's name.
    train, test
        Feature columns of both sets, as tables or arrays of shape (rows, features). The training
        rows and the predictions on them become the version's reference data; an ONNX form must
        predict both sets as the model does. What it says of the test rows is what its predictions
        and probabilities are compared with.
    settings
        Where the registry and its artifacts are, and the alias; None: what the environment
        variables say, such as MODEL_REGISTRY, MLFLOW_TRACKING_URI and MODEL_ALIAS.
    parameters, metrics
        They are stored with the version, or with its run.
    labels
        Labels of the test rows, as the model predicts them. A classifier's calibration is learned
        from them, and of a regression what its errors depend on: then performance is estimated
        without labels.
    timestamps
        When each training row was captured, as datetimes in the order of the rows; without a zone
        they are taken as UTC. Then windows of the training rows are a past: which days and hours
        are normal is known from the first analysis.
    step
        Called before each step, with a few words on it.

    Raises
    ------
    NotServableError, InvalidInputError
        When the model, its name, its columns or its predictions cannot be served, or the timestamps
        are not one a training row.
    RegistryError, StoreError
        When the registry or S3 does not accept it; then no version is left.

    Examples
    --------
    >>> import modelwatch
    >>> done = modelwatch.register_model(  # doctest: +SKIP
    ...     model, name="wine_quality_model", train=x_train, test=x_test, labels=y_test
    ... )
    >>> done.version.version, done.flavor  # doctest: +SKIP
    ('1', 'onnx')
    """
    quiet()
    settings = settings or RegistrySettings()
    check_model_name(name)
    registry = registry_of(settings)
    index = train.index if isinstance(train, pd.DataFrame) else None
    train, test = table_of(train, "train"), table_of(test, "test")
    measured = metrics_of(metrics or {})
    known = None if labels is None else labels_of(labels, len(test))
    times = None if timestamps is None else times_of(timestamps, len(train), index)
    with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
        candidate = make_candidate(model, train, test, Path(folder), step)
        step(f"predicting {len(train) + len(test)} rows for the reference data")
        version = ModelVersion(name, "new", "")
        with foreign_errors_are_refusals():
            added = {
                REFERENCE_PATH: reference_data(version, candidate.served, train, times=times),
                HOLDOUT_PATH: reference_data(version, candidate.served, test, known),
            }
    holdout = read_table(added[HOLDOUT_PATH])
    if known is not None:
        check_labels(holdout, "labels")
    losses = losses_of(holdout)
    if isinstance(losses, LossModel):
        added[LOSSES_PATH] = encode_loss_model(losses)
    if candidate.importance:
        added[IMPORTANCE_PATH] = _encode(candidate.importance)
    if candidate.onnx:
        added[ONNX_PATH] = candidate.payload

    def complete(version: ModelVersion) -> Mapping[str, str]:
        step("storing manifest, schema and reference")
        digest = _keep(artifacts_of(settings), version, candidate, added, len(train))
        return tags_of(digest, candidate.onnx)

    published = registry.publish(
        name,
        settings.model_alias,
        NewVersion(
            candidate.signed(),
            parameters or {},
            {**measured, **_onnx_metrics(candidate.onnx)},
            {"onnx_problem": candidate.problem[:500]} if candidate.problem else {},
        ),
        complete,
        step,
    )
    return Registration(
        published.version,
        candidate.onnx,
        candidate.problem,
        columns_by_type(candidate.schema),
        len(train),
        published.alias_before,
        *((losses.rows, "") if isinstance(losses, LossModel) else (0, losses)),
        trained_from=min(times) if times else None,
        trained_until=max(times) if times else None,
    )


def _onnx_metrics(onnx: OnnxArtifact | None) -> dict[str, float]:
    if onnx is None:
        return {}
    return {
        "onnx_verified_rows": onnx.verification.rows,
        "onnx_label_agreement": onnx.verification.label_agreement,
        "onnx_max_difference": onnx.verification.max_difference,
    }


def _keep(
    artifacts: Artifacts,
    version: ModelVersion,
    candidate: Candidate,
    added: Mapping[str, bytes],
    rows: int,
) -> str:
    """Store modelwatch's own artifacts of the version; return the digest of its manifest."""
    with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
        artifacts.download(version, Path(folder))
        files = file_digests(Path(folder))
    for path, payload in added.items():
        artifacts.write(version, path, payload)
    # the manifest last: what it names is there
    manifest = Manifest(candidate.schema, candidate.onnx, files, rows)
    return write_manifest(artifacts, version, manifest)


def tags_of(digest: str, onnx: OnnxArtifact | None) -> dict[str, str]:
    """Return the tags of a version with a manifest; `MANIFEST_TAG`, which it takes up, is last.

    The registry has the manifest's digest, and the manifest has that of every artifact.
    """
    return {ONNX_TAG: "verified" if onnx else "none", MANIFEST_TAG: digest}


def write_manifest(artifacts: Artifacts, version: ModelVersion, manifest: Manifest) -> str:
    """Store ``manifest`` with the version's artifacts; return its SHA-256.

    It is stored twice: below its digest, which cannot replace a manifest that the registry names,
    and in the place for versions of which the registry has no digest.
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
    served: Model,
    frame: pd.DataFrame,
    labels: Sequence[Value] | None = None,
    times: Sequence[datetime] | None = None,
) -> bytes:
    """Return rows with the predictions of the served form, in the columns of captures.

    ``served`` is the form that predict runs. ``labels``, where they are known, are in one more
    column, ``label``. ``times`` are in ``captured_at``, which is the same for all rows without.
    """
    frame = frame[list(served.schema.names)]
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    predictions = served.predict(rows)
    return predicted_data(
        version, served.schema, frame, predictions.values, predictions.probabilities, labels, times
    )


def predicted_data(
    version: ModelVersion,
    schema: Schema,
    frame: pd.DataFrame,
    predictions: Sequence[Any],
    probabilities: Sequence[list[float]] | None,
    labels: Sequence[Value] | None = None,
    times: Sequence[datetime] | None = None,
) -> bytes:
    """Return rows in the columns of ``schema`` and what was predicted for them.

    See `reference_data`.
    """
    types = "".join(LETTERS[column.type] for column in schema.columns)
    now = int(time.time())
    captured_at = pd.Timestamp(now, unit="s", tz="UTC").to_pydatetime()
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    records = []
    for row, value, shares, time_of_row in zip(
        rows,
        predictions,
        probabilities or repeat(None, len(frame)),
        times or repeat(captured_at, len(frame)),
        strict=True,
    ):
        fault = fault_of(value, shares)
        records.append(
            Record(
                event_id=new_event_id(now * 1000),
                captured_at=time_of_row,
                model_name=version.name,
                model_version=version.version,
                features=row,
                types=types,
                prediction=None if fault else value,
                probabilities=None if fault else shares,
                source=PREDICT_SOURCE if fault else "training",
                error=fault,
            )
        )
    table = records_table(records)
    if labels is not None:
        table = table.append_column("label", pa.array(labels))
    return write_table(table)


def quiet() -> None:
    """Silence messages of mlflow and skl2onnx about which a user can do nothing."""
    # mlflow prints messages that do not help a user of this command, some of them on stdout
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for name in ("mlflow", "skl2onnx", "onnxmltools", "lightgbm", "xgboost"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
