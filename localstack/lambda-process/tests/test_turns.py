"""A function has as many environments as the setting says; the calls beyond wait their turn."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from localstack.aws.api.lambda_ import TooManyRequestsException

from localstack_lambda_process.settings import CONCURRENCY_VARIABLE, Settings
from localstack_lambda_process.turns import Turns

SLOW = """
import os, time
def handler(event, context):
    if "folder" in event:
        open(os.path.join(event["folder"], str(os.getpid())), "w").close()
        while not os.path.exists(os.path.join(event["folder"], "go")):
            time.sleep(0.01)
    time.sleep(0.2)
    return {"pid": os.getpid(), "code": "old"}
"""


@pytest.fixture
def bounded(start_localstack: Callable[..., Any], account_type: Any, tmp_path: Path) -> Any:
    localstack = start_localstack(**{CONCURRENCY_VARIABLE: "2"})
    localstack.await_ready()
    return account_type(localstack, tmp_path)


def test_calls_at_once_are_served_by_a_bounded_number_of_processes(bounded: Any) -> None:
    name = bounded.function(SLOW)
    with ThreadPoolExecutor(12) as pool:
        served = list(pool.map(lambda _: bounded.invoke(name), range(12)))
    assert [each.error for each in served] == [None] * 12
    assert len({each.payload["pid"] for each in served}) == 2


def test_a_call_that_waits_is_served_by_new_code(
    bounded: Any, tmp_path: Path, wait_until: Any
) -> None:
    name = bounded.function(SLOW, Timeout=200)
    with ThreadPoolExecutor(8) as pool:
        folder = tmp_path / "began"
        folder.mkdir()
        calls = [pool.submit(bounded.invoke, name, {"folder": str(folder)}) for _ in range(8)]
        wait_until(lambda: len(list(folder.iterdir())) == 2)
        bounded.update(name, SLOW.replace("old", "new"))
        (folder / "go").touch()
        served = [call.result() for call in calls]
    assert [each.error for each in served] == [None] * 8
    codes = [each.payload["code"] for each in served]
    assert codes.count("old") == 2, "the two in flight finish"
    assert codes.count("new") == 6


def test_asynchronous_events_wait_too(bounded: Any, wait_until: Any) -> None:
    name = bounded.function(
        "import os, time\ndef handler(event, context):\n"
        "    print('served by', os.getpid(), flush=True)\n    time.sleep(0.2)\n"
    )
    for _ in range(6):
        bounded.functions.invoke(FunctionName=name, InvocationType="Event", Payload="{}")

    def served() -> list[str] | None:
        lines = [each for each in bounded.events(name, "served by") if "served by" in each]
        return lines if len(lines) == 6 else None

    assert len(set(wait_until(served))) <= 2


def test_turns_come_in_order() -> None:
    turns = Turns(1)
    order: list[int] = []

    def work(number: int) -> None:
        with turns.turn():
            order.append(number)

    with turns.turn():
        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_a_call_that_waits_too_long_is_throttled_and_leaves_its_place() -> None:
    turns = Turns(1)
    with turns.turn(), pytest.raises(TooManyRequestsException), turns.turn(patience_seconds=0.01):
        pytest.fail("there was no turn")
    with turns.turn(patience_seconds=0.01):
        pass


def test_a_bound_that_is_no_number_is_said_and_not_used(caplog: Any) -> None:
    default = Settings.from_environment({}).concurrency
    assert default >= 2
    assert Settings.from_environment({CONCURRENCY_VARIABLE: "7"}).concurrency == 7
    for wrong in ("0", "-1", "many", "1.5"):
        caplog.clear()
        assert Settings.from_environment({CONCURRENCY_VARIABLE: wrong}).concurrency == default
        assert repr(wrong) in caplog.text
