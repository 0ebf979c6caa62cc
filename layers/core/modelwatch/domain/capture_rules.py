"""What a capture policy can do with one field: keep it, drop it, hash it, or put it in buckets."""

from __future__ import annotations

import hmac
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from modelwatch.domain.records import Value

HASH_DIGITS = 16
"""Hexadecimal digits of a hashed value: the first 64 of the 256 bits of its HMAC."""

Change = Callable[[Value], Value]
"""From a value to what is captured for it. It takes any value, and a missing one stays missing."""


@dataclass(frozen=True)
class Bucket:
    """Numbers become the lower edge of their bucket, and stay numbers.

    Parameters
    ----------
    width
        Width of every bucket, from 0 up and down; or 0, and then there are ``edges``.
    edges
        Two or more, ascending: each bucket reaches to the next edge, the last one has no end, and
        what is below the first edge counts to the first bucket.

    Examples
    --------
    >>> decades, ages = Bucket(10), Bucket(edges=(18, 30, 65))
    >>> [decades(value) for value in (37, 37.9, -1, None)]
    [30, 30.0, -10, None]
    >>> [ages(value) for value in (7, 29.5, 30, 99)]
    [18, 18.0, 30, 65]
    """

    width: float = 0
    edges: Sequence[float] = ()

    @cached_property
    def is_whole(self) -> bool:
        """Whether whole numbers stay whole numbers."""
        return all(float(each).is_integer() for each in self.edges or (self.width,))

    def __call__(self, value: Value) -> Value:
        """Return the lower edge of the bucket of ``value``, or None when it is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return None
        if isinstance(value, int) and self.is_whole:
            return int(self._edge_of_whole(value))
        return float(self.edge(value))

    def edge(self, value: float) -> float:
        """Return the lower edge of the bucket of a number."""
        if self.edges:
            return self.edges[max(bisect_right(self.edges, value) - 1, 0)]
        steps = value / self.width
        if not math.isfinite(steps):
            return value
        # 0.3 / 0.1 is 2.9999999999999996, and 3 * 0.1 is 0.30000000000000004
        index = math.floor(steps)
        edge, next_edge = self._edge_at(index), self._edge_at(index + 1)
        if next_edge <= value:
            return next_edge
        return edge if edge <= value else self._edge_at(index - 1)

    def _edge_at(self, index: int) -> float:
        return round(index * self.width, self._decimals)

    @cached_property
    def _decimals(self) -> int:
        """How many decimals the width is written with."""
        digits, _, exponent = repr(float(self.width)).partition("e")
        fraction = digits.partition(".")[2].rstrip("0")
        return max(len(fraction) - int(exponent or 0), 0)

    def _edge_of_whole(self, value: int) -> float:
        if self.edges:
            return self.edge(value)
        width = int(self.width)
        return value // width * width


class Hash:
    """Values become the HMAC-SHA-256 of their field's name and their text, cut to `HASH_DIGITS`.

    The same value of the same field is always the same text, so that its distribution can be
    watched; who does not have the key cannot try out values. Numbers that are equal have the same
    text (13 and 13.0), booleans are ``true`` and ``false``. Source: RFC 2104.

    Examples
    --------
    >>> email = Hash(b"a key of sixteen bytes or more", "email")
    >>> email("ada@example.org"), email(None)
    ('c17b5475bdf66962', None)
    """

    __slots__ = ("_started",)

    def __init__(self, key: bytes, name: str) -> None:
        # the name first: a value that is in two fields cannot be recognised by its hash
        self._started = hmac.new(key, _encoded(name) + b"\0", "sha256")

    def __call__(self, value: Value) -> Value:
        """Return the hash of ``value``, or None when it is missing."""
        if value is None or value != value:
            return None
        mac = self._started.copy()
        mac.update(_encoded(_text(value)))
        return mac.hexdigest()[:HASH_DIGITS]


Rule = Literal["keep", "drop", "hash"] | Bucket
"""What a policy says of a field."""


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
