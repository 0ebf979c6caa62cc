"""Predictions and labels as a program logs them, and as the capture API takes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from modelwatch.domain.labels import decode_labels
from modelwatch.domain.records import MOST_LOST, decode_record
from modelwatch.errors import Fault, InvalidInputError
from modelwatch.sdk.values import feature_value, prediction_value, probabilities_of, time_of

_encode = msgspec.json.Encoder().encode


class Model(NamedTuple):
    """What predicted."""

    name: str
    version: str
    variant: str


class LoggedPrediction(NamedTuple):
    """A prediction as it was logged: its values are read when it is sent.

    Attributes
    ----------
    at_ms
        When it was made, in milliseconds since 1970.
    """

    model: Model
    event_id: str
    at_ms: int
    features: Mapping[Any, object]
    prediction: object
    probabilities: object
    latency_ms: float


class LoggedLabel(NamedTuple):
    """What a prediction should have been, as it was logged."""

    event_id: str
    label: object
    predicted_at: object
    labelled_at_ms: int


def record_json(logged: LoggedPrediction, lost_before: int, now_ms: int) -> bytes:
    """Return the record of a prediction as JSON.

    Raises InvalidInputError with what the capture API would refuse.
    """
    if not logged.model.name or not logged.model.version:
        field = "model_version" if logged.model.name else "model_name"
        raise InvalidInputError(field, f"is missing; give it as Client({field}=…)")
    features = {}
    faults: list[Fault] = []
    for name, value in logged.features.items():
        text = name if type(name) is str else str(name)
        if text in features:
            faults.append(Fault(f"features.{text}", "is there twice; give it once"))
        try:
            features[text] = feature_value(value, f"features.{text}")
        except InvalidInputError as error:
            faults += error.faults
    if faults:
        raise InvalidInputError.of(faults)
    body: dict[str, object] = {
        "event_id": logged.event_id,
        "captured_at": _time(logged.at_ms),
        "model_name": logged.model.name,
        "model_version": logged.model.version,
        "features": features,
        "prediction": prediction_value(logged.prediction),
    }
    if logged.model.variant:
        body["variant"] = logged.model.variant
    if logged.probabilities is not None:
        body["probabilities"] = probabilities_of(logged.probabilities)
    if logged.latency_ms:
        body["latency_ms"] = feature_value(logged.latency_ms, "latency_ms")
    if lost_before:
        body["lost_before"] = min(lost_before, MOST_LOST)
    found = _json(body)
    decode_record(found, now_ms)
    return found


def label_json(logged: LoggedLabel, now_ms: int) -> bytes:
    """Return a label as JSON; raises InvalidInputError with what the capture API would refuse."""
    body = {
        "event_id": logged.event_id,
        "label": prediction_value(logged.label, "label"),
        "labelled_at": _time(logged.labelled_at_ms),
    }
    if logged.predicted_at is not None:
        body["predicted_at"] = time_of(logged.predicted_at, "predicted_at")
    found = _json(body)
    decode_labels(found, now_ms)
    return found


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _json(body: Mapping[str, object]) -> bytes:
    try:
        return _encode(body)
    except UnicodeEncodeError:
        raise InvalidInputError("", "holds half of a surrogate pair, which is no text") from None
    except (TypeError, ValueError) as error:
        raise InvalidInputError("", str(error)) from None
