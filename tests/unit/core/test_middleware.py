"""The middleware: what it logs, and that what is served stays the same, byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
import pytest
from flask import Flask, Response, request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from modelwatch.sdk.exchange import Capture
from modelwatch.sdk.functions import logs_calls
from modelwatch.sdk.middleware import CaptureASGI, CaptureWSGI
from modelwatch.sdk.model_log import ModelLog
from web import asgi_served, wsgi_served


class Log(ModelLog):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logged: list[tuple[Any, Any, Any]] = []
        self.reasons: list[str] = []

    def log(self, features: Any, prediction: Any, *, id: Any = None, **_: Any) -> str:
        self.logged.append((features, prediction, id))
        return ""

    def log_batch(self, table: Any, predictions: Any, *, ids: Any = None, **_: Any) -> list[str]:
        self.logged.append((list(table), predictions, ids))
        return []

    def refuse(self, error: Exception) -> None:
        self.reasons.append(str(error))


def said(kind: str, body: bytes) -> tuple[Any, int, str]:
    """Return what the route of a name answers: a body or its chunks, a status, a media type."""
    if kind == "echo":
        return body, 200, "application/octet-stream"
    if kind == "failing":
        return b'{"prediction": 1}', 500, "application/json"
    if kind == "large":
        return b'{"prediction": "' + b"x" * 3000 + b'"}', 200, "application/json"
    if kind == "stream":
        return [b'{"predic', b"", b'tion": ', b"2.5}"], 200, "application/json"
    return b'{"prediction": 1.5, "more": {"p": [0.5, 0.5]}}', 200, "application/json"


KINDS = ("plain", "echo", "failing", "large", "stream", "other")
ROUTES = [Capture(f"/{kind}", features="row", most_bytes=2000) for kind in KINDS[:-1]]


def starlette_app() -> Starlette:
    async def view(asked: Request) -> StarletteResponse:
        body = b"".join([chunk async for chunk in asked.stream()])
        kind = asked.url.path[1:]
        if kind == "raising":
            raise RuntimeError("as the application wants it")
        content, status, media = said(kind, body)
        if isinstance(content, list):
            return StreamingResponse(iter(content), status, media_type=media)
        return StarletteResponse(content, status, media_type=media)

    routes = [Route(f"/{kind}", view, methods=["POST"]) for kind in (*KINDS, "raising")]
    return Starlette(routes=[*routes, Route("/plain", lambda _: PlainTextResponse("a page"))])


def flask_app() -> Flask:
    app = Flask("served")

    def view(kind: str) -> Response:
        if request.method == "GET":
            return Response("a page")
        if kind == "raising":
            raise RuntimeError("as the application wants it")
        content, status, media = said(kind, request.stream.read())
        chunks = iter(content) if isinstance(content, list) else content
        return Response(chunks, status, content_type=media)

    app.add_url_rule("/<kind>", view_func=view, methods=["GET", "POST"])
    return app


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, Log]]:
    """Addresses of an application without and with the middleware."""
    log = Log()
    if request.param == "asgi":
        wrapped: Any = CaptureASGI(starlette_app(), client=log, capture=ROUTES)
        with asgi_served(starlette_app()) as plain, asgi_served(wrapped) as captured:
            yield plain, captured, log
    else:
        app = flask_app()
        app.wsgi_app = CaptureWSGI(app.wsgi_app, client=log, capture=ROUTES)
        with wsgi_served(flask_app()) as plain, wsgi_served(app) as captured:
            yield plain, captured, log


GOOD = json.dumps({"row": {"a": 1}}).encode()
CASES = [
    ("plain", GOOD, 1.5, ""),
    ("stream", GOOD, 2.5, ""),
    ("other", GOOD, None, ""),
    ("failing", GOOD, None, ""),
    ("raising", GOOD, None, ""),
    ("large", GOOD, None, "response: is larger than 2,000 bytes"),
    ("plain", b"x" * 100_000, None, "request: is larger than 2,000 bytes"),
    ("plain", b"\xff\xfe not json", None, "request: is no JSON"),
    ("plain", b"", None, "request: is no JSON"),
    ("plain", b"[" * 1500, None, "request: is no JSON"),
    ("plain", b'{"rows": 1}', None, "request: has no row"),
    ("echo", GOOD, None, "response: has no prediction"),
    ("echo", b'{"row": {"a": 1}, "prediction": [1]}', [1], ""),
]


@pytest.mark.parametrize(("kind", "body", "prediction", "reason"), CASES)
def test_what_is_served_is_the_same(both, kind, body, prediction, reason):
    plain, captured, log = both
    log.logged.clear()
    log.reasons.clear()
    answers = [httpx.post(f"{url}/{kind}", content=body, timeout=60) for url in (plain, captured)]
    first, second = (
        (each.status_code, each.content, {k: v for k, v in each.headers.items() if k != "date"})
        for each in answers
    )
    assert first == second
    # the response may be there before it is logged: another request is not
    httpx.get(f"{captured}/plain", timeout=60)
    for _ in range(500):
        if log.logged or log.reasons or not (reason or prediction):
            break
        httpx.get(f"{captured}/plain", timeout=60)
    assert log.reasons == ([reason] if reason else [])
    assert log.logged == ([({"a": 1}, prediction, None)] if prediction else [])


@pytest.mark.parametrize(
    ("capture", "asked", "answered", "logged", "reason"),
    [
        (Capture("/", prediction=""), {"a": 1}, 2.5, [({"a": 1}, 2.5, None)], ""),
        (
            Capture("/", "x.y", "out.0", id="key"), {"x": {"y": {"a": 1}}, "key": 7},
            {"out": {"0": "red"}}, [({"a": 1}, "red", 7)], "",
        ),
        (
            Capture("/", feature_names=("a", "b")), [1, 2], {"prediction": 1},
            [({"a": 1, "b": 2}, 1, None)], "",
        ),
        (
            Capture("/", "rows", "ps", id="ids"), {"rows": [{"a": 1}, {"a": 2}], "ids": ["x", "y"]},
            {"ps": [1, 2]}, [({"a": 1}, 1, "x"), ({"a": 2}, 2, "y")], "",
        ),
        (Capture("/", "rows", "ps"), {"rows": [{"a": 1}]}, {"ps": [1, 2]}, [],
         "prediction: is no list of 1 values, as the features are"),
        (Capture("/", feature_names=("a",)), [[1, 2]], {"prediction": [1]}, [],
         "features: is a list of 2 values; feature_names has 1"),
        (Capture("/", id="key"), {"a": 1}, {"prediction": 1}, [], "request: has no key"),
        (Capture("/", probabilities="p"), {"a": 1}, {"prediction": 1}, [], "response: has no p"),
    ],
)  # fmt: skip
def test_the_mapping_of_a_route(capture, asked, answered, logged, reason):
    log = Log()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answered).encode()})

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(asked).encode()}

    async def send(_: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/"}
    asyncio.run(CaptureASGI(app, client=log, capture=capture)(scope, receive, send))
    assert (log.logged, log.reasons) == (logged, [reason] if reason else [])


def test_a_decorated_function_stays_what_it_was():
    log = Log()

    @logs_calls(log, id="key", prediction=lambda result: result["price"])
    def price(key: str, area: float, rooms: int = 1) -> dict[str, float]:
        """Say a price."""
        if area < 0:
            raise ValueError(key)
        return {"price": area * rooms}

    assert price("k", 2.0) == {"price": 2.0}
    assert (price.__name__, price.__doc__) == ("price", "Say a price.")
    with pytest.raises(ValueError, match="k"):
        price("k", -1.0)
    assert log.logged == [({"area": 2.0, "rooms": 1}, 2.0, "k")]


def test_mappings_tables_methods_and_coroutines():
    log = Log()

    class Model:
        @logs_calls(log)
        def predict(self, row: dict[str, float]) -> float:
            return row["a"] * 2

        @logs_calls(log)
        async def later(self, a: float) -> float:
            return a * 3

    @logs_calls(log)
    def many(frame: pd.DataFrame) -> list[int]:
        return [1] * len(frame)

    @logs_calls(log, prediction=lambda result: result["none"])
    def broken(a: int) -> dict[str, int]:
        return {"a": a}

    assert Model().predict({"a": 2}) == 4
    assert asyncio.run(Model().later(1)) == 3
    assert many(pd.DataFrame({"a": [1, 2]})) == [1, 1]
    assert broken(1) == {"a": 1}
    assert log.logged == [({"a": 2}, 4, None), ({"a": 1}, 3, None), (["a"], [1, 1], None)]
    assert len(log.reasons) == 1
