"""Any MLflow model, run by mlflow.pyfunc: slow to import and to call, and always right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd

from modelwatch.domain.models import Predictions
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Column, schema_from_signature
from modelwatch.errors import ModelLoadError

_DTYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32"}


class PyfuncModel:
    """The model in the folder ``path``.

    Raises
    ------
    ModelLoadError
        When mlflow cannot load it, or its signature is not tabular.
    """

    flavor = "pyfunc"
    digest = ""

    def __init__(self, path: Path) -> None:
        try:
            self._model = mlflow.pyfunc.load_model(str(path))
        except Exception as error:  # whatever a foreign model raises means: it cannot be loaded
            raise ModelLoadError(f"mlflow cannot load the model: {error}") from error
        signature = self._model.metadata.get_input_schema()
        try:
            self.schema = schema_from_signature(signature.to_dict() if signature else [])
        except ValueError as error:
            raise ModelLoadError(str(error)) from error

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict ``rows``; see `Model.predict`."""
        frame = pd.DataFrame(
            {
                column.name: _series([row[column.name] for row in rows], column)
                for column in self.schema.columns
            }
        )
        values = np.asarray(self._model.predict(frame)).reshape(len(rows)).tolist()
        return Predictions(values=values, probabilities=self._probabilities(frame))

    def _probabilities(self, frame: pd.DataFrame) -> list[list[float]] | None:
        try:
            raw: Any = self._model.get_raw_model()
        except (AttributeError, NotImplementedError):  # not every flavor has one
            return None
        if not hasattr(raw, "predict_proba"):
            return None
        probabilities: list[list[float]] = np.asarray(raw.predict_proba(frame)).tolist()
        return probabilities


def _series(values: list[Value], column: Column) -> pd.Series:
    if column.type in ("long", "integer") and None in values:
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype=_DTYPES.get(column.type, "object"))
