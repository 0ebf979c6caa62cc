"""The OpenAPI document of predict.

With a model's schema, the document says which features there are and of which type; without one,
that they are numbers, strings, booleans or null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelwatch.domain.schemas import Column, Schema
from modelwatch.openapi.document import build, content, json_body, operation, reference
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
)
_REFUSALS = (400, 413, 415, 422, 503)


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
    described = build(
        "predict",
        "Predictions of a registered model; every one of them is captured.",
        _paths(schema),
        _TYPES,
        _tag,
    )
    _describe_rows(described["components"]["schemas"], schema)
    return described


def _paths(schema: Schema | None) -> dict[str, Any]:
    row = _example(schema)
    one = json_body(reference(PredictRequest), {"features": row})
    many = json_body(reference(BatchRequest), {"rows": [row, row]})
    reload = operation(
        "Serve what the registry says now, in every environment",
        "reload",
        Variants,
        (413, 415, 503),
    )
    info = operation("Describe the model that serves", "info", ModelInfo, (503,))
    return {
        "/predict": {
            "post": operation("Predict one row", "predict", PredictResponse, _REFUSALS, body=one)
        },
        "/predict/batch": {
            "post": operation(
                "Predict up to 10,000 rows", "predictBatch", BatchResponse, _REFUSALS, body=many
            )
        },
        "/health": {"get": _health()},
        "/model/info": {"get": info},
        "/model/reload": {"post": reload},
        "/": {"get": operation("List what can be called", "index", Index)},
    }


def _tag(path: str) -> str:
    subject = path.split("/")[1]
    return {"predict": "predictions", "model": "model"}.get(subject, "service")


def _health() -> dict[str, Any]:
    described = operation("Say whether a model is loaded, and which", "health", Health)
    described["responses"]["503"] = content("No model is loaded", reference(Health))
    return described


def _describe_rows(schemas: dict[str, Any], schema: Schema | None) -> None:
    """Say what rows are, and that names are for rows that are lists."""
    one, many = schemas["PredictRequest"], schemas["BatchRequest"]
    rows = many["properties"]["rows"]
    # one name for what both requests have: a model's schema makes it long
    schemas["Row"] = _row(schema) if schema else rows["items"]
    row = {"$ref": "#/components/schemas/Row"}
    features = one["properties"]["features"]
    one["properties"]["features"] = {**row, "description": features["description"]}
    rows["items"] = row
    unnamed = {"properties": {"feature_names": {"type": "null"}}}
    one["anyOf"] = [unnamed, {"properties": {"features": {"type": "array"}}}]
    many["anyOf"] = [unnamed, {"properties": {"rows": {"items": {"type": "array"}}}}]
    if schema is not None:
        names = {"type": "array", "items": {"enum": list(schema.names)}, "uniqueItems": True}
        for request in (one, many):
            request["properties"]["feature_names"] |= {"anyOf": [names, {"type": "null"}]}


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
