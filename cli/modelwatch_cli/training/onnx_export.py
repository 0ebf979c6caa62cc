"""A model's ONNX form, and the proof that it is the same model."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import numpy as np
import pandas as pd

from modelwatch.adapters.onnx_model import OnnxModel
from modelwatch.domain.models import OnnxArtifact, Verification
from modelwatch.domain.schemas import Schema

PROBABILITY_TOLERANCE = 1e-5
"""Largest difference that 32-bit arithmetic explains."""


class Estimator(Protocol):
    """What scikit-learn's models have in common."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        """Predict rows."""
        ...


class NotExportableError(Exception):
    """The model has no ONNX form that gives its own predictions; `str()` says why."""


def export_onnx(model: Estimator, schema: Schema, rows: pd.DataFrame) -> tuple[bytes, OnnxArtifact]:
    """Convert ``model`` to ONNX and verify it.

    It counts as verified only if it gives the original's predictions on all ``rows``, and on the
    same rows with each feature missing in turn where the original takes missing values.

    Parameters
    ----------
    model
        A fitted scikit-learn classifier or regressor.
    schema
        The model's input columns; ONNX forms are made for numbers only.
    rows
        Training and test set, in the schema's columns.

    Raises
    ------
    NotExportableError
        When it cannot be converted, or the ONNX form differs.
    """
    if any(column.type not in ("double", "float", "long", "integer") for column in schema.columns):
        raise NotExportableError("it has inputs that are not numbers")
    payload = _convert(model, len(schema.columns))
    verification = _verify(model, OnnxModel(payload, schema), rows)
    if verification.label_agreement < 1 or verification.max_difference > PROBABILITY_TOLERANCE:
        raise NotExportableError(
            f"its ONNX form agrees on {verification.label_agreement:.2%} of the rows and differs "
            f"by up to {verification.max_difference:.2g}"
        )
    digest = hashlib.sha256(payload).hexdigest()
    return payload, OnnxArtifact(digest, len(payload), verification)


def _convert(model: Estimator, width: int) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    try:
        onnx = to_onnx(
            model, initial_types=[("features", FloatTensorType([None, width]))], options=options
        )
    except Exception as error:  # skl2onnx raises many types for what it does not know
        raise NotExportableError(f"it cannot be converted: {error}") from error
    _route_missing_values(onnx, model)
    payload: bytes = onnx.SerializeToString()
    return payload


def _route_missing_values(onnx: Any, model: Estimator) -> None:
    """Send missing values down the same branches as scikit-learn's forests do.

    The converter leaves ``nodes_missing_value_tracks_true`` at 0 everywhere; scikit-learn keeps
    for every node whether a missing value goes left, in the same order of nodes.
    """
    trees = getattr(model, "estimators_", None) or [model]
    if not all(hasattr(tree, "tree_") for tree in trees):
        return
    go_left = np.concatenate([t.tree_.__getstate__()["nodes"]["missing_go_to_left"] for t in trees])
    for node in onnx.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_missing_value_tracks_true" and len(attribute.ints) == len(
                go_left
            ):
                attribute.ints[:] = [int(left) for left in go_left]


def _verify(model: Estimator, onnx: OnnxModel, rows: pd.DataFrame) -> Verification:
    checked, agreeing, difference = 0, 0, 0.0

    def compare(frame: pd.DataFrame) -> None:
        nonlocal checked, agreeing, difference
        expected = np.asarray(model.predict(frame))
        answer = onnx.predict(frame.to_dict("records"))
        values = np.asarray(answer.values)
        if answer.probabilities is not None and hasattr(model, "predict_proba"):
            agreeing += int((values == expected).sum())
            gap = np.abs(np.asarray(answer.probabilities) - model.predict_proba(frame))
        else:
            gap = np.abs(values - expected) / np.maximum(1.0, np.abs(expected))
            agreeing += int((gap <= PROBABILITY_TOLERANCE).sum())
        difference = max(difference, float(gap.max()))
        checked += len(frame)

    compare(rows)
    missing_values = _takes_missing_values(model, rows)
    if missing_values:
        for name in rows.columns:
            compare(rows.assign(**{name: np.nan}))
    return Verification(checked, agreeing / checked, difference, missing_values)


def _takes_missing_values(model: Estimator, rows: pd.DataFrame) -> bool:
    try:
        model.predict(rows.head(1).assign(**{rows.columns[0]: np.nan}))
    except ValueError:
        return False
    return True
