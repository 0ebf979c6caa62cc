"""The OpenAPI document of capture."""

from __future__ import annotations

from typing import Any

from modelwatch.domain.labels import MAX_LABELS, Label
from modelwatch.domain.names import FEATURE_PATTERN, MOST_CHARACTERS
from modelwatch.domain.records import MOST_LOST, PREDICT_SOURCE, Record
from modelwatch.openapi.document import build, json_body, operation, reference
from modelwatch.services.contract import Accepted, AcceptedMany, Alive

_REFUSALS = (400, 413, 415, 503)

_RECORD = {
    "event_id": "018bcfe5-6800-7000-8000-000000000000",
    "captured_at": "2023-11-14T22:13:20Z",
    "model_name": "wine_quality_model",
    "model_version": "1",
    "features": {"alcohol": 13.6, "colour": "red", "magnesium": None},
    "prediction": 2,
}
_LABEL = {"event_id": _RECORD["event_id"], "label": 2}


def document() -> dict[str, Any]:
    """Return the document.

    Examples
    --------
    >>> sorted(document()["paths"])[:2]
    ['/capture', '/capture/batch']
    """
    described = build(
        "capture",
        "Takes predictions and labels of other applications. What is accepted is on a queue, and "
        "is stored within seconds; an event id that comes twice is one prediction.",
        _paths(),
        (Record, Label, Accepted, AcceptedMany, Alive),
        lambda path: {"capture": "records", "ground-truth": "labels"}.get(
            path.split("/")[1], "service"
        ),
    )
    schemas = described["components"]["schemas"]
    # what only a record on its way from predict may lack or have
    properties = schemas["Record"]["properties"]
    properties["features"] |= {
        "minProperties": 1,
        "propertyNames": {"maxLength": MOST_CHARACTERS, "pattern": FEATURE_PATTERN},
    }
    values = properties["prediction"]["anyOf"]
    properties["prediction"]["anyOf"] = [each for each in values if each != {"type": "null"}]
    properties["source"] |= {"not": {"const": PREDICT_SOURCE}}
    properties["lost_before"]["maximum"] = MOST_LOST
    properties["error"] = {"const": "", "default": ""}
    return described


def _paths() -> dict[str, Any]:
    record, label = reference(Record), reference(Label)
    records = {"type": "array", "items": record, "minItems": 1}
    labels = {"type": "array", "items": label, "minItems": 1, "maxItems": MAX_LABELS}
    return {
        "/capture": {
            "post": operation(
                "Take one record",
                "capture",
                Accepted,
                _REFUSALS,
                status=202,
                body=json_body(record, _RECORD),
            )
        },
        "/capture/batch": {
            "post": operation(
                "Take a list of records, all or none",
                "captureBatch",
                AcceptedMany,
                _REFUSALS,
                status=202,
                body=json_body(records, [_RECORD]),
            )
        },
        "/ground-truth": {
            "post": operation(
                f"Take a label, or a list of up to {MAX_LABELS:,}, all or none",
                "groundTruth",
                AcceptedMany,
                _REFUSALS,
                status=202,
                body=json_body({"anyOf": [label, labels]}, _LABEL),
            )
        },
        "/health": {"get": operation("Say that the function responds", "health", Alive)},
    }
