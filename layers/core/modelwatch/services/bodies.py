"""Reading the bodies of predict, and telling a caller exactly what is wrong with one.

The road of a good body is short: one decoding, one count of its quotation marks. Everything that
takes longer happens only to bodies that are refused, or that have quotation marks inside strings.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from modelwatch.domain.records import invalid_json
from modelwatch.errors import InvalidInputError
from modelwatch.services.contract import BatchRequest, PredictRequest, Row

_decode_request = msgspec.json.Decoder(PredictRequest).decode
_decode_batch = msgspec.json.Decoder(BatchRequest).decode

_Path = tuple[str | int, ...]


def read_request(body: bytes) -> PredictRequest:
    """Return the body of ``POST /predict``.

    Raises
    ------
    InvalidInputError
        When it is not JSON, breaks the contract, or has a name twice in one object.

    Examples
    --------
    >>> read_request(b'{"features": {"alcohol": 13}}').features
    {'alcohol': 13}
    >>> read_request(b'{"features": {"alcohol": 13, "alcohol": 14}}')
    Traceback (most recent call last):
    modelwatch.errors.InvalidInputError: features.alcohol: stands there twice; give it once
    """
    request = _decode(body, _decode_request, '{"features": [...]}')
    strings = _strings(
        [request.features], request.feature_names, request.event_id, request.routing_key
    )
    _refuse_repeated_names(body, strings)
    return request


def read_batch(body: bytes) -> BatchRequest:
    """Return the body of ``POST /predict/batch``; raises as `read_request` does."""
    request = _decode(body, _decode_batch, '{"rows": [[...], ...]}')
    _refuse_repeated_names(body, _strings(request.rows, request.feature_names, request.routing_key))
    return request


def _decode[T](body: bytes, decode: Callable[[bytes], T], example: str) -> T:
    if not body.strip():
        raise InvalidInputError("", f"the body is empty; expected {example}")
    try:
        return decode(body)
    except UnicodeDecodeError as error:
        raise InvalidInputError("", f"the body is not UTF-8: {error.reason}") from None
    except RecursionError:
        raise InvalidInputError("", f"the body is nested too deeply; expected {example}") from None
    except msgspec.DecodeError as error:
        raise _explained(body, error) from None


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
    for path, value in _walk(_lenient(body)):
        if isinstance(value, _Pairs):
            names = [name for name, _ in value]
            for index, name in enumerate(names):
                if name in names[:index]:
                    raise InvalidInputError(
                        _field((*path, name)), "stands there twice; give it once"
                    )


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its names, the repeated ones, too."""


class _Constant:
    """NaN, Infinity or -Infinity, which are no JSON; or a number that is too large for a float."""

    def __init__(self, name: str) -> None:
        self.name = name


def _number(text: str) -> _Constant | None:
    return _Constant(text) if math.isinf(float(text)) else None


def _lenient(body: bytes) -> Any:
    return json.loads(
        body.decode(),
        object_pairs_hook=_Pairs,
        parse_constant=_Constant,
        parse_int=_number,
        parse_float=_number,
    )


def _walk(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yield every value with its path, as deep as rows of a batch go."""
    yield path, value
    if len(path) > 3:
        return
    steps: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, _Pairs):
        steps = value
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        yield from _walk(inner, (*path, step))


def _field(path: _Path) -> str:
    """Write a path as a field.

    >>> _field(("rows", 3, "alcohol"))
    'rows[3].alcohol'
    """
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return words.removeprefix(".")


def _explained(body: bytes, error: msgspec.DecodeError) -> InvalidInputError:
    """Add to msgspec's complaint what it does not say: the name, or the word that is no JSON."""
    plain = invalid_json(error)
    with contextlib.suppress(ValueError, RecursionError):
        if "malformed" in plain.problem:
            for path, value in _walk(_lenient(body)):
                if isinstance(value, _Constant) and not value.name[-1].isdigit():
                    problem = f"found {value.name}, which is not JSON; a missing number is null"
                    return InvalidInputError(_field(path), problem)
        elif plain.field.endswith("[...]"):
            # a feature by name, and msgspec does not tell the name: the first that is no value
            pattern = re.escape(plain.field.removesuffix("[...]")) + r"\..*"
            for path, value in _walk(_lenient(body)):
                if isinstance(value, list | _Constant) and re.fullmatch(
                    pattern, _field(path), re.DOTALL
                ):
                    return InvalidInputError(_field(path), plain.problem)
    return InvalidInputError(plain.field.removesuffix("[...]"), plain.problem)
