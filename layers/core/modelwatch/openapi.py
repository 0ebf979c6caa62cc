"""The OpenAPI 3.1 document of predict, made from the types that validate its requests.

With a model's schema, the document says which features there are and of which type; without one,
that they are numbers, strings, truth values or null.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from modelwatch import __version__
from modelwatch.domain.schemas import Column, Schema
from modelwatch.http import MAX_BODY_BYTES, Problem
from modelwatch.services.contract import (
    BatchRequest,
    BatchResponse,
    Health,
    Index,
    ModelInfo,
    PredictRequest,
    PredictResponse,
    Variants,
)

_TYPES: tuple[Any, ...] = (
    PredictRequest,
    BatchRequest,
    PredictResponse,
    BatchResponse,
    Health,
    Index,
    ModelInfo,
    Variants,
    Problem,
)
_REF = "#/components/schemas/{name}"

_REFUSALS = {
    "400": "The body is not what the model needs; `field` is to blame",
    "413": f"The body has more than {MAX_BODY_BYTES} bytes",
    "415": "The body is not said to be application/json",
    "422": "The values fit the signature, and the model does not take them",
    "503": "There is no model that can be served",
}
_NO_PREDICTION = {"500": "The model gave NaN, an infinity or null for this row: no prediction"}
_NO_MODEL = {"503": _REFUSALS["503"]}
_TOO_LARGE = {status: _REFUSALS[status] for status in ("413", "415")}


def document(schema: Schema | None = None) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    schema
        Input columns of the model that serves; None when there is none.

    Examples
    --------
    >>> document()["openapi"]
    '3.1.0'
    >>> row = document(Schema((Column("alcohol", "double"),)))["components"]["schemas"]["Row"]
    >>> row["anyOf"][0]["properties"]
    {'alcohol': {'type': ['number', 'null']}}
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "modelwatch predict",
            "version": __version__,
            "description": "Predictions of a registered model; every one of them is captured.",
        },
        # relative to where this document is: the stage's name stands before every path
        "servers": [{"url": "."}],
        "tags": [{"name": tag} for tag in ("predictions", "model", "service")],
        "paths": {
            path: {method: {"tags": [_tag(path)], **each} for method, each in entry.items()}
            for path, entry in _paths(schema).items()
        },
        "components": {"schemas": _schemas(schema)},
    }


def _paths(schema: Schema | None) -> dict[str, Any]:
    row = _example(schema)
    return {
        "/predict": {
            "post": _operation(
                "Predict one row",
                "predict",
                PredictResponse,
                _REFUSALS | _NO_PREDICTION,
                _body(PredictRequest, {"features": row}),
            )
        },
        "/predict/batch": {
            "post": _operation(
                "Predict up to 10,000 rows",
                "predictBatch",
                BatchResponse,
                _REFUSALS,
                _body(BatchRequest, {"rows": [row, row]}),
            )
        },
        "/health": {"get": _health()},
        "/model/info": {
            "get": _operation("Describe the model that serves", "info", ModelInfo, _NO_MODEL)
        },
        "/model/reload": {
            "post": _operation(
                "Serve what the registry says now, in every environment",
                "reload",
                Variants,
                _TOO_LARGE | _NO_MODEL,
            )
        },
        "/": {"get": _operation("List what can be called", "index", Index, {})},
        "/openapi.json": {
            "get": {
                "summary": "Give this document",
                "operationId": "openapi",
                "responses": {"200": _content("An OpenAPI 3.1 document", {"type": "object"})},
            }
        },
        "/docs": {"get": _page("Show this document as a page", "docs", "text/html")},
        "/docs/{asset}": {
            "get": {
                **_page("Give a script or style of the page", "docsAsset", "text/*"),
                "parameters": [
                    {
                        "name": "asset",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                        "example": "page.js",
                    }
                ],
            }
        },
    }


def _tag(path: str) -> str:
    subject = path.split("/")[1]
    return {"predict": "predictions", "model": "model"}.get(subject, "service")


def _operation(
    summary: str,
    name: str,
    answer: type,
    problems: Mapping[str, str],
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    responses = {"200": _content(_description(answer), _reference(answer))}
    for status, reason in problems.items():
        responses[status] = _content(reason, _reference(Problem), "application/problem+json")
    operation = {"summary": summary, "operationId": name, "responses": responses}
    return operation | ({"requestBody": body} if body else {})


def _health() -> dict[str, Any]:
    operation = _operation("Tell whether a model is loaded, and which", "health", Health, {})
    operation["responses"]["503"] = _content("No model is loaded", _reference(Health))
    return operation


def _page(summary: str, name: str, media_type: str) -> dict[str, Any]:
    text = {"type": "string"}
    responses = {"200": _content("Text", text, media_type)}
    if media_type == "text/*":
        responses["404"] = _content("No such file", _reference(Problem), "application/problem+json")
    return {"summary": summary, "operationId": name, "responses": responses}


def _body(kind: type, example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": _reference(kind), "example": example}
    return {"required": True, "content": {"application/json": content}}


def _content(
    description: str, schema: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _reference(kind: type) -> dict[str, Any]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _schemas(schema: Schema | None) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    for kind in _TYPES:
        _document(schemas[kind.__name__], kind)
    # one name for what both requests have: a model's schema makes it long
    one = schemas["PredictRequest"]["properties"]
    many = schemas["BatchRequest"]["properties"]["rows"]
    schemas["Row"] = _row(schema) if schema else many["items"]
    reference = {"$ref": _REF.format(name="Row")}
    one["features"] = {**reference, "description": one["features"]["description"]}
    many["items"] = reference
    return schemas


def _row(schema: Schema) -> dict[str, Any]:
    columns = {column.name: _column(column) for column in schema.columns}
    required = [column.name for column in schema.columns if column.required]
    distinct = list({msgspec.json.encode(each): each for each in columns.values()}.values())
    return {
        "anyOf": [
            {
                "title": "by name",
                "type": "object",
                "properties": columns,
                "required": required,
                "additionalProperties": False,
            },
            {
                "title": "in order",
                "description": f"In the order {', '.join(columns)}, or that of feature_names.",
                "type": "array",
                # feature_names may leave out what is optional, and give any order
                "items": distinct[0] if len(distinct) == 1 else {"anyOf": distinct},
                "minItems": len(required),
                "maxItems": len(columns),
            },
        ]
    }


def _column(column: Column) -> dict[str, Any]:
    bits = {"long": 63, "integer": 31}.get(column.type)
    kind = {"string": "string", "boolean": "boolean"}.get(
        column.type, "integer" if bits else "number"
    )
    # a missing real number is NaN to the model, whether it is required or not
    nullable = kind == "number" or not column.required
    spec: dict[str, Any] = {"type": [kind, "null"] if nullable else kind}
    return spec | ({"minimum": -(2**bits), "maximum": 2**bits - 1} if bits else {})


def _example(schema: Schema | None) -> Any:
    if schema is None:
        return [13.6, 1.7, None]
    values = {"string": "text", "boolean": True, "long": 1, "integer": 1}
    return {column.name: values.get(column.type, 1.0) for column in schema.columns}


def _document(spec: dict[str, Any], kind: type) -> None:
    """Put the docstring of ``kind`` where OpenAPI looks: the sentence, and a field's own."""
    spec["description"] = _description(kind)
    for name, meaning in _attributes(kind).items():
        spec["properties"][name]["description"] = meaning


def _description(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("``", "`")


def _attributes(kind: type) -> dict[str, str]:
    """Read the section Attributes of a docstring.

    >>> _attributes(PredictRequest)["feature_names"]
    'Names for a list of `features`.'
    """
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes\n----------\n")
    found = re.findall(r"^(\w+)\n((?:    .*\n?)+)", section, re.MULTILINE)
    return {name: " ".join(text.split()).replace("``", "`") for name, text in found}
