"""Predict: rows in, predictions out, one record a row, one line of metrics a request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from modelwatch.domain.event_ids import derived_event_id, new_event_id
from modelwatch.domain.records import Record, Value
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.schemas import Schema
from modelwatch.errors import ModelwatchError, PredictionError, public_text
from modelwatch.ports.metrics import MetricSink, Sample
from modelwatch.ports.serving import AfterResponse
from modelwatch.services.bodies import batch_rows, read_batch, read_request
from modelwatch.services.capturing import Capturing
from modelwatch.services.contract import (
    BatchResponse,
    Health,
    ModelInfo,
    PredictResponse,
    RowError,
    Variant,
    Variants,
)
from modelwatch.services.outbox import Outbox
from modelwatch.services.outcome import (
    Outcome,
    faults_of,
    prediction_samples,
    records_of,
    run_model,
    to_milliseconds,
)
from modelwatch.services.serving import LoadedModel, ModelPool, Serving

_LOG = logging.getLogger(__name__)


class PredictService:
    """Predicts with the models of a pool.

    Capture fails open: a queue that does not take a record costs its own time budget at most. The
    loss is counted, and the caller gets the prediction. Shadows fail open too: no caller sees it.

    Parameters
    ----------
    outbox
        Takes the records.
    after_response
        Runs what the caller need not wait for.
    """

    def __init__(
        self,
        *,
        models: ModelPool,
        outbox: Outbox,
        metrics: MetricSink,
        after_response: AfterResponse,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._outbox = outbox
        self._metrics = metrics
        self._after_response = after_response
        self._clock = clock
        self._started = clock()

    def predict(self, body: bytes) -> tuple[PredictResponse | PredictionError, list[Sample]]:
        """Serve one request.

        Parameters
        ----------
        body
            JSON of a `PredictRequest`.

        Returns
        -------
        tuple
            The response, or why the model has no prediction for this row (captured too); and the
            samples for the request's line of metrics.

        Raises
        ------
        InvalidInputError
            When the body is not a request that fits the model's schema.
        NoModelError, ModelLoadError, RegistryError, StoreError
            When no model can be served.
        """
        request = read_request(body, self.schema)
        event_id = request.event_id or new_event_id(int(self._clock() * 1000))
        serving = self._models.serving()
        loaded = serving.model_for(request.routing_key or event_id)
        row = loaded.model.schema.row(request.features, request.feature_names)
        outcome, samples = self._run(loaded, serving, [row], [event_id])
        if outcome.faults:
            return PredictionError(f"{outcome.faults[0]}; its event id is {event_id}"), samples
        version = loaded.version
        response = PredictResponse(
            prediction=outcome.predictions.values[0],
            model_name=version.name,
            model_version=version.version,
            variant=version.alias,
            timestamp=outcome.captured_at,
            latency_ms=outcome.latency_ms,
            event_id=event_id,
        )
        return response, samples

    def predict_batch(self, body: bytes) -> tuple[BatchResponse, list[Sample]]:
        """Serve many rows at once: all, or, when one of them does not fit, none.

        A row for which the model has no prediction has null in its place, and says why in `errors`.

        Raises as `predict` does; the field of a wrong row starts with ``rows[index]``.
        """
        request = read_batch(body, self.schema)
        now_ms = int(self._clock() * 1000)
        event_ids = [new_event_id(now_ms) for _ in request.rows]
        serving = self._models.serving()
        loaded = serving.model_for(request.routing_key or event_ids[0])
        rows = batch_rows(request, loaded.model.schema)
        outcome, samples = self._run(loaded, serving, rows, event_ids)
        version = loaded.version
        response = BatchResponse(
            predictions=[
                None if place in outcome.faults else value
                for place, value in enumerate(outcome.predictions.values)
            ],
            model_name=version.name,
            model_version=version.version,
            variant=version.alias,
            timestamp=outcome.captured_at,
            latency_ms=outcome.latency_ms,
            event_ids=event_ids,
            errors=[RowError(row, problem) for row, problem in outcome.faults.items()],
        )
        return response, samples

    def reload(self) -> Variants:
        """Serve what the registry says now, in every environment, and return what that is.

        Raises ModelwatchError when that cannot be loaded; the loaded versions keep serving.
        """
        return Variants(variants=_variants(self._models.reload()))

    def renew(self) -> None:
        """Be as fresh as a new environment, after a snapshot: what serves, and since when."""
        self._started = self._clock()
        self._models.renew()

    def health(self) -> Health:
        """Return the state of the service; it loads the model if that has not happened yet."""
        problem = ""
        try:
            self._models.serving()
        except ModelwatchError as error:
            problem = public_text(error)
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
        if self._models.capture.problem:
            health["capture_problem"] = self._models.capture.problem
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
            "flavor_reason": loaded.model.flavor_reason,
            "features": [
                {"name": column.name, "type": column.type, "required": column.required}
                for column in loaded.model.schema.columns
            ],
            "loaded_at": loaded.loaded_at,
            "load_seconds": round(loaded.load_seconds, 3),
            "variants": _variants(serving),
        }

    @property
    def loaded(self) -> Serving | None:
        """What is in memory now; None before the first need, and when nothing can be loaded."""
        return self._models.loaded

    def schema(self) -> Schema | None:
        """Return the input schema of what serves, or None when nothing does."""
        try:
            return self._models.serving().primary.model.schema
        except ModelwatchError:
            return None

    def error_sample(self, error_type: str, count: int = 1) -> Sample:
        """Return the sample that counts failed predictions."""
        labels = {"model_name": self._models.model_name, "error_type": error_type}
        return Sample("model_prediction_errors_total", count, labels)

    def _run(
        self,
        loaded: LoadedModel,
        serving: Serving,
        rows: Sequence[dict[str, Value]],
        event_ids: Sequence[str],
    ) -> tuple[Outcome, list[Sample]]:
        predictions, latency_ms = run_model(loaded, rows)
        captured_at = to_milliseconds(self._clock())
        faults = faults_of(predictions)
        capturing = self._models.capture.now()
        plan = capturing.plan(loaded.version, loaded.model.schema)
        outcome = Outcome(
            loaded, rows, event_ids, predictions, captured_at, latency_ms, faults, plan
        )
        places = _captured(event_ids, capturing.sample_rate)
        shadows = serving.shadows()

        def capture() -> list[Sample]:
            records, samples = self._records(outcome, places, capturing.sample_rate)
            for shadow in shadows:
                shadowed, found = self._shadow(shadow, outcome, places, capturing)
                records += shadowed
                samples += found
            return samples + self._outbox.put(records)

        samples = prediction_samples(outcome, len(places))
        if faults:
            _LOG.error("the model gave no prediction for %d of %d rows", len(faults), len(rows))
            samples.append(self.error_sample(PredictionError.__name__, len(faults)))
        if places or shadows:
            samples += self._after_response(capture)
        return outcome, samples

    def _shadow(
        self,
        shadow: LoadedModel,
        original: Outcome,
        places: Sequence[int],
        capturing: Capturing,
    ) -> tuple[list[Record], list[Sample]]:
        """Predict what was predicted; return records under ids that follow from the originals.

        What is captured of the original is captured of the shadow.
        """
        alias = shadow.version.alias
        event_ids = [derived_event_id(event_id, alias) for event_id in original.event_ids]
        try:
            rows = [shadow.model.schema.row(row) for row in original.rows]
            predictions, latency_ms = run_model(shadow, rows)
        except ModelwatchError as error:
            _LOG.warning("shadow %s failed: %s", alias, error)
            return [], [self.error_sample(f"Shadow{type(error).__name__}")]
        captured_at = original.captured_at
        faults = faults_of(predictions)
        plan = capturing.plan(shadow.version, shadow.model.schema)
        outcome = Outcome(
            shadow, rows, event_ids, predictions, captured_at, latency_ms, faults, plan
        )
        samples = prediction_samples(outcome, len(places))
        if faults:
            samples.append(self.error_sample(f"Shadow{PredictionError.__name__}", len(faults)))
        records, lost = self._records(outcome, places, capturing.sample_rate)
        return records, samples + lost

    def _records(
        self, outcome: Outcome, places: Sequence[int], sample_rate: float
    ) -> tuple[list[Record], list[Sample]]:
        """Return the records of some rows; they are lost where nothing may be captured."""
        if outcome.capture is not None:
            return records_of(outcome, outcome.capture, places, sample_rate), []
        version = outcome.loaded.version
        return [], self._outbox.lose((version.version, version.alias), len(places))


def _captured(event_ids: Sequence[str], sample_rate: float) -> Sequence[int]:
    """Return the indexes of the events that are captured."""
    if sample_rate == 1:
        return range(len(event_ids))
    return [place for place, each in enumerate(event_ids) if is_sampled(each, sample_rate)]


def _variants(serving: Serving) -> dict[str, Variant]:
    return {
        alias: {
            "model_version": loaded.version.version,
            "weight": serving.routing.weights.get(alias, 0),
            "shadow": alias in serving.routing.shadows,
        }
        for alias, loaded in serving.models.items()
    }
