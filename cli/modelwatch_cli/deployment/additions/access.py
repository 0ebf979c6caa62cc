"""Who may call an API: added to Chalice's template of an app before the deployment.

All of it is in the definition of the API, so a changed setting deploys the API again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from modelwatch.errors import SettingError
from modelwatch.settings.access import CONTROL_PATHS, OPEN, Auth
from modelwatch_cli.deployment.cloudformation.apis import METHODS, routes
from modelwatch_cli.deployment.cloudformation.calling import KEY_OUTPUT
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.settings import Settings

_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
    "iam": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
}
_OWN_ACCOUNT = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"


def check_access(settings: Settings) -> None:
    """Refuse APIs on AWS if no setting says who may call them.

    Raises SettingError when there is none, or the settings contradict one another.
    """
    on_aws = not settings.aws_endpoint_url
    for setting in (type(settings).api_auth, type(settings).api_auth_control):
        chosen = settings.text(setting.name)
        if on_aws and (chosen == "none" or (not chosen and setting.name == "API_AUTH")):
            raise SettingError(
                setting.name,
                "say who may call the APIs on AWS: iam (requests signed with AWS credentials), "
                f"api_key (a key in the header x-api-key), jwt (a bearer token), or {OPEN}",
            )
    used = {settings.auth_of(path) for path in ("/predict", *CONTROL_PATHS)}
    if "jwt" in used:
        for name in ("API_JWT_ISSUER", "API_JWT_AUDIENCE"):
            if not settings.text(name):
                raise SettingError(name, "is needed: jwt opens no route without it")
        if "iam" in used:
            raise SettingError(
                "API_AUTH_CONTROL", "jwt and iam take the same header: both are one or the other"
            )
        if on_aws and not settings.api_jwt_issuer.startswith("https:"):
            raise SettingError("API_JWT_ISSUER", "is not an https address")
    _check_rate(settings, used)
    if settings.api_allowed_principals and "iam" not in used:
        raise SettingError("API_ALLOWED_PRINCIPALS", "only iam knows principals: API_AUTH=iam")


def _check_rate(settings: Settings, used: Set[Auth]) -> None:
    """Refuse an API on AWS that has a function run for anyone, as often as anyone likes.

    API Gateway itself refuses a wrong signature or key, and AWS does not bill that. A token is
    refused by the function, whose requests are billed: a rate bounds them.

    Raises SettingError when there is none.
    """
    starts_for_anyone = "jwt" in used or "none" in used
    if starts_for_anyone and not settings.aws_endpoint_url and settings.api_rate is None:
        reason = "with API_AUTH=jwt a function runs" if "jwt" in used else "a function runs"
        raise SettingError(
            "API_RATE",
            f"say how many requests a second an API takes: {reason} for whoever calls, and each "
            "request costs money (100 are at most about 1.60 USD an hour)",
        )


def with_access(template: Template, settings: Settings) -> Template:
    """Return an app's ``template`` with closed routes, a key where one opens them, and a policy.

    Parameters
    ----------
    template
        Of `package_app`.
    settings
        Say who may call.
    """
    api = template["Resources"]["RestAPI"]
    definition = api["Properties"]["DefinitionBody"]
    auths = {path: settings.auth_of(path) for path in definition["paths"]}
    # a token is looked at by the function itself: see `modelwatch.adapters.access.tokens`
    used = {auth for auth in auths.values() if auth in _SCHEMES}
    definition = definition | {
        "paths": {
            path: {
                method: each | {"security": [{auths[path]: []}]}
                if method in METHODS and auths[path] in _SCHEMES
                else each
                for method, each in methods.items()
            }
            for path, methods in definition["paths"].items()
        }
    }
    if used:
        definition["securityDefinitions"] = {auth: _SCHEMES[auth] for auth in sorted(used)}
    if policy := _policy(api["Properties"], settings):
        definition["x-amazon-apigateway-policy"] = policy
    properties = api["Properties"] | {"DefinitionBody": definition}
    if endpoints := settings.api_vpc_endpoints:
        properties["EndpointConfiguration"] = {
            "Type": "PRIVATE",
            "VPCEndpointIds": list(endpoints),
        }
    resources = template["Resources"] | {"RestAPI": api | {"Properties": properties}}
    if "api_key" not in used:
        return template | {"Resources": resources}
    outputs = template.get("Outputs", {}) | {KEY_OUTPUT: {"Value": {"Ref": "ApiKey"}}}
    return template | {
        "Resources": resources | _key(settings, properties["StageName"]),
        "Outputs": outputs,
    }


def _key(settings: Settings, stage: str) -> dict[str, Any]:
    """Return a key that AWS makes, and its usage plan."""
    return {
        "ApiKey": {"Type": "AWS::ApiGateway::ApiKey", "Properties": {"Enabled": True}},
        "UsagePlan": {
            "Type": "AWS::ApiGateway::UsagePlan",
            # as SAM names it; LocalStack 4.14 does not know SAM's reference RestAPI.Stage
            "DependsOn": f"RestAPI{stage}Stage",
            "Properties": {
                "ApiStages": [{"ApiId": {"Ref": "RestAPI"}, "Stage": stage}],
                "Throttle": {
                    "RateLimit": settings.api_key_rate,
                    "BurstLimit": settings.api_key_burst,
                },
                "Quota": {"Limit": settings.api_key_daily, "Period": "DAY"},
            },
        },
        "UsagePlanKey": {
            "Type": "AWS::ApiGateway::UsagePlanKey",
            "Properties": {
                "KeyId": {"Ref": "ApiKey"},
                "KeyType": "API_KEY",
                "UsagePlanId": {"Ref": "UsagePlan"},
            },
        },
    }


def _policy(properties: Mapping[str, Any], settings: Settings) -> dict[str, Any] | None:
    """Return the resource policy; None if no setting needs one.

    An API with a policy is closed to whom the policy does not name. To the routes of iam that is
    never everyone, which would let every account of AWS in: without principals it is this account,
    whose own policies say who of it may call.
    """
    principals: Sequence[Any] = settings.api_allowed_principals or ()
    ranges, endpoints = settings.api_allowed_cidrs, settings.api_vpc_endpoints
    if not (principals or ranges or endpoints):
        return None
    # with stage and method: a * in place of them would also stand for parts of other paths
    stage = properties["StageName"]
    signed: list[str] = []
    others: list[str] = []
    for route in sorted(routes(properties["DefinitionBody"])):
        path = route.split(" ")[1]
        (signed if settings.auth_of(path) == "iam" else others).append(_resource(stage, route))
    statements = []
    if others:
        statements.append(_statement("Allow", others))
    if signed:
        allowed = list(principals) or [{"Fn::Sub": _OWN_ACCOUNT}]
        statements.append(_statement("Allow", signed, principal={"AWS": allowed}))
    if signed and principals:
        # an account's own policies may allow others as well: these do not count here
        accounts = [each for each in principals if each.isdecimal()]
        arns = [each for each in principals if not each.isdecimal()]
        condition: dict[str, Any] = {}
        if arns:
            condition["ArnNotEquals"] = {"aws:PrincipalArn": arns}
        if accounts:
            condition["StringNotEquals"] = {"aws:PrincipalAccount": accounts}
        statements.append(_statement("Deny", signed, condition))
    everything = ["execute-api:/*"]
    if ranges:
        key = "aws:VpcSourceIp" if endpoints else "aws:SourceIp"
        statements.append(_statement("Deny", everything, {"NotIpAddress": {key: list(ranges)}}))
    if endpoints:
        elsewhere = {"StringNotEquals": {"aws:SourceVpce": list(endpoints)}}
        statements.append(_statement("Deny", everything, elsewhere))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(
    effect: str,
    resources: list[str],
    condition: Mapping[str, Any] | None = None,
    principal: Any = "*",
) -> dict[str, Any]:
    return {
        "Effect": effect,
        "Principal": principal,
        "Action": "execute-api:Invoke",
        "Resource": resources,
        **({"Condition": condition} if condition else {}),
    }


def _resource(stage: str, route: str) -> str:
    """Return a route as policies name it: ``execute-api:/<stage>/<method>/<path>``.

    >>> _resource("api", "GET /reports/{name}")
    'execute-api:/api/GET/reports/*'
    """
    method, path = route.split(" ")
    return re.sub(r"{.*?}", "*", f"execute-api:/{stage}/{method}{path}")
