"""The HTTP border of the functions: bodies in, JSON or a problem out, one line of metrics each.

Problems are `application/problem+json` (RFC 9457); where a request is wrong, ``errors`` names all
places that are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NotRequired, Protocol, TypedDict, cast
from urllib.parse import unquote

import msgspec
from chalice.app import Chalice, MultiDict, Request, Response

from modelwatch.errors import (
    Fault,
    InvalidInputError,
    ModelwatchError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    http_status,
    public_text,
    stack_of,
)
from modelwatch.ports.metrics import MetricSink, Sample

_LOG = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode

MAX_BODY_BYTES = 5 * 2**20
"""Largest body that is taken. Lambda takes events of 6 MiB, in which a body is a JSON string."""

_CLOSED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of every response that says nothing else: what is for one caller is kept for no other."""

_TITLES = {
    400: "The request is not valid",
    401: "The request does not show who calls",
    404: "Not found",
    409: "What is stored does not allow this",
    413: "The body is too large",
    415: "Only JSON is taken",
    422: "The model does not take this",
    500: "Something went wrong here",
    503: "Not available now",
}


class ProblemError(TypedDict):
    """One thing that is wrong with a request: the place, empty for the whole, and what it is."""

    field: str
    detail: str


class Problem(TypedDict):
    """Why a request fails (RFC 9457).

    Attributes
    ----------
    detail
        The first thing that is wrong, as a sentence, and how much else is.
    field
        Its place in the body or query, such as ``features.alcohol``; empty for the whole.
    errors
        All that is wrong: the first hundred places, where there are more.
    """

    type: str
    title: str
    status: int
    detail: NotRequired[str]
    field: NotRequired[str]
    errors: NotRequired[list[ProblemError]]


class HttpResponse(msgspec.Struct, frozen=True):
    """What a route returns: a body to encode as JSON, status, headers, further metrics.

    With a ``media_type`` that is not JSON, the body is text and is sent as it is.
    """

    body: Any
    status: int = 200
    samples: Sequence[Sample] = ()
    headers: dict[str, str] | None = None
    media_type: str = "application/json"


def tagged(tag: str, known: str, body: Callable[[], Any]) -> HttpResponse:
    """Return a response that a caller may keep, and 304 to one who has it: ``known`` are its tags.

    ``body`` makes what the response holds, and is not called where no one needs it.
    """
    # a cache asks each time: an analysis may add a result to any window
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    weak = {each.strip().removeprefix("W/") for each in known.split(",")}
    if tag in weak or "*" in weak:
        return HttpResponse("", 304, headers=headers, media_type="text/plain")
    return HttpResponse(body(), headers=headers)


def current_request(app: Chalice) -> Request:
    """Return the request that a route of ``app`` handles."""
    return cast(Request, app.current_request)  # None only outside of a route


def body_of(app: Chalice) -> bytes:
    """Return the body of the request that a route of ``app`` handles."""
    return cast(bytes, current_request(app).raw_body)


def query_of(app: Chalice) -> dict[str, str]:
    """Return the query of the request that a route of ``app`` handles.

    Raises InvalidInputError when a parameter is there twice: only one of its values could be read.
    """
    query = current_request(app).query_params or MultiDict({})
    given = {name: query.getlist(name) for name in query}
    twice = [
        Fault(name, f"is given {len(values)} times; give it once")
        for name, values in given.items()
        if len(values) > 1
    ]
    if twice:
        raise InvalidInputError.of(twice)
    return {name: values[0] for name, values in given.items()}


def by_name[T](find: Callable[[str], T], name: str) -> T:
    """Return what ``find`` has of a name in a path, which some gateways leave as the URL has it."""
    try:
        return find(name)
    except NotFoundError:
        if unquote(name) == name:
            raise
        return find(unquote(name))


def handle_request(
    app: Chalice,
    metrics: MetricSink,
    handler: Callable[[], HttpResponse],
    on_error: Callable[[str], Sample] | None = None,
) -> Response:
    """Run ``handler`` for the current request and turn its result or error into a response.

    Parameters
    ----------
    app
        Chalice's app: its request gives method, route and content type for checks and metrics.
    handler
        Does the work; may raise any `ModelwatchError`.
    on_error
        Makes a further sample from the name of an error that was raised; where it raises a
        `ModelwatchError` itself, there is nothing to count for.
    """

    def run() -> HttpResponse:
        _check_body(current_request(app))
        return handler()

    return _respond(app, metrics, run, on_error)


def _respond(
    app: Chalice,
    metrics: MetricSink,
    run: Callable[[], HttpResponse],
    on_error: Callable[[str], Sample] | None = None,
) -> Response:
    began = time.perf_counter()
    request = current_request(app)
    try:
        result = run()
    except ModelwatchError as error:
        result = problem(error, _counted(error, on_error))
        if result.status >= 500:
            _LOG.error("%s %s: %s", request.method, _endpoint(request), error)
    except Exception as error:  # noqa: BLE001 - the border: a stack trace is for the log
        place = f"{request.method} {_endpoint(request)}"
        _LOG.error("unexpected error in %s:\n%s", place, stack_of(error))
        result = problem(error, _counted(error, on_error))
    route = {"method": request.method, "endpoint": _endpoint(request)}
    metrics.emit(
        [
            Sample("api_requests_total", 1, {**route, "status": str(result.status)}),
            Sample("api_request_latency_seconds", time.perf_counter() - began, route),
            *result.samples,
        ]
    )
    is_json = result.media_type.endswith("json")
    return Response(
        body=_encode(result.body).decode() if is_json else result.body,
        status_code=result.status,
        headers={"Content-Type": result.media_type, **_CLOSED, **(result.headers or {})},
    )


class Door(Protocol):
    """Knows who may call."""

    def admit(self, path: str, authorization: str) -> None:
        """Return if a request for the route ``path`` may come in.

        Raises CallerError when it may not, IssuerError when that is not known.
        """
        ...


def close(app: Chalice, metrics: Callable[[], MetricSink], door: Callable[[], Door]) -> None:
    """Have ``door`` asked before a route of ``app`` runs; a refused request is counted as well."""

    def ask(request: Request, respond: Callable[[Request], Response]) -> Response:
        try:
            door().admit(_endpoint(request), request.headers.get("authorization", ""))
        except ModelwatchError as error:
            refusal = error

            def refuse() -> HttpResponse:
                raise refusal

            return _respond(app, metrics(), refuse)
        return respond(request)

    app.register_middleware(ask, "http")


def _check_body(request: Request) -> None:
    if request.method != "POST":
        return
    given = request.headers.get("content-type", "application/json").partition(";")[0]
    if given.strip().lower() != "application/json":
        raise UnsupportedMediaTypeError(
            f"the body is said to be '{given}'; send it as 'Content-Type: application/json'"
        )
    try:
        size = len(request.raw_body)
    except UnicodeEncodeError:  # an event whose text no body had: whoever invokes it made it up
        raise InvalidInputError("", "the text is not UTF-8") from None
    if size > MAX_BODY_BYTES:
        raise PayloadTooLargeError(f"the body has {size} bytes; at most {MAX_BODY_BYTES} are taken")


def problem(error: Exception, samples: Sequence[Sample] = ()) -> HttpResponse:
    """Return what stands for ``error``: `application/problem+json`, its status by the one table."""
    status = http_status(error) if isinstance(error, ModelwatchError) else 500
    body: Problem = {"type": "about:blank", "title": _TITLES[status], "status": status}
    if isinstance(error, ModelwatchError):
        body["detail"] = public_text(error)
    if isinstance(error, InvalidInputError):
        body["field"] = error.field
        body["errors"] = [ProblemError(field=f, detail=each) for f, each in error.faults]
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return HttpResponse(body, status, samples, headers, media_type="application/problem+json")


def _counted(error: Exception, on_error: Callable[[str], Sample] | None) -> list[Sample]:
    if on_error is None:
        return []
    try:
        return [on_error(type(error).__name__)]
    except ModelwatchError:  # there is no service to count for
        return []


def _endpoint(request: Request) -> str:
    # the route, not the path: a path would be a label that grows with traffic
    return str(request.context.get("resourcePath", request.path))
