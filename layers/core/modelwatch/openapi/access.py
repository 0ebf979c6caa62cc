"""Who may call, as an OpenAPI document says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwatch.openapi.document import problem
from modelwatch.settings.access import AccessSettings

_SCHEMES = {
    "api_key": {
        "type": "apiKey",
        "name": "x-api-key",
        "in": "header",
        "description": "The key of this API",
    },
    "iam": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "An AWS Signature Version 4 for the service execute-api",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the issuer in API_JWT_ISSUER",
    },
}

_MESSAGE = {"type": "object", "properties": {"message": {"type": "string"}}}
_REFUSALS = {
    "401": "The request does not show who calls",
    "403": "The key or the signature is wrong or missing, or the caller may not call this",
}


def secured(document: Mapping[str, Any], settings: AccessSettings) -> dict[str, Any]:
    """Return ``document`` with what each operation needs, and how API Gateway refuses.

    Examples
    --------
    >>> document = {"paths": {"/predict": {"post": {"responses": {}}}}, "components": {}}
    >>> found = secured(document, AccessSettings({"API_AUTH": "iam"}))
    >>> found["paths"]["/predict"]["post"]["security"], list(found["components"]["securitySchemes"])
    ([{'iam': []}], ['iam'])
    >>> secured(document, AccessSettings({})) == document
    True
    """
    auths = {path: settings.auth_of(path) for path in document["paths"]}
    used = sorted({auth for auth in auths.values() if auth != "none"})
    if not used:
        return dict(document)
    refusals = {
        status: {"description": text, "content": {"application/json": {"schema": _MESSAGE}}}
        for status, text in _REFUSALS.items()
    }
    # the gateway refuses in its own way, the function, which looks at tokens, in its own
    own = {str(status): problem(status) for status in (401, 503)}
    paths = {
        path: {
            method: each
            | {
                "security": [{auths[path]: []}],
                "responses": each["responses"] | (own if auths[path] == "jwt" else refusals),
            }
            if auths[path] != "none"
            else each
            for method, each in methods.items()
        }
        for path, methods in document["paths"].items()
    }
    schemes = {"securitySchemes": {auth: _SCHEMES[auth] for auth in used}}
    return {**document, "paths": paths, "components": {**document["components"], **schemes}}
