"""The template of the stack of alarms.

Alarms of a part of the pipeline act through one composite alarm: one fault is one message. Of a
drift the topic hears by the verdict event itself.
"""

from __future__ import annotations

from modelwatch_cli.deployment.additions.alarms.board import alarm_board
from modelwatch_cli.deployment.additions.alarms.listeners import listeners, runbook
from modelwatch_cli.deployment.additions.alarms.twins import GROUPS, alarms, name_of
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.settings import Settings


def alarm_template(settings: Settings, functions: dict[str, int], queue: str) -> Template:
    """Return the template of the stack of alarms."""
    topic, resources = listeners(settings)
    names: dict[str, list[str]] = {group: [] for group in GROUPS}
    for each in alarms(settings, functions, queue):
        title = name_of(each, settings.stage)
        names[each.group].append(title)
        resources[_logical(f"{each.twin}-{each.subject}")] = {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": title,
                "AlarmDescription": f"{each.says} {runbook(each.twin)}",
                "TreatMissingData": "notBreaching",
                **each.properties,
            },
        }
    for group, titles in names.items():
        resources[_logical(f"any-{group}")] = {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "DependsOn": sorted(
                name
                for name, resource in resources.items()
                if resource["Properties"].get("AlarmName") in titles
            ),
            "Properties": {
                "AlarmName": f"modelwatch-{settings.stage}-{group}",
                "AlarmDescription": f"Something is wrong with {group}: its alarms say what, "
                "and link their runbooks.",
                "AlarmRule": " OR ".join(f'ALARM("{title}")' for title in titles),
                "AlarmActions": [topic],
                "OKActions": [topic],
            },
        }
    resources["Dashboard"] = alarm_board(settings.stage, names)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "modelwatch: alarms",
        "Resources": resources,
        "Outputs": {"AlarmTopic": {"Value": topic}},
    }


def _logical(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("-"))
