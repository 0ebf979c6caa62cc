"""Models in ONNX form, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from modelwatch.domain.models import OnnxArtifact, Predictions
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Schema

_DTYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}

_KINDS: Mapping[str, Callable[[Any], Any] | None] = {
    "": None,
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
}


class OnnxModel:
    """A model whose input is one matrix of all columns, or a tensor for each column in order.

    A missing number is NaN, a missing text is empty. Its outputs are the prediction and, for
    classifiers, the class probabilities.

    Parameters
    ----------
    artifact
        What was found when it was verified: how its predictions are to be read, and what the
        original does not take.
    """

    flavor = "onnx"
    flavor_reason = ""

    def __init__(self, payload: bytes, schema: Schema, artifact: OnnxArtifact) -> None:
        options = onnxruntime.SessionOptions()
        # one row at a time on a fraction of a core: a pool of threads only costs
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # what fails raises an error that says the same
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            payload, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [(each.name, _DTYPES[each.type]) for each in self._session.get_inputs()]
        self._is_matrix = len(self._inputs) == 1 and (
            len(schema.columns) > 1 or self._inputs[0][1] is not np.object_
        )
        self._single = [
            place for place, column in enumerate(schema.columns) if column.type == "float"
        ]
        self._never_missing = artifact.never_missing
        self._known_texts = {name: set(texts) for name, texts in artifact.known_texts.items()}
        self._read = _KINDS[artifact.kind]
        self.schema = schema
        self.digest = artifact.sha256

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict ``rows``; see `Model.predict`.

        Raises ValueError for what the original does not take: a missing value, a text that it does
        not know, a number that 32 bits do not hold.
        """
        for row in rows:
            self._check(row)
        values, *rest = self._session.run(None, self._feed(rows))
        plain = values.reshape(len(rows)).tolist()
        return Predictions(
            values=plain if self._read is None else [self._read(value) for value in plain],
            probabilities=rest[0].tolist() if rest else None,
        )

    def _check(self, row: Mapping[str, Value]) -> None:
        for name in self._never_missing:
            if row[name] is None:
                raise ValueError(f"{name} is missing")
        for name, texts in self._known_texts.items():
            if row[name] is not None and row[name] not in texts:
                raise ValueError(f"{name} has a text that the model does not know")

    def _feed(self, rows: Sequence[Mapping[str, Value]]) -> dict[str, Any]:
        if self._is_matrix:
            ((name, dtype),) = self._inputs
            matrix = _tensor([list(row.values()) for row in rows], dtype)
            if self._single and dtype is np.float64:
                # the original gets these columns in 32 bits
                matrix[:, self._single] = matrix[:, self._single].astype(np.float32)
            return {name: matrix}
        feed = {
            name: _tensor([[row[column]] for row in rows], dtype)
            for (name, dtype), column in zip(self._inputs, self.schema.names, strict=True)
        }
        for name in (self._inputs[place][0] for place in self._single):
            feed[name] = feed[name].astype(np.float32).astype(feed[name].dtype)
        return feed


def _tensor(values: list[list[Any]], dtype: Any) -> Any:
    if dtype is np.object_:
        return np.array([["" if text is None else text for text in row] for row in values], dtype)
    if dtype is not np.float32:
        return np.array(values, dtype)
    with np.errstate(over="ignore"):
        matrix = np.array(values, dtype)
    if np.isinf(matrix).any():
        raise ValueError("a number is too large for 32 bits")
    return matrix
