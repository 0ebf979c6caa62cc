"""Calls the APIs of a deployment: predictions, records, labels, analyses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import httpx
import msgspec

from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.errors import Fault, InvalidInputError, ModelwatchError
from modelwatch.services.contract import (
    AcceptedMany,
    BatchResponse,
    ModelInfo,
    PredictResponse,
    Row,
    Variants,
)

_TRIES = 4
_TIMEOUT_SECONDS = 35.0
_ANALYSIS_SECONDS = 120.0
_REFUSED_UNDONE = (429, 503)
"""Statuses that say that nothing was done: any request may be repeated."""


class Analysis(msgspec.Struct, frozen=True):
    """What an analysis found: results, and by model version why it has none."""

    results: list[AnalysisResult]
    failures: dict[str, str] = {}


# prepared here: two threads that read a type for the first time at once end the process
_accepted = msgspec.json.Decoder(AcceptedMany).decode
_analysis = msgspec.json.Decoder(Analysis).decode
_batch = msgspec.json.Decoder(BatchResponse).decode
_info = msgspec.json.Decoder(ModelInfo).decode
_prediction = msgspec.json.Decoder(PredictResponse).decode
_variants = msgspec.json.Decoder(Variants).decode
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


class Client:
    """The APIs of one deployment; `modelwatch urls` prints their addresses.

    A request that fails is repeated up to three times, with growing pauses, where that cannot count
    anything twice: predictions of one row and records carry an event id, labels are the same twice.
    A batch of predictions or an analysis is repeated only if it was surely not done. Use one client
    for many requests, from any number of threads, and close it.

    Parameters
    ----------
    predict, capture, analyze
        Addresses of the APIs that are used; the others may be left out.
    auth
        What each request shows of who sends it, such as ``ApiAuth(key)``. Each API has a key of its
        own: make a client for each.
    pause
        Waits for a number of seconds before another try.

    Examples
    --------
    ::

        with Client(predict="http://127.0.0.1:4566/_aws/execute-api/abc/api") as client:
            client.predict({"alcohol": 13.6, "ash": 2.4}).prediction
    """

    def __init__(
        self,
        *,
        predict: str = "",
        capture: str = "",
        analyze: str = "",
        auth: httpx.Auth | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._urls = {"predict": predict, "capture": capture, "analyze": analyze}
        self._pause = pause
        self._http = httpx.Client(headers={"Content-Type": "application/json"}, auth=auth)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        features: Row,
        *,
        feature_names: Sequence[str] | None = None,
        event_id: str | None = None,
        routing_key: str | None = None,
    ) -> PredictResponse:
        """Return the prediction for one row.

        Parameters
        ----------
        features
            Values by name, or a list in the model's order or in that of ``feature_names``.
        event_id
            UUID of yours, by which labels find the prediction; by default a new one.
        routing_key
            The same variant serves all requests with the same key.

        Raises
        ------
        ApiError
            When the API refuses the row, or does not respond.
        """
        body = _given(
            features=features,
            feature_names=feature_names,
            event_id=event_id or new_event_id(time.time_ns() // 1_000_000),
            routing_key=routing_key,
        )
        return self._call("predict", "POST", "/predict", _prediction, body, repeat=True)

    def predict_batch(
        self,
        rows: Sequence[Row],
        *,
        feature_names: Sequence[str] | None = None,
        routing_key: str | None = None,
    ) -> BatchResponse:
        """Return the predictions for up to 10,000 rows; null and an error for one without.

        Raises
        ------
        ApiError
            When the API refuses the rows, or does not respond.
        """
        body = _given(rows=rows, feature_names=feature_names, routing_key=routing_key)
        return self._call("predict", "POST", "/predict/batch", _batch, body)

    def model_info(self) -> ModelInfo:
        """Return what serves: version, columns, metrics. Raises ApiError."""
        return self._call("predict", "GET", "/model/info", _info, repeat=True)

    def reload(self) -> Variants:
        """Serve the registry's current versions in every environment, now. Raises ApiError."""
        return self._call(
            "predict", "POST", "/model/reload", _variants, {}, seconds=_ANALYSIS_SECONDS
        )

    def capture(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Send predictions of another application to be monitored, all or none; return event ids.

        Parameters
        ----------
        records
            As ``POST /capture`` takes them. One without ``event_id`` gets a new one.

        Raises
        ------
        ApiError
            When the API refuses a record, with its place in ``faults``, or does not respond.
        """
        now_ms = time.time_ns() // 1_000_000
        body = [{"event_id": new_event_id(now_ms), **each} for each in records]
        path = "/capture/batch"
        return self._call("capture", "POST", path, _accepted, body, repeat=True)["event_ids"]

    def send_labels(self, labels: Sequence[Any]) -> int:
        """Send what predictions should have been, all or none; return how many were accepted.

        Parameters
        ----------
        labels
            Mappings, some thousands at once: ``event_id`` and ``label``, and optionally
            ``predicted_at``, ``labelled_at`` and ``source``.

        Raises
        ------
        ApiError
            When the API refuses a label, with its place in ``faults``, or does not respond.
        """
        found = self._call("capture", "POST", "/ground-truth", _accepted, labels, repeat=True)
        return found["accepted"]

    def analyze(
        self,
        *,
        window_seconds: int | None = None,
        window_end: datetime | None = None,
        min_rows: int | None = None,
        with_report: bool = False,
    ) -> Analysis:
        """Analyze a window now, without waiting for the schedule.

        Parameters
        ----------
        window_seconds, min_rows
            Length of the window, and fewest rows that allow a verdict; by default the settings'.
        window_end
            Its end, with a time zone; by default now, less the time that captures need to arrive.
        with_report
            Make the HTML report even without drift.

        Raises
        ------
        ApiError
            When the API refuses the request, or does not respond.
        """
        body = _given(
            window_seconds=window_seconds,
            window_end=window_end,
            min_rows=min_rows,
            with_report=with_report,
        )
        return self._call("analyze", "POST", "/analyze", _analysis, body, seconds=_ANALYSIS_SECONDS)

    def results(self) -> list[AnalysisResult]:
        """Return the newest results, newest first. Raises ApiError."""
        return self._call("analyze", "GET", "/reports", _analysis, repeat=True).results

    def _call[T](
        self,
        app: str,
        method: str,
        path: str,
        decode: Callable[[bytes], T],
        body: object = None,
        *,
        repeat: bool = False,
        seconds: float = _TIMEOUT_SECONDS,
    ) -> T:
        if not self._urls[app]:
            raise ApiError(path, 0, f"the client was made without the address of {app}")
        url = self._urls[app].rstrip("/") + path
        try:
            content = None if body is None else _encode(body)
        except (TypeError, ValueError) as error:
            raise InvalidInputError("", str(error)) from None
        for attempt in range(1, _TRIES + 1):
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
            if not again or attempt == _TRIES:
                raise problem
            self._pause(2.0**attempt / 4)
        raise AssertionError("the last try returns or raises")


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


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
