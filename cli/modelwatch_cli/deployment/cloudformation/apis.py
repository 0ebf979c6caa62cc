"""Checks that an API is as its stack says, and corrects it if CloudFormation did not.

LocalStack 4.14 creates APIs with a stack and does not update them. For a changed API it makes a new
stage, which fails while the old one exists, and then deletes that name. The API has its old routes,
or calls a deleted function. So the stage is deleted before the update, and the API is corrected
after it; its address stays. On AWS there is nothing to correct.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from modelwatch_cli.deployment.cloudformation.templates import Template

METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


def ensure_api(client: Any, template: Template, outputs: Mapping[str, str]) -> bool:
    """Give the deployed API the template's routes and stage, and let it call its function.

    Parameters
    ----------
    template
        The deployed one of the app.
    outputs
        Those of its stack; ``RestAPIId`` and ``APIHandlerArn`` are used.

    Returns
    -------
    bool
        Whether it corrected something.
    """
    api_id = outputs["RestAPIId"]
    properties = template["Resources"]["RestAPI"]["Properties"]
    definition, stage = properties["DefinitionBody"], properties["StageName"]
    stages = {found.get("stageName") for found in client.get_stages(restApiId=api_id)["item"]}
    arn = outputs["APIHandlerArn"]
    if stage in stages and _deployed_routes(client, api_id, arn) == _wanted_routes(definition):
        return False
    body = json.dumps(resolve(definition, arn)).encode()
    client.put_rest_api(restApiId=api_id, mode="overwrite", body=body)
    client.create_deployment(restApiId=api_id, stageName=stage)
    return True


def clear_stage(client: Any, template: Template, outputs: Mapping[str, str]) -> None:
    """Delete an API's stage, so that LocalStack makes it again; see `ensure_api`."""
    stage = template["Resources"]["RestAPI"]["Properties"]["StageName"]
    with contextlib.suppress(client.exceptions.NotFoundException):
        client.delete_stage(restApiId=outputs["RestAPIId"], stageName=stage)


def routes(definition: Mapping[str, Any]) -> frozenset[str]:
    """Return the routes of an API's definition.

    >>> sorted(routes({"paths": {"/health": {"get": {}}, "/predict": {"post": {}}}}))
    ['GET /health', 'POST /predict']
    """
    return frozenset(
        f"{method.upper()} {path}"
        for path, methods in definition["paths"].items()
        for method in methods
        if method in METHODS
    )


def resolve(definition: Any, handler_arn: str) -> Any:
    """Return the definition with the function's ARN, as CloudFormation fills it in.

    >>> uri = {"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:x/${APIHandler.Arn}/y"}
    >>> resolve({"uri": uri}, "arn:aws:lambda:eu-west-1:1:function:f")["uri"]
    'arn:aws:apigateway:eu-west-1:x/arn:aws:lambda:eu-west-1:1:function:f/y'
    """
    if isinstance(definition, list):
        return [resolve(item, handler_arn) for item in definition]
    if not isinstance(definition, dict):
        return definition
    pattern = definition.get("Fn::Sub")
    if not isinstance(pattern, str):
        return {name: resolve(value, handler_arn) for name, value in definition.items()}
    _, partition, _, region, account, *_ = handler_arn.split(":")
    values = {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": account,
        "APIHandler.Arn": handler_arn,
        "Live": handler_arn,  # the alias, where a version serves
    }
    for name, value in values.items():
        pattern = pattern.replace(f"${{{name}}}", value)
    return pattern


def _wanted_routes(definition: Mapping[str, Any]) -> dict[str, tuple[bool, bool]]:
    """Return the routes: each calls the function, and some need a key."""
    return {
        route: (
            True,
            {"api_key": []} in definition["paths"][path][method.lower()].get("security", ()),
        )
        for route in routes(definition)
        for method, path in [route.split(" ")]
    }


def _deployed_routes(client: Any, api_id: str, handler_arn: str) -> dict[str, tuple[bool, bool]]:
    """Return the existing routes: whether each calls the function and needs a key."""
    pages = client.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
    return {
        f"{method} {resource['path']}": (
            f"/{handler_arn}/" in str(integrated.get("uri")),
            bool(described.get("apiKeyRequired")),
        )
        for page in pages
        for resource in page["items"]
        for method, described in resource.get("resourceMethods", {}).items()
        for integrated in [described.get("methodIntegration", {})]
    }
