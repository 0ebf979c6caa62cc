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
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import ModelLoadError

_DTYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32"}


class PyfuncModel:
    """The model in the folder ``path``.

    Parameters
    ----------
    schema
        Its input columns, where its manifest says them; otherwise its signature does.
    flavor_reason
        Why it is not run in ONNX form.

    Raises
    ------
    ModelLoadError
        When mlflow cannot load it, or its columns are not known.
    """

    flavor = "pyfunc"
    digest = ""

    def __init__(self, path: Path, schema: Schema | None = None, flavor_reason: str = "") -> None:
        self.flavor_reason = flavor_reason
        try:
            self._model = mlflow.pyfunc.load_model(str(path))
        except Exception as error:  # whatever a foreign model raises means: it cannot be loaded
            problem = f"mlflow cannot load the model: {type(error).__name__}: {error}"
            raise ModelLoadError(problem) from error
        self.schema = schema or self._signed()
        self._whole = [c.name for c in self.schema.columns if c.type in ("long", "integer")]

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

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict ``rows``; see `Model.predict`."""
        groups = self._groups(rows)
        if len(groups) == 1:
            return self._predict(rows, *groups)
        values: list[Any] = [None] * len(rows)
        probabilities: list[list[float]] = [[]] * len(rows)
        for left_out, places in groups.items():
            answer = self._predict([rows[place] for place in places], left_out)
            for index, place in enumerate(places):
                values[place] = answer.values[index]
                if answer.probabilities is not None:
                    probabilities[place] = answer.probabilities[index]
        return Predictions(values, probabilities if all(probabilities) else None)

    def raw(self) -> Any:
        """Return the flavor's own object; AttributeError or NotImplementedError: it has none."""
        return self._model.get_raw_model()

    def _groups(self, rows: Sequence[Mapping[str, Value]]) -> dict[tuple[str, ...], list[int]]:
        """Return the rows' places by the columns that have to be left out for them.

        Whole numbers cannot be missing in mlflow's tables, only their whole (optional) column can.
        """
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, row in enumerate(rows):
            left_out = tuple(name for name in self._whole if row[name] is None)
            groups.setdefault(left_out, []).append(place)
        return groups

    def _predict(
        self, rows: Sequence[Mapping[str, Value]], left_out: tuple[str, ...]
    ) -> Predictions:
        frame = pd.DataFrame(
            {
                column.name: pd.Series(
                    [row[column.name] for row in rows], dtype=_DTYPES.get(column.type, "object")
                )
                for column in self.schema.columns
                if column.name not in left_out
            },
            index=range(len(rows)),
        )
        values = np.asarray(self._model.predict(frame)).reshape(len(rows)).tolist()
        return Predictions(values=values, probabilities=self._probabilities(frame))

    def _probabilities(self, frame: pd.DataFrame) -> list[list[float]] | None:
        try:
            raw = self.raw()
        except (AttributeError, NotImplementedError):  # not every flavor has one
            return None
        if not hasattr(raw, "predict_proba"):
            return None
        probabilities: list[list[float]] = np.asarray(raw.predict_proba(frame)).tolist()
        return probabilities
