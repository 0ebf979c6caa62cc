"""A model before it has a version: saved, loaded as predict loads it, and held against itself."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import ColSpec, TensorSpec
from mlflow.types.schema import Schema as Columns

from modelwatch.adapters.models.onnx_model import OnnxModel
from modelwatch.adapters.models.pyfunc_model import PyfuncModel, plain_values, typed_frame
from modelwatch.domain.importance import Importance
from modelwatch.domain.models import OnnxArtifact, fault_of
from modelwatch.domain.names import check_feature_names
from modelwatch.domain.numbers import exact_whole
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch.ports.serving import Model
from modelwatch_training.flavors import Saving, savings_of
from modelwatch_training.importance import measure_importance
from modelwatch_training.onnx_export import NotExportableError, export_onnx, is_same

type Table = pd.DataFrame | np.ndarray[Any, Any]

COMPARED_ROWS = 1000
"""So many rows are predicted by the model as it was given, to compare."""


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
        Its input columns, as MLflow keeps them and as requests are held against.
    served
        What predict would run: the ONNX form where there is one, else the saved model.
    onnx, payload
        The verified ONNX form; None where there is none.
    problem
        Why there is none.
    importance
        How much it leans on each feature; None where it refuses rows of shuffled values.
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
    """Save ``model`` below ``folder``, load it as predict does, and verify what it would serve.

    Raises NotServableError, InvalidInputError when its inputs or its predictions cannot be served.
    Nothing is kept anywhere then.
    """
    if not hasattr(model, "predict"):
        raise NotServableError(f"a {type(model).__name__} has no method `predict`")
    step("saving the model, and loading it as predict does")
    signature = _signature(train, test)
    try:
        schema = schema_from_signature(signature.inputs.to_dict())
    except ValueError as error:
        problem = _strange_columns(train) or str(error)
        raise NotServableError(f"its input cannot be served: {problem}") from error
    test = _held_to(schema, train, test)
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
    step("measuring how much it leans on each feature")
    importance = None
    try:
        importance = measure_importance(original.predict_frame, typed_frame(train, schema))
    except Exception as error:  # noqa: BLE001 - a foreign model may refuse shuffled rows
        step(f"that is not known: {type(error).__name__}: {str(error)[:200]}")
    return Candidate(saving, signature, schema, served, onnx, payload, problem, importance)


def _save(model: Any, path: Path, signature: ModelSignature) -> Saving:
    """Save ``model`` at ``path``, in the first format that holds it; return how."""
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


def table_of(rows: Table, title: str) -> pd.DataFrame:
    """Return rows of features as a table whose columns have valid names.

    Columns that are numbered (an array's, say) are named by their numbers.

    Raises InvalidInputError when there is no row, or a name is no name of a feature, or is there
    twice.
    """
    try:
        frame = pd.DataFrame(rows).reset_index(drop=True)
    except Exception as error:  # whatever pandas raises for what is no table
        raise InvalidInputError(
            title,
            f"is a {type(rows).__name__} that is no table: give a DataFrame, or an array of shape "
            "(rows, features)",
        ) from error
    if any(not isinstance(name, str | int | np.integer) for name in frame.columns):
        raise InvalidInputError(title, "has a column whose name is neither a text nor a number")
    frame.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    check_feature_names(frame.columns, title)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InvalidInputError(title, f"has two columns with the name '{repeated[0]}'")
    if frame.empty:
        raise InvalidInputError(title, "has no rows, or no columns")
    return frame


def labels_of(labels: Any, rows: int) -> list[Value]:
    """Return labels as plain values: of a list, an array, a Series, or a table of one column.

    Raises InvalidInputError when they are not one a row, or not numbers, texts and booleans.
    """
    plain = plain_values(labels)
    if len(plain) != rows:
        raise InvalidInputError("labels", f"has {len(plain)} values for {rows} rows")
    for value in plain:
        if value is not None and fault_of(value):
            problem = fault_of(value).replace("prediction", "label")
            raise InvalidInputError("labels", f"cannot be kept: {problem}")
    kinds = sorted({type(value).__name__ for value in plain if value is not None})
    if len(kinds) > 1 and kinds != ["float", "int"]:
        raise InvalidInputError("labels", f"are of several types: {', '.join(kinds)}; give one")
    if kinds == ["float", "int"]:
        plain = [None if value is None else float(value) for value in plain]
    if any(isinstance(value, int) and exact_whole(value) is None for value in plain):
        raise InvalidInputError("labels", "has a whole number that 64 bits do not hold")
    return plain


def _held_to(schema: Schema, train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Return ``test`` with the columns of ``train`` in their order.

    Raises InvalidInputError when it has other columns, or one of the tables has a value that no
    request can bring.
    """
    missing = [name for name in train.columns if name not in test.columns]
    added = [name for name in test.columns if name not in train.columns]
    if missing or added:
        problem = f"lacks the column '{missing[0]}'" if missing else f"has a column '{added[0]}'"
        raise InvalidInputError("test", f"{problem}: train and test have the same columns")
    for title, table in (("train", train), ("test", test)):
        for column in schema.columns:
            values = table[column.name]
            # a column of one of numpy's types holds nothing else; what it is was seen in train
            if values.dtype == train[column.name].dtype != object:
                continue
            for place, value in enumerate(plain_values(values.astype(object))):
                try:
                    # what lacks is looked at where the ONNX form is made
                    if value is not None and value == value:
                        column.check(value)
                except InvalidInputError as error:
                    raise InvalidInputError(title, f"row {place}: {error}") from error
    return test[list(train.columns)]


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


def _strange_columns(train: pd.DataFrame) -> str:
    """Return which columns are of types that no request can bring; empty where each is fine alone.

    MLflow gives one type to a whole table when it does not know that of one column.
    """
    strange = []
    for name in train.columns:
        try:
            schema_from_signature(infer_signature(train[[name]]).inputs.to_dict())
        except Exception:  # noqa: BLE001 - whatever it is, it is of this column
            values = train[name].dropna()
            is_object = train[name].dtype == object and len(values)
            kind = type(values.iloc[0]).__name__ if is_object else train[name].dtype
            strange.append(f"'{name}' ({kind if len(values) else 'no values'})")
    if not strange:
        return ""
    return (
        f"{', '.join(strange)[:300]}: expected are columns of numbers (whole ones of 64 bits with "
        "a sign), of texts or of booleans; convert them, as astype('int64') and astype(str) do"
    )


def _compare(model: Any, original: PyfuncModel, rows: pd.DataFrame) -> None:
    """Hold what was saved, on rows as requests bring them, against what was given."""
    rows = rows.head(COMPARED_ROWS)
    with foreign_errors_are_refusals():
        found = original.predict_frame(typed_frame(rows, original.schema))
    faults = [fault_of(value) for value in found.values]
    problem = next((fault for fault in faults if fault.endswith("boolean")), "")
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
    """Refuse a model that fails on the rows that it was given with."""
    try:
        yield
    except NotExportableError:
        raise
    except ModelwatchError as error:
        raise NotServableError(str(error)) from error
    except Exception as error:
        raise NotServableError(
            "what MLflow saved of it fails on its own training data, as requests bring it: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error


def _predictions(model: Any, rows: pd.DataFrame) -> list[Any] | None:
    """Return what the model gives itself; None for one that only MLflow can call."""
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


def columns_by_type(schema: Schema) -> dict[str, list[str]]:
    """Return the names of the columns by their type.

    >>> from modelwatch.domain.schemas import Column
    >>> columns_by_type(Schema((Column("a", "double"), Column("b", "double"))))
    {'double': ['a', 'b']}
    """
    found: dict[str, list[str]] = {}
    for column in schema.columns:
        found.setdefault(column.type, []).append(column.name)
    return found
