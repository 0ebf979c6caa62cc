"""Sends prediction requests on schedule, and counts the responses.

The loop is open: a request is sent at its planned time, even if earlier ones have no response
yet, and its latency counts from that time. So a slow server shows as latency and does not slow
the traffic down. A machine that is too slow to send in time shows as late requests.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np

from modelwatch_cli.traffic.labels import Outcome, Predicted

TIMEOUT_SECONDS = 35.0

UNPACED_REQUESTS = 8
"""Requests in flight at once if they are sent as fast as possible."""

LOCAL_REQUESTS = 64
"""The most in flight at once on a stack of this machine: its functions serve a few at a time, and
more would wait until they time out."""

MOST_REQUESTS = 4096
"""The same anywhere else."""

LATE_SECONDS = 0.1
"""A request that starts this long after its planned time is late."""

NO_RESPONSE = "no response"
"""In place of a status if the connection failed."""

NO_PREDICTION = "no prediction"
"""In place of a status if the response was a success without a prediction."""

_SPARE_FILES = 128
_TICK_SECONDS = 0.25
_MAX_CLASSES = 20

Row = Mapping[str, object]
Post = Callable[[Row], Awaitable[tuple[int, Any]]]
"""Sends a row; returns the status and the body, which is text if it is no JSON."""


@dataclass(slots=True)
class LoadSummary:
    """The results of a run of requests so far.

    Attributes
    ----------
    statuses
        Number of responses by HTTP status, or by `NO_RESPONSE` and `NO_PREDICTION`.
    at_limit
        How many requests had to wait until an earlier one ended: too many were in flight.
    latencies_ms
        Of every request with a response, in milliseconds since its planned time.
    predicted
        The returned predictions, in the order of the rows; empty without ``keep``.
    numbers, classes
        The predictions: numbers, and how often each other value came.
    sent, late, latest_seconds
        How many requests were started, how many of them late, and by how much at most.
    duration_seconds
        From the first request to the last response.
    sending_seconds
        From the first request to the start of the last.
    began
        When the first request was sent, in UTC.
    first_problem
        The first response without a prediction.
    interrupted
        Whether it was interrupted, if only while the last responses were waited for.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))
    predicted: list[Predicted] = field(default_factory=list)
    numbers: array[float] = field(default_factory=lambda: array("d"))
    classes: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    late: int = 0
    latest_seconds: float = 0.0
    at_limit: int = 0
    duration_seconds: float = 0.0
    sending_seconds: float = 0.0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    first_problem: str = ""
    interrupted: bool = False

    @property
    def event_ids(self) -> list[str]:
        """Of the returned predictions."""
        return [each.event_id for each in self.predicted]

    @property
    def predictions(self) -> int:
        """How many requests got a prediction."""
        return len(self.numbers) + self.classes.total()

    @property
    def failures(self) -> int:
        """How many requests got none."""
        return self.statuses.total() - self.predictions

    @property
    def rate(self) -> float:
        """Requests a second that were sent; NaN below two of them."""
        return (self.sent - 1) / self.sending_seconds if self.sending_seconds > 0 else np.nan

    def percentile_ms(self, percent: float, newest: int | None = None) -> float:
        """Return a percentile of the (newest) latencies in milliseconds; NaN without responses."""
        values = self.latencies_ms[-newest:] if newest else self.latencies_ms
        return float(np.percentile(values, percent)) if values else np.nan

    def by_class(self) -> dict[str, int] | None:
        """Return how often each value was predicted; None if there are too many numbers."""
        numbers = Counter(f"{number:g}" for number in self.numbers)
        if len(numbers) > _MAX_CLASSES:
            return None
        return dict(sorted((numbers + self.classes).items()))

    def quantiles(self) -> dict[str, float]:
        """Return quantiles of the numbers that were predicted."""
        percents = (5, 25, 50, 75, 95)
        values = np.percentile(self.numbers, percents) if self.numbers else [np.nan] * 5
        return {f"p{each}": float(value) for each, value in zip(percents, values, strict=True)}


def send_predictions(
    url: str,
    rows: Iterable[Row],
    due: Iterable[float] | None,
    *,
    auth: httpx.Auth | None = None,
    most: int = MOST_REQUESTS,
    keep: bool = True,
    on_tick: Callable[[LoadSummary], None] = lambda _: None,
) -> LoadSummary:
    """Send each of ``rows`` to ``POST {url}/predict``, until the shorter of the two ends.

    Ctrl-C, or a termination, ends it sooner: it waits for requests in flight.

    Parameters
    ----------
    due
        When each is sent, in seconds from now, rising; None for as fast as possible, up to
        `UNPACED_REQUESTS` at once.
    auth
        What each request shows of who sends it.
    most
        How many may be in flight at once; further requests start late.
    keep
        Keep each returned prediction, for labels and for finding it on S3.
    """

    async def run() -> LoadSummary:
        with _stopping() as stop:
            async with _client(url, auth) as post:
                sent = send(post, rows, due, most=most, keep=keep, on_tick=on_tick, stop=stop)
                summary = await sent
        # last: an interrupt counts until here, also when all was sent
        summary.interrupted = stop.is_set()
        return summary

    return asyncio.run(run())


async def send(
    post: Post,
    rows: Iterable[Row],
    due: Iterable[float] | None,
    *,
    most: int = MOST_REQUESTS,
    keep: bool = True,
    on_tick: Callable[[LoadSummary], None] = lambda _: None,
    stop: asyncio.Event | None = None,
) -> LoadSummary:
    """Send ``rows`` by ``post`` as `send_predictions` does; times are those of the event loop."""
    clock = asyncio.get_running_loop().time
    stop = stop or asyncio.Event()
    summary = LoadSummary()
    predicted: dict[int, Predicted] = {}
    slots = asyncio.Semaphore(_possible(most) if due is not None else min(most, UNPACED_REQUESTS))
    began = clock()

    async def one(index: int, row: Row, due_at: float) -> None:
        try:
            status, body = await post(row)
        except (httpx.HTTPError, OSError) as error:
            status, body = 0, f"{type(error).__name__}: {error}"
        finally:
            slots.release()
        now = clock()
        summary.duration_seconds = now - began
        if status:
            summary.latencies_ms.append((now - due_at) * 1000)
        found = _note(summary, status, body, now)
        if found is not None and keep:
            predicted[index] = found

    async def tick() -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            summary.duration_seconds = clock() - began
            on_tick(summary)

    async def start_all(group: set[asyncio.Task[None]]) -> None:
        times = iter(due) if due is not None else None
        for index, row in enumerate(rows):
            offset = next(times, None) if times else 0.0
            if offset is None or not await _sleep_until(began + offset, clock, stop):
                return
            summary.at_limit += slots.locked()
            await slots.acquire()
            now = clock()
            # without a schedule a request is due when it can be sent
            due_at = began + offset if times else now
            summary.sent += 1
            summary.sending_seconds = now - began
            late = now - due_at
            summary.late += late > LATE_SECONDS
            summary.latest_seconds = max(summary.latest_seconds, late)
            task = asyncio.create_task(one(index, row, due_at))
            group.add(task)
            task.add_done_callback(group.discard)

    under_way: set[asyncio.Task[None]] = set()
    ticker = asyncio.create_task(tick())
    try:
        await start_all(under_way)
        await asyncio.gather(*under_way)
    finally:
        ticker.cancel()
    summary.predicted = [predicted[index] for index in sorted(predicted)]
    on_tick(summary)
    return summary


def _note(summary: LoadSummary, status: int, body: Any, now: float) -> Predicted | None:
    """Count a response; return its prediction if it has an event id."""
    prediction = body.get("prediction") if isinstance(body, dict) else None
    succeeded = 200 <= status < 300
    if not succeeded or prediction is None or not isinstance(prediction, Outcome):
        summary.statuses[
            (NO_PREDICTION if succeeded else str(status)) if status else NO_RESPONSE
        ] += 1
        summary.first_problem = summary.first_problem or str(body)[:500]
        return None
    summary.statuses[str(status)] += 1
    if isinstance(prediction, int | float) and not isinstance(prediction, bool):
        summary.numbers.append(prediction)
    else:
        summary.classes[str(prediction)] += 1
    names = ("event_id", "timestamp", "model_name", "model_version")
    event_id, timestamp, name, version = (str(body.get(each, "")) for each in names)
    return Predicted(event_id, prediction, timestamp, now, name, version) if event_id else None


async def _sleep_until(at: float, clock: Callable[[], float], stop: asyncio.Event) -> bool:
    """Return whether the time came before ``stop`` was set."""
    if stop.is_set():
        return False
    seconds = at - clock()
    if seconds <= 0:
        # process responses, even if the schedule is late
        await asyncio.sleep(0)
        return True
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return True
    return False


@asynccontextmanager
async def _client(url: str, auth: httpx.Auth | None) -> AsyncIterator[Post]:
    # one connection per request in flight, kept for the next ones
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, auth=auth) as client:

        async def post(row: Row) -> tuple[int, Any]:
            response = await client.post(f"{url}/predict", json={"features": row})
            try:
                return response.status_code, response.json()
            except ValueError:
                return response.status_code, response.text

        yield post


@contextmanager
def _stopping() -> Iterator[asyncio.Event]:
    """Yield an event that the first Ctrl-C sets; the second Ctrl-C ends the process."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for each, handler in before.items():
            loop.remove_signal_handler(each)
            signal.signal(each, handler)

    def asked() -> None:
        stop.set()
        restore()

    for each in before:
        loop.add_signal_handler(each, asked)
    try:
        yield stop
    finally:
        restore()


def _possible(most: int) -> int:
    """Return how many requests may be in flight at once: each needs a file of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return most if soft == resource.RLIM_INFINITY else min(soft, wanted) - _SPARE_FILES
