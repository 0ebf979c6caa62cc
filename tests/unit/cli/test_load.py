"""The open loop on a clock of its own: what is slow or fails does not change when is sent what."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modelwatch_cli.deployment.cloudformation.calling import ApiAuth
from modelwatch_cli.traffic.load import (
    NO_PREDICTION,
    NO_RESPONSE,
    UNPACED_REQUESTS,
    LoadSummary,
    Row,
    send,
    send_predictions,
)
from stand_in import Request, stand_in


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to what is due next: seconds pass in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


class Api:
    """A predict API that takes ``seconds`` for a response, on the virtual clock."""

    def __init__(self, seconds: float = 0.0, status: int = 200, body: Any = None) -> None:
        self.seconds, self.status = seconds, status
        self.body = body if body is not None else {"prediction": 1, "event_id": "e"}
        self.started: list[float] = []
        self.under_way = self.most = 0

    async def post(self, _row: Row) -> tuple[int, Any]:
        self.started.append(asyncio.get_running_loop().time() - 1000.0)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        return self.status, self.body


def run(api: Api, due: list[float] | None, count: int, **options: Any) -> LoadSummary:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(send(api.post, [{"n": n} for n in range(count)], due, **options))


def test_a_slow_server_does_not_slow_the_schedule_and_latency_counts_from_due():
    due = [number / 50 for number in range(500)]
    api = Api(seconds=7)
    summary = run(api, due, 500)
    assert api.started == pytest.approx(due, abs=1e-6)
    assert api.most == 350
    assert summary.latencies_ms == pytest.approx([7000] * 500, abs=0.01)
    assert (summary.late, summary.rate) == (0, pytest.approx(50))
    assert summary.duration_seconds == pytest.approx(16.98)


def test_a_machine_that_does_not_keep_up_says_so_and_latency_still_counts_from_due():
    class Busy(Api):
        async def post(self, row: Row) -> tuple[int, Any]:
            # the machine is held up: no other request can start meanwhile
            asyncio.get_running_loop().now += 0.05  # type: ignore[attr-defined]
            return await super().post(row)

    due = [number / 100 for number in range(100)]
    summary = run(Busy(), due, 100)
    assert summary.late > 80
    assert summary.latest_seconds == pytest.approx(99 * 0.05 - 0.99, abs=0.06)
    assert max(summary.latencies_ms) == pytest.approx(summary.latest_seconds * 1000 + 50, abs=60)


def test_too_many_under_way_start_late_and_say_so():
    due = [number / 10 for number in range(20)]
    api = Api(seconds=1)
    summary = run(api, due, 20, most=4)
    assert api.most == 4
    assert (summary.at_limit, summary.late) == (16, 16)
    # four a second get a response where ten are due
    assert max(summary.latencies_ms) == pytest.approx((4.3 + 1 - 1.9) * 1000, abs=1)


def test_without_a_schedule_a_few_are_under_way_at_once():
    api = Api(seconds=1)
    summary = run(api, None, 20)
    assert api.most == UNPACED_REQUESTS
    assert summary.latencies_ms == pytest.approx([1000] * 20)
    assert summary.late == 0


def test_the_shorter_of_rows_and_schedule_ends_it():
    assert run(Api(), [0.0, 0.1], 20).sent == 2
    assert run(Api(), [0.0, 0.1, 0.2], 1).sent == 1


@pytest.mark.parametrize(
    ("status", "body", "counted"),
    [
        (503, {"detail": "no model"}, "503"),
        (200, "<html>", NO_PREDICTION),
        (200, {"result": 1}, NO_PREDICTION),
        (200, {"prediction": [1]}, NO_PREDICTION),
    ],
)
def test_responses_that_are_no_predictions_are_counted(status, body, counted):
    summary = run(Api(status=status, body=body), [0.0, 0.0], 2)
    assert summary.statuses == {counted: 2}
    assert (summary.failures, summary.predictions) == (2, 0)
    assert summary.first_problem == str(body)


def test_no_response_is_counted_and_has_no_latency():
    class Away(Api):
        async def post(self, _row: Row) -> tuple[int, Any]:
            raise ConnectionRefusedError("refused")

    summary = run(Away(), [0.0], 1)
    assert summary.statuses == {NO_RESPONSE: 1}
    assert list(summary.latencies_ms) == []
    assert summary.first_problem == "ConnectionRefusedError: refused"


def test_a_response_without_an_event_id_is_a_prediction_that_cannot_be_found_again():
    summary = run(Api(body={"prediction": "red"}), [0.0], 1)
    assert summary.by_class() == {"red": 1}
    assert summary.predicted == []


def test_few_values_are_classes_and_many_are_quantiles():
    few, many = LoadSummary(), LoadSummary()
    few.numbers.extend([1, 2, 2])
    many.numbers.extend(number / 10 for number in range(101))
    assert few.by_class() == {"1": 1, "2": 2}
    assert many.by_class() is None
    assert many.quantiles() == pytest.approx(
        {"p5": 0.5, "p25": 2.5, "p50": 5, "p75": 7.5, "p95": 9.5}
    )


def test_a_stop_ends_it_and_what_is_under_way_is_waited_for():
    async def stopped() -> LoadSummary:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(1.05, stop.set)
        api = Api(seconds=3)
        rows = [{} for _ in range(100)]
        return await send(api.post, rows, [n / 10 for n in range(100)], stop=stop)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        summary = runner.run(stopped())
    assert (summary.sent, summary.statuses["200"]) == (11, 11)


def test_it_is_shown_now_and_then_and_at_the_end():
    seen: list[int] = []
    run(Api(), [0.0, 1.0, 2.0], 3, on_tick=lambda summary: seen.append(summary.sent))
    assert sorted(seen) == seen
    assert (len(seen) >= 8, seen[-1]) == (True, 3)


@pytest.fixture
def api_url() -> Iterator[str]:
    """A real server that asks for a key, and holds each response back for a second."""

    def respond(request: Request) -> tuple[int, object]:
        if request.path != "/predict" or request.headers["x-api-key"] != "secret":
            return 403, {}
        time.sleep(1)
        return 200, {"prediction": 1.5}

    with stand_in(respond) as url:
        yield url


def test_a_real_server_gets_the_key_and_requests_overlap(api_url):
    due = [number / 20 for number in range(20)]
    summary = send_predictions(api_url, [{}] * 20, due, auth=ApiAuth("secret"))
    assert summary.statuses == {"200": 20}
    # each takes the server a second
    assert summary.duration_seconds < 20
    assert send_predictions(api_url, [{}], [0.0]).statuses == {"403": 1}


def test_ctrl_c_ends_with_what_was_sent(api_url):
    before = signal.getsignal(signal.SIGINT)

    def rows():
        for number in range(10_000):
            if number == 5:
                os.kill(os.getpid(), signal.SIGINT)
            yield {}

    due = (number / 10 for number in range(10_000))
    summary = send_predictions(api_url, rows(), due, auth=ApiAuth("secret"))
    assert summary.interrupted
    assert summary.statuses == {"200": summary.sent}
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_the_last_response_is_waited_for_is_no_whole_run():
    def respond(_: Request) -> tuple[int, object]:
        os.kill(os.getpid(), signal.SIGINT)
        return 200, {"prediction": 1.5}

    with stand_in(respond) as url:
        summary = send_predictions(url, [{}], None)
    assert (summary.sent, summary.statuses, summary.interrupted) == (1, {"200": 1}, True)
