"""The rows and labels that a model is registered with: tables whose columns can be served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import infer_signature

from modelwatch.adapters.captures.outcomes import outcomes_of_reference
from modelwatch.adapters.models.pyfunc_model import plain_values
from modelwatch.domain.models import fault_of
from modelwatch.domain.names import check_feature_names
from modelwatch.domain.numbers import exact_whole
from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.performance.results import foreign_labels, task_of
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import InvalidInputError

type Table = pd.DataFrame | np.ndarray[Any, Any] | pa.Table


def table_of(rows: Table, title: str) -> pd.DataFrame:
    """Return rows of features as a table whose columns have valid names.

    Columns that are numbered (an array's, say) are named by their numbers.

    Raises InvalidInputError when there is no row, or a name is no name of a feature, or is there
    twice.
    """
    try:
        for convert in ("to_pandas", "toarray"):  # a table of Arrow or polars, a sparse matrix
            if hasattr(rows, convert):
                rows = getattr(rows, convert)()
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


def metrics_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics as numbers; raises InvalidInputError when one is none."""
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            problem = f"'{name!s:.60}' is {value!r:.60}; expected a number"
            raise InvalidInputError("metrics", problem) from None
    return found


def check_labels(table: pa.Table, field: str) -> None:
    """Refuse labels of which none is a class that the model predicts, such as ``yes`` for ``1``.

    Raises InvalidInputError; ``table`` has the columns of a version's holdout.
    """
    rows = outcomes_of_reference(table)
    profile = PerformanceProfile() if rows is None else PerformanceProfile.of(rows)
    problem = foreign_labels(profile) if task_of(profile) == "classification" else ""
    if problem:
        raise InvalidInputError(field, problem)


def held_to(schema: Schema, train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
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


def strange_columns(train: pd.DataFrame) -> str:
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
