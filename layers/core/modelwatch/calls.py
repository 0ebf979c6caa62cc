"""Requests to the APIs of a deployment: what is repeated, and what an error says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import httpx
import msgspec

from modelwatch.errors import Fault, InvalidInputError, ModelwatchError
from modelwatch.forking import forget_after_fork

_TRIES = 4
_REFUSED_UNDONE = (429, 503)
"""Statuses that say that nothing was done: any request may be repeated."""

TIMEOUT_SECONDS = 35.0

_any = msgspec.json.Decoder().decode


def _plain(value: object) -> object:
    """Return numpy's numbers and arrays as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be sent")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


class ApiError(ModelwatchError):
    """An API refused a request, did not respond, or is another API than modelwatch's.

    Attributes
    ----------
    url
        What was called.
    status
        The HTTP status; 0 when there was no response.
    faults
        What is wrong with the request, field by field, where the API says so.
    """

    def __init__(self, url: str, status: int, detail: str, faults: Sequence[Fault] = ()) -> None:
        self.url = url
        self.status = status
        self.detail = detail
        self.faults = tuple(faults)
        super().__init__(f"{url}: {f'{status}: ' if status else ''}{detail}")


class Calls:
    """Sends requests to APIs, from any number of threads; a forked child has its own connections.

    Parameters
    ----------
    urls
        Address by app; empty where it is not known.
    auth
        What each request shows of who sends it.
    pause
        Waits for a number of seconds before another try.

    Raises
    ------
    InvalidInputError
        When an address does not begin with http:// or https://.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        auth: httpx.Auth | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._urls = {app: _address(app, url) for app, url in urls.items()}
        self._auth = auth
        self._pause = pause
        self._http = self._opened()
        forget_after_fork(self)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def forget(self) -> None:
        """Open connections of one's own, in a forked child."""
        self._http = self._opened()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._pause(seconds)

    def call[T](
        self,
        app: str,
        method: str,
        path: str,
        decode: Callable[[bytes], T],
        body: object = None,
        *,
        repeat: bool = False,
        seconds: float = TIMEOUT_SECONDS,
        tries: int = _TRIES,
    ) -> T:
        """Return the response to a request, decoded.

        Parameters
        ----------
        body
            Bytes of JSON, or what becomes JSON.
        repeat
            Whether the request may be done twice.

        Raises
        ------
        ApiError
            When the API refuses the request, or does not respond.
        InvalidInputError
            When the body cannot be JSON.
        """
        if not self._urls[app]:
            raise ApiError(path, 0, f"the client was made without the address of {app}")
        url = self._urls[app] + path
        try:
            content = body if body is None or isinstance(body, bytes) else _encode(body)
        except (TypeError, ValueError) as error:
            raise InvalidInputError("", str(error)) from None
        for attempt in range(1, tries + 1):
            try:
                response = self._http.request(method, url, content=content, timeout=seconds)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                again = isinstance(error, httpx.TransportError) and (
                    repeat or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                )
                problem = ApiError(url, 0, f"does not respond: {error or type(error).__name__}")
            else:
                if response.is_success:
                    return _read(url, response, decode)
                problem = _refusal(url, response)
                status = response.status_code
                again = status in _REFUSED_UNDONE or (repeat and status >= 500)
            if not again or attempt == tries:
                raise problem
            self._pause(2.0**attempt / 4)
        raise AssertionError("the last try returns or raises")

    def _opened(self) -> httpx.Client:
        return httpx.Client(headers={"Content-Type": "application/json"}, auth=self._auth)


def _address(app: str, url: str) -> str:
    found = url.strip().rstrip("/")
    if found and not found.lower().startswith(("http://", "https://")):
        problem = f"'{found:.80}' is no address of an API: it begins with http:// or https://"
        raise InvalidInputError(app, problem)
    return found


def _read[T](url: str, response: httpx.Response, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(response.content)
    except msgspec.MsgspecError as error:
        raise ApiError(
            url, response.status_code, f"the response is not in modelwatch's form: {error}"
        ) from None


def _refusal(url: str, response: httpx.Response) -> ApiError:
    """Return the error that a response says, `application/problem+json` or not."""
    try:
        said = _any(response.content)
    except msgspec.MsgspecError:
        said = None
    if not isinstance(said, dict) or "detail" not in said:
        return ApiError(url, response.status_code, response.text[:300] or response.reason_phrase)
    listed = said.get("errors")
    faults = [
        Fault(str(each.get("field", "")), str(each.get("detail", "")))
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
    ]
    return ApiError(url, response.status_code, str(said["detail"]), faults)
