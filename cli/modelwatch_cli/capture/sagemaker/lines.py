"""Reading SageMaker's captured data: a JSON line becomes records."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import msgspec

from modelwatch.domain.event_ids import derived_event_id, is_event_id
from modelwatch.domain.faults import UNREADABLE, invalid_json
from modelwatch.domain.records import FUTURE_TOLERANCE_MS, Record, Value
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.cells import letter_of, own_value, read_rows, typed_value
from modelwatch_cli.capture.sagemaker.form import (
    ATTRIBUTES,
    EPOCH,
    OWN_FIELDS,
    Attributes,
    Line,
    Payload,
)
from modelwatch_cli.capture.sagemaker.outputs import labels, outputs
from modelwatch_cli.capture.sagemaker.payloads import (
    Reading,
    content,
    json_rows,
    own_row,
    plain_value,
)

_lines = msgspec.json.Decoder(Line)


class GroundTruth(NamedTuple):
    """The label of a prediction."""

    model_name: str
    event_id: str
    label: bool | int | float | str
    cell: str | None = None


def decode_line(line: bytes, reading: Reading, now_ms: int) -> list[Record] | list[GroundTruth]:
    """Read a line: a record for each row of its input, or a label for each of its ground truth.

    The event id is the caller's ``inferenceId``, or else SageMaker's ``eventId``, if that is a
    UUID; otherwise a UUID that always follows from it and the model's name. Rows after the first
    have ids that follow from the first one's.

    Raises InvalidInputError when it cannot be read; the field is the place in the line.
    """
    try:
        read = _lines.decode(line)
    except UNREADABLE as error:
        raise invalid_json(error) from None
    metadata = read.event_metadata
    own = _attributes(metadata.custom_attributes)
    model_name = reading.model_name or (own.model_name if own else "")
    if not model_name:
        raise InvalidInputError("", "the line does not name its model; give --model")
    event_id = _event_id(metadata.inference_id or metadata.event_id, model_name)
    if read.ground_truth_data is not None:
        return [
            GroundTruth(model_name, id_of_row(event_id, row), label, cell)
            for row, (label, cell) in enumerate(labels(read.ground_truth_data))
        ]
    if read.capture_data is None:
        raise InvalidInputError("", "has neither captureData nor groundTruthData")
    version = reading.model_version or (own.model_version if own else "")
    if not version:
        raise InvalidInputError("", "the line does not name its version; give --version")
    captured_at = _time(metadata.inference_time, own, now_ms)
    rows = _inputs(read.capture_data.endpoint_input, reading, own)
    out = outputs(read.capture_data.endpoint_output, reading, own, len(rows))
    if len(rows) != len(out):
        problem = f"{len(rows)} rows went in and {len(out)} came out"
        raise InvalidInputError("captureData", problem)
    common: dict[str, Any] = {"variant": reading.variant, "source": "sagemaker"}
    if own:
        common = {name: getattr(own, name) for name in OWN_FIELDS}
    common |= {"captured_at": captured_at, "model_name": model_name, "model_version": version}
    return [
        Record(
            event_id=id_of_row(event_id, number),
            features=row,
            prediction=prediction,
            probabilities=probabilities,
            **(common if own else common | {"types": _types(row, reading)}),
        )
        for number, (row, (prediction, probabilities)) in enumerate(zip(rows, out, strict=True))
    ]


def id_of_row(event_id: str, row: int) -> str:
    """Return the event id of a row of a request, counted from 0."""
    return derived_event_id(event_id, f"row {row}") if row else event_id


def _types(row: Mapping[str, Value], reading: Reading) -> str:
    known = "".join(reading.types.get(name, "") for name in row)
    return known if len(known) == len(row) else ""


def _event_id(given: str, model_name: str) -> str:
    if not given:
        raise InvalidInputError("eventMetadata", "has neither inferenceId nor eventId")
    if is_event_id(given):
        return given.lower()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{model_name}/{given}"))


def _attributes(given: list[str] | str | None) -> Attributes | None:
    for text in [given] if isinstance(given, str) else given or []:
        try:
            found = msgspec.json.decode(text)
        except UNREADABLE:
            continue  # someone else's attribute, in a form of their own
        if isinstance(found, dict) and "modelwatch" in found:
            try:
                return cast(Attributes, msgspec.convert(found["modelwatch"], ATTRIBUTES))
            except msgspec.ValidationError as error:
                place = "eventMetadata.customAttributes.modelwatch"
                raise InvalidInputError(place, str(error)) from None
    return None


def _time(given: datetime | None, own: Attributes | None, now_ms: int) -> datetime:
    place = "eventMetadata.inferenceTime"
    if own:
        given = EPOCH + timedelta(milliseconds=own.captured_at_ms)
    if given is None:
        raise InvalidInputError(place, "is missing")
    if given.tzinfo is None:
        raise InvalidInputError(place, "has no time zone")
    if given.timestamp() * 1000 > now_ms + FUTURE_TOLERANCE_MS:
        raise InvalidInputError(place, f"{given.isoformat()} is in the future")
    return given.astimezone(UTC)


def _inputs(
    payload: Payload | None, reading: Reading, own: Attributes | None
) -> list[dict[str, Value]]:
    place = "captureData.endpointInput"
    if own and payload is None:
        return [{}]
    text, is_csv = content(payload, place)
    names = reading.feature_names
    rows: list[Any]
    if is_csv:
        rows = list(read_rows(text))
        if reading.header:
            names = tuple(str(name) for name in rows.pop(0))
    elif own:
        rows = [own_row(text, place)]
    else:
        rows = json_rows(text, reading.features_attribute, place)
    result = []
    for row in rows:
        found = row
        if not own and isinstance(row, dict) and not reading.features_attribute and len(row) == 1:
            found = row.get("features", row)
        if isinstance(found, list):
            found = _named(names, found, place)
        if not isinstance(found, dict) or not found:
            raise InvalidInputError(f"{place}.data", "is not a row of features")
        result.append(_typed(found, reading, own, f"{place}.data"))
    return result


def _named(names: Sequence[str], row: list[Any], place: str) -> dict[str, Any]:
    if not names:
        problem = "does not say the features' names; give --feature-names or --header"
        raise InvalidInputError(f"{place}.data", problem)
    if len(names) != len(row):
        problem = f"has {len(row)} values for {len(names)} feature names"
        raise InvalidInputError(f"{place}.data", problem)
    named = dict(zip(names, row, strict=True))
    if len(named) < len(names):
        raise InvalidInputError(f"{place}.data", "a feature's name is there twice")
    return named


def _typed(
    row: dict[str, Any], reading: Reading, own: Attributes | None, place: str
) -> dict[str, Value]:
    if own and own.types and len(own.types) != len(row):
        problem = f"has {len(row)} values for {len(own.types)} types"
        raise InvalidInputError(place, problem)
    typed: dict[str, Value] = {}
    for number, (name, value) in enumerate(row.items()):
        if isinstance(value, list | dict):
            raise InvalidInputError(f"{place}.{name}", "is nested; only flat rows can be read")
        letter = own.types[number : number + 1] if own else reading.types.get(name, "")
        plain = value if letter else plain_value(value, own is not None)
        read = own_value if own else typed_value
        try:
            typed[name] = read(value, letter) if letter else plain
        except InvalidInputError as error:
            raise InvalidInputError(f"{place}.{name}", error.problem) from None
    return typed


def letters(record: Record) -> dict[str, str]:
    """Return the type that each feature's value has; nothing for a null."""
    return {name: letter_of(value) for name, value in record.features.items()}
