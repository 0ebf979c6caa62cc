"""The outputs of an endpoint: predictions, and later their labels."""

from __future__ import annotations

import math
from typing import Any

from modelwatch.domain.numbers import is_number, probabilities_problem
from modelwatch.domain.records import Value
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.cells import Cell, read_rows
from modelwatch_cli.capture.label_cells import label_of_cell
from modelwatch_cli.capture.sagemaker.form import Attributes, Payload
from modelwatch_cli.capture.sagemaker.payloads import (
    Reading,
    at,
    content,
    json_rows,
    own_row,
    plain_value,
)

_PREDICTIONS = ("prediction", "predicted_label", "predicted_value", "score")
"""The places of a prediction in a JSON output by default."""


def outputs(
    payload: Payload | None, reading: Reading, own: Attributes | None, count: int
) -> list[tuple[Value, list[float] | None]]:
    """Return the prediction and the probabilities of each output row.

    Raises InvalidInputError when they cannot be found.

    Parameters
    ----------
    reading
        The places in a line that is not ours.
    own
        The attributes of a line of ours.
    count
        The number of input rows.
    """
    place = "captureData.endpointOutput"
    if own and payload is None:
        return [(None, None)]
    text, is_csv = content(payload, place)
    rows: list[Any]
    if is_csv:
        rows = list(read_rows(text))
    elif own:
        rows = [own_row(text, place, "prediction")]
    else:
        rows = json_rows(text, "", place)
    if not own and len(rows) == 1 and isinstance(rows[0], list) and len(rows[0]) == count:
        # several outputs in one list, as XGBoost's and scikit-learn's containers return them
        (rows,) = rows
    found: list[tuple[Value, list[float] | None]] = []
    for row in rows:
        if own is None:
            prediction, probabilities = _foreign_output(row, reading, place)
        elif isinstance(row, list):
            columns = own.probabilities
            prediction, probabilities = row[0], None if columns is None else row[1 : columns + 1]
        else:
            prediction, probabilities = row["prediction"], row.get("probabilities")
        value = plain_value(prediction, own is not None)
        if value is None and own is None:
            raise InvalidInputError(f"{place}.data", "has no prediction")
        numbers = _numbers(probabilities, place)
        if numbers is not None and own is None and (problem := probabilities_problem(numbers)):
            raise InvalidInputError(f"{place}.data", f"the probabilities {problem}")
        found.append((value, numbers))
    return found


def _foreign_output(row: Any, reading: Reading, place: str) -> tuple[Any, Any]:
    wanted = reading.inference_attribute
    probabilities = None
    if reading.probability_attribute:
        probabilities = at(row, reading.probability_attribute, place)
    if wanted:
        row = at(row, wanted, place)
    elif isinstance(row, dict):
        if len(row) == 1:
            row = next(iter(row.values()))
        else:
            row = next((row[name] for name in _PREDICTIONS if name in row), row)
    while isinstance(row, list) and len(row) == 1:
        row = row[0]
    if isinstance(row, list | dict):
        problem = "does not say which of its values is the prediction; give --inference-attribute"
        raise InvalidInputError(f"{place}.data", problem)
    return row, probabilities


def _numbers(values: Any, place: str) -> list[float] | None:
    if values is None:
        return None
    numbers = values if isinstance(values, list) else [values]
    try:
        read = [float(number) for number in numbers]
    except (TypeError, ValueError, OverflowError):
        read = [math.inf]
    if not all(map(is_number, read)):
        raise InvalidInputError(f"{place}.data", "a probability is not a number")
    return read


def labels(payload: Payload) -> list[tuple[bool | int | float | str, str | None]]:
    """Return the label of each row of a ground truth, and its `Label.cell`.

    Raises InvalidInputError when a row has none, or more than one.
    """
    place = "groundTruthData"
    text, is_csv = content(payload, place)
    rows = read_rows(text) if is_csv else json_rows(text, "", place)
    read: list[tuple[bool | int | float | str, str | None]] = []
    for row in rows:
        while isinstance(row, list) and len(row) == 1:
            row = row[0]
        label = None if isinstance(row, list | dict) else plain_value(row, False)
        if label is None:
            raise InvalidInputError(f"{place}.data", "is not one label a row")
        if isinstance(row, Cell):
            try:
                read.append(label_of_cell(row))
            except InvalidInputError as error:
                raise InvalidInputError(f"{place}.data", error.problem) from None
        else:
            read.append((label, None))
    return read
