"""Sending predictions at a steady rate, and what came of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np

from modelwatch_cli.traffic.labels import Answered

CLIENTS = 8
"""Requests under way at once."""

NO_ANSWER = "no answer"
"""In place of a status where the connection failed."""


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """What a run of requests gave.

    Attributes
    ----------
    statuses
        Number of answers by HTTP status; `NO_ANSWER` where there was none.
    latencies_ms
        Of every answered request, in milliseconds.
    answered
        The predictions that were answered, in the order of the rows.
    duration_seconds
        From the first request to the last answer.
    first_problem
        Body of the first answer that was not a prediction.
    """

    statuses: dict[str, int]
    latencies_ms: list[float]
    answered: list[Answered]
    duration_seconds: float
    first_problem: str

    @property
    def event_ids(self) -> list[str]:
        """Of the predictions that were answered."""
        return [each.event_id for each in self.answered]

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies in milliseconds; NaN without answers."""
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else np.nan


def send_predictions(
    url: str,
    rows: Sequence[dict[str, object]],
    rate: float | None,
    on_answer: Callable[[], None] = lambda: None,
) -> LoadSummary:
    """Send each of ``rows`` to ``POST {url}/predict``.

    Parameters
    ----------
    rate
        Requests per second, started on time whether or not earlier ones are answered (up to
        `CLIENTS` at once); None for as fast as they go.
    on_answer
        Called after each request, from several threads.
    """
    statuses: Counter[str] = Counter()
    latencies_ms: list[float] = []
    answered: dict[int, Answered] = {}
    problems: list[str] = []
    lock = threading.Lock()

    with httpx.Client(timeout=35, limits=httpx.Limits(max_connections=CLIENTS)) as client:

        def send(index: int) -> None:
            if rate:
                time.sleep(max(0.0, began + index / rate - time.perf_counter()))
            sent = time.perf_counter()
            answer: Answered | None = None
            try:
                response = client.post(f"{url}/predict", json={"features": rows[index]})
                status, body = str(response.status_code), response.text
                if response.is_success:
                    answer = _answered(response)
            except (httpx.HTTPError, ValueError, KeyError) as error:
                status, body = NO_ANSWER, str(error)
            with lock:
                statuses[status] += 1
                if status != NO_ANSWER:
                    latencies_ms.append((time.perf_counter() - sent) * 1000)
                if answer:
                    answered[index] = answer
                else:
                    problems.append(body)
            on_answer()

        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(send, index) for index in range(len(rows))]:
                done.result()
    return LoadSummary(
        dict(sorted(statuses.items())),
        latencies_ms,
        [answered[index] for index in sorted(answered)],
        time.perf_counter() - began,
        problems[0] if problems else "",
    )


def _answered(response: httpx.Response) -> Answered:
    body = response.json()
    return Answered(
        body["event_id"],
        body["prediction"],
        body["timestamp"],
        time.monotonic(),
        body["model_name"],
        body["model_version"],
    )
