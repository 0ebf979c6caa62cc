"""Markdown of what the pages have in common: tables, and types of a JSON schema in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

type Link = Callable[[str], str]
"""From the name of a type to the Markdown that leads to it."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def described(title: str, schema: Mapping[str, Any], link: Link) -> str:
    """Return the section of one type: what it is, and its fields."""
    properties = schema.get("properties")
    if properties is None:
        return f"### {title}\n\n{schema.get('description', '')}\n\nType: {shown(schema, link)}"
    required = set(schema.get("required", ()))
    rows = [
        (
            f"`{name}`",
            shown(each, link),
            "required" if name in required else _default(each),
            each.get("description", ""),
        )
        for name, each in properties.items()
    ]
    fields = table(("field", "type", "default", "meaning"), rows)
    return f"### {title}\n\n{schema.get('description', '')}\n\n{fields}"


def _default(schema: Mapping[str, Any]) -> str:
    default = json.dumps(schema.get("default", ""))
    return "" if default == '""' else f"`{default}`"


def shown(schema: Mapping[str, Any], link: Link) -> str:
    """Return the type that a JSON schema asks for, in words.

    >>> shown({"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}, str)
    'list of (number or null)'
    """
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " or ".join(f'`"{each}"`' for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(shown(each, link) for each in schema["anyOf"]))
    if "prefixItems" in schema:
        return f"[{', '.join(shown(each, link) for each in schema['prefixItems'])}]"
    inner = schema.get("items") or schema.get("additionalProperties")
    if isinstance(inner, Mapping) and inner:
        words = shown(inner, link)
        words = f"({words})" if " or " in words else words
        return f"{'list of' if 'items' in schema else 'mapping of names to'} {words}"
    if schema.get("contentEncoding") == "base64":
        return "bytes"
    if schema.get("format") == "date-time":
        return "time"
    return _NAMES.get(schema.get("type", ""), "any value")


_NAMES = {
    "array": "list",
    "boolean": "boolean",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "object",
    "string": "string",
}
