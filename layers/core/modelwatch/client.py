"""Calls the APIs of a deployment: predictions, records, labels, analyses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import httpx
import msgspec

from modelwatch.calls import Calls
from modelwatch.domain.event_ids import new_event_id
from modelwatch.results_reading import ResultCalls, ask
from modelwatch.sdk.model_log import ModelLog
from modelwatch.services.contract import (
    AcceptedMany,
    BatchResponse,
    ModelInfo,
    PredictResponse,
    Row,
    Variants,
)

if TYPE_CHECKING:
    from modelwatch.result_forms import Analysis
    from modelwatch.result_table import Results

_RELOAD_SECONDS = 120.0
ANALYSIS_SECONDS = 1_800.0
"""An analysis is started within 15 minutes and ends within as many, or failed."""


# prepared here: two threads that read a type for the first time at once end the process
_accepted = msgspec.json.Decoder(AcceptedMany).decode
_batch = msgspec.json.Decoder(BatchResponse).decode
_info = msgspec.json.Decoder(ModelInfo).decode
_prediction = msgspec.json.Decoder(PredictResponse).decode
_variants = msgspec.json.Decoder(Variants).decode


class Client(ModelLog, ResultCalls):
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
    model_name, model_version, variant
        Of what `log` logs.
    raises
        Whether `log`, `log_batch` and `label` raise what they otherwise only count.

    Raises
    ------
    InvalidInputError
        When an address, the name or the version cannot be one.

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
        model_name: str = "",
        model_version: str | int = "",
        variant: str = "",
        raises: bool = False,
    ) -> None:
        urls = {"predict": predict, "capture": capture, "analyze": analyze}
        self._calls = Calls(urls, auth, pause)
        super().__init__(
            self._calls,
            model_name=model_name,
            model_version=model_version,
            variant=variant,
            raises=raises,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Send what is logged, for five seconds at most, and close the connections."""
        self._close_log()
        self._calls.close()

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
        return self._calls.call("predict", "POST", "/predict", _prediction, body, repeat=True)

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
        return self._calls.call("predict", "POST", "/predict/batch", _batch, body)

    def model_info(self) -> ModelInfo:
        """Return what serves: version, columns, metrics. Raises ApiError."""
        return self._calls.call("predict", "GET", "/model/info", _info, repeat=True)

    def reload(self) -> Variants:
        """Serve the registry's current versions in every environment, now. Raises ApiError."""
        return self._calls.call(
            "predict", "POST", "/model/reload", _variants, {}, seconds=_RELOAD_SECONDS
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
        return self._calls.call("capture", "POST", path, _accepted, body, repeat=True)["event_ids"]

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
        found = self._calls.call("capture", "POST", "/ground-truth", _accepted, labels, repeat=True)
        return found["accepted"]

    def analyze(
        self,
        *,
        model_name: str | None = None,
        model_version: str | None = None,
        window_seconds: int | None = None,
        window_end: datetime | None = None,
        min_rows: int | None = None,
        with_report: bool = False,
        wait_seconds: float = ANALYSIS_SECONDS,
        on_wait: Callable[[float], object] = lambda _seconds: None,
    ) -> Analysis:
        """Analyze a window now, without waiting for the schedule.

        Parameters
        ----------
        model_name
            Only this model; by default all.
        model_version
            Only this version of it; by default all.
        window_seconds, min_rows
            Length of the window, and fewest rows that allow a verdict; by default those of the
            model's monitor, else the settings'.
        window_end
            Its end, with a time zone; by default now, less the time that captures need to arrive.
        with_report
            Make the HTML report even without drift.
        wait_seconds
            Longest wait for an analysis that takes longer than 20 s.
        on_wait
            Called now and then with the seconds waited for it.

        Raises
        ------
        ApiError
            When the API refuses the request or does not respond, the analysis failed, or it is not
            done in time: with the status 202, and where its results will be.
        """
        body = _given(
            model_name=model_name,
            model_version=model_version,
            window_seconds=window_seconds,
            window_end=window_end,
            min_rows=min_rows,
            with_report=with_report,
        )
        return ask(self._calls, body, wait_seconds, on_wait)


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def results(
    model: str,
    *,
    analyze: str,
    version: str = "",
    since: str | datetime | timedelta | None = "P7D",
    until: str | datetime | None = None,
    limit: int | None = None,
    auth: httpx.Auth | None = None,
) -> Results:
    """Return a model's results: scores, critical scores, verdicts and performance over time.

    They come from the analyze API and not from the bucket: who may see results can read them so,
    on every S3 and cloud, without names of buckets, further rights or libraries.

    Parameters
    ----------
    model
        Its name.
    analyze
        Address of the analyze API; `modelwatch urls` prints it.
    version, since, until, limit
        As `Client.results` takes them.
    auth
        What a closed API asks for, such as ``ApiAuth(key)``.

    Raises
    ------
    ApiError
        When there is no result of that name, or the API refuses or does not respond.
    InvalidInputError
        When a time or the limit is none.

    Examples
    --------
    ::

        table = modelwatch.results("wine", since="P30D", analyze=analyze_url).to_pandas()
        ash = table[table.feature == "ash"].set_index("window_end")
        ash[["score", "critical_score"]].plot()
    """
    with Client(analyze=analyze, auth=auth) as client:
        return client.results(model, version=version, since=since, until=until, limit=limit)
