"""A dashboard of CloudWatch: the state of each alarm, and what it watches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = 24
_STATES_HIGH, _TITLE_HIGH, _GRAPH_WIDE, _GRAPH_HIGH = 4, 1, 6, 5


def alarm_board(stage: str, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the dashboard of a stage, as a resource of CloudFormation.

    Its first line has the states, a widget for each part of the pipeline. Below, each alarm has a
    graph of what it watches, with its threshold.

    Parameters
    ----------
    groups
        The names of the alarms, by part of the pipeline.
    """
    wide = _COLUMNS // len(groups)
    widgets = [
        {
            "type": "alarm",
            **_place(number * wide, 0, wide, _STATES_HIGH),
            "properties": {"title": group, "alarms": [_arn(name) for name in names]},
        }
        for number, (group, names) in enumerate(groups.items())
    ]
    y = _STATES_HIGH
    for group, names in groups.items():
        title = {"type": "text", **_place(0, y, _COLUMNS, _TITLE_HIGH)}
        widgets.append(title | {"properties": {"markdown": f"## {group}"}})
        y += _TITLE_HIGH
        in_line = _COLUMNS // _GRAPH_WIDE
        for number, name in enumerate(names):
            line, column = divmod(number, in_line)
            place = _place(column * _GRAPH_WIDE, y + line * _GRAPH_HIGH, _GRAPH_WIDE, _GRAPH_HIGH)
            shown = {
                "title": name.removeprefix(f"modelwatch-{stage}-"),
                "region": "${AWS::Region}",
                "annotations": {"alarms": [_arn(name)]},
            }
            widgets.append({"type": "metric", **place, "properties": shown})
        y += -(-len(names) // in_line) * _GRAPH_HIGH
    return {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {
            "DashboardName": f"modelwatch-{stage}",
            "DashboardBody": {"Fn::Sub": json.dumps({"widgets": widgets})},
        },
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height}


def _arn(name: str) -> str:
    return f"arn:${{AWS::Partition}}:cloudwatch:${{AWS::Region}}:${{AWS::AccountId}}:alarm:{name}"
