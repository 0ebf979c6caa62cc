"""Predict: rows in, answers out, one record a row, one line of metrics a request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from modelwatch.domain.event_ids import derived_event_id, is_event_id, new_event_id
from modelwatch.domain.records import Record, Value
from modelwatch.domain.schemas import Schema
from modelwatch.errors import (
    InvalidInputError,
    ModelwatchError,
    QueueError,
)
from modelwatch.ports import AfterResponse, Fleet, MetricSink, RecordQueue, Sample
from modelwatch.services.bodies import read_batch, read_request
from modelwatch.services.contract import (
    BatchResponse,
    Health,
    ModelInfo,
    PredictResponse,
    Variant,
    Variants,
)
from modelwatch.services.outcome import (
    capture_sample,
    prediction_samples,
    records_of,
    run_model,
    to_milliseconds,
)
from modelwatch.services.serving import LoadedModel, ModelPool, Serving

_LOG = logging.getLogger(__name__)


class PredictService:
    """Answers predictions from the models of a pool.

    Capture fails open: a queue that does not take a record costs its own time budget at most and
    is counted, and the prediction is answered. So do shadows: nobody sees them fail.

    Parameters
    ----------
    after_response
        Runs what the caller need not wait for.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        *,
        models: ModelPool,
        queue: RecordQueue,
        metrics: MetricSink,
        fleet: Fleet,
        after_response: AfterResponse,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._queue = queue
        self._metrics = metrics
        self._fleet = fleet
        self._after_response = after_response
        self._clock = clock
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
        request = read_request(body)
        if request.event_id is not None and not is_event_id(request.event_id):
            raise InvalidInputError("event_id", "is not a UUID")
        event_id = request.event_id or new_event_id(int(self._clock() * 1000))
        serving = self._models.serving()
        loaded = serving.answering(request.routing_key or event_id)
        row = loaded.model.schema.row(request.features, request.feature_names)
        (record,), samples = self._run(loaded, serving, [row], [event_id])
        response = PredictResponse(
            prediction=record.prediction,
            model_name=record.model_name,
            model_version=record.model_version,
            variant=record.variant,
            timestamp=record.captured_at,
            latency_ms=record.latency_ms,
            event_id=record.event_id,
        )
        return response, samples

    def predict_batch(self, body: bytes) -> tuple[BatchResponse, list[Sample]]:
        """Answer many rows at once: all, or, when one of them does not fit, none.

        Raises as `predict` does; the field of a wrong row starts with ``rows[index]``.
        """
        request = read_batch(body)
        now_ms = int(self._clock() * 1000)
        event_ids = [new_event_id(now_ms) for _ in request.rows]
        serving = self._models.serving()
        loaded = serving.answering(request.routing_key or event_ids[0])
        rows = []
        for index, features in enumerate(request.rows):
            try:
                rows.append(loaded.model.schema.row(features, request.feature_names))
            except InvalidInputError as error:
                raise InvalidInputError(f"rows[{index}].{error.field}", error.problem) from None
        records, samples = self._run(loaded, serving, rows, event_ids)
        first = records[0]
        response = BatchResponse(
            predictions=[record.prediction for record in records],
            model_name=first.model_name,
            model_version=first.model_version,
            variant=first.variant,
            timestamp=first.captured_at,
            latency_ms=first.latency_ms,
            event_ids=event_ids,
        )
        return response, samples

    def reload(self) -> Variants:
        """Serve what the registry says now, in every environment, and tell what that is.

        It is loaded here first: what cannot be loaded is not given to the others.

        Raises
        ------
        ModelwatchError
            When that cannot be had; what was loaded goes on serving.
        """
        serving = self._models.reload()
        self._fleet.renew()
        return Variants(variants=_variants(serving))

    def health(self) -> Health:
        """Return the state of the service; it loads the model if that has not happened yet."""
        problem = ""
        try:
            self._models.serving()
        except ModelwatchError as error:
            problem = str(error)
        serving = self._models.loaded
        health: Health = {
            "status": "unavailable",
            "model_loaded": serving is not None,
            "model_name": self._models.model_name,
            "model_version": None,
            "uptime_seconds": round(self._clock() - self._started, 3),
        }
        if serving is not None:
            problem = serving.problem
            health["status"] = "stale" if problem else "healthy"
            health["model_version"] = serving.primary.version.version
            health["variants"] = _variants(serving)
            if serving.stale_since:
                health["stale_since"] = serving.stale_since
        if problem:
            health["problem"] = problem
        return health

    def model_info(self) -> ModelInfo:
        """Return what is served: version, alias, run, flavor, input schema, metrics, times."""
        serving = self._models.serving()
        loaded = serving.primary
        version = loaded.version
        metrics = self._models.metrics(version)
        return {
            "model_name": version.name,
            "model_version": version.version,
            "alias": version.alias,
            "run_id": version.run_id,
            "metrics": None if metrics is None else dict(metrics),
            "artifact_digest": loaded.model.digest,
            "flavor": loaded.model.flavor,
            "features": [
                {"name": column.name, "type": column.type, "required": column.required}
                for column in loaded.model.schema.columns
            ],
            "loaded_at": loaded.loaded_at,
            "load_seconds": round(loaded.load_seconds, 3),
            "variants": _variants(serving),
        }

    def schema(self) -> Schema | None:
        """Return the input schema of what serves, or None when nothing does."""
        try:
            return self._models.serving().primary.model.schema
        except ModelwatchError:
            return None

    def error_sample(self, error_type: str) -> Sample:
        """Return the sample that counts a failed prediction."""
        labels = {"model_name": self._models.model_name, "error_type": error_type}
        return Sample("model_prediction_errors_total", 1, labels)

    def _run(
        self,
        loaded: LoadedModel,
        serving: Serving,
        rows: Sequence[dict[str, Value]],
        event_ids: Sequence[str],
    ) -> tuple[list[Record], list[Sample]]:
        began = time.perf_counter()
        predictions = run_model(loaded, rows)
        latency_ms = (time.perf_counter() - began) * 1000
        captured_at = to_milliseconds(self._clock())
        records = records_of(loaded, rows, event_ids, predictions, captured_at, latency_ms)
        samples = prediction_samples(records, latency_ms)
        shadows = serving.shadows()

        def capture() -> list[Sample]:
            sent = self._send(records)
            for shadow in shadows:
                sent += self._shadow(shadow, records)
            return sent

        accepted = capture_sample(records, "accepted")
        return records, [*samples, accepted, *self._after_response(capture)]

    def _shadow(self, shadow: LoadedModel, records: Sequence[Record]) -> list[Sample]:
        """Predict what was predicted, and capture it under ids that follow from the originals."""
        try:
            rows = [shadow.model.schema.row(record.features) for record in records]
            began = time.perf_counter()
            predictions = run_model(shadow, rows)
        except ModelwatchError as error:
            _LOG.warning("shadow %s failed: %s", shadow.version.alias, error)
            return [self.error_sample(f"Shadow{type(error).__name__}")]
        latency_ms = (time.perf_counter() - began) * 1000
        event_ids = [derived_event_id(record.event_id, shadow.version.alias) for record in records]
        captured_at = records[0].captured_at
        shadowed = records_of(shadow, rows, event_ids, predictions, captured_at, latency_ms)
        samples = prediction_samples(shadowed, latency_ms)
        return [*samples, capture_sample(shadowed, "accepted"), *self._send(shadowed)]

    def _send(self, records: Sequence[Record]) -> list[Sample]:
        try:
            self._queue.send(records)
            outcome = "sent"
        except QueueError as error:
            # never the features: only how many records are lost, and why
            _LOG.warning("lost records: %d: %s", len(records), error)
            outcome = "lost"
        return [capture_sample(records, outcome)]


class SingleProcess:
    """A fleet of one, as `chalice local` is: what is loaded here is loaded everywhere."""

    def renew(self) -> None:
        """Do nothing: see `Fleet`."""


def at_once(work: Callable[[], list[Sample]]) -> list[Sample]:
    """Do ``work`` before the response: see `AfterResponse`."""
    return work()


def _variants(serving: Serving) -> dict[str, Variant]:
    return {
        alias: {
            "model_version": loaded.version.version,
            "weight": serving.routing.weights.get(alias, 0),
            "shadow": alias in serving.routing.shadows,
        }
        for alias, loaded in serving.models.items()
    }
