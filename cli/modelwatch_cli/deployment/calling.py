"""Calls to the deployed APIs: each with what the API asks of its callers."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch_cli.deployment.clients import make_clients
from modelwatch_cli.deployment.endpoints import api_url, deployed_stacks, require
from modelwatch_cli.deployment.errors import NotDeployedError
from modelwatch_cli.deployment.plan import APPS
from modelwatch_cli.deployment.stacks import Stack
from modelwatch_cli.settings import Settings

KEY_OUTPUT = "ApiKeyId"
"""The output of an app's stack that names its key."""

_AWS_API = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")


class ApiAuth(httpx.Auth):
    """Signs requests with AWS credentials, sends a key, or both.

    Parameters
    ----------
    key
        For the header x-api-key; empty: none.
    credentials
        Of botocore; None: requests are not signed.
    region
        Of the API.
    """

    requires_request_body = True

    def __init__(self, key: str = "", credentials: Any = None, region: str = "") -> None:
        self._key = key
        self._credentials = credentials
        self._region = region

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Yield the request with its key and signature."""
        if self._key:
            request.headers["x-api-key"] = self._key
        if self._credentials is not None:
            self._sign(request)
        yield request

    def _sign(self, request: httpx.Request) -> None:
        # the query is signed as AWS writes it, and a blank must not become a plus
        query = urlencode(request.url.params.multi_items(), safe="-_.~", quote_via=quote)
        request.url = request.url.copy_with(query=query.encode() or None)
        # what a proxy may change is not signed
        signed = AWSRequest(
            request.method,
            str(request.url),
            headers={"Host": request.headers["Host"]},
            data=request.content,
        )
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(signed)
        request.headers.update(dict(signed.headers))


@dataclass(frozen=True, slots=True)
class Api:
    """An API: its address without a slash at the end, and what its callers send."""

    url: str
    auth: ApiAuth | None = None


def find_apis(settings: Settings, needed: Sequence[str] = APPS) -> dict[str, Api]:
    """Return the deployed APIs by the app's name; those of ``needed`` must be there.

    Raises
    ------
    NotDeployedError
        When one is not deployed, CloudFormation does not respond, or a key cannot be read.
    """
    stacks = deployed_stacks(settings)
    require(stacks, needed)
    return {
        app: Api(api_url(stack, settings.aws_endpoint_url), _auth(settings, app, stack))
        for app, stack in stacks.items()
    }


def foreign_api(url: str, key: str) -> Api:
    """Return the API at ``url``: with a key, or signed if it is on API Gateway."""
    host = _AWS_API.fullmatch(httpx.URL(url).host)
    if key or not host:
        return Api(url, ApiAuth(key) if key else None)
    credentials = boto3.Session().get_credentials()
    return Api(url, ApiAuth("", credentials, host[1]) if credentials else None)


def _auth(settings: Settings, app: str, stack: Stack) -> ApiAuth | None:
    key = settings.predict_api_key if app == "predict" else ""
    if KEY_OUTPUT in stack.outputs and not key:
        key = _read_key(settings, app, stack.outputs[KEY_OUTPUT])
    credentials = None
    # as it was deployed: the settings of this shell may be others
    if "iam" in (stack.parameters.get("ApiAuth"), stack.parameters.get("ApiAuthControl")):
        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise NotDeployedError(f"{app} takes signed requests, and there are no AWS credentials")
    if not key and credentials is None:
        return None
    return ApiAuth(key, credentials, settings.aws_default_region)


def _read_key(settings: Settings, app: str, key_id: str) -> str:
    apis = make_clients(settings).apis
    try:
        return str(apis.get_api_key(apiKey=key_id, includeValue=True)["value"])
    except (BotoCoreError, ClientError) as error:
        raise NotDeployedError(f"the key of {app} cannot be read: {error}") from error
