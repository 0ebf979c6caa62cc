"""Labels that follow simulated predictions: what is true, and how it is posted."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.client import Client
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label, decode_labels
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.traffic.labels import LABELS_AT_ONCE, Predicted, send_labels, simulate_labels
from stand_in import Request, stand_in

outcomes = st.one_of(
    st.lists(st.integers(0, 3), min_size=1),
    st.lists(st.booleans(), min_size=1),
    st.lists(st.sampled_from(["red", "white"]), min_size=1),
    st.lists(st.floats(-1e6, 1e6), min_size=1),
)


@given(outcomes, st.integers(0, 2**32))
def test_an_accuracy_of_1_is_always_right_and_one_of_0_never(predictions, seed):
    assert simulate_labels(predictions, 1, seed) == predictions
    wrong = simulate_labels(predictions, 0, seed)
    assert not any(truth == guess for truth, guess in zip(wrong, predictions, strict=True))
    assert {type(truth) for truth in wrong} == {type(guess) for guess in predictions}


def test_the_accuracy_is_met_and_follows_from_the_seed():
    predictions = [number % 3 for number in range(3000)]
    labels = simulate_labels(predictions, 0.8, seed=1)
    right = sum(truth == guess for truth, guess in zip(labels, predictions, strict=True))
    assert right / len(labels) == pytest.approx(0.8, abs=0.03)
    assert set(labels) == {0, 1, 2}
    assert simulate_labels(predictions, 0.8, seed=1) == labels
    assert simulate_labels(predictions, 0.8, seed=2) != labels


class GroundTruth:
    """Responds as the capture function does, and keeps the labels of each request."""

    url: str

    def __init__(self) -> None:
        self.requests: list[tuple[float, list[Label]]] = []

    def respond(self, request: Request) -> tuple[int, object]:
        try:
            labels = decode_labels(request.body, time.time_ns() // 1_000_000)
        except InvalidInputError:
            return 400, b""
        self.requests.append((time.monotonic(), labels))
        if request.path != "/ground-truth":
            return 404, b""
        return 202, {"accepted": len(labels), "event_ids": []}


@pytest.fixture
def ground_truth() -> Iterator[GroundTruth]:
    running = GroundTruth()
    with stand_in(running.respond) as running.url:
        yield running


def predicted(count: int, received_at: float) -> list[Predicted]:
    now_ms = time.time_ns() // 1_000_000
    return [
        Predicted(
            new_event_id(now_ms), number, "2025-01-01T10:00:00.123Z", received_at, "wine", "1"
        )
        for number in range(count)
    ]


def test_labels_are_posted_in_requests_of_a_size_after_their_delay(ground_truth):
    began = time.monotonic()
    some = predicted(LABELS_AT_ONCE + 1, began)
    sent: list[int] = []
    with Client(capture=ground_truth.url) as client:
        send_labels(client, some, list(range(len(some))), 0.3, sent.append)
    assert sent == [LABELS_AT_ONCE, 1]
    assert all(at - began >= 0.3 for at, _ in ground_truth.requests)
    labels = [label for _, request in ground_truth.requests for label in request]
    assert [label.event_id for label in labels] == [each.event_id for each in some]
    assert [label.label for label in labels] == list(range(len(some)))
    assert (labels[0].source, labels[0].predicted_at_ms % 1000) == ("simulation", 123)


def test_labels_that_are_not_accepted_are_an_error(ground_truth):
    (one,) = predicted(1, time.monotonic())
    with pytest.raises(ModelwatchError, match="404: Not Found"):
        send_labels(Client(capture=f"{ground_truth.url}/elsewhere"), [one], [1], 0)
    with pytest.raises(ModelwatchError, match="does not respond"):
        send_labels(Client(capture="http://127.0.0.1:9", pause=lambda _: None), [one], [1], 0)
