"""What is stored: where, in which format, with which version, and its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from generator.tables import described, table
from modelwatch.adapters.registries import folder_files
from modelwatch.domain import baselines, importance, model_capture, models, monitors
from modelwatch.domain.constraints import document as constraints
from modelwatch.domain.episodes import events, record
from modelwatch.domain.labels import Label
from modelwatch.domain.past import history
from modelwatch.domain.performance import encoding as performance
from modelwatch.domain.performance import losses
from modelwatch.domain.performance.results import PerformanceResult
from modelwatch.domain.profiles import encoding as profiles
from modelwatch.domain.records import Record
from modelwatch.domain.verdict import evidence
from modelwatch.domain.verdict.results import AnalysisResult, LastResult
from modelwatch.openapi.document import attributes, first_sentence
from modelwatch_cli.deployment import releases
from modelwatch_cli.rollback import record as rollbacks

INTRODUCTION = """\
What modelwatch stores, and the JSON schema of each document. A *format* is a number in the
document. Code that reads another number refuses the document; the error says both numbers.
Documents without a number only gain fields with defaults.

Captures and labels are Parquet: [Read captures](../how-to/read-captures.md) has their columns. In
documents of MessagePack a type is an array, and its fields stand in the order of the table."""


class Format(NamedTuple):
    """One stored document."""

    title: str
    place: str
    encoding: str
    kind: Any
    version: int | None = None

    @property
    def file(self) -> str:
        """Name of its schema's file."""
        return f"{self.title.lower().replace(' ', '-').replace('.json', '')}.schema.json"

    def schema(self) -> dict[str, Any]:
        """Return its JSON schema, with the docstrings' words for each field."""
        schema = msgspec.json.schema(self.kind)
        for name, kind in _structs(self.kind).items():
            definition = schema["$defs"][name]
            definition["description"] = first_sentence(kind.__doc__ or "")
            for field, meaning in _meanings(kind).items():
                if field in definition.get("properties", {}):
                    definition["properties"][field]["description"] = meaning
        return schema


FORMATS = (
    Format(
        "result.json",
        "`analyses/M/V/<window end>.<window>[-<ad hoc>][.<variant>]/` in `REPORT_BUCKET`",
        "JSON",
        AnalysisResult,
    ),
    Format(
        "Restated performance",
        "`performance-000001.json` and so on next to `result.json`, each written once",
        "JSON",
        PerformanceResult,
    ),
    Format("last.json", "`analyses/M/V/`", "JSON", dict[str, LastResult]),
    Format(
        "Manifest of a result",
        "`manifest-<digest>.json` next to `result.json`",
        "JSON",
        evidence.Manifest,
        evidence.FORMAT,
    ),
    Format(
        "Reference of a result",
        "`reference-<start>-<end>-<digest>.profile`, or in `analyses/M/V/.references/`",
        "MessagePack, compressed",
        evidence._Reference,
        evidence.FORMAT,
    ),
    Format(
        "Past",
        "`analyses/M/V/.past/<window>`",
        "MessagePack, compressed",
        history.PastDocument,
        history.FORMAT,
    ),
    Format(
        "Episodes",
        "`episodes/M.json` in `REPORT_BUCKET`",
        "JSON",
        record.EpisodeRecord,
        record.FORMAT,
    ),
    Format(
        "Verdict event",
        f"`detail` of the events `{events.DETAIL_TYPE}` on `EVENT_BUS`",
        "JSON",
        events.VerdictEvent,
        events.FORMAT,
    ),
    Format(
        "Rollbacks",
        "`rollbacks/M.json` in `REPORT_BUCKET`",
        "JSON",
        rollbacks.RollbackRecord,
        rollbacks.FORMAT,
    ),
    Format(
        "Release",
        "`releases/<stage>/000001.json` and so on in `PACKAGE_BUCKET`",
        "JSON",
        releases.Release,
        releases.FORMAT,
    ),
    Format(
        "Profile",
        "footer of every object of captures (`modelwatch.profile`), `profiles/`, "
        "`window-<digest>.profile`, and `profile` of a baseline",
        "MessagePack, compressed",
        profiles._Document,
        profiles.FORMAT,
    ),
    Format(
        "Baseline",
        "`baselines/M/<name>/baseline.json` in `REPORT_BUCKET`",
        "JSON",
        baselines.Baseline,
        baselines.FORMAT,
    ),
    Format(
        "Constraints",
        "`constraints-000001.json` and so on of a baseline; `--input` and `--output` of "
        '`modelwatch baseline constraints`. The first field is `"format"`',
        "JSON",
        constraints.Constraints,
        constraints.FORMAT,
    ),
    Format(
        "Monitors",
        "`monitors/000001.json` and so on in `REPORT_BUCKET`: the newest holds",
        "JSON",
        monitors.MonitorSet,
        model_capture.MONITORS_FORMAT,
    ),
    Format(
        "Performance of an hour",
        "`performance/model_name=M/…/date=YYYY-MM-DD.profiles` in `CAPTURE_BUCKET`, by hour",
        "MessagePack of hours, each MessagePack, compressed (zlib)",
        performance._Hour,
        performance.FORMAT,
    ),
    Format(
        "Manifest of a model version",
        f"`{models.MANIFEST_PATH}` among the version's artifacts",
        "JSON",
        models.Manifest,
        1,
    ),
    Format(
        "Importance",
        f"`{models.IMPORTANCE_PATH}` among the version's artifacts",
        "JSON",
        importance.Importance,
        importance.FORMAT,
    ),
    Format(
        "Errors of a regression",
        f"`{models.LOSSES_PATH}` among the version's artifacts",
        "MessagePack, compressed (zlib)",
        losses.LossModel,
        losses.FORMAT,
    ),
    Format(
        "model.json",
        "a model's folder in a registry that is a folder",
        "JSON",
        folder_files.ModelFile,
        folder_files.FORMAT,
    ),
    Format(
        "version.json",
        "a version's folder in such a registry",
        "JSON",
        folder_files.VersionFile,
        folder_files.FORMAT,
    ),
    Format(
        "Record",
        "`POST /capture`, messages of the capture queue, dead letters",
        "JSON",
        Record,
    ),
    Format("Label", "`POST /ground-truth`, messages of the capture queue", "JSON", Label),
)


def sections() -> Iterator[str]:
    """Yield the sections of the page: a list of all, then each one."""
    rows = [
        (f"[{each.title}](#{_anchor(each.title)})", each.place, _version(each)) for each in FORMATS
    ]
    yield table(("document", "where", "format"), rows)
    for each in FORMATS:
        yield f"## {each.title}\n\n{_facts(each)}"
        for name, definition in each.schema()["$defs"].items():
            yield described(
                f"{each.title}: {_shown(name)}", _as_fields(each, name, definition), _link(each)
            )


def _facts(each: Format) -> str:
    return (
        f"Where: {each.place}. Encoding: {each.encoding}. Format: {_version(each)}. "
        f"JSON schema: [{each.file}](schemas/{each.file})."
    )


def _version(each: Format) -> str:
    return "no number" if each.version is None else str(each.version)


def _as_fields(each: Format, name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of an array with the names of its fields."""
    kind = _structs(each.kind).get(name)
    if kind is None or "prefixItems" not in definition:
        return definition
    names = [field.name for field in msgspec.structs.fields(kind)]
    properties = dict(zip(names, definition["prefixItems"], strict=True))
    required = names[: definition.get("minItems", len(names))]
    meanings = _meanings(kind)
    return {
        "description": definition.get("description", ""),
        "properties": {
            field: {**schema, "description": meanings.get(field, "")}
            for field, schema in properties.items()
        },
        "required": required,
    }


def _link(each: Format) -> Any:
    return lambda name: f"[{_shown(name)}](#{_anchor(f'{each.title}: {_shown(name)}')})"


def _shown(name: str) -> str:
    return name.lstrip("_")


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-").replace(".", "").replace(":", "")


def _meanings(kind: type) -> dict[str, str]:
    return {
        name: meaning
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("modelwatch")
        for name, meaning in attributes(base).items()
    }


def _structs(kind: Any) -> dict[str, type]:
    """Return the structs and dataclasses that a type is made of, by their names in its schema."""
    found: dict[str, type] = {}

    def visit(part: Any) -> None:
        if isinstance(part, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
            if part.cls.__name__ in found:
                return
            found[part.cls.__name__] = part.cls
            for field in part.fields:
                visit(field.type)
        for name in ("item_type", "key_type", "value_type", "type"):
            if hasattr(part, name):
                visit(getattr(part, name))
        for each in (*getattr(part, "types", ()), *getattr(part, "item_types", ())):
            visit(each)

    visit(msgspec.inspect.type_info(kind))
    return found


def schema_text(each: Format) -> str:
    """Return the file of its JSON schema."""
    return json.dumps(each.schema(), indent=1, ensure_ascii=False) + "\n"
