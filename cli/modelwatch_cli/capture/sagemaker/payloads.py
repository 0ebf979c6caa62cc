"""The rows of a SageMaker payload: text in CSV or JSON, plain or in BASE64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.numbers import is_number
from modelwatch.domain.records import Value
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.cells import Cell, value_of
from modelwatch_cli.capture.sagemaker.form import Payload

_LISTS = ("instances", "predictions")
"""SageMaker's names of the list of rows, in requests and in responses."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read lines that do not say it themselves.

    Parameters
    ----------
    model_name, model_version
        Of the model behind the endpoint. They override those of a line.
    variant
        Of the lines; empty if it is unknown.
    feature_names
        Names of the columns of a CSV input, or of the values of a JSON list.
    header
        The first row of every CSV input has the names.
    types
        Type of a feature by its name, a letter each as in `Record.types`; without it, the
        value's own type.
    features_attribute, inference_attribute, probability_attribute
        Where in a JSON payload the features, the prediction and the probabilities are, as names
        with dots between them; the latter two may be the place of a CSV column, from 0.
    """

    model_name: str = ""
    model_version: str = ""
    variant: str = ""
    feature_names: tuple[str, ...] = ()
    header: bool = False
    types: Mapping[str, str] = field(default_factory=dict)
    features_attribute: str = ""
    inference_attribute: str = ""
    probability_attribute: str = ""


def content(payload: Payload | None, place: str) -> tuple[str, bool]:
    """Return the text of a payload, and whether it is CSV (or JSON).

    Raises InvalidInputError when it is neither, or was not captured.
    """
    if payload is None:
        raise InvalidInputError(place, "was not captured")
    encoding, data = payload.encoding.upper(), payload.data
    content_type = (payload.observed_content_type or "").partition(";")[0].strip().lower()
    if encoding == "BASE64":
        try:
            data = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
            raise InvalidInputError(f"{place}.data", "is not text in BASE64") from None
        encoding = "CSV" if content_type.endswith("csv") else "JSON"
        if encoding == "JSON" and "json" not in content_type:
            problem = f"'{content_type}' is neither CSV nor JSON"
            raise InvalidInputError(f"{place}.observedContentType", problem)
    if encoding not in ("CSV", "JSON"):
        problem = f"'{payload.encoding}' is none of CSV, JSON and BASE64"
        raise InvalidInputError(f"{place}.encoding", problem)
    if not isinstance(data, str):
        if encoding == "CSV":
            raise InvalidInputError(f"{place}.data", "is not a text")
        return msgspec.json.encode(data).decode(), False
    return data, encoding == "CSV"


def json_rows(text: str, attribute: str, place: str) -> list[Any]:
    """Return the rows of a JSON text or of JSON Lines, or the value at ``attribute`` in each.

    Raises InvalidInputError when it is no JSON, or a row has no such attribute.
    """
    rows: list[Any] = []
    try:
        documents = [msgspec.json.decode(text)]
    except UNREADABLE:
        try:
            documents = [msgspec.json.decode(each) for each in text.split("\n") if each.strip()]
        except UNREADABLE as error:
            raise InvalidInputError(f"{place}.data", f"is not JSON: {error}") from None
    for document in documents:
        found = document
        if isinstance(found, dict):
            found = next((found[name] for name in _LISTS if name in found), found)
        nested = isinstance(found, list) and any(isinstance(row, list | dict) for row in found)
        rows += found if nested else [found]
    return [at(row, attribute, place) for row in rows] if attribute else rows


def own_row(text: str, place: str, name: str = "") -> dict[str, Any]:
    """Return the JSON object of a line of ours, which must have ``name``.

    Raises InvalidInputError when it is none.
    """
    try:
        row = msgspec.json.decode(text)
    except UNREADABLE as error:
        raise InvalidInputError(f"{place}.data", f"is not JSON: {error}") from None
    if not isinstance(row, dict) or (name and name not in row):
        raise InvalidInputError(f"{place}.data", f"is no JSON object with '{name}'")
    return row


def at(row: Any, attribute: str, place: str) -> Any:
    """Return the value at ``attribute``: names and positions in lists, separated by dots.

    Raises InvalidInputError when there is no value.
    """
    for name in attribute.split("."):
        if isinstance(row, dict) and name in row:
            row = row[name]
        elif isinstance(row, list) and name.isdecimal() and int(name) < len(row):
            row = row[int(name)]
        else:
            raise InvalidInputError(f"{place}.data", f"has no '{attribute}'")
    return row


def plain_value(value: Any, quotes_tell: bool) -> Value:
    """Read a value by its form; our own lines quote texts, other programs quote differently.

    In a file of another program an empty cell in quotes is empty, too.
    """
    if not isinstance(value, Cell):
        plain = value is None or isinstance(value, bool) or is_number(value)
        return value if plain else str(value)
    if quotes_tell and value.quoted:
        return str(value)
    return value_of(value)
