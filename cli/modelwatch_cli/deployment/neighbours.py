"""The names that a stage shares with no one: neither by accident, nor by another default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwatch.errors import SettingError
from modelwatch_cli.deployment.cloudformation.parameters import parameter_name
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_OWN = ("CAPTURE_BUCKET", "REPORT_BUCKET", "CAPTURE_QUEUE_NAME", "METRICS_BUCKET")
_STACK = re.compile(r"modelwatch-(.+)-(storage|pipeline|metrics|predict|capture|analyze)")


type Stages = Mapping[str, Mapping[str, str]]
"""By stage: the values of the parameters that hold a name."""


def check_model_bucket(settings: Settings) -> None:
    """Raise SettingError if MODEL_BUCKET would be a name on AWS that anyone may have."""
    if not settings.aws_endpoint_url and "MODEL_BUCKET" not in settings.said():
        raise SettingError(
            "MODEL_BUCKET",
            "name the bucket of MLflow's artifacts: its owner chooses the code that predict runs",
        )


def stages(client: CloudFormationClient) -> dict[str, dict[str, str]]:
    """Return the names that each deployed stage uses, by parameter."""
    found: dict[str, dict[str, str]] = {}
    known = {parameter_name(setting) for setting in _OWN}
    for page in client.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            match = _STACK.fullmatch(stack["StackName"])
            if match and stack["StackStatus"] != "DELETE_COMPLETE":
                names = found.setdefault(match[1], {})
                for parameter in stack.get("Parameters", ()):
                    if parameter["ParameterKey"] in known:
                        names[parameter["ParameterKey"]] = parameter.get("ParameterValue", "")
    return found


def wrong_names(settings: Settings, deployed: Stages) -> list[SettingError]:
    """Return an error for each name that another stage has, or that a mere default would move.

    Parameters
    ----------
    deployed
        Of `stages`.
    """
    errors = []
    said = settings.said()
    shared = settings.shared_with_stages or ()
    for setting in _OWN:
        name, parameter = settings.text(setting), parameter_name(setting)
        now = deployed.get(settings.stage, {}).get(parameter, name)
        if now != name and setting not in said:
            errors.append(
                SettingError(
                    setting,
                    f"stage {settings.stage} uses '{now}', and the default is '{name}' now: say "
                    f"{setting}={now} to keep it, or {setting}={name} to begin anew there",
                )
            )
        users = {
            stage
            for stage, names in deployed.items()
            if stage != settings.stage and name in names.values() and stage not in shared
        }
        if users:
            errors.append(
                SettingError(
                    setting,
                    f"'{name}' belongs to stage {min(users)}; choose another name, or say "
                    f"SHARED_WITH_STAGES={min(users)} if both shall use it",
                )
            )
    return errors
