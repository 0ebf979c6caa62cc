"""A decorator that logs what a function predicts."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from modelwatch.errors import InvalidInputError
from modelwatch.sdk.model_log import ModelLog
from modelwatch.sdk.tables import as_it_is
from modelwatch.sdk.values import values_by_name


def logs_calls[F: Callable[..., Any]](
    client: ModelLog,
    *,
    id: str = "",
    prediction: Callable[[Any], Any] = lambda result: result,
) -> Callable[[F], F]:
    """Return a decorator that logs each call of a function, or coroutine function, that returns.

    The arguments are the features by name, as they are before the call. A single argument that
    holds them, a mapping, a dataclass, a model of pydantic or a table, gives them itself; for a
    table, the function returns a prediction a row. ``self`` and ``cls`` are no features. What the
    function returns or raises does not change.

    Parameters
    ----------
    client
        A `modelwatch.Client` with the model's name and version.
    id
        The argument, or the feature, that is your id of the prediction and no feature.
    prediction
        Takes the prediction out of what the function returns.

    Raises
    ------
    InvalidInputError
        When the function is a generator, which returns no prediction.

    Examples
    --------
    ::

        @logs_calls(client, id="offer")
        def price(offer: str, area: float, rooms: int) -> float: ...
    """

    def decorated(function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidInputError(function.__name__, "is a generator: log what it yields itself")
        signature = inspect.signature(function)

        def read(args: Any, kwargs: Any) -> Any:
            try:
                return _features(signature, args, kwargs)
            except Exception as error:  # noqa: BLE001 - counted, if the call itself is right
                return error

        def log(features: Any, result: Any, began: float) -> None:
            latency_ms = (time.perf_counter() - began) * 1000
            try:
                if isinstance(features, Exception):
                    raise features
                said = prediction(result)
                if isinstance(features, _Rows):
                    client.log_batch(features.table, said, ids=id or None)
                    return
                if id and id not in features:
                    raise InvalidInputError("id", f"there is no argument or feature {id!r}")
                own_id = features.pop(id) if id else None
            except Exception as error:  # noqa: BLE001 - counted; the call itself was right
                client.refuse(error)
                return
            client.log(features, said, id=own_id, latency_ms=latency_ms)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                features = read(args, kwargs)
                began = time.perf_counter()
                result = await function(*args, **kwargs)
                log(features, result, began)
                return result

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            features = read(args, kwargs)
            began = time.perf_counter()
            result = function(*args, **kwargs)
            log(features, result, began)
            return result

        return called  # type: ignore[return-value]

    return decorated


class _Rows(NamedTuple):
    """A table that a function was given."""

    table: Any


def _features(signature: inspect.Signature, args: Any, kwargs: Any) -> _Rows | dict[Any, Any]:
    """Return the arguments of a call as they are now."""
    given = signature.bind(*args, **kwargs)
    given.apply_defaults()
    features: dict[Any, Any] = {}
    for name, value in given.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            features.update(value)
        elif name not in ("self", "cls"):
            features[name] = value
    if len(features) != 1:
        return features
    (held,) = features.values()
    if hasattr(held, "columns") or hasattr(held, "column_names"):
        return _Rows(as_it_is(held))
    found = values_by_name(held)
    return features if found is None else found
