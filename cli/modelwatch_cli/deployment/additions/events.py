"""The right of an app to send verdict events to exactly one bus."""

from __future__ import annotations

from modelwatch.domain.episodes.events import DETAIL_TYPE, SOURCE
from modelwatch.settings import Group
from modelwatch_cli.deployment.cloudformation.templates import Template, with_policy
from modelwatch_cli.settings import Settings

_BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBus}"


def with_events(template: Template, group: type[Group], settings: Settings) -> Template:
    """Return an app's ``template``, whose role may send its events; see `with_secrets`."""
    if "EVENT_BUS" not in group.declared() or settings.event_bus == "none":
        return template
    statement = {
        "Sid": "SendVerdicts",
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": {"Fn::Sub": _BUS},
        "Condition": {"StringEquals": {"events:source": SOURCE, "events:detail-type": DETAIL_TYPE}},
    }
    return with_policy(template, "events", [statement])
