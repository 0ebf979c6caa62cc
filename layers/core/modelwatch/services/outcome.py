"""What comes of running a model on rows: predictions, records of them, and what is counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import repeat

from modelwatch.domain.models import Predictions
from modelwatch.domain.records import Record, Value
from modelwatch.errors import ModelLoadError, ModelRefusalError, stack_of
from modelwatch.ports import Sample
from modelwatch.services.serving import LoadedModel

_LOG = logging.getLogger(__name__)


def run_model(loaded: LoadedModel, rows: Sequence[dict[str, Value]]) -> Predictions:
    """Predict rows that fit the model's schema.

    Raises
    ------
    ModelRefusalError
        When the model does not take these values.
    ModelLoadError
        When it fails in another way.
    """
    try:
        return loaded.model.predict(rows)
    except Exception as error:
        # whatever a foreign model raises on rows that fit its schema is its failure
        _LOG.error("the model failed on rows that fit its schema:\n%s", stack_of(error))
        if isinstance(error, ValueError | TypeError | LookupError | ArithmeticError):
            raise ModelRefusalError(
                f"the model raised {type(error).__name__} on features that fit its schema; send "
                "values as it knows them from its training"
            ) from error
        raise ModelLoadError(f"the model failed: {type(error).__name__}") from error


def records_of(
    loaded: LoadedModel,
    rows: Sequence[dict[str, Value]],
    event_ids: Sequence[str],
    predictions: Predictions,
    captured_at: datetime,
    latency_ms: float,
) -> list[Record]:
    """Return one record a row, in their order; ``latency_ms`` is that of all rows together."""
    probabilities = predictions.probabilities or repeat(None)
    return [
        Record(
            event_id=event_id,
            captured_at=captured_at,
            model_name=loaded.version.name,
            model_version=loaded.version.version,
            variant=loaded.version.alias,
            features=row,
            prediction=prediction,
            probabilities=probability,
            latency_ms=round(latency_ms, 3),
            source="predict",
        )
        for row, event_id, prediction, probability in zip(
            rows, event_ids, predictions.values, probabilities, strict=False
        )
    ]


def prediction_samples(records: Sequence[Record], latency_ms: float) -> list[Sample]:
    """Count the predictions of one run of the model, their time and their values."""
    first = records[0]
    model = {
        "model_name": first.model_name,
        "model_version": first.model_version,
        "variant": first.variant,
    }
    values = [
        float(record.prediction)
        for record in records
        if isinstance(record.prediction, int | float) and not isinstance(record.prediction, bool)
    ]
    samples = [
        Sample("model_predictions_total", len(records), model),
        Sample("model_prediction_latency_seconds", latency_ms / 1000, model),
    ]
    if values:
        samples.append(Sample("model_prediction_value", values, model))
    return samples


def capture_sample(records: Sequence[Record], outcome: str) -> Sample:
    """Count records: first as accepted, later as sent or lost; a difference that stays is lost."""
    return Sample("capture_records_total", len(records), {"outcome": outcome})


def to_milliseconds(seconds: float) -> datetime:
    """Return the time ``seconds`` after 1970, cut to the milliseconds that records keep."""
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
