"""How much a run analyzes: records may name any number of versions and variants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from modelwatch.domain.profiles import Profile

MOST_VERSIONS = 50
"""Versions of a model that a run analyzes: the one that serves, and the newest others."""

MOST_VARIANTS = 20
"""Variants of a version that have results of their own: those with most rows."""

_NAMED = 5


class LeftOut(NamedTuple):
    """What a run does not analyze of a model, or of a version; ``version`` is one that it does."""

    model_name: str
    version: str
    what: str
    names: Sequence[str]

    def __str__(self) -> str:
        listed = ", ".join(self.names[:_NAMED]) + (", …" if len(self.names) > _NAMED else "")
        return f"too many {self.what}; {len(self.names)} are not analyzed: {listed}"


def chosen_versions(
    found: Collection[tuple[str, str]], serving: tuple[str, str] | None
) -> tuple[list[tuple[str, str]], list[LeftOut]]:
    """Return the versions to analyze as (model name, version), and by model what is left out.

    Examples
    --------
    >>> found = [("wine", str(number)) for number in range(1, 53)]
    >>> chosen, left_out = chosen_versions(found, ("wine", "1"))
    >>> chosen[:2], *map(str, left_out)
    ([('wine', '1'), ('wine', '10')], 'too many versions; 2 are not analyzed: 3, 2')
    """
    chosen: list[tuple[str, str]] = []
    left_out: list[LeftOut] = []
    known = sorted({*found, serving} if serving else found)
    for name, versions in groupby(known, key=itemgetter(0)):
        newest = sorted(versions, key=lambda each: (each == serving, _age(each[1])), reverse=True)
        chosen += sorted(newest[:MOST_VERSIONS])
        if others := [version for _, version in newest[MOST_VERSIONS:]]:
            left_out.append(LeftOut(name, newest[0][1], "versions", others))
    return chosen, left_out


def chosen_variants(found: Mapping[str, Profile]) -> tuple[list[str], list[str]]:
    """Return the variants that have results of their own, and those that are left out."""
    named = sorted((each for each in found if each), key=lambda each: -found[each].rows)
    return named[:MOST_VARIANTS], named[MOST_VARIANTS:]


def _age(version: str) -> tuple[int, str]:
    """Return what sorts versions by age, as far as they are numbers."""
    return int(version) if version.isdecimal() else -1, version
