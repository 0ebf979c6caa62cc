"""Any MLflow model, run by mlflow.pyfunc: slow to import and to call, and always right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature

from modelwatch.domain.models import Predictions
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Column, Schema, schema_from_signature
from modelwatch.errors import ModelLoadError, PredictionError

_WHOLE = ("long", "integer")
_DTYPES: Mapping[str, Any] = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int32",
    # a missing text is NaN, as in tables that pandas reads
    "string": pd.StringDtype(na_value=np.nan),
}


class PyfuncModel:
    """The model in the folder ``path``.

    Raises ModelLoadError when mlflow cannot load it, or its columns are not known.

    Parameters
    ----------
    schema
        Its input columns, where its manifest says them; otherwise its signature does.
    flavor_reason
        Why it is not run in ONNX form.
    """

    flavor = "pyfunc"
    digest = ""

    def __init__(self, path: Path, schema: Schema | None = None, flavor_reason: str = "") -> None:
        self.flavor_reason = flavor_reason
        try:
            self._model = mlflow.pyfunc.load_model(str(path))
        except Exception as error:  # whatever a foreign model raises means: it cannot be loaded
            problem = f"mlflow cannot load the model: {type(error).__name__}"
            raise ModelLoadError(f"{problem}: {error}", problem) from error
        self.schema = schema or self._signed()
        # rows are held against the schema before they come here, and mlflow's own check has no
        # form for a whole number that is missing
        params = self._model.metadata.get_params_schema()
        self._model.metadata.signature = ModelSignature(params=params) if params else None
        self._whole = [c.name for c in self.schema.columns if c.type in _WHOLE]

    def _signed(self) -> Schema:
        signature = self._model.metadata.get_input_schema()
        if signature is None:
            raise ModelLoadError(
                "the model was logged without a signature, so that its input columns are not "
                "known: `modelwatch adopt --reference train.parquet` infers them"
            )
        try:
            return schema_from_signature(signature.to_dict())
        except ValueError as error:
            raise ModelLoadError(str(error)) from error

    @property
    def raw(self) -> Any:
        """The library's own model; None where mlflow does not give it out."""
        try:
            return self._model.get_raw_model()
        except (AttributeError, NotImplementedError):  # not every flavor has one
            return None

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict ``rows``; see `Model.predict`.

        Raises PredictionError when the model gives something else than one value a row.
        """
        groups = self._groups(rows)
        if len(groups) == 1:
            return self.predict_frame(self._frame(rows, *groups))
        values: list[Any] = [None] * len(rows)
        probabilities: list[list[float]] = [[]] * len(rows)
        for missing, places in groups.items():
            some = self.predict_frame(self._frame([rows[place] for place in places], missing))
            for index, place in enumerate(places):
                values[place] = some.values[index]
                if some.probabilities is not None:
                    probabilities[place] = some.probabilities[index]
        return Predictions(values, probabilities if all(probabilities) else None)

    def predict_frame(self, frame: pd.DataFrame) -> Predictions:
        """Predict the rows of a table in the schema's columns and types; raises as `predict`."""
        found = self._model.predict(frame)
        values = plain_values(found)
        if len(values) != len(frame):
            each, rest = divmod(len(values), max(len(frame), 1))
            count = f"{each} values a row"
            if rest:
                count = f"{len(values)} values for {len(frame)} rows"
            raise PredictionError(
                f"the model gives {count} (a {type(found).__name__}); modelwatch serves "
                "models that give one: a class, a number, a text or a boolean"
            )
        return Predictions(values=values, probabilities=self._probabilities(frame))

    def _groups(self, rows: Sequence[Mapping[str, Value]]) -> dict[tuple[str, ...], list[int]]:
        """Return the rows' places by the whole numbers that they lack.

        A column of whole numbers cannot lack one, so that it becomes one of floats; the other rows
        are not to be touched by that.
        """
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, row in enumerate(rows):
            missing = tuple(name for name in self._whole if row[name] is None)
            groups.setdefault(missing, []).append(place)
        return groups

    def _frame(self, rows: Sequence[Mapping[str, Value]], missing: tuple[str, ...]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                column.name: _series([row[column.name] for row in rows], column, missing)
                for column in self.schema.columns
            },
            index=range(len(rows)),
        )

    def _probabilities(self, frame: pd.DataFrame) -> list[list[float]] | None:
        raw = self.raw
        if not (hasattr(raw, "predict_proba") and hasattr(raw, "classes_")):
            return None
        found = np.asarray(raw.predict_proba(frame))
        if found.ndim != 2 or len(found) != len(frame) or found.dtype.kind not in "fiub":
            raise PredictionError(
                f"its predict_proba gives {found.dtype} of shape {found.shape}; expected are "
                f"numbers of shape ({len(frame)}, classes)"
            )
        probabilities: list[list[float]] = found.tolist()
        return probabilities


def plain_values(found: Any) -> list[Any]:
    """Return what a model gave as plain values, each in the type that it came in.

    Parameters
    ----------
    found
        An array, a list, a Series or a table of one column. What has no plain form (a date) stays.

    Examples
    --------
    >>> plain_values([1, "a", True, 2.5]), plain_values(np.array([[1], [2]]))
    ([1, 'a', True, 2.5], [1, 2])
    >>> plain_values(pd.Series([3, None], dtype="Int64"))
    [3, None]
    """
    # where types are mixed, or something is missing, numpy would make one type of all: the text "1"
    # of 1, 1 of true, 1.0 of 1
    if isinstance(found, pd.DataFrame):
        found = found.astype(object)
    mixed = (list, tuple, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
    array = np.asarray(found, object if isinstance(found, mixed) else None).reshape(-1)
    # the plain form of a date would be a whole number
    values: list[Any] = list(array) if array.dtype.kind in "mM" else array.tolist()
    return [_plain(value) for value in values]


def typed_frame(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the schema's columns of a table, in the types in which requests reach a model."""
    return pd.DataFrame(
        {
            column.name: _series(
                frame[column.name].astype(object).where(frame[column.name].notna(), None).tolist(),
                column,
                (column.name,) if frame[column.name].isna().any() else (),
            )
            for column in schema.columns
        },
        index=range(len(frame)),
    )


def _series(values: list[Any], column: Column, missing: tuple[str, ...]) -> pd.Series:
    if column.type == "boolean":
        return pd.Series(values, dtype=object).fillna(np.nan).infer_objects()
    # whole numbers one of which is missing are doubles in a table of pandas
    doubles = column.type in _WHOLE and column.name in missing
    return pd.Series(values, dtype="float64" if doubles else _DTYPES[column.type])


def _plain(value: Any) -> Any:
    if value is pd.NA:
        return None
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        return value.item()
    return value
