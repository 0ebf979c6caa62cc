"""What a monitor's file may say of capture: its JSON Schema, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from modelwatch.domain.capture_policy import (
    KEY_SETTING,
    OTHERS,
    CapturePolicy,
    read_policy,
    read_rules,
)
from modelwatch.domain.model_capture import CaptureRules, MonitorCapture
from modelwatch.domain.monitors import Monitor, MonitorChange
from modelwatch.domain.names import feature_name_faults
from modelwatch.domain.schemas import Schema
from modelwatch.errors import MonitorError, SettingError
from modelwatch.settings.kinds import sample_rate
from modelwatch_cli.monitors.features import MOST_FEATURES, no_part
from modelwatch_cli.settings import Settings

_RATE = "share of the predictions that is captured; by default CAPTURE_SAMPLE_RATE"
_FIELDS = (
    "what is captured of a feature, of prediction or of probabilities: keep, drop, hash or a bucket"
)

PARTS = ("sample_rate", "fields")

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "what is captured of this model, in place of the deployment's settings",
    "additionalProperties": False,
    "properties": {
        "sample_rate": {"type": "number", "minimum": 0, "maximum": 1, "description": _RATE},
        "fields": {
            "type": "object",
            "description": _FIELDS,
            "maxProperties": MOST_FEATURES,
            "additionalProperties": {
                "oneOf": [
                    {"enum": ["keep", "drop", "hash"]},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["bucket"],
                        "properties": {
                            "bucket": {
                                "oneOf": [
                                    {"type": "number", "exclusiveMinimum": 0},
                                    {"type": "array", "items": {"type": "number"}, "minItems": 2},
                                ]
                            }
                        },
                    },
                ]
            },
        },
    },
}

COMMENTS = (
    "# [capture]  # what is captured of this model",
    f"# sample_rate = 0.1  # {_RATE}",
    "# [capture.fields]",
    '# email = "hash"  # or "keep", "drop"',
    "# age = { bucket = 10 }",
    "",
)
"""How `init` shows it."""


def read_capture(given: Mapping[str, Any]) -> MonitorCapture | None:
    """Return what a table without faults says; None: nothing."""
    rate = given.get("sample_rate")
    found = MonitorCapture(
        sample_rate=None if rate is None else float(rate),
        fields=dict(sorted(given.get("fields", {}).items())),
    )
    return None if found == MonitorCapture() else found


def capture_faults(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the place of each thing that is wrong with the table, and what it is."""
    for part in given:
        if part not in PARTS:
            yield f"capture.{part[:60]}", no_part(part, PARTS)
    rate = given.get("sample_rate", 1)
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        yield "capture.sample_rate", "is a number: write sample_rate = 0.1, say"
    else:
        try:
            sample_rate(repr(rate))
        except ValueError as error:
            yield "capture.sample_rate", str(error)
    fields = given.get("fields", {})
    if not isinstance(fields, dict):
        yield "capture.fields", "is a table: write [capture.fields]"
        return
    if len(fields) > MOST_FEATURES:
        yield "capture.fields", f"has {len(fields)} fields; at most {MOST_FEATURES} are allowed"
    for name, rule in fields.items():
        place = f"capture.fields.{name[:60]}"
        if name != OTHERS:
            yield from ((place, fault.problem) for fault in feature_name_faults([name]))
        try:
            read_rules({name: rule})
        except SettingError as error:
            yield place, error.problem.removeprefix(f"field '{name}': ")


def capture_problems(
    settings: Settings,
    changes: Sequence[MonitorChange],
    wanted: Mapping[str, Monitor],
    schemas_of: Callable[[str], Sequence[Schema]],
) -> Iterator[str]:
    """Yield why rules of capture that change cannot be meant: each model's first reason.

    Parameters
    ----------
    schemas_of
        Gives the schemas of a model that the registry knows; none of another one.
    """
    policy = read_policy(settings.text("CAPTURE_POLICY"), settings.text(KEY_SETTING))
    changed = {
        each.model_name
        for each in changes
        if each.field.startswith("capture.") and each.after is not None
    }
    for name in sorted(changed & wanted.keys()):
        own = wanted[name].capture or MonitorCapture()
        try:
            CaptureRules(policy).overridden(own)
        except MonitorError as error:
            yield f"{name}: {error}"
            continue
        schemas = schemas_of(name)
        problems = CapturePolicy(read_rules(own.fields)).problems(schemas) if schemas else []
        if problems:
            yield f"{name}: capture.fields: {problems[0]}"
