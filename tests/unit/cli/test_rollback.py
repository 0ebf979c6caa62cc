"""An alias moves back when a new version drifts: once, to a good version, and never to and fro."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from in_memory import InMemoryRegistry, InMemoryReportStore
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.domain.episodes.events import VerdictEvent, due_events
from modelwatch.domain.episodes.notes import Acknowledgement
from modelwatch.domain.episodes.slots import FeatureStory, Observation, Slot
from modelwatch.domain.verdict.results import AnalysisResult, ResultName
from modelwatch.errors import InvalidInputError, RegistryError, StoreError
from modelwatch_cli.rollback.commands import read_event
from modelwatch_cli.rollback.record import Rollback, RollbackRecord, RollbackStore
from modelwatch_cli.rollback.rule import Decision, RollbackRule

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DRIFT = START + 5 * DAY


class Registry(InMemoryRegistry):
    def promote(self, name: str, alias: str, version: str) -> None:
        if self.failure:
            raise self.failure
        self.point(name, alias, version)


class Model:
    """`wine`: version 1 was good, 2 serves now and drifts."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.registry.point("wine", "production", "2")
        self.s3 = InMemoryS3()
        self.episodes = S3EpisodeStore(self.s3, "reports")
        self.reports = InMemoryReportStore()
        self.rollbacks = RollbackStore(self.s3, "reports")
        for day in range(3):
            self.seen("1", START + day * DAY, "ok")
        self.seen("1", START + 3 * DAY, "unknown")  # few rows while version 2 took over
        self.seen("2", START + 3 * DAY, "ok")
        self.event = self.drifts("2", DRIFT)

    def seen(self, version: str, end: datetime, status: str) -> None:
        self.reports.save(
            AnalysisResult(
                name=str(ResultName("wine", version, end, "PT1H")),
                model_name="wine",
                model_version=version,
                window="PT1H",
                window_start=end - HOUR,
                window_end=end,
                status=status,
                reason="",
                rows=100,
            ),
            {},
        )

    def drifts(self, version: str, end: datetime) -> VerdictEvent:
        self.seen(version, end, "drift")
        story = FeatureStory(first=end, worst=end, strength=2)
        slot = Slot(drift=end, last=end, features={"ash": story}, drifted=1)
        seen = Observation(version, "PT1H", end, slot)
        record = self.episodes.update("wine", lambda record: record.add(seen))
        return next(
            due.event
            for due in due_events(record, "prod", "", end)
            if due.event.model_version == version
        )

    def apply(self, event: VerdictEvent | None = None, now: datetime = DRIFT, **more: Any) -> Any:
        rule = RollbackRule(
            self.registry,
            self.episodes,
            self.reports,
            self.rollbacks,
            stage="prod",
            alias="production",
            within=7 * DAY,
            cooldown=DAY,
        )
        decision = rule.apply(event or self.event, now, **more)
        assert isinstance(decision, Decision)
        return decision

    @property
    def serves(self) -> str:
        return self.registry.aliases["wine", "production"].version


def test_the_alias_moves_to_the_last_good_version_once():
    model = Model()
    assert model.apply(dry_run=True).to == "1"
    assert (model.serves, model.rollbacks.load("wine")[0].rollbacks) == ("2", ())
    assert model.apply().to == "1"
    assert model.serves == "1"
    again = model.apply()
    assert (again.to, again.reason) == ("", "version 1 serves, not 2")
    (kept,) = model.rollbacks.load("wine")[0].rollbacks
    assert (kept.of, kept.to, kept.episode) == ("2", "1", model.event.episode)


def test_it_does_not_flap():
    model = Model()
    model.apply()
    # what it was moved back to drifts as well
    second = model.drifts("1", DRIFT + HOUR)
    assert "it stays a while" in model.apply(second, DRIFT + HOUR).reason
    assert "drifts as well" in model.apply(second, DRIFT + 2 * DAY).reason
    # someone promotes the new version again: the same event does not undo that
    model.registry.point("wine", "production", "2")
    assert "someone moved it again" in model.apply(now=DRIFT + 2 * HOUR).reason
    assert model.serves == "2"


def test_a_rollback_that_was_cut_off_is_finished_by_the_same_event():
    model = Model()
    promote = model.registry.promote
    model.registry.promote = _fails  # type: ignore[method-assign]
    with pytest.raises(RegistryError):
        model.apply()
    assert model.serves == "2"
    model.registry.promote = promote  # type: ignore[method-assign]
    assert model.apply().to == "1"
    assert len(model.rollbacks.load("wine")[0].rollbacks) == 1


def _fails(*_given: str) -> None:
    raise RegistryError("MLflow is away")


def test_two_at_once_move_it_once():
    model = Model()
    record, tag = model.rollbacks.load("wine")
    one = Rollback(alias="production", of="2", to="1", episode="e", at=DRIFT)
    model.rollbacks.add(record, one, tag)
    with pytest.raises(StoreError, match="just rolled wine back"):
        model.rollbacks.add(record, one, tag)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stage": "test"}, "of the stage 'test'"),
        ({"change": "closed", "status": "closed"}, "only a drift that opens"),
        ({"status": "expected"}, "only a drift that opens"),
        ({"episode": "2-20200101T000000Z"}, "not known"),
        ({"model_version": "1"}, "version 2 serves"),
    ],
)
def test_other_events_move_nothing(change, says):
    model = Model()
    decision = model.apply(msgspec.structs.replace(model.event, **change))
    assert decision.to == ""
    assert says in decision.reason
    assert model.serves == "2"


def test_an_episode_that_someone_knows_of_moves_nothing():
    model = Model()
    note = Acknowledgement(episode=model.event.episode, who="ann", note="ours", at=DRIFT)
    model.episodes.update("wine", lambda record: record.acknowledge(note))
    assert model.apply().reason == "the episode is acknowledged by now"


def test_a_version_that_served_for_long_stays():
    model = Model()
    model.seen("2", DRIFT - 10 * DAY, "ok")
    assert "no new one: it has results since 2026-02-25" in model.apply().reason


@pytest.mark.parametrize("last", ["drift", "unknown"])
def test_a_version_that_is_not_known_to_be_good_is_no_place_to_go(last):
    model = Model()
    model.reports.saved = {
        name: each for name, each in model.reports.saved.items() if each.model_version == "2"
    }
    model.seen("1", START + 2 * DAY, last)
    assert model.apply().reason == "no version before it is known to be good"


def test_a_version_that_the_registry_has_no_more_is_passed_over():
    model = Model()
    model.seen("0", START + DAY, "ok")
    model.registry.unknown.add("1")
    assert model.apply().to == "0"


def test_an_event_is_read_alone_and_in_its_envelope():
    event = Model().event
    detail = msgspec.json.encode(event).decode()
    envelope = (
        f'{{"source": "modelwatch", "detail-type": "modelwatch.verdict", "detail": {detail}}}'
    )
    assert read_event(detail) == read_event(envelope) == event


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no verdict event"),
        ("[]", "no verdict event"),
        ("{}", "missing required field"),
        ('{"format": 2}', "is 2; this code reads 1"),
        ('{"detail-type": "other", "detail": {}}', "is not modelwatch.verdict"),
        ("[" * 100_000, "no verdict event"),
    ],
)
def test_what_is_no_event_is_refused(text, says):
    with pytest.raises(InvalidInputError, match=says):
        read_event(text)


def test_a_record_of_another_format_is_refused():
    model = Model()
    newer = RollbackRecord(model_name="wine", format=2)
    model.s3.put_object(
        Bucket="reports", Key="rollbacks/wine.json", Body=msgspec.json.encode(newer)
    )
    with pytest.raises(StoreError, match="format 2; this code reads 1"):
        model.apply()
