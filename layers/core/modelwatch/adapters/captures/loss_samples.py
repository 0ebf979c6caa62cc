"""A bounded sample of an hour's rows, as a loss model looks at them."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.feature_columns import parts_of, values_of
from modelwatch.adapters.captures.parquet import read_rows
from modelwatch.domain.performance.losses import Floats, LossModel
from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.records import Value

HOUR_ROWS = 1000
"""So many rows of each variant are looked at."""


class LossSample:
    """The rows with the smallest hashes of their event ids, by variant.

    That is a uniform sample, and the same one however rows are spread over objects. Objects may be
    added from several threads.
    """

    def __init__(self, model: LossModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._found: dict[str, tuple[Hashes, Floats]] = {}

    def add(self, outcomes: pa.Table, payload: bytes) -> None:
        """Add an object: some columns of its rows, and its file."""
        predicted = outcomes["prediction"].cast(pa.float64())
        for name in pc.unique(outcomes["variant"]).to_pylist():
            usable = pc.and_(pc.is_finite(predicted), pc.equal(outcomes["variant"], name))
            places = np.flatnonzero(pc.fill_null(usable, False).to_numpy())
            if not len(places):
                continue
            hashes = hash_events(outcomes.select(["event_id"]).take(places))
            chosen = np.sort(np.argsort(hashes, kind="stable")[:HOUR_ROWS])
            matrix = self._matrix(payload, places[chosen])
            with self._lock:
                self._keep(name, hashes[chosen], matrix)

    def of(self, variant: str) -> Floats:
        """Return the sample of a variant as the model's matrix, by the hashes."""
        if variant not in self._found:
            return np.empty((0, len(self._model.features)))
        return self._found[variant][1]

    def _keep(self, variant: str, hashes: Hashes, matrix: Floats) -> None:
        if variant in self._found:
            before, rows = self._found[variant]
            hashes, matrix = np.concatenate([before, hashes]), np.concatenate([rows, matrix])
        # an event that came twice has one hash
        kept, first = np.unique(hashes, return_index=True)
        self._found[variant] = kept[:HOUR_ROWS], matrix[first[:HOUR_ROWS]]

    def _matrix(self, payload: bytes, places: npt.NDArray[np.int64]) -> Floats:
        names = [feature.name for feature in self._model.features if feature.name]
        table = read_rows(payload, names, places)
        return np.column_stack(
            [feature.numbers(_values(table, feature.name)) for feature in self._model.features]
        )


def _values(table: pa.Table, name: str) -> list[Value]:
    """Return a feature's values, None where it was not captured; without a name the predictions."""
    if not name:
        found: list[Value] = table["prediction"].to_pylist()
        return found
    return values_of(table, name) if parts_of(table, name) else [None] * table.num_rows
