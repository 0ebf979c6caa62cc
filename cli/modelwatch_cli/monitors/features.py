"""What a monitor's file may say of single features: its JSON Schema, and what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from modelwatch.domain.names import feature_name_faults
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.settings.kinds import meant
from modelwatch_cli.monitors.writing import head

MOST_FEATURES = 1_000

PARTS: Mapping[str, Mapping[str, Any]] = {
    "threshold": {
        "type": "number",
        "minimum": 0,
        "description": "it drifts from this score on; by default the threshold of its kind",
    },
    "method": {
        "enum": list(METHODS),
        "description": "its own method, with a threshold; by default that of its kind",
    },
    "ignore": {"type": "boolean", "description": "its drift is not looked at"},
    "important": {
        "type": "boolean",
        "description": "its drift alone is one of the model; by default its importance says so",
    },
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "what holds for single features, in place of the rules",
    "maxProperties": MOST_FEATURES,
    "additionalProperties": {
        "type": "object",
        "additionalProperties": False,
        "properties": PARTS,
        "dependentRequired": {"method": ["threshold"]},
    },
}


def feature_problems(features: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the place of each thing that is wrong, and what it is."""
    if len(features) > MOST_FEATURES:
        yield "features", f"has {len(features)} features; at most {MOST_FEATURES} are allowed"
    for name, rule in features:
        place = f"features.{name[:60]}"
        yield from ((place, fault.problem) for fault in feature_name_faults([name]))
        if not isinstance(rule, dict):
            yield place, f"is a table: write {head('features', name)}"
            continue
        if dotted := unquoted("features", name, rule, PARTS):
            yield dotted
            continue
        for part, given in rule.items():
            yield from _part_problems(f"{place}.{part[:60]}", part, given)
        if rule.get("ignore") is True and len(rule) > 1:
            yield place, "is ignored: nothing else holds for it"
        if "method" in rule and "threshold" not in rule:
            yield f"{place}.method", "needs a threshold: the one of its kind is for another method"


def unquoted(
    table: str, name: str, rule: Mapping[str, Any], known: Collection[str]
) -> tuple[str, str] | None:
    """Return place and problem of a name with dots that stands without quotation marks.

    TOML reads a table in a table then.
    """
    whole = name
    while part := next((each for each in rule if isinstance(rule[each], dict)), ""):
        if part in known:
            break
        whole, rule = f"{whole}.{part}", rule[part]
    if whole == name or not any(each in known for each in rule):
        return None
    problem = f"a name with dots needs quotation marks: write {head(table, whole)}"
    return f"{table}.{whole[:60]}", problem


def no_part(part: str, known: Collection[str]) -> str:
    """Return what is said of a part that a table does not have."""
    return f"is no part of it; there are {', '.join(known)}{meant(part, [*known])}"


def _part_problems(field: str, part: str, given: Any) -> Iterator[tuple[str, str]]:
    if part not in PARTS:
        yield field, no_part(part, PARTS)
    elif part in ("ignore", "important") and not isinstance(given, bool):
        yield field, "is true or false"
    elif part == "method" and (not isinstance(given, str) or given not in METHODS):
        known = [*METHODS]
        found = f"{str(given)[:80]!r} is not one of {', '.join(known)}"
        yield field, f"{found}{meant(str(given), known)}"
    elif part == "threshold":
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        if not is_number or not 0 <= given <= sys.float_info.max:
            yield field, f"{str(given)[:80]!r} is not a number of 0 or more"
