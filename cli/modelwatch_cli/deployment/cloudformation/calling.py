"""Calls to the deployed APIs, each with the key, token or signature that its API needs."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.secrets import secret
from modelwatch.api_auth import ApiAuth
from modelwatch.client import Client
from modelwatch.errors import InvalidInputError
from modelwatch.settings.kinds import meant
from modelwatch.settings.serving import aliases_of_served
from modelwatch_cli.deployment.cloudformation.clients import make_clients
from modelwatch_cli.deployment.cloudformation.endpoints import api_url, deployed_stacks, require
from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError
from modelwatch_cli.deployment.cloudformation.plan import APPS
from modelwatch_cli.deployment.cloudformation.stacks import Stack
from modelwatch_cli.settings import Settings

KEY_OUTPUT = "ApiKeyId"
"""The output of an app's stack that names its key."""

_AWS_API = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")


@dataclass(frozen=True, slots=True)
class Api:
    """An API: its address without a slash at the end, and what its callers send."""

    url: str
    auth: ApiAuth | None = None


def find_apis(settings: Settings, needed: Sequence[str] = APPS) -> dict[str, Api]:
    """Return the APIs of the apps ``needed``, by the app's name.

    Raises NotDeployedError when one is not deployed, CloudFormation does not respond, or a key
    cannot be read.
    """
    stacks = deployed_stacks(settings)
    require(stacks, needed)
    return {
        app: Api(api_url(stacks[app], settings.aws_endpoint_url), _auth(settings, app, stacks[app]))
        for app in needed
    }


def serving_settings(settings: Settings, model: str | None) -> Settings:
    """Return the settings with a further model that predict serves in MODEL_NAME's place.

    Raises InvalidInputError when MODELS does not name it.
    """
    if model is None:
        return settings
    aliases = aliases_of_served(settings)
    if model not in aliases:
        known = ", ".join(aliases)
        raise InvalidInputError(
            "--model",
            f"'{model[:80]}' is not named by MODEL_NAME or MODELS (they name {known}); set MODELS "
            "as for the deployment, or name it there and run `modelwatch deploy predict`"
            f"{meant(model, list(aliases))}",
        )
    return settings.changed({"MODEL_NAME": model, "MODEL_ALIAS": aliases[model]})


def predict_api(api: Api, model: str | None) -> Api:
    """Return where a model is served: the API itself for the default one."""
    return replace(api, url=f"{api.url}/models/{quote(model, safe='')}") if model else api


def predict_url(address: str, settings: Settings, model: str) -> str:
    """Return the URL that predicts by a model, of the API of predict at ``address``.

    Raises InvalidInputError when predict does not serve the model.
    """
    own = serving_settings(settings, model)
    served = predict_api(Api(address), model if own.model_name != settings.model_name else None)
    return f"{served.url}/predict"


def open_client(settings: Settings, app: str) -> Client:
    """Return a client for the deployed API of ``app``, to be closed. Raises NotDeployedError."""
    api = find_apis(settings, [app])[app]
    urls: dict[str, Any] = {app: api.url}
    return Client(**urls, auth=api.auth)


def foreign_api(settings: Settings, url: str, key: str) -> Api:
    """Return the API at ``url``: with a key or token, or signed if it is on API Gateway."""
    if not key and (token := _token(settings)):
        return Api(url, ApiAuth(token=token))
    host = _AWS_API.fullmatch(httpx.URL(url).host)
    if key or not host:
        return Api(url, ApiAuth(key) if key else None)
    credentials = boto3.Session().get_credentials()
    return Api(url, ApiAuth("", credentials, host[1]) if credentials else None)


def _auth(settings: Settings, app: str, stack: Stack) -> ApiAuth | None:
    key = settings.predict_api_key if app == "predict" else ""
    if KEY_OUTPUT in stack.outputs and not key:
        key = _read_key(settings, app, stack.outputs[KEY_OUTPUT])
    credentials = token = None
    # as it was deployed: the settings of this shell may be others
    asked = (stack.parameters.get("ApiAuth"), stack.parameters.get("ApiAuthControl"))
    if "jwt" in asked:
        token = _token(settings)
        if token is None:
            raise NotDeployedError(f"{app} takes tokens: API_TOKEN or API_TOKEN_COMMAND gives one")
    if "iam" in asked:
        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise NotDeployedError(f"{app} takes signed requests, and there are no AWS credentials")
    if not key and credentials is None and token is None:
        return None
    return ApiAuth(key, credentials, settings.aws_default_region, token)


def _token(settings: Settings) -> Callable[[], str] | None:
    """Return what gives a token; None if no setting does."""
    command, token = settings.api_token_command, secret(settings, "API_TOKEN")
    if command:
        return partial(_printed, command)
    return (lambda: token) if token else None


def _printed(command: str) -> str:
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # not the error itself: it may quote what the command printed
        raise NotDeployedError(
            f"API_TOKEN_COMMAND gave no token ({type(error).__name__}): {command}"
        ) from None
    if not done.stdout.strip():
        raise NotDeployedError(f"API_TOKEN_COMMAND printed nothing: {command}")
    return done.stdout.strip()


def _read_key(settings: Settings, app: str, key_id: str) -> str:
    apis = make_clients(settings).apis
    try:
        return str(apis.get_api_key(apiKey=key_id, includeValue=True)["value"])
    except (BotoCoreError, ClientError) as error:
        raise NotDeployedError(f"the key of {app} cannot be read: {error}") from error
