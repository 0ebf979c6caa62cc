"""The OpenAPI document of predict.

With a model's schema, the document says which features there are and of which type; without one,
that they are numbers, strings, booleans or null.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
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
    ServedModelList,
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
    ServedModelList,
    Variants,
)
_REFUSALS = (400, 413, 415, 422, 503)


def document(schema: Schema | None = None, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    schema
        Input columns of the default model that serves; None when there is none.
    names
        The models that are served; empty: any.

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
        "Predictions of registered models; every one of them is captured.",
        _paths(schema, names),
        _TYPES,
        _tag,
    )
    schemas = described["components"]["schemas"]
    # the rows of further models are not known here: nothing is loaded for a document
    for each in ("PredictRequest", "BatchRequest"):
        schemas[f"Any{each}"] = deepcopy(schemas[each])
    _describe_rows(schemas, schema)
    _describe_rows(schemas, None, "Any")
    return described


def _paths(schema: Schema | None, names: Sequence[str]) -> dict[str, Any]:
    row = _example(schema)
    default = _routes(reference(PredictRequest), reference(BatchRequest), row, ("", ""))
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The name of a model that is served",
        "schema": {"type": "string", **({"enum": list(names)} if names else {})},
    }
    one, many = (
        {"$ref": f"#/components/schemas/Any{each}Request"} for each in ("Predict", "Batch")
    )
    further = _routes(one, many, row, ("By", ", by the model of this name"))
    return {
        **default,
        "/models": {"get": operation("List the models that are served", "models", ServedModelList)},
        **{
            f"/models/{{name}}{path}": {
                method: each | {"parameters": [name]} for method, each in methods.items()
            }
            for path, methods in further.items()
        },
        "/": {"get": operation("List what can be called", "index", Index)},
    }


def _routes(one: Any, many: Any, row: Any, ends: tuple[str, str]) -> dict[str, Any]:
    """Return the routes of a model; ``ends`` are those of operations' names and summaries."""
    by, words = ends
    missing = (404,) if by else ()
    return {
        "/predict": {
            "post": operation(
                f"Predict one row{words}",
                f"predict{by}",
                PredictResponse,
                (*_REFUSALS, *missing),
                body=json_body(one, {"features": row}),
            )
        },
        "/predict/batch": {
            "post": operation(
                f"Predict up to 10,000 rows{words}",
                f"predictBatch{by}",
                BatchResponse,
                (*_REFUSALS, *missing),
                body=json_body(many, {"rows": [row, row]}),
            )
        },
        "/health": {"get": _health(words, by, missing)},
        "/model/info": {
            "get": operation(
                f"Describe what serves{words}", f"info{by}", ModelInfo, (503, *missing)
            )
        },
        "/model/reload": {
            "post": operation(
                f"Serve what the registry says now, in every environment{words}",
                f"reload{by}",
                Variants,
                (413, 415, 503, *missing),
            )
        },
    }


def _tag(path: str) -> str:
    subject = path.removeprefix("/models/{name}").split("/")[1]
    return {"predict": "predictions", "model": "model", "models": "model"}.get(subject, "service")


def _health(words: str, by: str, missing: tuple[int, ...]) -> dict[str, Any]:
    described = operation(
        f"Say whether a model is loaded, and which{words}", f"health{by}", Health, missing
    )
    described["responses"]["503"] = content("No model is loaded", reference(Health))
    return described


def _describe_rows(schemas: dict[str, Any], schema: Schema | None, prefix: str = "") -> None:
    """Say what rows are, and that names are for rows that are lists."""
    one, many = schemas[f"{prefix}PredictRequest"], schemas[f"{prefix}BatchRequest"]
    rows = many["properties"]["rows"]
    # one name for what both requests have: a model's schema makes it long
    schemas[f"{prefix}Row"] = _row(schema) if schema else rows["items"]
    row = {"$ref": f"#/components/schemas/{prefix}Row"}
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
