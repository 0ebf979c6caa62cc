"""The outcome of a model's run on rows: predictions, records of them, and counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelwatch.domain.capture_policy import CapturePlan
from modelwatch.domain.models import Predictions, fault_of
from modelwatch.domain.records import PREDICT_SOURCE, Record, Value
from modelwatch.errors import ModelLoadError, ModelRefusalError, PredictionError, stack_of
from modelwatch.ports.metrics import Sample
from modelwatch.services.serving import LoadedModel

_LOG = logging.getLogger(__name__)


def run_model(loaded: LoadedModel, rows: Sequence[dict[str, Value]]) -> tuple[Predictions, float]:
    """Predict rows that fit the model's schema; return how many milliseconds it took as well.

    Raises
    ------
    ModelRefusalError
        When the model does not take these values.
    PredictionError
        When it gives something else than one value a row.
    ModelLoadError
        When it fails in another way.
    """
    began = time.perf_counter()
    try:
        predictions = loaded.model.predict(rows)
    except PredictionError:
        raise
    except Exception as error:
        # any exception of a foreign model on rows that fit its schema is the model's failure
        _LOG.error("the model failed on rows that fit its schema:\n%s", stack_of(error))
        if isinstance(error, ValueError | TypeError | LookupError | ArithmeticError):
            raise ModelRefusalError(
                f"the model raised {type(error).__name__} on features that fit its schema; send "
                "values as it knows them from its training"
            ) from error
        raise ModelLoadError(f"the model failed: {type(error).__name__}") from error
    return predictions, round((time.perf_counter() - began) * 1000, 3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows that a model predicted.

    Attributes
    ----------
    event_ids
        One a row, as are the predictions.
    captured_at
        When it was, to the millisecond.
    latency_ms
        Time that the model took for all rows together.
    faults
        By the index of a row: why what the model gave for it is no prediction.
    capture
        What may leave predict of it; None: nothing.
    """

    loaded: LoadedModel
    rows: Sequence[dict[str, Value]]
    event_ids: Sequence[str]
    predictions: Predictions
    captured_at: datetime
    latency_ms: float
    faults: Mapping[int, str]
    capture: CapturePlan | None


def faults_of(predictions: Predictions) -> dict[int, str]:
    """Return for the index of each row without a usable prediction why it has none."""
    values, probabilities = predictions.values, predictions.probabilities
    found = (
        (place, fault_of(value, probabilities[place] if probabilities else None))
        for place, value in enumerate(values)
    )
    return {place: fault for place, fault in found if fault}


def records_of(
    outcome: Outcome, plan: CapturePlan, places: Sequence[int], sample_rate: float
) -> list[Record]:
    """Return the records of some of the rows: what may leave predict under the capture policy.

    Parameters
    ----------
    plan
        The policy for the version's rows.
    places
        Which rows, by their index.
    sample_rate
        The share of all rows that such records are.
    """
    version = outcome.loaded.version
    values, probabilities = outcome.predictions.values, outcome.predictions.probabilities
    faults = outcome.faults
    return [
        Record(
            event_id=outcome.event_ids[place],
            captured_at=outcome.captured_at,
            model_name=version.name,
            model_version=version.version,
            variant=version.alias,
            features=plan.features(outcome.rows[place]),
            prediction=None if place in faults else plan.prediction(values[place]),
            probabilities=plan.probabilities(
                probabilities[place] if probabilities and place not in faults else None
            ),
            latency_ms=outcome.latency_ms,
            source=PREDICT_SOURCE,
            types=plan.types,
            sample_rate=sample_rate,
            error=faults.get(place, ""),
        )
        for place in places
    ]


def prediction_samples(outcome: Outcome, captured: int) -> list[Sample]:
    """Count the predictions of one run of the model, their time, their values and their records.

    Rows without a usable prediction are not among the predictions. The values are those that the
    capture policy lets out: metrics are lines of the log.
    ``captured`` says how many predictions are captured, or should be.
    """
    version, plan = outcome.loaded.version, outcome.capture
    model = {
        "model_name": version.name,
        "model_version": version.version,
        "variant": version.alias,
    }
    values = [
        float(value)
        for value in _let_out(plan, outcome)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    samples = [
        Sample("model_predictions_total", len(outcome.rows) - len(outcome.faults), model),
        Sample("model_prediction_latency_seconds", outcome.latency_ms / 1000, model),
    ]
    if values:
        samples.append(Sample("model_prediction_value", values, model))
    left_out = len(outcome.rows) - captured
    return samples + capture_samples(sampled_out=left_out, accepted=captured)


def _let_out(plan: CapturePlan | None, outcome: Outcome) -> Iterator[Value]:
    """Yield what the capture policy lets out of the predictions."""
    for place, value in enumerate(outcome.predictions.values if plan else ()):
        if plan and place not in outcome.faults:
            yield plan.prediction(value)


def capture_samples(**counts: int) -> list[Sample]:
    """Count records by what becomes of them.

    First as sampled out or accepted, the accepted ones later as sent or lost; a difference that
    stays is lost.
    """
    return [
        Sample("capture_records_total", count, {"outcome": outcome})
        for outcome, count in counts.items()
        if count
    ]


def to_milliseconds(seconds: float) -> datetime:
    """Return the time ``seconds`` after 1970, cut to the milliseconds that records keep."""
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
