"""Queries of GET routes: parameters by name, held against a type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from modelwatch.domain.faults import blames
from modelwatch.errors import Fault, InvalidInputError


def read_query[T: msgspec.Struct](
    query: Mapping[str, Any], kind: type[T], further: Callable[[dict[str, Any]], Iterable[Fault]]
) -> T:
    """Return what is asked.

    Parameters
    ----------
    further
        Yields what types alone cannot say of the parameters that are right by their types.

    Raises
    ------
    InvalidInputError
        When it is no such request; names all parameters that are wrong.
    """
    given = dict(query)
    found = list(blames(given, kind))
    wrong = {blame.path[0] for blame in found}
    right = {name: each for name, each in given.items() if name not in wrong}
    faults = [*(blame.fault() for blame in found), *further(right)]
    if faults:
        raise InvalidInputError.of(faults)
    return msgspec.convert(given, kind)


def whole_number(query: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return the parameters with a whole number in the place of its text, where it is one.

    >>> whole_number({"limit": "10", "page": "7"}, "limit")
    {'limit': 10, 'page': '7'}
    """
    given: dict[str, Any] = dict(query)
    if (text := given.get(name, "")).isascii() and text.isdecimal() and len(text) < 10:
        given[name] = int(text)
    return given
