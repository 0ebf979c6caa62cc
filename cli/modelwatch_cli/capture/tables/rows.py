"""Rows of a table as predictions: what each cell must be, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec

from modelwatch.domain.event_ids import named_event_id
from modelwatch.domain.labels import LONGEST_LABEL
from modelwatch.domain.numbers import exact_double, is_number, probabilities_problem
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.tables.columns import (
    EPOCH,
    MISSING,
    Meaning,
    is_beyond_numbers,
    refuse_decimal_comma,
    time_of,
    value_of,
)
from modelwatch_cli.capture.tables.mapping import TimeUnit
from modelwatch_cli.capture.tables.reading import Cell, Row

Plain = float | int | str | bool | None
"""A cell as JSON can hold it."""


class ValidRow(msgspec.Struct, array_like=True):
    """A row that can be used."""

    place: str
    time_ms: int
    event_id: str
    features: list[Plain]
    prediction: float | int | str | bool
    label: Plain
    probabilities: list[float] | None


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads rows of one table.

    Attributes
    ----------
    meaning
        The meaning of the table's columns.
    is_text
        Whether every cell is a text, as in a CSV file.
    types
        Given types of features, a letter each as in `Record.types`.
    model_name
        Ids that are no event ids are ids of this model.
    latest_ms
        Rows of a later time are refused, in milliseconds since 1970.
    unit, zone
        Of times that are numbers, and of those without a zone.
    """

    meaning: Meaning
    is_text: bool
    types: Mapping[str, str]
    model_name: str
    latest_ms: int
    unit: TimeUnit = ""
    zone: tzinfo = UTC

    def read(self, row: Row) -> tuple[ValidRow, bool]:
        """Return the content of a row, and whether its time had no zone and counts as UTC.

        Raises InvalidInputError when it cannot be used, with the column as field.
        """
        if row.problem:
            raise InvalidInputError("", row.problem)
        values, meaning = row.values, self.meaning
        at, assumed = self._time(values)
        prediction = self._outcome(values, meaning.prediction)
        if self._is_missing(prediction):
            raise InvalidInputError(meaning.prediction, "the prediction is missing")
        label = self._outcome(values, meaning.label) if meaning.label else None
        if isinstance(label, str) and len(label) > LONGEST_LABEL:
            problem = f"has {len(label)} characters; a label has at most {LONGEST_LABEL}"
            raise InvalidInputError(meaning.label, problem)
        valid = ValidRow(
            row.place,
            round((at - EPOCH) / timedelta(milliseconds=1)),
            self._event_id(values),
            self._features(values),
            prediction,  # type: ignore[arg-type]  # it is not missing
            None if self._is_missing(label) else label,
            self._probabilities(values),
        )
        return valid, assumed

    def _outcome(self, values: Mapping[str, Cell], name: str) -> Plain:
        """Return a prediction or a label; refuse a number that would become a text: a class."""
        cell = values.get(name)
        if (self.is_text or not isinstance(cell, str)) and is_beyond_numbers(cell):
            raise InvalidInputError(name, f"'{cell!s:.60}' is no finite number of 64 bits")
        return self._cell(values, name)

    def _features(self, values: Mapping[str, Cell]) -> list[Plain]:
        names = self.meaning.features
        if self.is_text:
            return [self._cell(values, name) for name in names]
        # most cells are plain already: this is the longest part of an import
        return [
            cell if type(cell) in _PLAIN else _plain(cell)  # type: ignore[misc]  # it is plain
            for name, cell in zip(names, map(values.get, names), strict=True)
        ]

    def _cell(self, values: Mapping[str, Cell], name: str) -> Plain:
        cell = values.get(name)
        if self.is_text and isinstance(cell, str) and self.types.get(name) != "s":
            refuse_decimal_comma(cell, name)
        return _plain(cell)

    def _is_missing(self, value: object) -> bool:
        """Return whether there is no value; only in a CSV file does a text such as NA mean that."""
        if not isinstance(value, str):
            return value is None
        text = value.strip()
        return text.lower() in MISSING if self.is_text else not text

    def _time(self, values: Mapping[str, Cell]) -> tuple[datetime, bool]:
        name = self.meaning.timestamp
        try:
            at, assumed = time_of(values.get(name), self.unit, self.zone)
        except InvalidInputError as error:
            raise InvalidInputError(name, error.problem) from None
        if not 1970 < at.year < 9999:
            unit = "" if self.unit else "; numbers in another unit need --timestamp-unit"
            raise InvalidInputError(name, f"{at.isoformat()} is no valid time{unit}")
        if at.timestamp() * 1000 > self.latest_ms:
            raise InvalidInputError(name, f"{at.isoformat()} is in the future")
        return at, assumed

    def _event_id(self, values: Mapping[str, Cell]) -> str:
        if not self.meaning.event_id:
            return ""
        name = self.meaning.event_id
        given = _plain(values.get(name))
        if self._is_missing(given):
            raise InvalidInputError(name, "the id is missing")
        # in a data frame, whole numbers in a column with a missing value are doubles
        is_whole = isinstance(given, float) and given.is_integer()
        text = str(int(given) if is_whole else given)  # type: ignore[arg-type]
        return named_event_id(text, self.model_name)

    def _probabilities(self, values: Mapping[str, Cell]) -> list[float] | None:
        found = []
        for name in self.meaning.probabilities:
            value = value_of(self._cell(values, name), "d", self.is_text)
            if not isinstance(value, float) or not 0 <= value <= 1:
                raise InvalidInputError(name, f"found '{value}', expected a number from 0 to 1")
            found.append(value)
        if found and (problem := probabilities_problem(found)):
            raise InvalidInputError(", ".join(self.meaning.probabilities), problem)
        return found or None


_PLAIN = frozenset({str, bool, type(None)})


def _plain(cell: Cell) -> Plain:
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None if math.isnan(cell) else str(cell)
    if type(cell) is int and not is_number(cell):
        double = exact_double(cell)
        return str(cell) if double is None else double
    if isinstance(cell, datetime):
        return cell.isoformat()
    return cell
