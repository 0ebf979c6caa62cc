"""The middleware: what it logs, and that what is served stays the same, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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

from modelwatch.errors import InvalidInputError
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
        self.flushed = 0

    def log(self, features: Any, prediction: Any, *, id: Any = None, **_: Any) -> str:
        self.logged.append((features, prediction, id))
        return ""

    def log_batch(self, table: Any, predictions: Any, *, ids: Any = None, **_: Any) -> list[str]:
        self.logged.append((list(table), predictions, ids))
        return []

    def refuse(self, error: Exception) -> None:
        self.reasons.append(str(error))

    def flush(self, seconds: float = 5.0) -> bool:
        self.flushed += 1
        return seconds > 0


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
        (
            Capture("/", "rows", "out.p", id="rows.key"),
            {"rows": [{"a": 1, "key": "x"}, {"a": 2, "key": "y"}]}, {"out": [{"p": 1}, {"p": 2}]},
            [({"a": 1}, 1, "x"), ({"a": 2}, 2, "y")], "",
        ),
        (
            Capture("/", prediction="", id="key"), [{"a": 1, "key": 7}], [2.5],
            [({"a": 1}, 2.5, 7)], "",
        ),
        (Capture("/", "rows", "out.p", id="rows.key"), {"rows": []}, {"out": []}, [], ""),
        (Capture("/", "rows", "out.p"), {"rows": [{"a": 1}]}, {"out": [{"q": 1}]}, [],
         "response: has no out.p"),
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
    exchange(log, capture, json.dumps(asked).encode(), json.dumps(answered).encode())
    assert (log.logged, log.reasons) == (logged, [reason] if reason else [])


def exchange(
    log: Log,
    capture: Capture,
    asked: bytes,
    answered: bytes,
    *,
    packing: str = "",
    scope: dict[str, Any] | None = None,
    fails: bool = False,
) -> None:
    """Serve a request of an ASGI application that answers the same to each."""
    headers = [(b"Content-Encoding", packing.encode())] if packing else []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answered})
        if fails:
            raise RuntimeError("of a task after the response")

    async def receive() -> Any:
        return {"type": "http.request", "body": asked}

    async def send(_: Any) -> None:
        pass

    given = {"type": "http", "method": "POST", "path": "/", "headers": headers, **(scope or {})}
    asyncio.run(CaptureASGI(app, client=log, capture=capture)(given, receive, send))


ROW, PRICE = b'{"a": 1}', b'{"prediction": 2.5}'


def test_a_task_that_fails_after_the_response_costs_no_prediction():
    log = Log()
    with pytest.raises(RuntimeError, match="after the response"):
        exchange(log, Capture("/"), ROW, PRICE, fails=True)
    assert log.logged == [({"a": 1}, 2.5, None)]


@pytest.mark.parametrize(
    "body", [b'{"a": NaN}', '\ufeff{"a": NaN}'.encode(), '{"a": NaN}'.encode("utf-16")]
)
def test_json_that_python_reads_is_read(body):
    log = Log()
    exchange(log, Capture("/"), body, PRICE)
    ((features, prediction, _),) = log.logged
    assert math.isnan(features["a"])
    assert (prediction, log.reasons) == (2.5, [])


@pytest.mark.parametrize(
    ("packing", "pack", "reason"),
    [
        ("gzip", gzip.compress, ""),
        ("deflate", zlib.compress, ""),
        ("br", bytes, "request: is packed as br; expected gzip, deflate or nothing"),
        ("gzip", bytes, "request: is no JSON"),
        ("gzip", lambda body: gzip.compress(body + b" " * 5000),
         "request: is larger than 2,000 bytes"),
    ],
)  # fmt: skip
def test_packed_bodies_are_unpacked(packing, pack, reason):
    log = Log()
    exchange(log, Capture("/", most_bytes=2000), pack(ROW), pack(PRICE), packing=packing)
    assert (log.logged, log.reasons) == (
        ([], [reason]) if reason else ([({"a": 1}, 2.5, None)], [])
    )


def test_what_is_logged_is_sent_before_an_asgi_server_ends():
    log = Log()
    with asgi_served(CaptureASGI(starlette_app(), client=log, capture=Capture("/plain"))):
        assert not log.flushed
    assert log.flushed == 1


@pytest.mark.parametrize("path", ["/prix/été", "/v1/prix/été"])
def test_a_route_is_known_by_its_path_with_and_without_its_root(path):
    log = Log()
    root = {"path": "/v1/prix/été", "root_path": "/v1"}
    exchange(log, Capture(path, method="post"), ROW, PRICE, scope=root)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        start_response("200 OK", [("content-encoding", "gzip")])
        return [gzip.compress(PRICE)]

    environ = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "/v1",
               "PATH_INFO": "/prix/été".encode().decode("latin-1"),
               "wsgi.input": io.BytesIO(ROW)}  # fmt: skip
    result: Any = CaptureWSGI(app, client=log, capture=Capture(path))(environ, lambda *_: None)
    list(result)
    result.close()
    assert log.logged == [({"a": 1}, 2.5, None)] * 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"path": "price"}, "path: 'price' does not begin with /"),
        ({"path": "/models/{name}"}, "path: '/models/{name}' has a parameter; give each path as"),
        ({"path": "/", "feature_names": "area"}, "feature_names: is a text; expected a tuple"),
    ],
)
def test_a_mapping_that_no_request_matches_is_refused(more, said):
    with pytest.raises(InvalidInputError, match=re.escape(said)):
        Capture(**more)


def test_two_mappings_of_one_route_are_refused():
    two = [Capture("/price"), Capture("/price", prediction="range.high", method="post")]
    with pytest.raises(InvalidInputError, match="capture: POST /price has two"):
        CaptureASGI(starlette_app(), client=Log(), capture=two)


@dataclass
class Flat:
    area: float
    rooms: int = 1


def test_what_is_logged_is_what_the_function_was_given():
    log = Log()

    @logs_calls(log)
    def changing(row: dict[str, float]) -> float:
        row["a"] = 99
        return 1.0

    @logs_calls(log)
    def adding(frame: pd.DataFrame) -> pd.Series:
        frame["b"] = frame["a"] * 2
        return frame["b"]

    @logs_calls(log)
    def named(area: float, **more: float) -> float:
        return area * len(more)

    @logs_calls(log)
    def held(flat: Flat) -> float:
        flat.rooms = 9
        return flat.area

    class Model:
        @classmethod
        @logs_calls(log)
        def predict(cls, a: int) -> int:
            return a

    changing({"a": 1})
    adding(pd.DataFrame({"a": [1, 2]}))
    named(2.0, rooms=3)
    held(Flat(4.0))
    held(pd.Series({"area": 5.0, "rooms": 2}))  # type: ignore[arg-type]
    Model.predict(6)
    features = [logged[0] for logged in log.logged]
    assert features == [
        {"a": 1}, ["a"], {"area": 2.0, "rooms": 3}, {"area": 4.0, "rooms": 1},
        {"area": 5.0, "rooms": 2}, {"a": 6},
    ]  # fmt: skip
    assert list(log.logged[1][1]) == [2, 4]
    assert log.reasons == []


def test_a_function_that_cannot_be_logged_says_so():
    log = Log()

    @logs_calls(log, id="offer")
    def price(area: float) -> float:
        return area

    assert price(1.0) == 1.0
    assert log.reasons == ["id: there is no argument or feature 'offer'"]

    def prices() -> Iterator[float]:
        yield 1.0

    with pytest.raises(InvalidInputError, match="prices: is a generator"):
        logs_calls(log)(prices)


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
