"""What a client logs, at the real capture app and at servers that refuse, fail and hang up."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from apps import app_with, served
from capture_stage import capture_service
from in_memory import InMemoryLabelQueue, InMemoryMetrics, InMemoryQueue
from modelwatch import Client
from modelwatch.domain.event_ids import event_time_ms, named_event_id
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch.sdk import sender as sender_module
from modelwatch.sdk.sender import Sender
from stand_in import Request, stand_in


class Colour(Enum):
    RED = "red"


@pytest.fixture(scope="module")
def capture_app() -> Iterator[tuple[str, InMemoryQueue, InMemoryLabelQueue]]:
    """The capture app itself, over a real connection."""
    queue, labels, metrics = InMemoryQueue(), InMemoryLabelQueue(), InMemoryMetrics()
    service = capture_service(time.time, queue=queue, label_queue=labels, metrics=metrics)
    with app_with("capture", metrics=metrics, capture_service=service) as app, served(app) as url:
        yield url, queue, labels


@pytest.fixture
def url(capture_app) -> str:
    return capture_app[0]


@pytest.fixture
def queue(capture_app) -> InMemoryQueue:
    capture_app[1].records.clear()
    return capture_app[1]


@pytest.fixture
def label_queue(capture_app) -> InMemoryLabelQueue:
    capture_app[2].labels.clear()
    return capture_app[2]


def client_of(url: str, **more: Any) -> Client:
    return Client(capture=url, model_name="price", model_version="7", **more)


@contextmanager
def api(refuse: Callable[[Any], Any]) -> Iterator[tuple[str, list[Any]]]:
    """Serve what accepts lists that ``refuse`` returns None for; give its address and the lists."""
    accepted: list[Any] = []

    def respond(request: Request) -> tuple[int, Any]:
        body = json.loads(request.body)
        refusal = refuse(body)
        if refusal is not None:
            return refusal
        accepted.append(body)
        return 202, {"accepted": len(body), "event_ids": []}

    with stand_in(respond) as address:
        yield address, accepted


def test_a_prediction_reaches_the_capture_api(url, queue):
    with client_of(url, variant="shadow") as client:
        features = {"area": np.float64(72.5), "rooms": np.int64(3), "city": "Ulm", "new": True}
        at = datetime(2026, 3, 1, 9, tzinfo=UTC)
        first = client.log(features, np.array([[310_000.5]]), at=at, latency_ms=2.5)
        features["area"] = 0  # what is logged is as it was
        second = client.log({1: None}, "high", id="offer 17", probabilities=np.array([0.2, 0.8]))
        assert client.flush(30)
        assert client.log_counts().predictions == sender_module.Counts(2, 0, 0, {})
    one, other = queue.records
    assert one.features == {"area": 72.5, "rooms": 3, "city": "Ulm", "new": True}
    assert (one.prediction, one.captured_at, one.latency_ms) == (310_000.5, at, 2.5)
    assert (one.model_name, one.model_version, one.variant) == ("price", "7", "shadow")
    assert (one.event_id, event_time_ms(one.event_id)) == (first, int(at.timestamp() * 1000))
    assert (other.event_id, other.features) == (second, {"1": None})
    assert (second, other.probabilities) == (named_event_id("offer 17", "price"), [0.2, 0.8])


KEPT = [
    (1, 1), (1.5, 1.5), (True, True), (None, None), ("", ""), ("größe", "größe"),
    (-(2**63), -(2**63)), (2**63, str(2**63)), (10**400, str(10**400)),
    (math.nan, None), (math.inf, "inf"), (-math.inf, "-inf"),
    (np.bool_(True), True), (np.int8(-3), -3), (np.uint64(2**64 - 1), str(2**64 - 1)),
    (np.float32(0.5), 0.5), (np.float16(0.5), 0.5), (np.longdouble(0.5), 0.5),
    (np.ma.masked, None),
    (np.float64("nan"), None), (np.str_("a"), "a"), (np.array(2), 2),
    (np.datetime64("2026-03-01T10:00"), "2026-03-01T10:00"), (np.datetime64("NaT", "s"), None),
    (pd.NA, None), (pd.NaT, None), (pd.Timestamp("2026-03-01"), "2026-03-01T00:00:00"),
    (pa.scalar(3), 3), (pa.scalar(None), None),
    (Decimal("1.50"), 1.5), (Decimal(3), 3), (Decimal("NaN"), None), (Decimal("sNaN"), None),
    (Decimal("Infinity"), "Infinity"), (Decimal(2**70), str(2**70)),
    (timedelta(minutes=2), 120.0), (pd.Timedelta("1.5s"), 1.5), (pd.NaT - pd.NaT, None),
    (np.timedelta64(90, "m"), 5400.0), (np.timedelta64(1_500_000_000, "ns"), 1.5),
    (np.timedelta64("NaT", "s"), None), (pa.scalar(timedelta(seconds=3)), 3.0),
    (date(2026, 3, 1), "2026-03-01"),
    (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"), (Colour.RED, "red"),
]  # fmt: skip


def test_every_kind_of_value_is_kept(url, queue):
    with client_of(url, raises=True) as client:
        client.log({str(i): value for i, (value, _) in enumerate(KEPT)}, 1)
    (record,) = queue.records
    found = list(record.features.values())
    assert list(map(repr, found)) == [repr(expected) for _, expected in KEPT]


REFUSED = [
    ({"a": [1]}, 1, "features.a: is a list; expected a number, string, boolean or None"),
    ({"a": {}}, 1, "features.a: is a dict; expected a number, string, boolean or None"),
    ({"a": np.array([1])}, 1, "features.a: is a ndarray; expected a number, string, boolean or"),
    ({"a": 1j}, 1, "features.a: is a complex; expected a number, string, boolean or None"),
    ({"a": Fraction(1, 3)}, 1, "features.a: is a Fraction; expected a number, string, boolean"),
    ({"a": np.timedelta64(2, "M")}, 1, "features.a: '2 months' has no length in seconds"),
    ({"a": b"x"}, 1, "features.a: is a bytes; expected a number, string, boolean or None"),
    ({"a": "\ud800"}, 1, "holds half of a surrogate pair, which is no text"),
    ({"a": 1, "\ud800": 1}, 1, "holds half of a surrogate pair, which is no text"),
    ({"a\tb": 1}, 1, "features: 'a\\\\tb' is no name of a feature"),
    ({" ": 1}, 1, "features: ' ' is no name of a feature"),
    ({1: 1, "1": 2}, 1, "features.1: is there twice; give it once"),
    ({}, 1, "features: is empty; give one feature or more"),
    ([1.5, 2], 1, "features: is a list; expected values by name"),
    (None, 1, "features: is a NoneType; expected values by name"),
    ({"a": 1}, None, "prediction: is null; expected a number, string or boolean"),
    ({"a": 1}, math.nan, "prediction: NaN is no finite number"),
    ({"a": 1}, np.float32("inf"), "prediction: inf is no finite number"),
    ({"a": 1}, 2**64, "prediction: 18446744073709551616 is no finite number of 64 bits"),
    ({"a": 10**5000}, 1, "features.a: is a number of more than 4,300 digits"),
    ({"a": Decimal("1e999999")}, 1, "features.a: is a number of more than 4,300 digits"),
    ({"a": 1}, [1, 2], "prediction: has 2 values; expected one"),
    ({"a": 1}, [], "prediction: has 0 values; expected one"),
    ({"a": 1}, {"y": 1}, "prediction: is a dict; expected a list or an array"),
]


@pytest.mark.parametrize(("features", "prediction", "reason"), REFUSED)
def test_what_is_refused_has_a_reason_and_holds_up_nothing(
    url, queue, features, prediction, reason
):
    with client_of(url) as client:
        client.log({"a": 1}, 1)
        client.log(features, prediction)
        client.log({"a": 2}, 2)
        assert client.flush(30)
        counts = client.log_counts().predictions
    assert (counts.sent, counts.lost, list(counts.refused.values())) == (2, 0, [1])
    assert next(iter(counts.refused)).startswith(reason.replace("\\\\", "\\"))
    assert [record.prediction for record in queue.records] == [1, 2]
    assert sum(record.lost_before for record in queue.records) == 1
    with client_of(url, raises=True) as client, pytest.raises(InvalidInputError):
        client.log(features, prediction)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (datetime(2026, 3, 1), "has no time zone; give one, such as datetime.now"),
        ("yesterday", "'yesterday' is no time; expected a datetime, ISO 8601 or seconds"),
        (math.nan, "'nan' is no time"),
        (pd.NaT, "'NaT' is no time"),
        (True, "'True' is no time"),
        (datetime(2900, 1, 1, tzinfo=UTC), "is in the future"),
        (datetime(1950, 1, 1, tzinfo=UTC), "is not a time from 1971 to 9998"),
    ],
)
def test_a_time_that_is_none_is_refused(url, queue, at, said):
    with client_of(url) as client:
        client.log({"a": 1}, 1, at=at)
        client.flush(30)
        (reason,) = client.log_counts().predictions.refused
    assert said in reason
    assert queue.records == []


@pytest.mark.parametrize(
    "at",
    [
        1_772_355_600, 1_772_355_600.0, np.float64(1_772_355_600), np.int64(1_772_355_600),
        "2026-03-01T09:00:00Z", "2026-03-01T11:00:00+02:00", np.datetime64("2026-03-01T09:00"),
        np.datetime64("2026-03-01T09:00:00.000000000"), pd.Timestamp("2026-03-01T09:00", tz="UTC"),
    ],
)  # fmt: skip
def test_a_time_is_read_in_many_forms(url, queue, at):
    with client_of(url, raises=True) as client:
        client.log({"a": 1}, 1, at=at)
    assert queue.records[0].captured_at == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_a_client_without_a_model_says_so(url):
    with Client(capture=url) as client:
        client.log({"a": 1}, 1)
        client.flush(30)
        assert client.log_counts().predictions.refused == {
            "model_name: is missing; give it as Client(model_name=…)": 1
        }


FRAME = pd.DataFrame(
    {
        "area": [70.5, np.nan], "rooms": pd.array([3, None], dtype="Int64"),
        "city": pd.Categorical(["Ulm", "Bonn"]), "score": [1.5, 2.5], "key": ["a", "b"],
        "when": pd.to_datetime(["2026-03-01T09:00", "2026-03-01T10:00"]), "p": [0.1, 0.9],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        FRAME,
        pa.Table.from_pandas(FRAME),
        {name: list(FRAME[name]) if name != "when" else FRAME[name] for name in FRAME},
        {name: FRAME[name].to_numpy() for name in FRAME},
    ],
    ids=["pandas", "arrow", "lists", "numpy"],
)
def test_a_table_is_logged_by_the_names_of_its_columns(url, queue, table):
    with client_of(url, raises=True) as client:
        ids = client.log_batch(table, "score", ids="key", at="when", probabilities=["p"])
    assert ids == [named_event_id("a", "price"), named_event_id("b", "price")]
    first, second = queue.records
    assert first.features == {"area": 70.5, "rooms": 3, "city": "Ulm"}
    assert second.features == {"area": None, "rooms": None, "city": "Bonn"}
    assert (second.prediction, second.probabilities) == (2.5, [0.9])
    assert second.captured_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_predictions_stand_beside_a_table(url, queue):
    probabilities = np.array([[0.4, 0.6], [1.0, 0.0]])
    with client_of(url, raises=True) as client:
        client.log_batch(
            FRAME, np.array(["yes", "no"]), probabilities=probabilities, features=["area"],
            at=datetime(2026, 3, 1, tzinfo=UTC), model_version="8",
        )  # fmt: skip
        client.log_batch({"a": []}, [])
    assert [record.features for record in queue.records] == [{"area": 70.5}, {"area": None}]
    assert [record.prediction for record in queue.records] == ["yes", "no"]
    assert [record.probabilities for record in queue.records] == [[0.4, 0.6], [1.0, 0.0]]
    assert {record.model_version for record in queue.records} == {"8"}


@pytest.mark.parametrize(
    ("table", "predictions", "more", "said"),
    [
        ({"a": [1, 2]}, [1], {}, "a: has 2 values where predictions has 1"),
        ({"a": [1, 2]}, "y", {}, "predictions: there is no column 'y'; the columns are a"),
        ({"a": [1, 2]}, [1, 2], {"ids": [1]}, "ids: has 1 values where predictions has 2"),
        ({"a": [1, 2]}, [1, 2], {"at": math.nan}, "at: 'nan' is no time"),
        ({"a": [1, 2]}, [1, 2], {"features": ["b"]}, "features: there is no column 'b'"),
        (pd.DataFrame(index=[0]), [1], {}, "features: there is no column of one"),
        ({"y": [1]}, "y", {}, "features: there is no column of one"),
        (
            {"a": [1, 2], "p": [0, 1], "q": [1]},
            *([1, 2], {"probabilities": ["p", "q"]}, "q: has 1 values where p has 2"),
        ),
        ({"a": 1}, [1], {}, "features: is a int; expected a list or an array"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), [1], {}, "features.a: is there twice"),
        ([1], [1], {}, "is a list; expected a DataFrame, an Arrow table or a mapping"),
    ],
)
def test_a_table_that_is_none_is_counted_whole(url, table, predictions, more, said):
    with client_of(url) as client:
        assert client.log_batch(table, predictions, **more) == []
        (reason,) = client.log_counts().predictions.refused
    assert said in reason
    with client_of(url, raises=True) as client, pytest.raises(InvalidInputError):
        client.log_batch(table, predictions, **more)


def test_a_time_or_id_that_is_none_costs_no_other_row(url, queue):
    times = [1_772_355_600, pd.NaT, 1_772_355_600]
    with client_of(url) as client:
        found = client.log_batch({"a": [1, 2, 3]}, [1, 2, 3], at=times, ids=["x", "y", (1, 2)])
        client.flush(30)
        reasons = list(client.log_counts().predictions.refused)
    assert found == [named_event_id("x", "price"), "", ""]
    assert [reason[:20] for reason in reasons] == ["at: 'NaT' is no time", "id: is a tuple; expe"]
    assert [record.features for record in queue.records] == [{"a": 1}]
    with client_of(url, raises=True) as client, pytest.raises(InvalidInputError, match="NaT"):
        client.log_batch({"a": [1, 2, 3]}, [1, 2, 3], at=times)


def test_rows_without_an_id_are_not_one_prediction(url, queue):
    missing = [None, math.nan, "", " ", pd.NA, np.float64("nan")]
    with client_of(url, raises=True) as client:
        found = [client.log({"a": 1}, 1, id=each) for each in missing]
        found += client.log_batch({"a": [1] * 6}, [1] * 6, ids=missing)
        with pytest.raises(InvalidInputError, match="id: is missing; give what log returned"):
            client.label("", 1)
    assert len({record.event_id for record in queue.records}) == len(found) == 12


def test_a_client_for_what_is_no_model_is_refused_at_once(url):
    with Client(capture=url, model_name="price", model_version=7) as client:
        client.log({"a": 1}, 1, model_version=8, latency_ms=np.float32(1.5))
        client.log({"a": 1}, 1, model_version=None)
    assert client.log_counts().predictions.sent == 2
    for name, version in (("a/b", "7"), ("price", "1=2")):
        with pytest.raises(InvalidInputError, match=r"is no (name|version) of a model"):
            Client(capture=url, model_name=name, model_version=version)
    with pytest.raises(InvalidInputError, match=r"capture: '127.0.0.1:80' is no address"):
        Client(capture="127.0.0.1:80/\n")


def test_a_page_of_another_server_is_no_receipt(caplog):
    pages: list[Any] = ["a page"]

    def respond(request: Request) -> tuple[int, Any]:
        body = json.loads(request.body)
        return 200, pages.pop() if pages else {"accepted": len(body), "event_ids": []}

    with stand_in(respond) as address, client_of(address) as client:
        client.log({"a": 1}, 1)
        assert client.flush(30)
        assert client.log_counts().predictions.sent == 1
    assert "the response is not in modelwatch's form" in caplog.text


def test_a_bad_row_of_a_table_costs_no_other(url, queue):
    with client_of(url) as client:
        client.log_batch({"a": [1, [2], 3]}, [1, 2, math.nan])
        client.flush(30)
        assert client.log_counts().predictions.sent == 1
        assert sorted(client.log_counts().predictions.refused.values()) == [1, 1]
    assert [record.features for record in queue.records] == [{"a": 1}]


def test_labels_find_what_was_logged(url, label_queue):
    with client_of(url) as client:
        event_id = client.log({"a": 1}, 1)
        client.label(event_id, np.int64(2))
        client.label("offer 17", "red", predicted_at=datetime(2026, 3, 1, 9, tzinfo=UTC))
        client.label("offer 18", 1)
        client.label(event_id, math.nan)
        assert client.flush(30)
        counts = client.log_counts().labels
    assert [(each.event_id, each.label) for each in label_queue.labels] == [
        (event_id, 2), (named_event_id("offer 17", "price"), "red"),
    ]  # fmt: skip
    assert counts.sent == 2
    assert sum("predicted_at" in reason for reason in counts.refused) == 1


def test_an_api_that_is_down_costs_nothing_but_time(caplog):
    down = [(503, {"detail": "no queue"}), (502, b"bad gateway"), (404, b"")]
    with api(lambda _: down.pop() if down else None) as (url, accepted), client_of(url) as client:
        for number in range(5):
            client.log({"a": number}, number)
        assert client.flush(60)
    assert [record["prediction"] for body in accepted for record in body] == [0, 1, 2, 3, 4]
    texts = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert texts == [f"predictions wait: {url}/capture/batch: 404: Not Found",
                     "predictions are sent again"]  # fmt: skip


@pytest.mark.parametrize("names_them", [True, False])
def test_what_only_the_api_refuses_costs_no_other(names_them):
    def refuse(body: list[Any]) -> Any:
        wrong = [index for index, each in enumerate(body) if each["features"]["a"] in (3, 4)]
        faults = [{"field": f"[{index}].features.a", "detail": "is wrong"} for index in wrong]
        said = {"detail": "is wrong", "errors": faults if names_them else []}
        return (400, said) if wrong else None

    with api(refuse) as (url, accepted), client_of(url) as client:
        for number in range(10):
            client.log({"a": number}, number)
        assert client.flush(60)
        client.log({"a": 10}, 10)
        assert client.flush(60)
        counts = client.log_counts().predictions
    reason = "features.a: is wrong" if names_them else "the API says 400: is wrong"
    assert (counts.sent, counts.refused) == (9, {reason: 2})
    sent = [record for body in accepted for record in body]
    assert [record["prediction"] for record in sent] == [0, 1, 2, 5, 6, 7, 8, 9, 10]
    assert sent[-1]["lost_before"] == 2


def test_what_is_too_large_is_one_reason():
    def refuse(body: list[Any]) -> Any:
        if len(body) == 1 and body[0]["features"]["a"] == 1:
            return None
        size = 1_000_000 + body[0]["features"]["a"]
        said = f"record {body[0]['event_id']} has {size} bytes; at most 999998 are taken"
        return 413, {"detail": said}

    with api(refuse) as (url, accepted), client_of(url) as client:
        for number in (1, 2, 3):
            client.log({"a": number}, number)
        assert client.flush(60)
        reasons = client.log_counts().predictions.refused
    assert reasons == {"the API says 413: record … has … bytes; at most 999998 are taken": 2}
    assert len(accepted) == 1


def sender_with(post, **more: Any) -> Sender[int]:
    return Sender(
        "things",
        lambda element, lost: json.dumps([element, lost]).encode(),
        post,
        lambda _: "all",
        **{"most": 3, "flush_seconds": 0.0, **more},
    )


def test_a_full_queue_drops_the_newest_and_the_next_reports_it():
    sent: list[Any] = []
    may_go_on, began = threading.Event(), threading.Event()

    def post(body: bytes) -> None:
        began.set()
        assert may_go_on.wait(60)
        sent.extend(json.loads(body))

    sender = sender_with(post)
    assert sender.put(0)
    assert began.wait(60)
    assert [sender.put(number) for number in range(1, 6)] == [True, True, True, False, False]
    may_go_on.set()
    assert sender.flush(60)
    assert sender.put(6)
    sender.close(60)
    assert not sender.put(7)
    assert sent == [[0, 0], [1, 2], [2, 0], [3, 0], [6, 0]]
    assert sender.counts() == sender_module.Counts(sent=5, waiting=0, lost=3, refused={})


def test_what_follows_an_interrupted_flush_waits_for_others_again():
    lists: list[Any] = []
    sender = sender_with(lambda body: lists.append(json.loads(body)), flush_seconds=1000)
    no_time: Any = "soon"
    assert sender.put(0)
    with pytest.raises(TypeError):  # in the place where an interrupt ends it
        sender.flush(no_time)
    assert not sender._state.is_hurried
    assert sender.put(1)
    sender.close(60)
    assert lists == [[[0, 0], [1, 0]]]


def test_a_program_of_many_rows_waits_for_room():
    sent: list[Any] = []
    sender = sender_with(lambda body: sent.extend(json.loads(body)))
    sender.put_all(range(500), wait=True)
    sender.close(60)
    assert [element for element, _ in sent] == list(range(500))


def test_a_client_that_raises_says_that_it_is_full():
    with client_of("http://127.0.0.1:9", raises=True) as client:
        client._predictions._most = 0
        with pytest.raises(ModelwatchError, match="the queue of the client is full"):
            client.log({"a": 1}, 1)
        with pytest.raises(ModelwatchError, match="the queue of the client is full"):
            client.log_batch({"a": [1]}, [1])


def test_coroutines_log(url, queue):
    async def work() -> None:
        async with client_of(url) as client:
            await asyncio.gather(*(asyncio.to_thread(client.log, {"a": n}, n) for n in range(20)))
            client.log({"a": 20}, 20)
            assert await client.aflush(30)
            assert client.log_counts().predictions.sent == 21

    asyncio.run(work())
    assert len(queue.records) == 21


def test_no_element_of_many_threads_is_lost_or_double(url, queue):
    with client_of(url) as client:

        def work(thread: int) -> None:
            for number in range(200):
                client.log({"a": number, "thread": thread}, 1)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({record.event_id for record in queue.records}) == len(queue.records) == 1600


PROGRAM = """
import multiprocessing, os, sys
from modelwatch import Client

client = Client(capture=sys.argv[1], model_name="price", model_version="7")

def log(number):
    client.log({"process": number}, number)

if __name__ == "__main__":
    log(0)
    child = os.fork()
    if not child:
        log(1)
        client.close()
        os._exit(0)
    os.waitpid(child, 0)
    process = multiprocessing.get_context("fork").Process(target=log, args=(2,))
    process.start()
    process.join()
    log(3)
"""


def test_forked_children_send_their_own_and_a_program_sends_before_it_ends(url, queue):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, url],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(record.prediction for record in queue.records) == [0, 1, 2, 3]


def test_a_program_ends_though_nothing_responds():
    program = (
        "import sys; from modelwatch.sdk import sender; sender.EXIT_SECONDS = 0.2\n"
        "from modelwatch import Client\n"
        "client = Client(capture='http://127.0.0.1:9', model_name='m', model_version='1')\n"
        "for number in range(3): client.log({'secret': number}, 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert "3 predictions are lost: they could not be sent in 0.2 s" in done.stderr
    assert "secret" not in done.stderr


def test_a_program_that_ends_logs_without_an_error():
    program = (
        "import atexit; from modelwatch import Client; from modelwatch.sdk import sender\n"
        "sender.EXIT_SECONDS = 0.2\n"
        "client = Client(capture='http://127.0.0.1:9', model_name='m', model_version='1')\n"
        "def last():\n"
        "    assert client.log({'a': 1}, 1)\n"
        "    print(client.log_counts().predictions.waiting)\n"
        "atexit.register(last)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_the_reasons_are_bounded():
    sender = sender_with(lambda _: None)
    for number in range(500):
        sender.refuse("all", InvalidInputError(f"f{number}", "is wrong"))
    refused = sender.counts().refused
    assert (len(refused), sum(refused.values())) == (101, 500)
    sender.close(0)
