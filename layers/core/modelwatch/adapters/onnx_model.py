"""Models in ONNX form, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime

from modelwatch.domain.models import Predictions
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Schema


class OnnxModel:
    """A model whose one input is a matrix of 32-bit floats, missing values being NaN.

    Its outputs are the prediction and, for classifiers, the class probabilities.
    """

    flavor = "onnx"
    flavor_reason = ""

    def __init__(self, payload: bytes, schema: Schema, digest: str = "") -> None:
        options = onnxruntime.SessionOptions()
        # one row at a time on a fraction of a core: a pool of threads only costs
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            payload, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self.schema = schema
        self.digest = digest

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict ``rows``; see `Model.predict`."""
        matrix = np.array([list(row.values()) for row in rows], dtype=np.float32)
        values, *rest = self._session.run(None, {self._input: matrix})
        return Predictions(
            values=values.reshape(len(rows)).tolist(),
            probabilities=rest[0].tolist() if rest else None,
        )
