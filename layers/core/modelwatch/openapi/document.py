"""What the OpenAPI 3.1 documents of all apps have in common: how an operation is described."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from modelwatch import __version__
from modelwatch.http import MAX_BODY_BYTES, Problem, ProblemError

_REF = "#/components/schemas/{name}"

_PROBLEMS = {
    400: "Something in the request is wrong; `errors` names every place",
    401: "The request has no token that counts; `detail` says why",
    404: "There is nothing of this name",
    409: "Another stage analyzes this model, as its monitor says",
    413: f"The body has more than {MAX_BODY_BYTES} bytes, or a record more than a message holds",
    415: "The body is not said to be application/json",
    422: "The values fit the signature, and the model does not take them",
    500: "Something went wrong here, and the log says what; or the model's output is no prediction",
    503: "A service behind this one does not respond, or there is no model that can be served",
}


def build(
    name: str,
    description: str,
    paths: Mapping[str, Any],
    types: Sequence[Any],
    tag: Callable[[str], str] = lambda _path: "service",
) -> dict[str, Any]:
    """Return the document of an app.

    Parameters
    ----------
    name
        The app's, such as ``capture``.
    paths
        Operations by path and method; those by which an app describes itself are added.
    types
        What the operations refer to; their docstrings describe them.
    tag
        Gives the group of a path.
    """
    described = {
        path: {method: {"tags": [tag(path)], **each} for method, each in entry.items()}
        for path, entry in {**paths, **_own_paths()}.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"modelwatch {name}",
            "version": __version__,
            "description": description,
        },
        # relative to where this document is: the stage's name stands before every path
        "servers": [{"url": "."}],
        "tags": [{"name": each} for each in dict.fromkeys(tag(path) for path in described)],
        "paths": described,
        "components": {"schemas": _schemas([*types, Problem, ProblemError])},
    }


def operation(
    summary: str,
    name: str,
    response: type,
    problems: Sequence[int] = (),
    *,
    status: int = 200,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the description of an operation.

    Parameters
    ----------
    name
        Unique in the document.
    problems
        Statuses of the problems that it can return; 500 is always one.
    body
        What it takes: see `json_body`.
    """
    described = {
        "summary": summary,
        "operationId": name,
        "responses": {
            str(status): content(_description(response), reference(response)),
            **{str(each): problem(each) for each in sorted({*problems, 500})},
        },
    }
    return described | ({"requestBody": body} if body else {})


def problem(status: int) -> dict[str, Any]:
    """Return the description of a response that says what is wrong."""
    return content(_PROBLEMS[status], reference(Problem), "application/problem+json")


def json_body(schema: dict[str, Any], example: Any, *, required: bool = True) -> dict[str, Any]:
    """Return the description of a request's body."""
    content = {"schema": schema, "example": example}
    return {"required": required, "content": {"application/json": content}}


def content(
    description: str, schema: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    """Return the description of a response."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def reference(kind: type) -> dict[str, Any]:
    """Return the reference to a type of the document."""
    return {"$ref": _REF.format(name=kind.__name__)}


def _own_paths() -> dict[str, Any]:
    asset = {
        "name": "asset",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "example": "page.js",
    }
    return {
        "/openapi.json": {
            "get": {
                "summary": "Give this document",
                "operationId": "openapi",
                "responses": {
                    "200": content("An OpenAPI 3.1 document", {"type": "object"}),
                    "500": problem(500),
                },
            }
        },
        "/docs": {"get": _page("Show this document as a page", "docs", "text/html", 500)},
        "/docs/{asset}": {
            "get": {
                **_page("Give a script or style of the page", "docsAsset", "text/*", 404, 500),
                "parameters": [asset],
            }
        },
    }


def _page(summary: str, name: str, media_type: str, *problems: int) -> dict[str, Any]:
    text = {"200": content("Text", {"type": "string"}, media_type)}
    responses = text | {str(each): problem(each) for each in problems}
    return {"summary": summary, "operationId": name, "responses": responses}


def _schemas(types: Sequence[Any]) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    for kind in types:
        spec = schemas[kind.__name__]
        for name, meaning in attributes(kind).items():
            spec["properties"][name]["description"] = meaning
    # docstrings are for readers of the code, too: here the first sentence is enough
    for spec in schemas.values():
        if "description" in spec:
            spec["description"] = first_sentence(spec["description"])
    return schemas


def _description(kind: type) -> str:
    return first_sentence(kind.__doc__ or "")


def first_sentence(docstring: str) -> str:
    return inspect.cleandoc(docstring).partition("\n\n")[0].replace("``", "`")


def attributes(kind: type) -> dict[str, str]:
    """Read the section Attributes of a docstring.

    >>> from modelwatch.services.contract import PredictRequest
    >>> attributes(PredictRequest)["feature_names"]
    'Names for a list of `features`.'
    """
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes\n----------\n")
    found = re.findall(r"^(\w+(?:, \w+)*)\n((?:    .*\n?)+)", section, re.MULTILINE)
    return {
        name: " ".join(text.split()).replace("``", "`")
        for names, text in found
        for name in names.split(", ")
    }
