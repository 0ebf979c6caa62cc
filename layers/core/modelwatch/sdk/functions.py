"""A decorator that logs what a function predicts."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any

from modelwatch.sdk.model_log import ModelLog


def logs_calls[F: Callable[..., Any]](
    client: ModelLog,
    *,
    id: str = "",
    prediction: Callable[[Any], Any] = lambda result: result,
) -> Callable[[F], F]:
    """Return a decorator that logs each call of a function, or coroutine function, that returns.

    The arguments are the features by name. A single argument that holds them, a mapping or a table,
    gives them itself; for a table, the function returns a prediction a row. ``self`` is no feature.
    What the function returns or raises does not change.

    Parameters
    ----------
    client
        A `modelwatch.Client` with the model's name and version.
    id
        The argument, or the feature, that is your id of the prediction and no feature.
    prediction
        Takes the prediction out of what the function returns.

    Examples
    --------
    ::

        @logs_calls(client, id="offer")
        def price(offer: str, area: float, rooms: int) -> float: ...
    """

    def decorated(function: F) -> F:
        signature = inspect.signature(function)

        def log(began: float, result: Any, args: Any, kwargs: Any) -> None:
            latency_ms = (time.perf_counter() - began) * 1000
            try:
                given = signature.bind(*args, **kwargs)
                given.apply_defaults()
                features = {k: v for k, v in given.arguments.items() if k != "self"}
                held = next(iter(features.values())) if len(features) == 1 else None
                if isinstance(held, Mapping):
                    features = dict(held)
                said = prediction(result)
                if hasattr(held, "columns"):
                    client.log_batch(held, said, ids=id or None)
                    return
                own_id = features.pop(id) if id else None
            except Exception as error:  # noqa: BLE001 - counted; the call itself was right
                client.refuse(error)
                return
            client.log(features, said, id=own_id, latency_ms=latency_ms)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                began = time.perf_counter()
                result = await function(*args, **kwargs)
                log(began, result, args, kwargs)
                return result

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = function(*args, **kwargs)
            log(began, result, args, kwargs)
            return result

        return called  # type: ignore[return-value]

    return decorated
