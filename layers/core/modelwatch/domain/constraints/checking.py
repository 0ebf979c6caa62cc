"""Holding a window to constraints: what is broken beyond chance, and what is not known."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from modelwatch.domain.binomial import Floats, fisher_tail, upper_tail
from modelwatch.domain.constraints.counting import Breach, breaches
from modelwatch.domain.constraints.document import Constraints, Seen
from modelwatch.domain.profiles import Profile

_NOTHING = Seen(broken=0, rows=0)

QualityStatus = Literal["ok", "violated", "unknown"]


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a window breaks, and not by chance.

    Attributes
    ----------
    feature, check
        The column, and which of its rules.
    found, expected
        Share of the rows that break the rule, and the share that is allowed, both 0 to 1.
    rows
        How many rows break it: exactly, or as the sketch of the numbers shows.
    sentence
        The same in words.
    """

    feature: str
    check: str
    found: float
    expected: float
    rows: int
    sentence: str


class NotEvaluated(msgspec.Struct, frozen=True, kw_only=True):
    """Checks that the window does not allow; of no ``feature``: all checks of the window."""

    feature: str
    checks: tuple[str, ...]
    reason: str


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a window's quality.

    ``status`` is ``violated`` when a rule is, ``unknown`` when no rule can be evaluated at all.
    ``evaluated`` is the number of rules that were; `not_evaluated` lists the others. ``decided``
    and `undecided` are their old names, written and read for one release more.
    """

    status: QualityStatus
    violations: tuple[Violation, ...] = ()
    evaluated: int = 0
    not_evaluated: tuple[NotEvaluated, ...] = ()
    decided: int = 0
    undecided: tuple[NotEvaluated, ...] = ()

    def __post_init__(self) -> None:
        evaluated = self.evaluated or self.decided
        not_evaluated = self.not_evaluated or self.undecided
        for name, value in (
            ("evaluated", evaluated),
            ("decided", evaluated),
            ("not_evaluated", not_evaluated),
            ("undecided", not_evaluated),
        ):
            msgspec.structs.force_setattr(self, name, value)


def check(
    constraints: Constraints, profile: Profile, *, level: float = 0.01, min_rows: int = 30
) -> Quality:
    """Check the features of ``profile`` against ``constraints``.

    A rule is violated when two things are proved: that more rows break it than are allowed (by
    the exact binomial test), and more than in the reference (by Fisher's exact test; only where the
    rule knows the reference). Both allow for chance: that of a window of this size, and that of a
    reference of its size. The level is that of all rules together (Holm's method): of a hundred
    pairs of a reference and a window that are alike, not more than ``100 * level`` have any
    violation. Rows are taken to be independent.

    A rule without proof against it is not evaluated, rather than kept, when it is about fewer than
    ``min_rows`` rows, or when not even all of its rows would be proof.

    Parameters
    ----------
    profile
        Profile of the window. What its sketches cannot count to the row is evaluated by the fewest
        rows that it can be, so that a sketch's error is never taken for a violation.
    level
        Probability of a false alarm of the whole window.
    min_rows
        Fewest rows that let a rule without proof against it count as kept.

    References
    ----------
    S. Holm, *A simple sequentially rejective multiple test procedure*, Scand. J. Statist. 6 (1979)
    65.

    Examples
    --------
    >>> from modelwatch.domain.constraints import learn_constraints
    >>> from modelwatch.domain.profiles import text_column
    >>> def window(red, nulls):
    ...     column = text_column({"red": red, "white": red}, nulls=nulls)
    ...     return Profile(rows=2 * red + nulls, features={"colour": column})
    >>> constraints = learn_constraints(window(red=500, nulls=0))
    >>> check(constraints, window(red=49, nulls=1)).status
    'ok'
    >>> print(check(constraints, window(red=45, nulls=10)).violations[0].sentence)
    colour: 10 of 100 rows are missing (10 %; allowed: 0.1 %)
    """
    if not profile.rows:
        return Quality(status="unknown", not_evaluated=(_all("the window has no rows"),))
    tests, family = breaches(constraints, profile)
    violated = _violated(tests, family, level)
    violations = tuple(_violation(tests[index]) for index in sorted(violated))
    if profile.rows < min_rows:
        reason = f"{profile.rows} rows in the window; {min_rows} are needed"
        return Quality(
            status="violated" if violations else "unknown",
            evaluated=len(violations),
            violations=violations,
            not_evaluated=(_all(reason),),
        )
    not_evaluated: dict[tuple[str, str], list[str]] = {}
    open_checks = 0
    doubts = _doubts(tests, level / family, min_rows)
    for index, (test, reason) in enumerate(zip(tests, doubts, strict=True)):
        if reason and index not in violated:
            open_checks += 1
            not_evaluated.setdefault((test.feature, reason), []).append(test.check)
    evaluated = len(tests) - open_checks
    return Quality(
        status="violated" if violations else "ok" if evaluated else "unknown",
        evaluated=evaluated,
        violations=violations,
        not_evaluated=tuple(
            NotEvaluated(feature=feature, checks=tuple(checks), reason=reason)
            for (feature, reason), checks in not_evaluated.items()
        ),
    )


def _violated(tests: list[Breach], family: int, level: float) -> set[int]:
    """Return the indices of the tests that fail, by Holm's method among ``family`` tests."""
    # no more than are allowed is never proof, and of most rules nothing is broken
    suspects = [
        index for index, test in enumerate(tests) if test.proved > test.allowed * test.tested_rows
    ]
    chances = _chances([tests[index] for index in suspects], [tests[i].proved for i in suspects])
    order = np.argsort(chances, kind="stable").tolist()
    violated = set()
    for rank, position in enumerate(order):
        if chances[position] > level / (family - rank):
            break
        violated.add(suspects[position])
    return violated


def _chances(tests: list[Breach], broken: list[int]) -> Floats:
    """Return for each test how likely so many broken rows are by chance, at most."""
    if not tests:
        return np.empty(0)
    rows = np.array([test.tested_rows for test in tests])
    of_share = upper_tail(broken, rows, [test.allowed for test in tests])
    seen = [test.reference or _NOTHING for test in tests]
    of_reference = fisher_tail(
        broken, rows, [each.broken for each in seen], [each.rows for each in seen]
    )
    without = np.array([test.reference is None for test in tests])
    chances: Floats = np.maximum(of_share, np.where(without, 0.0, of_reference))
    return chances


def _doubts(tests: list[Breach], level: float, min_rows: int) -> list[str]:
    """Return for each rule why it cannot be called kept; empty when it can."""
    # thousands of columns have the same few sizes
    sizes: dict[Any, float] = {}
    for test in tests:
        sizes.setdefault((test.tested_rows, test.allowed, test.reference), 0.0)
    alike = [
        Breach("", "", rows, rows, rows, allowed, reference=reference)
        for rows, allowed, reference in sizes
    ]
    sizes = dict(zip(sizes, _chances(alike, [each.rows for each in alike]).tolist(), strict=True))
    doubts = []
    for test in tests:
        rows = test.tested_rows
        if rows < min_rows:
            doubts.append(f"{rows} rows; {min_rows} are needed")
        elif sizes[rows, test.allowed, test.reference] > level:
            doubts.append(f"{rows} rows: even if all were wrong, it might be by chance")
        else:
            doubts.append("")
    return doubts


def _violation(test: Breach) -> Violation:
    found = test.estimate / test.rows
    return Violation(
        feature=test.feature,
        check=test.check,
        found=found,
        expected=test.allowed,
        rows=test.estimate,
        sentence=test.sentence,
    )


def _all(reason: str) -> NotEvaluated:
    return NotEvaluated(feature="", checks=(), reason=reason)
