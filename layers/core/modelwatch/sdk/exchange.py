"""What a request and its response say of predictions, by a declared mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from modelwatch.errors import InvalidInputError
from modelwatch.sdk.model_log import ModelLog

_MOST_BYTES = 1_000_000
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Capture:
    """Where the predictions of a route are in its JSON: names with dots between, such as ``a.b``.

    Attributes
    ----------
    path
        Of the route, such as ``/predict``.
    features
        Place of the features in the request; empty: the whole body. Values by name, or a list of
        such rows: then the prediction is a list of the same length.
    prediction
        Place of the prediction in the response; empty: the whole body.
    feature_names
        Names, where a row is a list of values.
    id
        Place of your id in the request; of a list of rows a list.
    probabilities
        Place of the probabilities in the response.
    method
        Of the requests.
    most_bytes
        A larger request or response is served as always, and not captured.
    """

    path: str
    features: str = ""
    prediction: str = "prediction"
    feature_names: tuple[str, ...] = ()
    id: str = ""
    probabilities: str = ""
    method: str = "POST"
    most_bytes: int = _MOST_BYTES


@dataclass(slots=True)
class Body:
    """A body as it passes by; what is over ``most`` bytes is not kept."""

    most: int
    size: int = 0
    chunks: list[bytes] = field(default_factory=list)

    def add(self, chunk: bytes) -> None:
        """Keep a part of the body."""
        self.size += len(chunk)
        if self.size > self.most:
            self.chunks.clear()
        elif chunk:
            self.chunks.append(bytes(chunk))

    def json(self, which: str) -> Any:
        """Return the body decoded. Raises InvalidInputError when it is too large, or no JSON."""
        if self.size > self.most:
            raise InvalidInputError(which, f"is larger than {self.most:,} bytes")
        try:
            return _decode(b"".join(self.chunks))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidInputError(which, "is no JSON") from None


def log_exchange(
    log: ModelLog, capture: Capture, request: Body, response: Body, latency_ms: float
) -> None:
    """Log the predictions of one exchange; what cannot be read is counted, and nothing raises."""
    try:
        rows = _rows(capture, request.json("request"), response.json("response"))
    except InvalidInputError as error:
        log.refuse(error)
        return
    for features, prediction, own_id, probabilities in rows:
        log.log(features, prediction, id=own_id, probabilities=probabilities, latency_ms=latency_ms)


def _rows(capture: Capture, asked: Any, said: Any) -> list[tuple[Any, Any, Any, Any]]:
    features = _at(asked, capture.features, "request")
    prediction = _at(said, capture.prediction, "response")
    own_id = _at(asked, capture.id, "request") if capture.id else None
    probabilities = _at(said, capture.probabilities, "response") if capture.probabilities else None
    is_one = isinstance(features, Mapping) or not _holds_rows(features)
    if is_one:
        return [(_named(capture, features), prediction, own_id, probabilities)]
    count = len(features)
    lists = []
    for name, each in (
        ("prediction", prediction),
        ("id", own_id),
        ("probabilities", probabilities),
    ):
        if each is None:
            lists.append([None] * count)
        elif isinstance(each, list) and len(each) == count:
            lists.append(each)
        else:
            raise InvalidInputError(name, f"is no list of {count} values, as the features are")
    named = [_named(capture, row) for row in features]
    return list(zip(named, *lists, strict=True))


def _holds_rows(features: Any) -> bool:
    return isinstance(features, list) and any(isinstance(row, list | dict) for row in features)


def _named(capture: Capture, row: Any) -> Any:
    if not isinstance(row, Sequence) or isinstance(row, str):
        return row
    if len(row) != len(capture.feature_names):
        problem = f"is a list of {len(row)} values; feature_names has {len(capture.feature_names)}"
        raise InvalidInputError("features", problem)
    return dict(zip(capture.feature_names, row, strict=True))


def _at(value: Any, place: str, which: str) -> Any:
    """Return what is at a place of a decoded body."""
    for name in place.split(".") if place else ():
        if not isinstance(value, Mapping) or name not in value:
            raise InvalidInputError(which, f"has no {place}")
        value = value[name]
    return value
