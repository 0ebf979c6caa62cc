"""What is known of a model version, and what a loaded one answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from modelwatch.domain.schemas import Schema

ARTIFACT_FOLDER = "modelwatch"
"""Folder below a model version's artifacts that holds what modelwatch adds to it."""

MANIFEST_PATH = f"{ARTIFACT_FOLDER}/manifest.json"
ONNX_PATH = f"{ARTIFACT_FOLDER}/model.onnx"
REFERENCE_PATH = f"{ARTIFACT_FOLDER}/reference.parquet"


class ModelVersion(msgspec.Struct, frozen=True):
    """A registered version: ``source`` is the URI of its artifacts, ``alias`` what led here."""

    name: str
    version: str
    source: str
    run_id: str = ""
    alias: str = ""


class Verification(msgspec.Struct, frozen=True):
    """How an ONNX form was held against the original.

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
    """The ONNX form of a version, and the proof that it is the same model."""

    sha256: str
    payload_bytes: int
    verification: Verification
    path: str = ONNX_PATH


class Manifest(msgspec.Struct, frozen=True):
    """What training leaves beside a version for serving and monitoring: ``manifest.json``."""

    schema: Schema
    onnx: OnnxArtifact | None = None
    reference_rows: int = 0
    format: int = 1


class Predictions(msgspec.Struct, frozen=True):
    """Answers for rows, in the rows' order.

    Attributes
    ----------
    values
        One prediction a row: a number, a string or a truth value.
    probabilities
        For each row one probability a class; None where the model has none.
    """

    values: Sequence[Any]
    probabilities: Sequence[list[float]] | None = None
