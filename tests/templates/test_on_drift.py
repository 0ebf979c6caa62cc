"""The rules of examples/on-drift: which events they match, by moto's matching of EventBridge."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from moto.events.models import EventPattern

from modelwatch.adapters.aws.events import EventBridgeBus
from modelwatch.domain.episodes.events import VerdictEvent, due_events
from modelwatch.domain.episodes.record import EpisodeRecord
from modelwatch.domain.episodes.slots import FeatureStory, Observation, Slot
from modelwatch_cli.deployment.cloudformation.templates import load_template
from modelwatch_cli.rollback.commands import read_event
from wine_records import wine_record

FOLDER = Path(__file__).parents[2] / "examples" / "on-drift"


class Client:
    """EventBridge's client; keeps what rules see of an event."""

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 - boto3's name
        (entry,) = Entries
        self.event = {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
        return {"Entries": [{"EventId": "1"}]}


def opened() -> VerdictEvent:
    """Return the event of a drift that opens."""
    end = wine_record().captured_at
    story = FeatureStory(first=end, worst=end, strength=2)
    slot = Slot(drift=end, last=end, features={'a "quoted" name': story}, drifted=1)
    record = EpisodeRecord(model_name="wine").add(Observation("2", "PT1H", end, slot))
    (due,) = due_events(record, "prod", "ann", end)
    return due.event


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, {"retrain", "rollback", "ticket"}),
        ({"status": "acknowledged"}, {"ticket"}),
        ({"change": "closed", "status": "closed"}, {"ticket"}),
        ({"stage": "test"}, set()),
        ({"format": 2}, set()),
        ({"owner": ""}, {"retrain", "rollback", "ticket"}),
    ],
)
def test_a_rule_matches_the_events_of_its_stage_that_it_acts_on(changes, rules):
    event, client = msgspec.structs.replace(opened(), **changes), Client()
    EventBridgeBus(client, "default").send(event)
    matching = set()
    for path in FOLDER.glob("*.yaml"):
        (rule,) = (
            each["Properties"]
            for each in load_template(path)["Resources"].values()
            if each["Type"] == "AWS::Events::Rule"
        )
        if _matches(rule["EventPattern"], client.event):
            matching.add(path.stem)
    assert matching == rules
    if "rollback" in rules:
        assert read_event(json.dumps(client.event)) == event


@pytest.mark.parametrize(("owner", "matches"), [("", True), ("ann", True), ("bob", False)])
def test_a_stack_of_tickets_can_be_of_one_owner(owner, matches):
    client = Client()
    EventBridgeBus(client, "default").send(opened())
    rule = load_template(FOLDER / "ticket.yaml")["Resources"]["OnChange"]["Properties"]
    assert _matches(rule["EventPattern"], client.event, owner) is matches


def _matches(pattern: dict[str, Any], event: dict[str, Any], owner: str = "") -> bool:
    """Return whether a rule of stage prod matches an event."""
    detail = pattern["detail"] | {"stage": ["prod"]}
    if "owner" in detail:
        (choice,) = detail["owner"]
        condition, of_all, one = choice["Fn::If"]
        assert condition == "OfAll"
        assert one == {"Ref": "Owner"}
        detail["owner"] = [owner or of_all]
    return bool(EventPattern.load(json.dumps(pattern | {"detail": detail})).matches_event(event))
