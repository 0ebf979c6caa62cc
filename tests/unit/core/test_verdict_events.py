"""Each change of an episode is one event: when runs repeat, when the bus is away, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from analysis_stage import AnalysisStage, records
from modelwatch.adapters.aws.events import EventBridgeBus
from modelwatch.domain.episodes.events import VerdictEvent, due_events, remember
from modelwatch.domain.episodes.notes import Acceptance, Acknowledgement, Expectation
from modelwatch.domain.episodes.record import EpisodeRecord, decode_record, encode_record
from modelwatch.domain.episodes.slots import FeatureStory, Observation, Slot
from modelwatch.errors import EventBusError, StoreError

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def seen(hour: int, *drifted: str, length: str = "PT1H") -> Observation:
    end = START + hour * HOUR
    if not drifted:
        return Observation("1", length, end, Slot(quiet=end))
    stories = {name: FeatureStory(first=end, worst=end, strength=2) for name in drifted}
    slot = Slot(drift=end, last=end, features=stories, drifted=len(stories))
    return Observation("1", length, end, slot)


class Listener:
    """A record, and the changes that were heard of it."""

    def __init__(self) -> None:
        self.record = EpisodeRecord(model_name="wine")
        self.events: list[VerdictEvent] = []

    def hear(self, hour: int, *, remembers: bool = True) -> list[str]:
        now = START + hour * HOUR
        due = list(due_events(self.record, "prod", "ann", now))
        self.events += [each.event for each in due]
        if remembers:
            self.record = remember(self.record, due, now)
            self.record = decode_record(encode_record(self.record))
            assert not list(due_events(self.record, "prod", "ann", now)), "it is heard once"
        return [each.event.change for each in due]

    def see(self, hour: int, *drifted: str, **more: str) -> list[str]:
        self.record = self.record.add(seen(hour, *drifted, **more))
        return self.hear(hour)


def test_an_episode_opens_changes_and_closes():
    wine = Listener()
    heard = [wine.see(1), wine.see(2, "ash"), wine.see(3, "ash"), wine.see(4, "ash", "hue")]
    heard += [wine.see(hour) for hour in range(5, 9)]
    assert heard == [[], ["opened"], [], ["changed"], [], ["closed"], [], []]
    opened, changed, closed = wine.events
    assert [each.number for each in wine.events] == [1, 2, 3]
    assert {each.episode for each in wine.events} == {"1-20260302T020000Z"}
    assert len({each.id for each in wine.events}) == 3
    assert (opened.status_before, opened.status, opened.owner) == ("", "open", "ann")
    assert opened.result == "wine.1.20260302T020000Z.PT1H"
    assert opened.summary == "wine version 1 drifts since 2026-03-02 02:00 UTC: ash"
    assert changed.new_features == ("hue",)
    assert [each.name for each in changed.features] == ["ash", "hue"]
    assert (closed.status_before, closed.status, closed.reason) == ("open", "closed", "quiet")
    assert closed.closed == START + 6 * HOUR


def test_what_people_do_is_heard_too():
    wine = Listener()
    wine.see(2, "ash")
    episode = wine.events[0].episode
    note = Acknowledgement(episode=episode, at=START + 3 * HOUR, who="ann", note="ours")
    wine.record = wine.record.acknowledge(note)
    assert wine.hear(3) == ["changed"]
    expected = Expectation(
        id=0, at=START, who="ann", start=START, end=START + 9 * HOUR, reason="a sale", features=()
    )
    wine.record = wine.record.expect(expected)
    assert wine.hear(3) == ["changed"]
    wine.record = wine.record.accept(
        Acceptance(
            episode=episode,
            at=START + 4 * HOUR,
            who="ann",
            note="it stays",
            baseline="b",
            before="",
        )
    )
    assert wine.hear(4) == ["closed"]
    statuses = ["open", "acknowledged", "expected", "closed"]
    assert [each.status for each in wine.events] == statuses
    assert [each.status_before for each in wine.events] == ["", *statuses[:3]]
    assert wine.events[-1].reason == "accepted"


def test_an_event_that_could_not_be_remembered_has_the_same_id_again():
    wine = Listener()
    wine.record = wine.record.add(seen(2, "ash"))
    wine.hear(2, remembers=False)
    # another run knows more by then, and means the same
    wine.record = wine.record.add(seen(2, "ash", length="P1D"))
    assert wine.hear(3) == ["opened"]
    assert len({each.id for each in wine.events}) == 1


def test_an_episode_that_opened_and_closed_unheard_is_heard_for_a_day():
    record = EpisodeRecord(model_name="wine")
    for each in [seen(2, "ash"), seen(3), seen(4), seen(5)]:
        record = record.add(each)
    wine = Listener()
    wine.record = record
    assert wine.hear(20) == ["opened", "closed"]
    wine.record = record
    assert wine.hear(40) == []


def test_a_window_that_comes_late_moves_the_opening_and_not_the_name():
    wine = Listener()
    wine.see(5, "ash")
    assert wine.see(4, "ash") == []
    assert wine.see(6, "hue") == ["changed"]
    assert {each.episode for each in wine.events} == {"1-20260302T050000Z"}
    assert wine.events[-1].opened == START + 4 * HOUR
    assert wine.record.find(wine.events[0].episode).opened == START + 4 * HOUR


def test_two_episodes_that_become_one_both_close():
    wine = Listener()
    wine.see(2, "ash")
    for hour in (3, 4):
        wine.see(hour)
    wine.see(20, "ash")
    assert [each.change for each in wine.events] == ["opened", "closed", "opened"]
    # the day sees both
    wine.record = wine.record.add(seen(21, "ash", length="P1D"))
    wine.hear(21)
    last: dict[str, str] = {}
    wine.record = wine.record.accept(
        Acceptance(
            episode=wine.events[-1].episode, at=START + 22 * HOUR, who="a", note="", baseline="b",
            before="",
        )
    )  # fmt: skip
    wine.hear(22)
    for each in wine.events:
        last[each.episode] = each.change
    assert set(last.values()) == {"closed"}


def test_what_is_remembered_stays_small():
    wine = Listener()
    for hour in range(400):
        wine.see(hour, *(["ash"] if hour % 8 == 0 else []))
    assert len(wine.events) == 100
    assert len(wine.record.announced) <= 5
    for hour in range(400, 410):
        wine.see(hour, *(f"f{hour}-{number}" for number in range(9)))
    assert len(wine.record.announced[-1].features) <= 20


def test_the_schedule_announces_once_and_again_after_a_failure():
    stage = AnalysisStage(history_days=0)
    stage.store.write(records(100, 5.0))
    stage.bus.away = True
    assert stage.run_after(seconds=1).failures == {}, "the analysis has its result all the same"
    failed = [each for each in stage.metrics.samples if each.labels.get("outcome") == "failed"]
    assert [each.name for each in failed] == ["verdict_events_total"]
    stage.bus.away = False
    stage.service.analyze_due(stage.now)
    stage.service.analyze_due(stage.now)
    (event,) = stage.bus.events
    assert (event.change, event.model_name, event.stage) == ("opened", "wine", "local")
    assert stage.reports.result(event.result).status == "drift"
    values = {"5.0", "5", "red"}
    assert not values & set(msgspec.json.encode(event).decode().replace('"', " ").split())


def test_a_record_that_cannot_be_written_sends_again_and_fails_nothing():
    stage = AnalysisStage(history_days=0)
    stage.store.write(records(100, 5.0))
    stage.run_after(seconds=1)
    assert len(stage.bus.events) == 1
    announcer: Any = stage.service._announcer

    class Full(type(stage.episodes)):
        def update(self, *_given):
            raise StoreError("S3 is away")

    stage.episodes.update("wine", lambda each: msgspec.structs.replace(each, announced=()))
    announcer._store = Full(stage.s3, "reports")
    for _ in range(2):
        announcer.announce("wine", "", stage.now)
    assert len({each.id for each in stage.bus.events}) == 1
    assert len(stage.bus.events) == 3


class Events:
    """EventBridge's client with one response."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.entries: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 - boto3's name
        self.entries += Entries
        if isinstance(self.response, Exception):
            raise self.response
        return {"Entries": [self.response]}


def test_an_event_is_an_entry_of_eventbridge():
    wine = Listener()
    wine.see(2, "ash")
    client = Events({"EventId": "1"})
    EventBridgeBus(client, "ops").send(wine.events[0])
    (entry,) = client.entries
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (
        "ops",
        "modelwatch",
        "modelwatch.verdict",
    )
    detail = msgspec.json.decode(entry["Detail"])
    assert (detail["format"], detail["change"], detail["closed"]) == (1, "opened", None)
    assert msgspec.convert(detail, VerdictEvent) == wine.events[0]


@pytest.mark.parametrize(
    "response",
    [
        {"ErrorCode": "ThrottlingException", "ErrorMessage": "slowly"},
        ClientError({"Error": {"Code": "AccessDenied"}}, "PutEvents"),
    ],
)
def test_what_the_bus_does_not_take_is_an_error(response):
    wine = Listener()
    wine.see(2, "ash")
    with pytest.raises(EventBusError, match="took no event"):
        EventBridgeBus(Events(response), "ops").send(wine.events[0])
