"""A model before it has a version: saved, loaded as predict loads it, and compared with itself."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import ColSpec, TensorSpec
from mlflow.types.schema import Schema as Columns

from modelwatch.adapters.models.onnx_model import OnnxModel
from modelwatch.adapters.models.pyfunc_model import PyfuncModel, plain_values, typed_frame
from modelwatch.domain.importance import Importance
from modelwatch.domain.models import OnnxArtifact, fault_of
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import ModelwatchError
from modelwatch.ports.serving import Model
from modelwatch_training.flavors import Saving, savings_of
from modelwatch_training.given_rows import held_to, strange_columns
from modelwatch_training.importance import measure_importance
from modelwatch_training.onnx_export import NotExportableError, export_onnx, is_same

COMPARED_ROWS = 1000
"""So many rows are predicted by the given model, to compare."""


class NotServableError(ModelwatchError):
    """The model cannot be registered; `str()` says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that can be served.

    Attributes
    ----------
    saving
        How it is saved.
    signature, schema
        Its input columns, as MLflow stores them and as requests are checked.
    served
        The form that predict would run: ONNX if there is one, else the saved model.
    onnx, payload
        The verified ONNX form; None where there is none.
    problem
        Why there is none.
    importance
        How much it depends on each feature; None if it refuses rows of shuffled values.
    """

    saving: Saving
    signature: ModelSignature
    schema: Schema
    served: Model
    onnx: OnnxArtifact | None
    payload: bytes
    problem: str
    importance: Importance | None

    def signed(self) -> Saving:
        """Return how it is saved, with its signature."""
        arguments = {**self.saving.arguments, "signature": self.signature}
        return replace(self.saving, arguments=arguments)


def make_candidate(
    model: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    folder: Path,
    step: Callable[[str], None] = lambda _: None,
) -> Candidate:
    """Save ``model`` below ``folder``, load it as predict does, and verify its predictions.

    Raises NotServableError, InvalidInputError when its inputs or its predictions cannot be served.
    Then nothing is stored.
    """
    if not hasattr(model, "predict"):
        raise NotServableError(f"a {type(model).__name__} has no method `predict`")
    step("saving the model, and loading it as predict does")
    signature = _signature(train, test)
    try:
        schema = schema_from_signature(signature.inputs.to_dict())
    except ValueError as error:
        problem = strange_columns(train) or str(error)
        raise NotServableError(f"its input cannot be served: {problem}") from error
    test = held_to(schema, train, test)
    path = folder / "saved"
    saving = _save(model, path, signature)
    try:
        original = PyfuncModel(path)
    except ModelwatchError as error:
        raise NotServableError(str(error)) from error
    step(f"comparing its predictions on {min(COMPARED_ROWS, len(train))} rows")
    _compare(model, original, train)
    _compare(model, original, test)
    step("making and verifying the ONNX form")
    rows = pd.concat([train, test], ignore_index=True)
    served: Model = original
    onnx, payload, problem = None, b"", ""
    try:
        with foreign_errors_are_refusals():
            payload, onnx = export_onnx(original, rows)
        served = OnnxModel(payload, schema, onnx)
    except NotExportableError as error:
        problem = str(error)
    step("measuring how much it depends on each feature")
    importance = None
    try:
        importance = measure_importance(original.predict_frame, typed_frame(train, schema))
    except Exception as error:  # noqa: BLE001 - a foreign model may refuse shuffled rows
        step(f"that is not known: {type(error).__name__}: {str(error)[:200]}")
    return Candidate(saving, signature, schema, served, onnx, payload, problem, importance)


def _save(model: Any, path: Path, signature: ModelSignature) -> Saving:
    """Save ``model`` at ``path``, in the first format that can store it; return how."""
    problem = ""
    try:
        savings = list(savings_of(model))
    except Exception as error:  # whatever pickling what is in a foreign model raises
        raise NotServableError(
            f"it cannot be pickled, so that MLflow cannot save it: {type(error).__name__}: "
            f"{str(error)[:300]}"
        ) from error
    for saving in savings:
        try:
            saving.save(str(path), signature=signature)
        except Exception as error:  # noqa: BLE001 - whatever a foreign library raises
            shutil.rmtree(path, ignore_errors=True)
            problem = f"{type(error).__name__}: {str(error)[:300]}"
        else:
            return saving
    raise NotServableError(f"MLflow cannot save it: {problem}")


def _signature(train: pd.DataFrame, test: pd.DataFrame) -> ModelSignature:
    """Return the columns of ``train``; a value may be missing where one is in either table."""
    try:
        signature = infer_signature(train)
    except Exception as error:  # whatever mlflow raises for types that it does not know
        kinds = ", ".join(f"'{name}': {kind}" for name, kind in train.dtypes.items())
        raise NotServableError(
            "its input columns are not all numbers, texts and booleans "
            f"({kinds[:300]}): {str(error)[:200]}"
        ) from error
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(
            column.type,
            column.name,
            required=column.required
            and not (column.name in test.columns and test[column.name].isna().any()),
        )
        for column in signature.inputs.inputs
    ]
    return ModelSignature(inputs=Columns(columns))


def _compare(model: Any, original: PyfuncModel, rows: pd.DataFrame) -> None:
    """Compare the saved model with the given one, on rows as requests have them."""
    rows = rows.head(COMPARED_ROWS)
    with foreign_errors_are_refusals():
        found = original.predict_frame(typed_frame(rows, original.schema))
    faults = [fault_of(value) for value in found.values]
    wrong_type = (fault for fault in faults if fault.endswith("boolean"))
    problem = next(wrong_type, faults[0] if all(faults) else "")
    if problem:
        raise NotServableError(problem)
    if found.probabilities is not None:
        _check_probabilities(found.values, found.probabilities)
    expected = _predictions(model, rows)
    if expected is None:
        return
    for place, (one, other) in enumerate(zip(expected, found.values, strict=True)):
        if not is_same(one, other, abs(one) if isinstance(one, float) else 0.0):
            raise NotServableError(
                f"what MLflow saved of it gives {other!r} where the model gives {one!r} "
                f"(row {place}): it depends on types of columns that requests cannot have"
            )


@contextlib.contextmanager
def foreign_errors_are_refusals() -> Iterator[None]:
    """Refuse a model that fails on its own training rows."""
    try:
        yield
    except NotExportableError:
        raise
    except ModelwatchError as error:
        raise NotServableError(str(error)) from error
    except Exception as error:
        raise NotServableError(
            "the model as MLflow saved it fails on its own training data, in the form of requests: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error


def _predictions(model: Any, rows: pd.DataFrame) -> list[Any] | None:
    """Return the given model's own predictions; None for a model that only MLflow can call."""
    if not hasattr(model, "get_params"):
        return None
    try:
        values = plain_values(model.predict(rows))
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        raise NotServableError(f"it fails on its own training data: {reason}") from error
    if len(values) != len(rows):
        raise NotServableError(f"it gives {len(values)} values for {len(rows)} rows")
    return values


def _check_probabilities(values: Sequence[Any], probabilities: Sequence[list[float]]) -> None:
    for value, row in zip(values, probabilities, strict=True):
        fault = fault_of(value, row)
        if fault and not fault_of(value):
            raise NotServableError(f"what its predict_proba gives: {fault}; found {row[:5]}")
