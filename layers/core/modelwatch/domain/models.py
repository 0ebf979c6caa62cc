"""What is known of a model version, and what a loaded one predicts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from modelwatch.domain.numbers import are_probabilities
from modelwatch.domain.schemas import Schema

ARTIFACT_FOLDER = "modelwatch"
"""Folder below a model version's artifacts that holds what modelwatch adds to it."""

MANIFEST_PATH = f"{ARTIFACT_FOLDER}/manifest.json"
ONNX_PATH = f"{ARTIFACT_FOLDER}/model.onnx"
REFERENCE_PATH = f"{ARTIFACT_FOLDER}/reference.parquet"
HOLDOUT_PATH = f"{ARTIFACT_FOLDER}/holdout.parquet"
"""Rows that the version was not trained on, with what it says of them and their labels: on its own
training data a model is surer of itself than it will ever be again."""
IMPORTANCE_PATH = f"{ARTIFACT_FOLDER}/importance.json"
LOSSES_PATH = f"{ARTIFACT_FOLDER}/losses.trees"
"""Of a regression, what its errors depend on, learned from labels of the rows above."""


def manifest_path(sha256: str) -> str:
    """Return where the manifest with a digest is; without one, where the newest is.

    >>> manifest_path("")
    'modelwatch/manifest.json'
    """
    return f"{ARTIFACT_FOLDER}/manifest-{sha256}.json" if sha256 else MANIFEST_PATH


class ModelVersion(msgspec.Struct, frozen=True):
    """A registered version.

    Attributes
    ----------
    source
        URI of its artifacts.
    run_id
        The run that made it.
    alias
        What led here, if an alias did.
    manifest_sha256
        Digest of its manifest, as the registry keeps it; empty when it keeps none.
    """

    name: str
    version: str
    source: str
    run_id: str = ""
    alias: str = ""
    manifest_sha256: str = ""

    @property
    def title(self) -> str:
        """Model and version, in words."""
        return f"{self.name} version {self.version}"


class Verification(msgspec.Struct, frozen=True):
    """How an ONNX form was compared with the original.

    Attributes
    ----------
    rows
        Rows on which both predicted: training and test set, and the same with values missing.
    label_agreement
        Share of equal predictions, 0 to 1.
    max_difference
        Largest absolute difference of a probability, or of a predicted number.
    missing_values
        Whether they also agree where values are missing.
    """

    rows: int
    label_agreement: float
    max_difference: float
    missing_values: bool


class OnnxArtifact(msgspec.Struct, frozen=True):
    """The ONNX form of a version, and the proof that it is the same model.

    Attributes
    ----------
    kind
        Python's type of the original's predictions: ``bool``, ``int``, ``float`` or ``str``; empty
        where it was not looked at.
    never_missing
        Columns of which the original takes no missing value.
    known_texts
        By column: the texts that the original knows, where it refuses others.
    """

    sha256: str
    payload_bytes: int
    verification: Verification
    path: str = ONNX_PATH
    kind: str = ""
    never_missing: tuple[str, ...] = ()
    known_texts: Mapping[str, tuple[str, ...]] = {}


class Manifest(msgspec.Struct, frozen=True):
    """What training leaves beside a version for serving and monitoring: ``manifest.json``.

    Attributes
    ----------
    schema
        Input columns.
    onnx
        The ONNX form, where there is a verified one.
    files
        SHA-256 by path of MLflow's own artifacts, which are run when there is no ONNX form.
    reference_rows
        Rows of the reference data.
    format
        Version of this structure.
    """

    schema: Schema
    onnx: OnnxArtifact | None = None
    files: Mapping[str, str] = msgspec.field(default_factory=dict)
    reference_rows: int = 0
    format: int = 1


class Predictions(msgspec.Struct, frozen=True):
    """Predictions for rows, in the rows' order.

    Attributes
    ----------
    values
        One prediction a row: a number, a string or a boolean.
    probabilities
        For each row one probability a class; None where the model has none.
    """

    values: Sequence[Any]
    probabilities: Sequence[list[float]] | None = None


def fault_of(value: object, probabilities: Sequence[float] | None = None) -> str:
    """Return why what a model gave for a row is no prediction; empty when it is one.

    A prediction is a finite number, a text or a boolean. Its probabilities, where the model has
    any, are from 0 to 1, and their sum is 1.

    Examples
    --------
    >>> fault_of("red"), fault_of(2.5, [0.25, 0.75])
    ('', '')
    >>> fault_of(float("nan"))
    'the prediction is NaN'
    >>> fault_of(1, [-0.5, 0.5])
    'the probabilities are not from 0 to 1 with the sum 1'
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "the prediction is not valid text"
    elif isinstance(value, int | float):
        if value != value:
            return "the prediction is NaN"
        if abs(value) > sys.float_info.max:
            return "the prediction is infinite"
    elif value is None:
        return "the prediction is null"
    else:
        return "the prediction is no number, text or boolean"
    if probabilities is not None and not are_probabilities(probabilities):
        return "the probabilities are not from 0 to 1 with the sum 1"
    return ""
