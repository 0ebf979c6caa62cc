"""How many rows of a window break each rule, as far as its profile shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from modelwatch.domain.constraints.document import (
    CategoryRule,
    ColumnConstraints,
    ConstantRule,
    Constraints,
    KindRule,
    MissingRule,
    RangeRule,
    Rule,
    Seen,
    VaryingRule,
    WholeRule,
)
from modelwatch.domain.constraints.learning import constant_of
from modelwatch.domain.profiles import FAILURES, ColumnProfile, Profile

_NAMED = 5


class Breach(NamedTuple):
    """What stands against a rule.

    Attributes
    ----------
    feature, check
        The column, and which of its rules.
    rows
        Rows that the rule is about.
    proved, estimate
        Fewest rows that break it, and most likely number.
    allowed
        Share of ``rows`` that may break it, below 1.
    words
        How to go on after "7 of 10 rows"; empty where `saying` is the whole sentence.
    saying
        The whole sentence after the feature's name.
    trials
        Rows that ``proved`` are of, where they are not ``rows``.
    reference
        What the reference showed of the rule, where that matters.
    """

    feature: str
    check: str
    rows: int
    proved: int
    estimate: int
    allowed: float
    words: str = ""
    saying: str = ""
    trials: int | None = None
    reference: Seen | None = None

    @property
    def tested_rows(self) -> int:
        """How many rows the proof has."""
        return self.rows if self.trials is None else self.trials

    @property
    def sentence(self) -> str:
        """What is broken, in words."""
        if self.saying:
            return f"{self.feature}: {self.saying}"
        found, allowed = _percent(self.estimate / self.rows), _percent(self.allowed)
        counted = f"{self.estimate} of {self.rows} rows {self.words}"
        return f"{self.feature}: {counted} ({found}; allowed: {allowed})"


def breaches(constraints: Constraints, profile: Profile) -> tuple[list[Breach], int]:
    """Return what stands against each rule, and how many tests that is.

    The tests are more than the breaches where a category that is there need not be shown.
    """
    found: list[Breach] = []
    categories = 0
    for name, column in constraints.columns.items():
        actual = profile.features.get(name)
        if actual is None:
            found += _missing_column(name, column, profile.rows)
            continue
        found += _column(name, column, actual)
        if column.categories:
            categories += len(column.categories.known)
    if constraints.extra_columns:
        for name in sorted(profile.features):
            if name not in constraints.columns:
                count = profile.rows - profile.features[name].nulls
                words = "have this column, which is not known"
                rule = constraints.extra_columns
                found.append(_breach(name, "extra_column", rule, profile.rows, count, count, words))
    # that no prediction failed makes no window ok whose features nothing is known of
    if constraints.failed_predictions and profile.failures:
        found.append(_failed(constraints.failed_predictions, profile))
    # what allows everything cannot be broken
    found = [breach for breach in found if breach.allowed < 1]
    return found, max(len(found) + categories, 1)


def _breach(
    name: str,
    check: str,
    rule: Rule,
    rows: int,
    proved: int,
    estimate: int,
    words: str = "",
    saying: str = "",
    trials: int | None = None,
) -> Breach:
    allowed, seen = rule.allowed_share, rule.reference
    # who asks for more than the reference gave, or for everything, means it
    if seen is not None and (not allowed or allowed * seen.rows < seen.broken - 1e-6 * seen.rows):
        seen = None
    return Breach(name, check, rows, proved, estimate, allowed, words, saying, trials, seen)


def _failed(rule: Rule, profile: Profile) -> Breach:
    reasons = profile.outputs[FAILURES].counts if FAILURES in profile.outputs else {}
    words = f"have no prediction{': ' * bool(reasons)}{', '.join(list(reasons)[:_NAMED])}"
    count = profile.failures
    return _breach("prediction", "failed", rule, profile.rows, count, count, words)


def _missing_column(name: str, column: ColumnConstraints, rows: int) -> Iterator[Breach]:
    if column.kind is None or column.kind.kind != "empty":
        rule = column.missing or MissingRule(allowed_share=0.0)
        saying = "the column is missing"
        yield _breach(name, "missing_column", rule, rows, rows, rows, saying=saying)


def _column(name: str, rules: ColumnConstraints, column: ColumnProfile) -> Iterator[Breach]:
    if rules.missing:
        count = column.nulls
        yield _breach(name, "missing", rules.missing, column.rows, count, count, "are missing")
    if rules.kind:
        yield _kind(name, rules.kind, column)
    if rules.infinite:
        count, words = column.infinities, "are infinite"
        yield _breach(name, "infinite", rules.infinite, column.numbers, count, count, words)
    if rules.whole:
        yield _whole(name, rules.whole, column)
    if rules.range:
        yield from _range(name, rules.range, column)
    if rules.categories:
        yield from _categories(name, rules.categories, column)
    if rules.constant:
        yield _constant(name, rules.constant, column)
    if rules.varying:
        yield _varying(name, rules.varying, column)


def _kind(name: str, rule: KindRule, column: ColumnProfile) -> Breach:
    values = column.rows - column.nulls
    if rule.kind == "empty":
        words = "have a value, where the reference has none"
        return _breach(name, "kind", rule, column.rows, values, values, words)
    kinds = {"numbers": column.numbers, "texts": column.strings, "truth values": column.booleans}
    others = values - kinds.pop(rule.kind)
    words = f"are {' or '.join(kind for kind, count in kinds.items() if count)}, not {rule.kind}"
    return _breach(name, "kind", rule, values, others, others, words)


def _whole(name: str, rule: WholeRule, column: ColumnProfile) -> Breach:
    sketch = column.sketch
    found, trials = 0, sketch.n
    if sketch.n:
        values = np.concatenate(sketch.levels)
        if (values != np.floor(values)).any():
            values, weights = sketch.weighted()
            found = int(weights[values != np.floor(values)].sum())
            # a sample, worth as many rows as its uneven weights leave (Kish 1965)
            trials = math.ceil(sketch.n**2 / int(np.square(weights).sum()))
    proved = found * trials // sketch.n if sketch.n else 0
    words = "have a fraction"
    return _breach(name, "whole", rule, sketch.n, proved, found, words, trials=trials)


def _range(name: str, rule: RangeRule, column: ColumnProfile) -> Iterator[Breach]:
    sketch = column.sketch
    below = _beyond(column, rule.minimum, below=True)
    above = _beyond(column, rule.maximum, below=False)
    proved, estimate = below[0] + above[0], below[1] + above[1]
    words = f"are not from {_shown(rule.minimum)} to {_shown(rule.maximum)}"
    yield _breach(name, "range", rule, sketch.n, proved, estimate, words)
    if rule.non_negative:
        proved, estimate = _beyond(column, 0.0, below=True)
        words = "are negative"
        yield _breach(name, "non_negative", rule, sketch.n, proved, estimate, words)


def _beyond(column: ColumnProfile, limit: float, *, below: bool) -> tuple[int, int]:
    """Return the fewest and the likeliest number of rows beyond ``limit``."""
    sketch = column.sketch
    if not sketch.n or (sketch.minimum >= limit if below else sketch.maximum <= limit):
        return 0, 0
    values, weights = sketch.weighted()
    estimate = int(weights[values < limit if below else values > limit].sum())
    error = 0 if sketch.exact else math.ceil(sketch.RANK_ERROR * sketch.n)
    return max(estimate - error, 1), max(estimate, 1)


def _categories(name: str, rule: CategoryRule, column: ColumnProfile) -> Iterator[Breach]:
    rows = column.strings + column.booleans
    new = [text for text in column.counts if text not in rule.known]
    counted = sum(column.counts[text] for text in new)
    # of the texts that were not counted, known ones may be at most so many
    unseen = counted + max(0, column.rest - column.undercount * len(rule.known))
    words = f"have a text that is not known{_such_as(new)}"
    yield _breach(name, "unseen_categories", rule, rows, unseen, unseen, words)
    yield from _vanished(name, rule, column, rows)


def _vanished(name: str, rule: CategoryRule, column: ColumnProfile, rows: int) -> Iterator[Breach]:
    gone = [] if column.undercount else [text for text in rule.known if text not in column.counts]
    most = max(rule.known, key=rule.known.__getitem__, default="")
    # one that is there stands for the others that are: it shows whether rows are enough
    for text in gone if most in gone or not most else [most, *gone]:
        share = rule.known[text]
        other = CategoryRule(allowed_share=1 - share, known={})
        if rule.reference:
            size = rule.reference.rows
            seen = Seen(broken=size - round(share * size), rows=size)
            other = CategoryRule(allowed_share=1 - share, known={}, reference=seen)
        count = rows if text in gone else 0
        saying = f"'{text[:60]}' has vanished from {rows} rows; expected in {_percent(share)}"
        yield _breach(name, "vanished_categories", other, rows, count, count, saying=saying)


def _such_as(texts: list[str]) -> str:
    if not texts:
        return ""
    named = ", ".join(f"'{text[:60]}'" for text in texts[:_NAMED])
    return f", such as {named}" if len(texts) > _NAMED else f", {named}"


def _constant(name: str, rule: ConstantRule, column: ColumnProfile) -> Breach:
    values = column.rows - column.nulls
    value = rule.value
    sketch = column.sketch
    if isinstance(value, str | bool):
        text = str(value).lower() if isinstance(value, bool) else value
        estimate = values - column.counts.get(text, 0)
        proved = max(0, estimate - column.undercount)
    else:
        others = values - sketch.n
        numbers, weights = sketch.weighted()
        different = int(weights[numbers != value].sum())
        alike = sketch.minimum == sketch.maximum
        error = 0 if alike or sketch.exact else math.ceil(2 * sketch.RANK_ERROR * sketch.n)
        least = sum(1 for end in {sketch.minimum, sketch.maximum} if sketch.n and end != value)
        estimate = others + max(different, least)
        proved = others + max(different - error, least)
    shown = _shown(value)
    words = f"are not {shown}, the reference's only value"
    return _breach(name, "constant", rule, values, proved, estimate, words)


def _varying(name: str, rule: VaryingRule, column: ColumnProfile) -> Breach:
    values = column.rows - column.nulls
    constant = constant_of(column)
    # given the first, so many more rows have the same value
    same = max(values - 1, 0)
    return Breach(
        name,
        "varying",
        same,
        same if constant is not None else 0,
        same if constant is not None else 0,
        rule.largest_share,
        saying=f"all {values} rows have the value {_shown(constant)}; the reference has several",
    )


def _shown(value: bool | float | str | None) -> str:
    if isinstance(value, str):
        return f"'{value[:60]}'"
    # every digit: a bound that is shown rounded seems to be kept by what breaks it
    return repr(value).removesuffix(".0") if type(value) is float else str(value).lower()


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
