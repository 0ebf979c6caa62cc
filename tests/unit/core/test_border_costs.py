"""What a body costs at a border grows with its length at most: counted in calls, not in time."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from modelwatch.domain.faults import refuse_repeated_names
from modelwatch.domain.labels import decode_labels
from modelwatch.domain.packing import unpack
from modelwatch.domain.records import decode_records
from modelwatch.errors import InvalidInputError
from modelwatch.services.bodies import read_batch, read_request

NOW_MS = 1_790_000_000_000
RECORD = {
    "event_id": "018bcfe5-6800-7000-8000-000000000000",
    "captured_at": "2023-01-01T00:00:00Z",
    "model_name": "wine",
    "model_version": "1",
    "features": {"alcohol": 13.5},
    "prediction": 2,
}


PACKED = {"packed": 1, "at": [NOW_MS], "predictions": [2], "latencies": [1.0]}


def packed(head_names: list[str], values: list[object]) -> str:
    head = {"model_name": "wine", "model_version": "1", "names": head_names, "source": "predict"}
    message = PACKED | {"head": head, "ids": [RECORD["event_id"]], "columns": [values]}
    return json.dumps(message, separators=(",", ":"))


def names(count: int, start: str = "a") -> dict[str, int]:
    return {f"{start}{number}": number for number in range(count)}


def twice(count: int) -> str:
    fields = ",".join(f'"a{number % (count // 2)}":1' for number in range(count))
    return '{"features":{' + fields + "}}"


BODIES: dict[str, Callable[[int], object]] = {
    "record of names with a quote": lambda n: RECORD | {"features": names(n, 'a"')},
    "record with one quote": lambda n: RECORD | {"features": names(n) | {'"': 1}},
    "record of wrong names": lambda n: RECORD | {"features": names(n, "a\n")},
    "record of wrong values": lambda n: RECORD | {"features": {each: [] for each in names(n)}},
    "record of unknown fields": lambda n: RECORD | names(n),
    "wrong records": lambda n: [RECORD | {"prediction": []}] * n,
    "records in the name of predict": lambda n: [RECORD | {"source": "predict"}] * n,
    "wrong labels": lambda n: [{"event_id": "x", "label": []}] * n,
    "labels with a quote": lambda n: [{"event_id": RECORD["event_id"], "label": '"'}] * n,
    "request with names twice": lambda n: twice(n),
    "request of names with a quote": lambda n: {"features": names(n, 'a"')},
    "rows of wrong values": lambda n: {"rows": [[[]]] * n},
    "packed names twice": lambda n: packed([*names(n // 2), *names(n // 2)], [1]),
    "packed names that are wrong": lambda n: packed(list(names(n, "a\n")), [1]),
    "packed values that are wrong": lambda n: packed(["a"], [[] for _ in range(n)]),
    "rows of names with a quote": lambda n: {"rows": [{'a"': 1}] * n},
}


def calls(read: Callable[[bytes], object], body: bytes) -> int:
    """Return how many functions are called to read ``body``, or to refuse it."""
    count = 0

    def on_event(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        with suppress(InvalidInputError):
            read(body)
    finally:
        sys.setprofile(None)
    return count


def read_records(body: bytes) -> None:
    refuse_repeated_names(body, decode_records(body, NOW_MS))


def read_labels(body: bytes) -> None:
    refuse_repeated_names(body, decode_labels(body, NOW_MS))


def reader(what: str) -> Callable[[bytes], object]:
    if what.startswith("request"):
        return read_request
    if what.startswith("packed"):
        return lambda body: unpack(body.decode(), NOW_MS)
    if what.startswith("rows"):
        return read_batch
    return read_labels if "label" in what else read_records


@pytest.mark.parametrize("what", BODIES)
def test_the_cost_of_a_body_grows_no_faster_than_its_length(what):
    read = reader(what)

    def cost(count: int) -> int:
        body = BODIES[what](count)
        text = body if isinstance(body, str) else json.dumps(body)
        return calls(read, text.encode())

    cost(10)  # what is done once
    small, large = cost(500), cost(4000)
    assert large <= 8 * small + 2000
    if what.startswith(("wrong", "records")):
        # a list that is refused costs no more than what is named of it
        assert large <= 1.1 * small + 5000
