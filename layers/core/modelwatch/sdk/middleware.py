"""Captures what a web application predicts, without a change of what it serves.

The application gets each request, and each client each response, as they came. Predictions are
logged after the response; what cannot be read is counted by reason in the client's `log_counts`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from modelwatch.errors import InvalidInputError
from modelwatch.sdk.exchange import Body, Capture, log_exchange
from modelwatch.sdk.model_log import ModelLog

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Asgi = Callable[[_Message, _Receive, _Send], Awaitable[None]]
_Wsgi = Callable[..., Iterable[bytes]]


class _Middleware[App]:
    """An application, and the routes of it that are captured."""

    def __init__(self, app: App, *, client: ModelLog, capture: Capture | Iterable[Capture]) -> None:
        self._app = app
        self._log = client
        routes = [capture] if isinstance(capture, Capture) else capture
        self._routes: dict[tuple[str, str], Capture] = {}
        for each in routes:
            if self._routes.setdefault((each.method.upper(), each.path), each) is not each:
                problem = f"{each.method.upper()} {each.path} has two; expected one"
                raise InvalidInputError("capture", problem)

    def _route(self, method: str, path: str, root: str) -> Capture | None:
        """Return the mapping of a request; ``root`` is what the application does not see of path.

        Behind a proxy or in a mount, people know a route by either.
        """
        found = self._routes.get((method, path))
        if found is None and root and path.startswith(root):
            found = self._routes.get((method, path[len(root) :]))
        return found


class CaptureASGI(_Middleware[_Asgi]):
    """Middleware for FastAPI, Starlette and any other ASGI application.

    Parameters
    ----------
    app
        The application.
    client
        A `modelwatch.Client` with the model's name and version.
    capture
        The mapping of a route, or of several.

    Examples
    --------
    ::

        app.add_middleware(CaptureASGI, client=client, capture=Capture("/predict"))
    """

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._flushing(send))
            return
        route = None
        if scope["type"] == "http":
            route = self._route(scope["method"], scope["path"], scope.get("root_path", ""))
        if route is None:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._log, route)
        exchange.request.packing = _packing(_texts(scope.get("headers", ())))

        async def received() -> _Message:
            message = await receive()
            if message["type"] == "http.request":
                exchange.request.add(message.get("body", b""))
            return message

        async def sent(message: _Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = str(message["status"])
                exchange.response.packing = _packing(_texts(message.get("headers", ())))
            elif message["type"] == "http.response.body":
                exchange.response.add(message.get("body", b""))
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                # not later: tasks after the response take their time, or fail
                exchange.end()

        await self._app(scope, received, sent)
        exchange.end()

    def _flushing(self, send: _Send) -> _Send:
        """Send what is logged before the server ends: uvicorn's processes may end by a signal.

        Such an end runs nothing of what a program does at its exit.
        """

        async def sent(message: _Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._log.aflush()
            await send(message)

        return sent


class CaptureWSGI(_Middleware[_Wsgi]):
    """Middleware for Flask and any other WSGI application.

    Parameters
    ----------
    app
        The application.
    client
        A `modelwatch.Client` with the model's name and version.
    capture
        The mapping of a route, or of several.

    Examples
    --------
    ::

        app.wsgi_app = CaptureWSGI(app.wsgi_app, client=client, capture=Capture("/predict"))
    """

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve a request."""
        root = _unicode(environ.get("SCRIPT_NAME", ""))
        path = root + _unicode(environ.get("PATH_INFO", ""))
        route = self._route(environ.get("REQUEST_METHOD", ""), path, root)
        if route is None:
            return self._app(environ, start_response)
        exchange = _Exchange(self._log, route)
        exchange.request.packing = environ.get("HTTP_CONTENT_ENCODING", "").lower()
        environ["wsgi.input"] = _Input(environ["wsgi.input"], exchange.request)

        def started(
            status: str, headers: list[tuple[str, str]], *more: Any, **named: Any
        ) -> Callable[[bytes], object]:
            exchange.status = status
            exchange.response.packing = _packing(headers)
            write = start_response(status, headers, *more, **named)

            def written(chunk: bytes) -> object:
                exchange.response.add(chunk)
                return write(chunk)

            return written

        result = self._app(environ, started)
        kind = _SizedResult if isinstance(result, list | tuple) else _Result
        return kind(result, exchange)


def _unicode(path: str) -> str:
    """Return a path as people write it: WSGI has a character for each of its bytes."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _packing(headers: Iterable[tuple[str, str]]) -> str:
    """Return the Content-Encoding that headers say; empty where they say none."""
    said = (value for name, value in headers if name.lower() == "content-encoding")
    return next(said, "").strip().lower()


class _Exchange:
    """One request and its response, as they pass by."""

    def __init__(self, log: ModelLog, route: Capture) -> None:
        self._log = log
        self._route = route
        self._began = time.perf_counter()
        self.request, self.response = Body(route.most_bytes), Body(route.most_bytes)
        self.status = ""

    def end(self) -> None:
        """Log the predictions of a response that is one."""
        if self.status.startswith("2"):
            latency_ms = (time.perf_counter() - self._began) * 1000
            log_exchange(self._log, self._route, self.request, self.response, latency_ms)
        self.status = ""


class _Input:
    """A request's body, which an application reads as it likes."""

    def __init__(self, stream: Any, body: Body) -> None:
        self._stream = stream
        self._body = body

    def __getattr__(self, name: str) -> Any:
        # no way to read that is not WSGI's, such as readinto: it would pass by
        if name.startswith(("read", "peek", "detach")):
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            self._body.add(line)
            yield line

    def read(self, *size: int) -> bytes:
        return self._kept(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._kept(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._kept(line) for line in self._stream.readlines(*hint)]

    def _kept(self, chunk: bytes) -> bytes:
        self._body.add(chunk)
        return chunk


class _Result:
    """A response's body; its exchange ends when the server closes it."""

    def __init__(self, result: Any, exchange: _Exchange) -> None:
        self._result = result
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._result:
            self._exchange.response.add(chunk)
            yield chunk

    def close(self) -> None:
        try:
            if hasattr(self._result, "close"):
                self._result.close()
        finally:
            self._exchange.end()


class _SizedResult(_Result):
    """The same of a list: servers make a Content-Length of the only chunk of a list."""

    def __len__(self) -> int:
        return len(self._result)
