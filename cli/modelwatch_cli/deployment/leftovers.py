"""Resources that still exist after an app's stack, and would disturb the next one.

AWS deletes a stack's resources with it. LocalStack 4.14 forgets the resources of a stack whose
update failed, and does not know those of a creation that failed half-way. Then their names are in
use, two consumers read a queue, a rule fires twice. All of them have names of one app of one stage.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from modelwatch_cli.deployment.building.packaging import function_names
from modelwatch_cli.deployment.cloudformation.clients import Clients
from modelwatch_cli.deployment.cloudformation.errors import DeploymentError
from modelwatch_cli.deployment.cloudformation.plan import IMAGE_SUFFIX
from modelwatch_cli.deployment.cloudformation.templates import Template

_PATIENCE_SECONDS = 30


def delete_leftovers(
    clients: Clients,
    template: Template,
    stage: str,
    stack: str,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Delete what still exists of an app after its stack was deleted.

    Raises DeploymentError when a function or mapping stays.

    Parameters
    ----------
    template
        The app's template, which has the names of its functions.
    stage, stack
        The deployment, and the name of the app's stack, which is also its API's.
    sleep
        Waits for the end of a mapping.
    """
    names = {name.removesuffix(IMAGE_SUFFIX) for name in function_names(template, stage)}
    for name in sorted(names | {f"{name}{IMAGE_SUFFIX}" for name in names}):
        _delete_mappings(clients.functions, name, sleep)
        _delete_function(clients.functions, name)
    _delete_apis(clients.apis, stack)
    _delete_rules(clients.events, stack)


def _delete_mappings(client: Any, function: str, sleep: Callable[[float], None]) -> None:
    for _ in range(_PATIENCE_SECONDS * 2):
        try:
            found = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        except client.exceptions.ResourceNotFoundException:
            return
        if not found:
            return
        for mapping in found:
            # one that is being deleted already cannot be deleted again
            with contextlib.suppress(ClientError):
                client.delete_event_source_mapping(UUID=mapping["UUID"])
        sleep(0.5)
    raise DeploymentError(f"function {function} keeps an event source mapping of a deleted stack")


def _delete_function(client: Any, name: str) -> None:
    try:
        client.delete_function(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        return
    except ClientError as error:
        message = f"function {name} outlived its stack and cannot be deleted: {error}"
        raise DeploymentError(message) from error


def _delete_apis(client: Any, name: str) -> None:
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if api["name"] == name:
                client.delete_rest_api(restApiId=api["id"])


def _delete_rules(client: Any, stack: str) -> None:
    for rule in client.list_rules(NamePrefix=f"{stack}-")["Rules"]:
        # another stage's name may begin alike
        if re.fullmatch(re.escape(stack) + r"-[0-9a-f]{8}", rule["Name"]):
            targets = client.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if targets:
                client.remove_targets(Rule=rule["Name"], Ids=[target["Id"] for target in targets])
            client.delete_rule(Name=rule["Name"])
