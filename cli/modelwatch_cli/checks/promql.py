"""The series of a PromQL expression."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

_LABEL_LIST = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SELECTOR = re.compile(
    r"""([a-zA-Z_:][\w:]*|(?=\{))    # a name, or none before matchers
        \s*(\{(?:[^}"]|"[^"]*")*\})?  # its matchers
        \s*(\[[^\]]*\])?              # a range
    """,
    re.VERBOSE,
)
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Selector(NamedTuple):
    """A metric with its matchers.

    Attributes
    ----------
    name
        The metric, as in Prometheus: of a histogram with ``_bucket`` and so on. Empty if there
        are only matchers.
    matchers
        Label, operator and value of each.
    span_seconds
        Its time range, as in ``rate(x[5m])``; 0 for none.
    """

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    span_seconds: int = 0

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Return whether it selects a series with ``labels``; an absent label is empty.

        >>> queue = Selector("queue_messages", (("queue", "!~", ".*dead.*"),))
        >>> queue.accepts({"queue": "captures"}), queue.accepts({"queue": "captures-dead"})
        (True, False)
        """
        return all(
            _holds(labels.get(label, ""), operator, value)
            for label, operator, value in self.matchers
        )

    def __str__(self) -> str:
        inside = ",".join(f'{label}{operator}"{value}"' for label, operator, value in self.matchers)
        return f"{self.name}{{{inside}}}" if inside else self.name


def selectors(expression: str, names: Collection[str]) -> list[Selector]:
    """Return the selectors of ``expression`` for the metrics ``names``, without functions.

    >>> selectors('sum by (le) (rate(a_bucket{b="c"}[5m])) / on (a) d', {"a_bucket", "d", "a"})
    [Selector(name='a_bucket', matchers=(('b', '=', 'c'),), span_seconds=300), \
Selector(name='d', matchers=(), span_seconds=0)]
    """
    return [
        Selector(found[1], tuple(_MATCHER.findall(found[2] or "")), _seconds(found[3] or ""))
        for found in _SELECTOR.finditer(_LABEL_LIST.sub(" ", expression))
        if found[1] in names or (found[2] and not found[1])
    ]


def _seconds(span: str) -> int:
    lengths = re.findall(r"(\d+)([smhdw])", span)
    return sum(int(count) * _UNIT_SECONDS[unit] for count, unit in lengths)


def _holds(actual: str, operator: str, value: str) -> bool:
    same = bool(re.fullmatch(value, actual)) if operator.endswith("~") else actual == value
    return same is not operator.startswith("!")
