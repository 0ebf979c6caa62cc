"""Deletes a deployment; the data stay."""

from __future__ import annotations

import time
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_cli.deployment.additions.transport import delete_transport
from modelwatch_cli.deployment.cloudformation.clients import Clients
from modelwatch_cli.deployment.cloudformation.errors import DeploymentError
from modelwatch_cli.deployment.cloudformation.graph import Step, run_steps
from modelwatch_cli.deployment.cloudformation.plan import APPS, Plan
from modelwatch_cli.deployment.cloudformation.stacks import StackDeployer
from modelwatch_cli.deployment.deployer import Progress, StackResult


def undeploy(
    plan: Plan,
    clients: Clients,
    progress: Progress,
    *,
    on_aws: bool = False,
    with_data: bool = False,
) -> list[StackResult]:
    """Delete the stacks of ``plan``; the buckets and their content stay, on AWS the queues, too.

    Parameters
    ----------
    with_data
        Delete the stacks of buckets and queues as well. What they keep is in no stack then.

    Returns
    -------
    list of StackResult
        ``deleted`` or, when there was none, ``absent``.
    """
    stacks = StackDeployer(clients.cloudformation, lambda _: "")
    results: list[StackResult] = []

    def delete(part: str) -> None:
        started = time.monotonic()
        name = plan.stack_name(part)
        if part == "metrics":
            action = delete_transport(stacks, clients.packages, name, is_protected=on_aws)
        else:
            action = stacks.delete(name, is_protected=on_aws)
        if part == "layers":
            _delete_layer_versions(plan, clients)
        result = StackResult(name, action, time.monotonic() - started)
        results.append(result)
        progress.done(result)

    kept = {"storage", "pipeline"} if on_aws else {"storage"}
    if with_data:
        kept = set()
    # alarms and metrics are of all functions: they go with all, also if no setting asks for them
    doomed = {part: needs for part, needs in plan.stacks.items() if part not in {*kept, "metrics"}}
    if set(plan.apps) == set(APPS):
        doomed = {part: needs | {"metrics"} for part, needs in doomed.items()}
        doomed |= {"alarms": frozenset(APPS), "metrics": frozenset(), "sql": frozenset()}
    steps = {}
    for part in doomed:
        users = [user for user, needs in doomed.items() if part in needs]
        steps[part] = Step(partial(delete, part), users)
    try:
        run_steps(steps)
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"AWS cannot be reached or refused: {error}") from error
    return results


def _delete_layer_versions(plan: Plan, clients: Clients) -> None:
    """Delete the versions that the stack's updates left for a rollback of functions."""
    for layer in plan.layers:
        name = plan.stack_name(layer)
        for page in clients.functions.get_paginator("list_layer_versions").paginate(LayerName=name):
            for version in page["LayerVersions"]:
                clients.functions.delete_layer_version(
                    LayerName=name, VersionNumber=version["Version"]
                )
