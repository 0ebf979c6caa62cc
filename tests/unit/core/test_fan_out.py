"""A run's fan-out: who evaluates what, messages that come twice, workers that are killed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from analysis_stage import AnalysisStage, records
from in_memory import copy_of
from modelwatch.adapters.aws.queues import SqsAnalysisQueue
from modelwatch.domain.due import DueAnalysis, decode_due, encode_due
from modelwatch.domain.monitors import Monitor
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.errors import InvalidInputError, QueueError, StoreError
from modelwatch.services.deliveries import Message
from modelwatch.services.fan_out import LEASE_SECONDS, evaluate_messages

MODELS = ("ash", "elm", "wine")
HOUR = timedelta(hours=1)
EVERY = (HOUR, timedelta(days=1))


class Killed(BaseException):
    """The process ends here."""


class Queue:
    """The queue of what is due, and the function that takes from it."""

    def __init__(self, stage: AnalysisStage) -> None:
        self.bodies: list[str] = []
        self.dead: list[str] = []
        self.released: dict[str, int] = {}
        self._stage = stage

    def send(self, due: Sequence[DueAnalysis]) -> None:
        self.bodies += [encode_due(each).decode() for each in due]

    def release(self, delays_seconds: dict[str, int]) -> None:
        self.released |= delays_seconds

    def take(self, body: str, deliveries: int = 1) -> bool:
        """Have a message taken; return whether it is done with."""
        messages = [Message("m", body, f"receipt of {body}", deliveries)]
        return evaluate_messages(messages, self._stage.service.evaluate_due, self) == []

    def drain(self, deliveries: int = 3) -> None:
        """Have all messages taken, each so often until it is dead."""
        for body in self.bodies:
            if not any(self.take(body, each + 1) for each in range(deliveries)):
                self.dead.append(body)
        self.bodies = []


class Stage(AnalysisStage):
    """Three models with an hour of captures each, of which `wine` drifts, and a queue."""

    def __init__(self, *models: str, **rules: Any) -> None:
        super().__init__(history_days=0, **rules)
        self.queue = Queue(self)
        self.service._queue = self.queue
        self.models = models or MODELS
        self.capture(0)

    def capture(self, hours: int) -> None:
        """Capture 50 records of each model, so many hours after the start."""
        for name in self.models:
            made = records(50, 5.0 if name == "wine" else 1.0, age_seconds=60 - 3600 * hours)
            self.store.write([copy_of(each, model_name=name) for each in made])

    def counted(self) -> dict[str, float]:
        """Return how many results of each model metrics count."""
        return {
            name: self.metrics.value("evidently_analysis_total", model_name=name) for name in MODELS
        }

    def is_whole(self) -> bool:
        """Whether each model has one result, and the drift one event and one episode."""
        names = sorted(each.model_name for each in self.reports.saved.values())
        events = [(each.model_name, each.change) for each in self.bus.events]
        episodes = self.episodes.load("wine").open_episodes()
        return (names, events, len(episodes)) == ([*MODELS], [("wine", "opened")], 1)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_what_is_due_of_several_models_is_a_message_each() -> None:
    stage = Stage(plans=tuple(map(WindowPlan, EVERY)))
    run = stage.run_after(seconds=0)
    assert (run.results, run.failures, run.sent) == ([], {}, 6)
    due = [decode_due(each) for each in stage.queue.bodies]
    assert [(each.model_name, each.window) for each in due] == [
        (name, window) for name in MODELS for window in ("PT1H", "P1D")
    ]
    assert {each.planned for each in due} == {stage.now}
    assert stage.reports.saved == {}
    stage.queue.drain()
    assert stage.counted() == dict.fromkeys(MODELS, 2.0)
    assert len(stage.reports.saved) == 6
    assert len(stage.reports.last("wine", "1")) == 2
    # nothing is due any more, and a run that comes twice sends nothing
    assert stage.run_after(seconds=0).sent == 0


def test_what_is_due_of_one_model_is_evaluated_by_the_run_itself() -> None:
    stage = Stage("wine")
    run = stage.run_after(seconds=0)
    assert [each.status for each in run.results] == ["drift"]
    assert (run.sent, stage.queue.bodies, len(stage.bus.events)) == (0, [], 1)


def test_without_a_queue_a_run_evaluates_all_models() -> None:
    one, other = Stage(), Stage()
    one.service._queue = None
    assert len(one.run_after(seconds=0).results) == 3
    other.run_after(seconds=0)
    other.queue.drain()
    assert one.is_whole()
    assert other.is_whole()
    alike = [
        [(each.name, each.status, each.rows) for each in stage.reports.saved.values()]
        for stage in (one, other)
    ]
    assert alike[0] == alike[1]


def test_a_run_for_a_time_to_come_makes_no_result_that_the_schedule_would_keep(
    stage: Stage,
) -> None:
    # as an event that someone made up says
    later = stage.now + timedelta(days=30)
    with pytest.raises(InvalidInputError, match=r"planned: .* is in the future"):
        stage.service.analyze_due(later)
    assert not stage.queue.take(encode_due(DueAnalysis("wine", "1", "PT1H", later)).decode())
    assert stage.reports.saved == {}
    # a clock that is a little ahead is none
    stage.service.analyze_due(stage.now + timedelta(minutes=1))
    assert stage.queue.bodies


def test_a_message_that_comes_twice_gives_one_result_and_one_event(stage: Stage) -> None:
    stage.run_after(seconds=0)
    bodies = list(stage.queue.bodies)
    stage.queue.drain()
    assert stage.is_whole()
    samples = list(stage.metrics.samples)
    for body in bodies:
        assert stage.queue.take(body)
    assert stage.is_whole()
    assert stage.metrics.samples == samples


def test_a_message_of_an_older_run_does_not_bring_its_window_back(stage: Stage) -> None:
    stage.run_after(seconds=0)
    old = list(stage.queue.bodies)
    stage.queue.bodies = []
    stage.capture(1)
    stage.run_after(hours=1)
    stage.queue.drain()
    samples, saved = list(stage.metrics.samples), dict(stage.reports.saved)
    for body in old:
        assert stage.queue.take(body)
    assert (stage.metrics.samples, stage.reports.saved) == (samples, saved)


def dies_in(part: Any, verb: str, *, before: bool) -> Callable[[], None]:
    """Have the process end at the first call of a part's ``verb``; return what undoes it."""
    does = getattr(part, verb)

    def call(*given: Any, **named: Any) -> Any:
        if before:
            raise Killed
        does(*given, **named)
        raise Killed

    setattr(part, verb, call)
    return lambda: delattr(part, verb) if verb in vars(part) else None


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("part", "verb"),
    [
        ("reports", "save"),
        ("metrics", "emit"),
        ("episodes", "update"),
        ("reports", "remember"),
        ("bus", "send"),
    ],
)
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(
    stage: Stage, part: str, verb: str, before: bool
) -> None:
    stage.run_after(seconds=0)
    (body,) = (each for each in stage.queue.bodies if decode_due(each).model_name == "wine")
    restart = dies_in(getattr(stage, part), verb, before=before)
    with pytest.raises(Killed):
        stage.queue.take(body)
    restart()
    # SQS delivers it again, and the others
    stage.queue.drain()
    names = sorted(each.model_name for each in stage.reports.saved.values())
    assert names == [*MODELS]
    assert {each.id for each in stage.bus.events} == {stage.bus.events[0].id}
    # an event that was sent and not remembered is sent again, with its id
    assert len(stage.bus.events) == (2 if (part, before) == ("bus", False) else 1)
    assert len(stage.episodes.load("wine").open_episodes()) == 1
    assert "PT1H" in stage.reports.last("wine", "1")
    # gauges show it, whenever that was; nothing is counted twice
    assert stage.metrics.value("evidently_data_drift_detected", model_name="wine") >= 1
    lost = (part, verb) == ("metrics", "emit") and before
    lost = lost or ((part, before) == ("reports", False) and verb == "save")
    assert stage.counted() == dict.fromkeys(MODELS, 1.0) | ({"wine": 0.0} if lost else {})


def test_a_model_that_fails_delays_no_other_and_its_message_is_dead(stage: Stage) -> None:
    stage.run_after(seconds=0)
    profiles = stage.profiles.profiles

    def read(name: str, *given: Any) -> Any:
        if name == "ash":
            raise StoreError("ash cannot be read")
        return profiles(name, *given)

    stage.profiles.profiles = read  # type: ignore[method-assign]
    stage.queue.drain()
    (dead,) = map(decode_due, stage.queue.dead)
    assert (dead.model_name, dead.model_version) == ("ash", "1")
    failed = stage.metrics.value("evidently_analysis_total", model_name="ash", status="error")
    assert failed == 3, "one a delivery"
    assert stage.counted() == {"ash": 3, "elm": 1, "wine": 1}
    waits = stage.queue.released[f"receipt of {stage.queue.dead[0]}"]
    assert waits == 60, "the last of 15, 30 and 60 seconds"
    # the next run makes up for it
    del stage.profiles.profiles  # type: ignore[method-assign]
    stage.capture(1)
    stage.run_after(hours=1)
    assert {decode_due(each).model_name for each in stage.queue.bodies} == {*MODELS}


def test_a_message_is_held_for_as_long_as_someone_works_at_it() -> None:
    extended = threading.Semaphore(0)
    delays: list[dict[str, int]] = []

    class Held:
        def release(self, delays_seconds: Mapping[str, int]) -> None:
            delays.append(dict(delays_seconds))
            extended.release()

    def evaluate(_due: DueAnalysis) -> dict[str, str]:
        # three times beside the work, as long as that takes
        assert all(extended.acquire(timeout=30) for _ in range(4))
        raise Killed

    body = encode_due(DueAnalysis("wine", "1", "PT1H", datetime(2026, 3, 1, tzinfo=UTC))).decode()
    threads = threading.active_count()
    with pytest.raises(Killed):
        evaluate_messages([Message("m", body, "receipt")], evaluate, Held(), 0.001)
    assert threading.active_count() == threads
    assert len(delays) >= 4
    assert all(each == {"receipt": LEASE_SECONDS} for each in delays), "and so it comes again"


def test_windows_that_were_missed_are_counted_once(stage: Stage) -> None:
    stage.run_after(seconds=0)
    stage.queue.drain()
    stage.capture(30)
    stage.run_after(hours=30)
    (body,) = (each for each in stage.queue.bodies if decode_due(each).model_name == "elm")
    restart = dies_in(stage.reports, "remember", before=True)
    with pytest.raises(Killed):
        stage.queue.take(body)
    restart()
    stage.queue.drain()
    for name in MODELS:
        missed = stage.metrics.value("evidently_analysis_missed_total", model_name=name)
        assert missed == 6
    assert len(stage.reports.saved) == len(MODELS) * 25


def test_what_a_monitor_says_when_a_message_is_taken_holds(stage: Stage) -> None:
    stage.run_after(seconds=0)
    stage.apply(
        ash=Monitor(stage="elsewhere", owner="", settings={}),
        elm=Monitor(stage="local", owner="team elm", settings={"ANALYSIS_WINDOWS": "P7D"}),
    )
    stage.queue.drain()
    assert stage.queue.dead == []
    assert [each.model_name for each in stage.reports.saved.values()] == ["wine"]


QUEUE = "https://sqs.us-east-1.amazonaws.com/1/modelwatch-local-analyses.fifo"


def test_a_model_is_a_group_and_the_same_is_taken_once() -> None:
    stage = Stage()
    due = [DueAnalysis(f"m{each // 2}", str(each % 2), "PT1H", stage.now) for each in range(12)]
    client = boto3.client(
        "sqs", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    with Stubber(client) as stubber:
        for entries in (10, 2):
            response = {"Successful": [], "Failed": []}
            asked = {"QueueUrl": QUEUE, "Entries": [ANY] * entries}
            stubber.add_response("send_message_batch", response, asked)
        sent: list[Any] = []
        client.meta.events.register(
            "provide-client-params.sqs", lambda params, **_: sent.extend(params["Entries"])
        )
        SqsAnalysisQueue(client, queue_url=QUEUE).send(due)
        stubber.assert_no_pending_responses()
        assert [decode_due(each["MessageBody"]) for each in sent] == due
        assert len({each["MessageGroupId"] for each in sent}) == 6
        assert len({each["MessageDeduplicationId"] for each in sent}) == 12

        failed = [{"Id": "1", "SenderFault": False, "Code": "InternalError"}]
        stubber.add_response("send_message_batch", {"Successful": [], "Failed": failed})
        with pytest.raises(QueueError, match="did not take m0"):
            SqsAnalysisQueue(client, queue_url=QUEUE).send(due[:2])
        stubber.add_client_error("send_message_batch", "ServiceUnavailable")
        with pytest.raises(QueueError, match="takes no messages"):
            SqsAnalysisQueue(client, queue_url=QUEUE).send(due[:2])
