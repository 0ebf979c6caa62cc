"""What a request and its response say of predictions, by a declared mapping."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from modelwatch.errors import InvalidInputError
from modelwatch.sdk.model_log import ModelLog

_MOST_BYTES = 1_000_000
_GZIP_OR_ZLIB = 47
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Capture:
    """Where the predictions of a route are in its JSON: names with dots between, such as ``a.b``.

    Of a list, such as ``rows.price`` of ``{"rows": [{"price": 1}]}``, a place is in each element.

    Attributes
    ----------
    path
        Of the route, such as ``/predict``: as it is called, or below the ``root_path`` of ASGI and
        the ``SCRIPT_NAME`` of WSGI.
    features
        Place of the features in the request; empty: the whole body. Values by name, or a list of
        such rows: then the prediction is a list of the same length.
    prediction
        Place of the prediction in the response; empty: the whole body.
    feature_names
        Names, where a row is a list of values.
    id
        Place of your id in the request, one for each row; it is no feature.
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

    def __post_init__(self) -> None:
        """Refuse what no request would ever match. Raises InvalidInputError."""
        if not self.path.startswith("/"):
            raise InvalidInputError("path", f"{self.path!r} does not begin with /")
        if "{" in self.path or "<" in self.path:
            problem = f"{self.path!r} has a parameter; give each path as it is called"
            raise InvalidInputError("path", problem)
        if isinstance(self.feature_names, str):
            raise InvalidInputError("feature_names", "is a text; expected a tuple of names")


@dataclass(slots=True)
class Body:
    """A body as it passes by; what is over ``most`` bytes is not kept.

    Attributes
    ----------
    packing
        Its Content-Encoding.
    """

    most: int
    packing: str = ""
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
        try:
            plain = b"" if self.size > self.most else self._unpacked(which)
            if max(self.size, len(plain)) > self.most:
                raise InvalidInputError(which, f"is larger than {self.most:,} bytes")
            return _read(plain)
        except (ValueError, RecursionError, zlib.error):
            raise InvalidInputError(which, "is no JSON") from None

    def _unpacked(self, which: str) -> bytes:
        """Return the body without its packing: one byte over ``most`` at most."""
        packed = b"".join(self.chunks)
        if self.packing in ("", "identity"):
            return packed
        if self.packing not in ("gzip", "x-gzip", "deflate"):
            problem = f"is packed as {self.packing:.40}; expected gzip, deflate or nothing"
            raise InvalidInputError(which, problem)
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(packed, self.most + 1)


def _read(body: bytes) -> Any:
    """Return what applications in Python read: also NaN for a missing value, and UTF-16."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(body)


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
    if features == [] and prediction == []:
        return []
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
    if isinstance(row, Mapping) and capture.id:
        # an id among the features is none of them
        place = f"{capture.features}." if capture.features else ""
        return {name: row[name] for name in row if place + name != capture.id}
    if not isinstance(row, Sequence) or isinstance(row, str):
        return row
    if len(row) != len(capture.feature_names):
        problem = f"is a list of {len(row)} values; feature_names has {len(capture.feature_names)}"
        raise InvalidInputError("features", problem)
    return dict(zip(capture.feature_names, row, strict=True))


def _at(value: Any, place: str, which: str) -> Any:
    """Return what is at a place of a decoded body; of a list, what is there in each element."""
    found = [value]
    is_list = False
    for name in place.split(".") if place else ():
        is_list = is_list or any(isinstance(each, list) for each in found)
        found = [_of(each, name, place, which) for each in _elements(found)]
    return found if is_list else found[0]


def _elements(found: Sequence[Any]) -> Iterator[Any]:
    for each in found:
        yield from each if isinstance(each, list) else (each,)


def _of(value: Any, name: str, place: str, which: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise InvalidInputError(which, f"has no {place}")
    return value[name]
