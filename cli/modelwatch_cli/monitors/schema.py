"""What a monitor's file may say: the JSON Schema for editors, and the file that `init` writes.

Rules are the settings that a monitor may override, in lower case: type, bounds and meaning are
those of the setting (`modelwatch.settings.analysis.MonitorSettings`), and stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from modelwatch.domain.names import MOST_CHARACTERS
from modelwatch.settings import Setting
from modelwatch.settings.analysis import MonitorSettings
from modelwatch.settings.kinds import json_schema
from modelwatch_cli.capture.tables.mapping import TableMapping
from modelwatch_cli.monitors import capture, constraints, expected
from modelwatch_cli.monitors.features import PARTS, SCHEMA
from modelwatch_cli.monitors.writing import quoted

SCHEMA_FILE = "monitor.schema.json"

LONGEST_TEXT = 200
"""Characters of an owner, or of a label's value; a model's name may be longer."""

MOST_LABELS = 20
LABEL_PATTERN = r"[a-z][a-z0-9_]{0,39}"

TEXTS = {
    "model": "name of the model; by default the file's name",
    "owner": "who cares for the model: a person or a team",
    "baseline": "reference of its windows; by default the one of `modelwatch baseline use`",
}
"""What stands above the tables."""

RULES: Mapping[str, Setting[Any]] = {
    name.lower(): setting for name, setting in MonitorSettings.declared().items()
}
"""The settings that a monitor may override, by their names in its file."""


_TABLE = msgspec.json.schema(TableMapping)["$defs"]["TableMapping"]


_EXAMPLES = {
    "one": {"threshold": "0.2", "method": '"ks"', "important": "true"},
    "another": {"ignore": "true"},
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a monitor's file."""
    text = {"type": "string", "maxLength": LONGEST_TEXT}
    rules = {
        name: {**json_schema(each.kind), "description": each.meaning, "default": _value(each)}
        for name, each in RULES.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Monitor of a model",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **{name: {**text, "description": meaning} for name, meaning in TEXTS.items()},
            "model": {**text, "maxLength": MOST_CHARACTERS, "description": TEXTS["model"]},
            "labels": {
                "type": "object",
                "description": "what else is to be known of the model: its alerts carry them",
                "propertyNames": {"pattern": f"^{LABEL_PATTERN}$"},
                "maxProperties": MOST_LABELS,
                "additionalProperties": {**text, "pattern": "^[^,]*$"},
            },
            "rules": {
                "type": "object",
                "description": "settings that this model overrides",
                "additionalProperties": False,
                "properties": rules,
            },
            "features": SCHEMA,
            "constraints": constraints.SCHEMA,
            "expected": expected.SCHEMA,
            "capture": capture.SCHEMA,
            "table": {
                "type": "object",
                "description": "which column of an imported table is what",
                "additionalProperties": False,
                "properties": _TABLE["properties"],
            },
        },
        "$defs": constraints.DEFINITIONS,
    }


def schema_text() -> str:
    """Return the schema as a file."""
    return msgspec.json.format(msgspec.json.encode(schema())).decode() + "\n"


def new_file(model_name: str, facts: list[str], defaults: Mapping[str, str]) -> str:
    """Return a monitor's file that changes nothing: every rule is a comment.

    Parameters
    ----------
    facts
        What is known of the model: comments at the top.
    defaults
        The deployment's settings by name, as they are written.
    """
    return "\n".join(_lines(model_name, facts, defaults)) + "\n"


def _lines(model_name: str, facts: list[str], defaults: Mapping[str, str]) -> Iterator[str]:
    yield f"#:schema {SCHEMA_FILE}"
    yield f"# Monitor of {model_name}. A rule that is a comment stays as the deployment has it."
    yield from (f"# {fact}" for fact in facts)
    yield ""
    yield f"model = {quoted(model_name)}"
    yield f'# owner = "team"  # {TEXTS["owner"]}'
    yield f'# baseline = "training"  # {TEXTS["baseline"]}'
    yield ""
    yield "# [labels]"
    yield '# tier = "1"'
    yield ""
    yield "# [table]  # how `modelwatch captures import` reads tables of this model's predictions"
    yield '# timestamp = "scored_at"'
    yield '# prediction = "predicted"'
    yield ""
    yield from capture.COMMENTS
    yield from expected.COMMENTS
    yield from constraints.COMMENTS
    for feature, parts in _EXAMPLES.items():
        yield f"# [features.{feature}]"
        for name, example in parts.items():
            yield f"# {name} = {example}  # {PARTS[name]['description']}"
    yield ""
    yield "[rules]"
    for name, setting in RULES.items():
        yield f"# {setting.meaning}"
        written = defaults[setting.name]
        is_text = json_schema(setting.kind)["type"] == "string"
        yield f"# {name} = {quoted(written) if is_text else written}"


def _value(setting: Setting[Any]) -> Any:
    kind = json_schema(setting.kind)["type"]
    return {"integer": int, "number": float}.get(kind, str)(setting.default)
