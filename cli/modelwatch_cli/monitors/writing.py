"""How TOML writes names and texts, and on which line of a file each stands."""

from __future__ import annotations

import re
import tomllib
from collections import Counter

import msgspec

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+)"""
_NAME = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEAD = re.compile(rf"\s*(\[{{1,2}})\s*({_NAME})\s*\]")
_KEY = re.compile(rf"\s*({_NAME})\s*=")


def quoted(text: str) -> str:
    """Return a text as TOML writes it.

    >>> print(quoted('a "b"'))
    "a \\"b\\""
    """
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def head(*names: str) -> str:
    """Return the head of a table, such as one of a feature whose name needs quotation marks.

    >>> print(head("features", "age"), head("features", "area in m2"), head("features", "a.b"))
    [features.age] [features."area in m2"] [features."a.b"]
    """
    parts = (each if re.fullmatch("[A-Za-z0-9_-]+", each) else quoted(each) for each in names)
    return f"[{'.'.join(parts)}]"


def lines_of(text: str) -> dict[str, int]:
    """Return the line of each key, such as ``rules.drift_mode``, and of each table.

    >>> lines_of("model = 'a'\\n[rules]\\ndrift_mode = 'classic'")
    {'model': 1, 'rules': 2, 'rules.drift_mode': 3}
    >>> lines_of("[features.'od280/od315']\\nignore = true\\n[features.\\"rooms[0]\\"]")
    {'features.od280/od315': 1, 'features.od280/od315.ignore': 2, 'features.rooms[0]': 3}
    >>> lines_of("[[expected]]\\n[[expected]]\\nuntil = 2026-03-01")
    {'expected': 1, 'expected.1': 1, 'expected.2': 2, 'expected.2.until': 3}
    """
    lines: dict[str, int] = {}
    table = ""
    heads: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEAD.match(line):
            title = _plain(found[2])
            if found[1] == "[[":  # one of several
                lines.setdefault(title, number)
                heads[title] += 1
                title = f"{title}.{heads[title]}"
            table = f"{title}."
            lines.setdefault(title, number)
        elif found := _KEY.match(line):
            lines.setdefault(table + _plain(found[1]), number)
    return lines


def _plain(name: str) -> str:
    """Return a name without its quotation marks, its parts with dots between."""
    parts = re.findall(_PART, name)
    return ".".join(_text(each) if each[0] in "\"'" else each for each in parts)


def _text(written: str) -> str:
    try:
        return str(tomllib.loads(f"a = {written}")["a"])
    except tomllib.TOMLDecodeError:
        return written[1:-1]
