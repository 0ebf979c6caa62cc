"""Checks whether the functions of a deployment still exist, and can run."""

from __future__ import annotations

from collections.abc import Iterable

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_cli.checks.steps import StepError
from modelwatch_cli.deployment.cloudformation.clients import Clients, make_clients
from modelwatch_cli.deployment.cloudformation.plan import stack_name, stage_of
from modelwatch_cli.settings import Settings

_GONE = "`modelwatch undeploy`, then `modelwatch deploy`; records in the queue are lost"


def check_functions(settings: Settings, apps: Iterable[str]) -> str:
    """Return how many functions the stacks of ``apps`` have, all of them active.

    Raises StepError when one is missing or not active, or no function reads from the queue.
    """
    clients = make_clients(settings)
    troubles: list[str] = []
    count, gone = 0, False
    try:
        for app in apps:
            for name in _names(clients, stack_name(stage_of(settings), app)):
                count += 1
                state = _state(clients, name)
                gone = gone or state == "gone"
                if state != "Active":
                    troubles.append(f"the function {name} is {state}")
    except (BotoCoreError, ClientError) as error:
        raise StepError(f"the functions cannot be listed: {error}") from error
    if troubles:
        raise StepError(", ".join(troubles), _GONE if gone else "")
    return f"{count} functions are active"


def _names(clients: Clients, stack: str) -> list[str]:
    resources = clients.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return [
        resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    ]


def _state(clients: Clients, name: str) -> str:
    try:
        found = clients.functions.get_function_configuration(FunctionName=name)
    except clients.functions.exceptions.ResourceNotFoundException:
        return "gone"
    # AWS deactivates a function that was not called for weeks; a call activates it
    state: str = found.get("State", "Active")
    if state in ("Active", "Inactive"):
        return "Active"
    return f"{state}: {found.get('StateReason', 'no reason is given')}"
