"""What a monitor's file may ask of columns: its JSON Schema, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from modelwatch.domain.constraints.document import ColumnConstraints, Constraints, overridden
from modelwatch.domain.names import feature_name_faults
from modelwatch.errors import InvalidInputError
from modelwatch_cli.monitors.features import MOST_FEATURES, unquoted
from modelwatch_cli.monitors.writing import head

DEFINITIONS: Mapping[str, Any] = msgspec.json.schema(ColumnConstraints)["$defs"]
"""The rules of a column, for the schema's ``$defs``."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "what is asked of columns, in place of what the reference says",
    "maxProperties": MOST_FEATURES,
    "additionalProperties": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"anyOf": [*(each for each in given["anyOf"] if each != {"type": "null"}),
                             {"const": False}]}
            for name, given in DEFINITIONS["ColumnConstraints"]["properties"].items()
        },
    },
}  # fmt: skip

COMMENTS = (
    "# [constraints.age]  # what is asked of a column, in place of what the reference says",
    "# range = { minimum = 18, maximum = 120, allowed_share = 0 }",
    "# missing = { allowed_share = 0.01 }",
    "# whole = false  # this rule is not asked for",
    "",
)
"""How `init` shows it."""


def constraint_problems(columns: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the place of each thing that is wrong, and what it is."""
    if len(columns) > MOST_FEATURES:
        yield "constraints", f"has {len(columns)} columns; at most {MOST_FEATURES} are allowed"
    for name, rules in columns:
        place = f"constraints.{name[:60]}"
        yield from ((place, fault.problem) for fault in feature_name_faults([name]))
        if not isinstance(rules, dict):
            yield place, f"is a table: write {head('constraints', name)}"
            continue
        if dotted := unquoted("constraints", name, rules, ColumnConstraints.__struct_fields__):
            yield dotted
            continue
        if not _is_finite(rules):
            yield place, "has a number that is not finite"
            continue
        try:
            overridden(Constraints(columns={}), {"": rules})
        except (InvalidInputError, TypeError) as error:
            field, problem = (
                (error.field, error.problem)
                if isinstance(error, InvalidInputError)
                else ("", "has a value that no rule has, such as a time")
            )
            yield ".".join(part for part in (place, field.strip(".")) if part), problem


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)
