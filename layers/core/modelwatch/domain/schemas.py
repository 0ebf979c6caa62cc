"""A model's input schema, and how a caller's features are checked against it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from modelwatch.domain.faults import repeated
from modelwatch.domain.names import check_feature_names
from modelwatch.domain.numbers import exact_double
from modelwatch.domain.records import Value
from modelwatch.errors import Fault, InvalidInputError

ColumnType = Literal["double", "float", "long", "integer", "boolean", "string"]

LETTERS: Mapping[str, str] = {
    "double": "d",
    "float": "d",
    "long": "l",
    "integer": "l",
    "boolean": "b",
    "string": "s",
}
"""The letter of a column's type in `modelwatch.domain.records.Record.types`."""

_REAL = frozenset({"double", "float"})
_WHOLE = {"long": 2**63, "integer": 2**31}
_LARGEST = {"double": sys.float_info.max, "float": (2 - 2**-23) * 2.0**127}


class Column(msgspec.Struct, frozen=True):
    """One input column: its name, its type in MLflow's words, and whether it may be left out."""

    name: str
    type: ColumnType
    required: bool = True

    def check(self, value: object) -> Value:
        """Return ``value`` as this column's type holds it.

        A null is a missing value: fine for real numbers (NaN to the model) and for optional
        columns, as in MLflow.

        Raises InvalidInputError when the value is not of the column's type.

        Examples
        --------
        >>> Column("alcohol", "double").check(13)
        13.0
        """
        if value is None:
            if self.type in _REAL or not self.required:
                return None
        elif self.type == "string":
            if isinstance(value, str):
                return value
        elif self.type == "boolean":
            if isinstance(value, bool):
                return value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if self.type in _REAL:
                return self._real(value)
            limit = _WHOLE[self.type]
            if -limit <= value < limit and value == int(value):
                return int(value)
        raise InvalidInputError(
            f"features.{self.name}", f"found {_describe(value)}, expected {self.expectation}"
        )

    def _real(self, value: float) -> float:
        real = exact_double(value)
        # what 32 bits do not hold would reach the model as infinity
        if real is not None and abs(real) <= _LARGEST[self.type]:
            return real
        problem = "the number is too large"
        if abs(value) <= _LARGEST[self.type]:
            problem = (
                f"found {value}, a whole number that no double equals; write it with a decimal "
                "point where the nearest double will do"
            )
        raise InvalidInputError(f"features.{self.name}", problem)

    @property
    def expectation(self) -> str:
        """What is right for this column, in words."""
        if self.type in _REAL:
            return "a number or null"
        words = {"string": "a string", "boolean": "true or false"}.get(self.type, "a whole number")
        return words if self.required else f"{words} or null"


class Schema(msgspec.Struct, frozen=True):
    """The input columns of a model, in the order of its signature."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def row(
        self,
        features: Sequence[object] | Mapping[str, object],
        feature_names: Sequence[str] | None = None,
    ) -> dict[str, Value]:
        """Check one row of features against the schema.

        Raises InvalidInputError when the count is wrong, a name is unknown, missing or repeated, or
        a value has the wrong type: with all such faults of the row.

        Parameters
        ----------
        features
            Values in the schema's order; or in the order of ``feature_names``; or by name.
        feature_names
            Names for a list of ``features``.

        Returns
        -------
        dict
            Every column of the schema in its order; an optional column that was not given is None.

        Examples
        --------
        >>> schema = Schema((Column("a", "double"), Column("b", "string")))
        >>> schema.row(["x", 1], ["b", "a"])
        {'a': 1.0, 'b': 'x'}
        """
        row, faults = self._held(features, feature_names, ())
        if faults:
            raise InvalidInputError.of(faults)
        return row

    def faults(
        self,
        features: Sequence[object] | Mapping[str, object],
        feature_names: Sequence[str] | None,
        known: Collection[str | int],
    ) -> list[Fault]:
        """Return what `row` would blame, but for the names or indexes in ``known``."""
        return self._held(features, feature_names, known)[1]

    def _held(
        self,
        features: Sequence[object] | Mapping[str, object],
        feature_names: Sequence[str] | None,
        known: Collection[str | int],
    ) -> tuple[dict[str, Value], list[Fault]]:
        """Return the row and what is wrong with it."""
        row: dict[str, Value] = {}
        if isinstance(features, Mapping):
            if feature_names is not None:
                problem = "is only for a list of features; leave it out for features by name"
                return row, [Fault("feature_names", problem)]
            named = features
        else:
            names = self.names if feature_names is None else feature_names
            if len(frozenset(names)) < len(names):
                twice = repeated(names)
                return row, [Fault("feature_names", f"'{twice[0]}' is there twice")]
            if len(features) != len(names):
                problem = f"found {len(features)} values, expected {len(names)}"
                return row, [Fault("features", problem)]
            named = dict(zip(names, features, strict=True))
            if known:
                known = {names[each] for each in known if isinstance(each, int)}
        faults: list[Fault] = []
        found = 0
        for column in self.columns:
            name = column.name
            if name in named:
                found += 1
                try:
                    row[name] = column.check(named[name])
                except InvalidInputError as error:
                    if name not in known:
                        faults += error.faults
            elif column.required:
                expected = f"is missing; expected {column.expectation}"
                faults.append(Fault(f"features.{name}", expected))
            else:
                row[name] = None
        if found < len(named):
            mine = frozenset(self.names)
            problem = f"is not a feature of this model; its features are {', '.join(self.names)}"
            faults += [Fault(f"features.{name}", problem) for name in named if name not in mine]
        return row, faults


def schema_from_signature(inputs: Sequence[Mapping[str, Any]]) -> Schema:
    """Read the inputs of an MLflow signature (its JSON form, already parsed).

    Raises ValueError when the signature is not tabular: a tensor, an unnamed column, or another
    type.
    """
    columns = []
    for spec in inputs:
        # a table's columns may be numbered
        name = str(spec.get("name", ""))
        if spec.get("type") not in ColumnType.__args__ or not name:  # type: ignore[attr-defined]
            raise ValueError(
                "the signature is not a table of named numbers, strings and booleans: "
                f"found {spec.get('type')!r} for {name!r}"
            )
        columns.append(Column(name, spec["type"], spec.get("required", True)))
    if not columns:
        raise ValueError("the signature has no input columns")
    try:
        check_feature_names((column.name for column in columns), "the signature")
    except InvalidInputError as error:
        raise ValueError(str(error)) from error
    return Schema(tuple(columns))


def _describe(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "a number out of range or with a fraction"
    return "a list" if isinstance(value, list) else "an object"
