"""The URLs of the deployed APIs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_cli.deployment.cloudformation.clients import make_clients
from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError
from modelwatch_cli.deployment.cloudformation.plan import APPS, stack_name, stage_of
from modelwatch_cli.deployment.cloudformation.stacks import Stack, StackDeployer
from modelwatch_cli.settings import Settings

API_STAGE = "api"


def api_urls(settings: Settings, needed: Sequence[str] = APPS) -> dict[str, str]:
    """Return the URL of each app's API, by the app's name, without a slash at the end.

    Raises NotDeployedError when one of ``needed`` is not deployed, or CloudFormation does not
    respond.

    Parameters
    ----------
    needed
        The apps that must be deployed.
    """
    urls = deployed_urls(settings)
    require(urls, needed)
    return urls


def require(deployed: Collection[str], needed: Sequence[str]) -> None:
    """Raise a NotDeployedError for an app of ``needed`` that is not ``deployed``."""
    for app in needed:
        if app not in deployed:
            raise NotDeployedError(f"{app} is not deployed: run `modelwatch deploy`")


def deployed_urls(settings: Settings) -> dict[str, str]:
    """Return the URLs of those apps that are deployed.

    Raises NotDeployedError when CloudFormation does not respond.
    """
    endpoint_url = settings.aws_endpoint_url
    stacks = deployed_stacks(settings)
    return {app: api_url(stack, endpoint_url) for app, stack in stacks.items()}


def deployed_stacks(settings: Settings) -> dict[str, Stack]:
    """Return the stacks of those apps that are deployed.

    Raises NotDeployedError when CloudFormation does not respond.
    """
    client = make_clients(settings).cloudformation
    deployer = StackDeployer(client, lambda _: "")
    try:
        stacks = {app: deployer.read(stack_name(stage_of(settings), app)) for app in APPS}
    except (BotoCoreError, ClientError) as error:
        raise NotDeployedError(f"CloudFormation cannot be asked for the URLs: {error}") from error
    return {app: stack for app, stack in stacks.items() if stack and "RestAPIId" in stack.outputs}


def api_url(stack: Stack, endpoint_url: str) -> str:
    """Return the URL of the API in ``stack``.

    A custom endpoint serves APIs below its own address; on AWS each has a host name.

    >>> stack = Stack("s", "CREATE_COMPLETE", {"RestAPIId": "abc", "EndpointURL": "https://abc/api/"})
    >>> api_url(stack, "")
    'https://abc/api'
    >>> api_url(stack, "http://127.0.0.1:4566")
    'http://127.0.0.1:4566/_aws/execute-api/abc/api'
    """
    if endpoint_url:
        return (
            f"{endpoint_url.rstrip('/')}/_aws/execute-api/{stack.outputs['RestAPIId']}/{API_STAGE}"
        )
    return stack.outputs["EndpointURL"].rstrip("/")
