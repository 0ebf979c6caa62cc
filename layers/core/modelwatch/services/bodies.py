"""Reading the bodies of predict, and saying exactly what is wrong with one.

The road of a good body is short: one decoding, one count of its quotation marks. Everything that
takes longer happens only to bodies that are refused, or that have quotation marks inside strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from modelwatch.domain.faults import MOST_FAULTS, UNREADABLE, Blame, refusal, refuse_names_in
from modelwatch.domain.records import Value
from modelwatch.domain.schemas import Schema
from modelwatch.errors import Fault, InvalidInputError
from modelwatch.services.contract import BatchRequest, PredictRequest, Row

_decode_request = msgspec.json.Decoder(PredictRequest).decode
_decode_batch = msgspec.json.Decoder(BatchRequest).decode


def read_request(body: bytes, schema: Callable[[], Schema | None] = lambda: None) -> PredictRequest:
    """Return the body of ``POST /predict``.

    Raises InvalidInputError when it is not JSON, breaks the contract, or has a name twice in one
    object.

    Parameters
    ----------
    schema
        Gives the model's schema: faults of the features are reported together with the rest.

    Examples
    --------
    >>> read_request(b'{"features": {"alcohol": 13}}').features
    {'alcohol': 13}
    >>> read_request(b'{"features": {"alcohol": 13, "alcohol": 14}}')
    Traceback (most recent call last):
    modelwatch.errors.InvalidInputError: features.alcohol: is there twice; give it once
    """
    request = _decode(body, PredictRequest, _decode_request, '{"features": [...]}', schema)
    strings = _strings(
        [request.features], request.feature_names, request.event_id, request.routing_key
    )
    _refuse_repeated_names(body, strings)
    return request


def read_batch(body: bytes, schema: Callable[[], Schema | None] = lambda: None) -> BatchRequest:
    """Return the body of ``POST /predict/batch``; raises as `read_request` does."""
    request = _decode(body, BatchRequest, _decode_batch, '{"rows": [[...], ...]}', schema)
    _refuse_repeated_names(body, _strings(request.rows, request.feature_names, request.routing_key))
    return request


def batch_rows(request: BatchRequest, schema: Schema) -> list[dict[str, Value]]:
    """Return the rows of a batch as `Schema.row` does.

    Raises InvalidInputError with what is wrong in all rows; a field starts with ``rows[index]``.
    """
    rows = []
    faults: dict[Fault, None] = {}
    for index, features in enumerate(request.rows):
        try:
            rows.append(schema.row(features, request.feature_names))
        except InvalidInputError as error:
            faults |= dict.fromkeys(_placed(error.faults, index))
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise InvalidInputError.of(list(faults)[:MOST_FAULTS])
    return rows


def _decode[T](
    body: bytes,
    kind: type[T],
    decode: Callable[[bytes], T],
    example: str,
    schema: Callable[[], Schema | None],
) -> T:
    if not body.strip():
        raise InvalidInputError("", f"the body is empty; expected {example}")
    try:
        return decode(body)
    except UNREADABLE as error:
        raise refusal(
            body, kind, error, lambda value, found: _against_schema(value, found, schema())
        ) from None


def _against_schema(value: Any, found: Sequence[Blame], schema: Schema | None) -> Iterator[Fault]:
    """Yield what a model's schema says of the rows of a body whose types are wrong somewhere."""
    if schema is None or not isinstance(value, dict):
        return
    names = value.get("feature_names")
    blamed = {blame.path for blame in found}
    if any(path[:1] == ("feature_names",) for path in blamed):
        names = None
    reported: set[Fault] = set()
    batch = value.get("rows")
    rows: Iterable[tuple[int | None, Any]] = [(None, value.get("features"))]
    if isinstance(batch, list):
        rows = enumerate(batch)
    for index, row in rows:
        place = ("features",) if index is None else ("rows", index)
        if isinstance(row, list | dict):
            known = {path[len(place)] for path in blamed if path[: len(place)] == place != path}
            faults = schema.faults(row, names, known)
            for fault in faults if index is None else _placed(faults, index):
                if fault not in reported:
                    reported.add(fault)
                    yield fault


def _placed(faults: Iterable[Fault], index: int) -> Iterator[Fault]:
    """Yield the faults of a row with the row's place in the batch."""
    for field, problem in faults:
        place, rest = field[: len("features")], field[len("features") :]
        is_in_row = place == "features" and rest[:1] in ("", ".")
        yield Fault(f"rows[{index}]{rest}" if is_in_row else field, problem)


def _strings(rows: Iterable[Row], feature_names: list[str] | None, *texts: str | None) -> int:
    """Return how many strings a request has, if each of its names is there once."""
    count = 1 + 2 * sum(text is not None for text in texts)
    if feature_names is not None:
        count += 1 + len(feature_names)
    for row in rows:
        if isinstance(row, dict):
            count += len(row)
            values: Iterable[object] = row.values()
        else:
            values = row
        count += sum([type(value) is str for value in values])
    return count


def _refuse_repeated_names(body: bytes, strings: int) -> None:
    # Every string has two quotation marks; those of a repeated name are on top, and so are escaped
    # ones and the names of explicit nulls. No mark too many: nothing is repeated.
    if body.count(b'"') == 2 * strings:
        return
    refuse_names_in(body)
