"""Predict: one request in, one answer, one record, one line of metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from modelwatch.domain.event_ids import is_event_id, new_event_id
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.records import Record, Value, invalid_json
from modelwatch.errors import (
    InvalidInputError,
    ModelLoadError,
    ModelwatchError,
    QueueError,
    stack_of,
)
from modelwatch.ports import MetricSink, Model, ModelLoader, ModelRegistry, RecordQueue, Sample

_LOG = logging.getLogger(__name__)


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /predict``; an ``event_id`` of the caller's makes a repeat recognisable."""

    features: list[Value] | dict[str, Value]
    feature_names: list[str] | None = None
    event_id: str | None = None


class PredictResponse(msgspec.Struct):
    """Answer of ``POST /predict``; ``latency_ms`` is the model's own time."""

    prediction: float | int | str | bool
    model_name: str
    model_version: str
    timestamp: datetime
    latency_ms: float
    event_id: str


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: what it is, when it was loaded and how long that took."""

    version: ModelVersion
    model: Model
    loaded_at: datetime
    load_seconds: float


_decode = msgspec.json.Decoder(PredictRequest).decode


class PredictService:
    """Serves the version of ``model_name`` that ``alias`` points to.

    The model is loaded at the first need and kept. Capture fails open: a queue that does not take
    the record costs its own time budget and is counted, and the prediction is answered.

    Parameters
    ----------
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        *,
        model_name: str,
        alias: str,
        registry: ModelRegistry,
        loader: ModelLoader,
        queue: RecordQueue,
        metrics: MetricSink,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model_name = model_name
        self._alias = alias
        self._registry = registry
        self._loader = loader
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._loaded: LoadedModel | None = None
        self._lock = threading.Lock()
        self._started = clock()

    def predict(self, body: bytes) -> tuple[PredictResponse, list[Sample]]:
        """Answer one request.

        Parameters
        ----------
        body
            JSON of a `PredictRequest`.

        Returns
        -------
        tuple
            The answer, and the samples for the request's line of metrics.

        Raises
        ------
        InvalidInputError
            When the body is not a request that fits the model's schema.
        NoModelError, ModelLoadError, RegistryError, StoreError
            When no model can be served.
        """
        request = _parse(body)
        loaded = self.loaded()
        row = loaded.model.schema.row(request.features, request.feature_names)
        began = time.perf_counter()
        try:
            predictions = loaded.model.predict([row])
        except Exception as error:
            # whatever a foreign model raises on a row that fits its schema is its failure
            _LOG.error("the model failed on a valid row:\n%s", stack_of(error))
            raise ModelLoadError(f"the model failed: {type(error).__name__}") from error
        latency_ms = (time.perf_counter() - began) * 1000
        now = self._clock()
        probabilities = predictions.probabilities
        record = Record(
            event_id=request.event_id or new_event_id(int(now * 1000)),
            captured_at=_to_milliseconds(now),
            model_name=loaded.version.name,
            model_version=loaded.version.version,
            variant=loaded.version.alias,
            features=row,
            prediction=predictions.values[0],
            probabilities=probabilities[0] if probabilities is not None else None,
            latency_ms=round(latency_ms, 3),
            source="predict",
        )
        samples = _prediction_samples(record)
        samples.append(self._capture(record))
        response = PredictResponse(
            prediction=record.prediction,
            model_name=record.model_name,
            model_version=record.model_version,
            timestamp=record.captured_at,
            latency_ms=record.latency_ms,
            event_id=record.event_id,
        )
        return response, samples

    def loaded(self) -> LoadedModel:
        """Return the model, loading it at the first call; a failure is tried anew at the next.

        Raises
        ------
        NoModelError, ModelLoadError, RegistryError, StoreError
            When it cannot be loaded.
        """
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def health(self) -> dict[str, Any]:
        """Return the state of the service; it loads the model if that has not happened yet."""
        problem = None
        try:
            self.loaded()
        except ModelwatchError as error:
            problem = str(error)
        loaded = self._loaded
        health: dict[str, Any] = {
            "status": "healthy" if loaded else "unavailable",
            "model_loaded": loaded is not None,
            "model_name": self._model_name,
            "model_version": loaded.version.version if loaded else None,
            "uptime_seconds": round(self._clock() - self._started, 3),
        }
        return health if problem is None else {**health, "problem": problem}

    def model_info(self) -> dict[str, Any]:
        """Return what is served: version, alias, run, flavor, input schema, times."""
        loaded = self.loaded()
        return {
            "model_name": loaded.version.name,
            "model_version": loaded.version.version,
            "alias": loaded.version.alias,
            "run_id": loaded.version.run_id,
            "flavor": loaded.model.flavor,
            "features": [
                {"name": column.name, "type": column.type, "required": column.required}
                for column in loaded.model.schema.columns
            ],
            "loaded_at": loaded.loaded_at,
            "load_seconds": round(loaded.load_seconds, 3),
        }

    def error_sample(self, error_type: str) -> Sample:
        """Return the sample that counts a failed prediction."""
        labels = {"model_name": self._model_name, "error_type": error_type}
        return Sample("model_prediction_errors_total", 1, labels)

    def _load(self) -> LoadedModel:
        began = time.perf_counter()
        version = self._registry.resolve(self._model_name, self._alias)
        model = self._loader.load(version)
        seconds = time.perf_counter() - began
        name = {"model_name": version.name}
        self._metrics.emit(
            [
                Sample("model_load_time_seconds", seconds, name),
                Sample("model_version_info", 1, {**name, "version": version.version}),
            ]
        )
        return LoadedModel(version, model, _to_milliseconds(self._clock()), seconds)

    def _capture(self, record: Record) -> Sample:
        try:
            self._queue.send([record])
            outcome = "sent"
        except QueueError as error:
            # never the features: only which record is lost, and why
            _LOG.warning("record %s is lost: %s", record.event_id, error)
            outcome = "lost"
        return Sample("capture_records_total", 1, {"outcome": outcome})


def _parse(body: bytes) -> PredictRequest:
    if not body.strip():
        raise InvalidInputError("", 'the body is empty; expected {"features": [...]}')
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_json(error) from None
    if request.event_id is not None and not is_event_id(request.event_id):
        raise InvalidInputError("event_id", "is not a UUID")
    return request


def _prediction_samples(record: Record) -> list[Sample]:
    name: Mapping[str, str] = {"model_name": record.model_name}
    samples = [
        Sample("model_predictions_total", 1, {**name, "model_version": record.model_version}),
        Sample("model_prediction_latency_seconds", record.latency_ms / 1000, name),
    ]
    if isinstance(record.prediction, int | float) and not isinstance(record.prediction, bool):
        samples.append(Sample("model_prediction_value", record.prediction, name))
    return samples


def _to_milliseconds(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
