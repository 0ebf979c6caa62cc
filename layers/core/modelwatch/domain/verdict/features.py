"""The verdicts on features and outputs.

In the mode ``calibrated`` a feature drifts when its distance reaches the threshold of its kind
*and* is more than chance allows at the level of the run; in the mode ``classic`` the threshold is
enough, as for Evidently.

The level of a run comes from a budget of false alarms (`run_level`). Over the features of a run the
procedure of Benjamini and Hochberg holds it: when nothing changed, any feature drifts with that
probability at most, and otherwise no larger share of the drifted ones is false, on average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from msgspec.structs import replace

from modelwatch.domain.importance import Importance, drift_headline, rank_drift
from modelwatch.domain.past.calibration import OUTPUT, Calibration
from modelwatch.domain.past.chance import chance_of_rate
from modelwatch.domain.past.growth import WORDS
from modelwatch.domain.past.relations import Pair, Relations, words_of_break
from modelwatch.domain.past.scores import RATES, rise, trace_of
from modelwatch.domain.past.words import NOTHING, deciles_of, words_of
from modelwatch.domain.profiles import Profile
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.verdict.columns import (
    NO_COLUMN,
    Column,
    compare,
    distributions,
    unseen_categories,
)
from modelwatch.domain.verdict.results import Change, FeatureDrift, Status, Verdict
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.domain.verdict.status import features_status


def evaluate_features(
    reference: Profile,
    window: Profile,
    importance: Importance | None,
    policy: DriftPolicy,
    level: float,
    past: Calibration | None = None,
    relations: Relations = MappingProxyType({}),
) -> Verdict:
    """Return the verdict on rows by their features, at a ``level`` (0 to 1) for all of them.

    Relations between two features, of those that the past knows, have such a level of their own.
    """
    features = evaluate_columns(
        distributions(reference.features),
        distributions(window.features),
        policy,
        level,
        PastColumns(past, window.rows) if past else None,
    )
    if past is not None and policy.mode == "calibrated":
        features = _with_broken(features, past.broken(relations, level))
    if importance:
        shares = importance.shares
        features = [replace(each, importance=shares.get(each.feature)) for each in features]
    status, share, reason = features_status(features, importance, policy)
    drifted = {each.feature: drift_strength(each) for each in features if each.status == "drift"}
    ranked = rank_drift(drifted, importance)
    return Verdict(
        status=status,
        reason=reason,
        rows=window.rows,
        reference_rows=reference.rows,
        drift_share=share,
        drifted_features=tuple(each.feature for each in ranked),
        headline=drift_headline(ranked),
        features=tuple(features),
    )


def evaluate_outputs(
    reference: Profile,
    window: Profile,
    policy: DriftPolicy,
    level: float,
    past: Calibration | None = None,
) -> tuple[FeatureDrift, ...]:
    """Return the verdicts on what the model predicted, of the outputs that both sides have."""
    before, now = reference.predictions, window.predictions
    both = [name for name in now if name in before]
    sides = [distributions({name: side[name] for name in both}) for side in (before, now)]
    known = PastColumns(past, window.rows, OUTPUT) if past else None
    # an output may have the name of a feature
    policy = replace(policy, features={})
    return tuple(evaluate_columns(sides[0], sides[1], policy, level, known))


def evaluate_columns(
    reference: Mapping[str, Distribution],
    window: Mapping[str, Distribution],
    policy: DriftPolicy,
    level: float,
    past: PastColumns | None = None,
) -> list[FeatureDrift]:
    """Return the verdict on each column of either side, in the reference's order.

    A column that cannot be compared is ``unknown``, with the reason. Never raises for what a
    column holds.

    Parameters
    ----------
    reference, window
        Distribution by feature.
    policy
        Methods, thresholds and mode.
    level
        Level of the run, 0 to 1 (`run_level`); not looked at in the mode ``classic``.
    past
        What windows of the past say of this one; not looked at in the mode ``classic``.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> wine = {"alcohol": numbers(range(100)), "ash": numbers(range(100))}
    >>> now = {"alcohol": numbers(range(60, 160)), "ash": numbers([])}
    >>> found = evaluate_columns(wine, now, DriftPolicy(), level=0.001)
    >>> [(each.feature, each.status, each.reason) for each in found]
    [('alcohol', 'drift', ''), ('ash', 'unknown', 'the window has no value in it')]
    """
    columns = [
        compare(name, reference.get(name, NO_COLUMN), window.get(name, NO_COLUMN), policy)
        for name in [*reference, *sorted(window.keys() - reference.keys())]
        if not policy.ignores(name)
    ]
    level_of_one = level
    if policy.mode == "calibrated":
        known = [column for column in columns if column.score is not None]
        for method in dict.fromkeys(column.method for column in known):
            alike = [column for column in known if column.method is method]
            chances = method.chances([(column.reference, column.window) for column in alike])
            for column, chance in zip(alike, chances, strict=True):
                column.chance = chance
        for column in known:
            if past is None or past.calibration.learning:
                column.unseen = unseen_categories(column, past.unseen(column.name) if past else 0.0)
        # what is not far enough cannot drift: it counts as what chance alone would do
        level_of_one = benjamini_hochberg([each.p_value for each in known], level)
        for column in known:
            column.changes = _unseen(column, level_of_one)
        if past is not None:
            past.look_at(known, policy, level_of_one)
    return [_verdict(column, level_of_one) for column in columns]


@dataclass(frozen=True, slots=True)
class PastColumns:
    """What the past says of a window's columns: of its features, or with a prefix of its outputs.

    ``rows`` are those of the window.
    """

    calibration: Calibration
    rows: int
    prefix: str = ""

    def unseen(self, name: str) -> float:
        """Return the share of unseen categories that the past has, as far as it is known."""
        known = self.calibration.critical_score("unseen", f"{self.prefix}{name}", self.rows)
        return known or 0.0

    def look_at(self, columns: Sequence[Column], policy: DriftPolicy, level: float) -> None:
        """Give columns their critical scores, and the changes that are larger and no chance.

        Where chance alone explains a distribution (p above ``level``), it explains its deciles.
        """
        usual: Mapping[str, Floats] = NOTHING
        for column in columns:
            name, method = f"{self.prefix}{column.name}", column.method
            column.growth = self.calibration.growth.get(name)
            is_known = policy.methods == self.calibration.methods
            # the past has the distances of the kind's method alone
            is_known &= method.name == policy.method(column.kind)
            if is_known and not method.low_is_drift:
                column.past_score = self.calibration.critical_score("distance", name, self.rows)
            if not self.calibration.watches(name):
                continue
            sides = column.reference, column.window
            trace = trace_of(*sides, None)
            changes = []
            for found, score, critical, before in self.calibration.changes(name, trace, self.rows):
                is_chance = (
                    chance_of_rate(found.name, *sides, trace, before) > level
                    if found.tail == "rate"
                    else column.is_by_chance(level)
                )
                if not is_chance:
                    others = NOTHING
                    if found.name == "shift":
                        usual = usual or self._usual(columns)
                        others = {each: usual[each] for each in usual if each != column.name}
                    words = words_of(found.name, *sides, trace, before, critical, others)
                    changes.append(
                        Change(name=found.name, words=words, score=score, critical_score=critical)
                    )
            if changes:
                column.changes = in_order(changes, column)

    def _usual(self, columns: Sequence[Column]) -> Mapping[str, Floats]:
        """Return the deciles of the columns of numbers in the windows just before, as values."""
        known = self.calibration.columns
        found = {
            column.name: deciles_of(
                column.reference, np.array(known[f"{self.prefix}{column.name}"].before, np.float64)
            )
            for column in columns
            if column.reference.kind == "numerical" and f"{self.prefix}{column.name}" in known
        }
        return {name: deciles for name, deciles in found.items() if np.isfinite(deciles).all()}


def in_order(changes: Sequence[Change], column: Column) -> tuple[Change, ...]:
    """Return the changes of a column without those that others explain, rates first.

    A missing or a default value moves the rest; of a stuck value there is no move and no spread,
    and a new category is one of the unseen.
    """
    risen = rise(column.reference, column.window)
    names = {each.name for each in changes}
    if "spike" in names and risen.is_stuck:
        names -= {"shift", "spread"}
    elif "unseen" in names and risen.value not in column.reference.counts:
        names -= {"spike"}
    left = [each for each in changes if each.name in names]
    return tuple(sorted(left, key=lambda each: each.name not in RATES))


def benjamini_hochberg(p_values: Sequence[float], level: float) -> float:
    """Return the largest p-value that passes, or what one must be below when none does.

    Benjamini and Hochberg, *Controlling the false discovery rate* (1995).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.02, 0.9, 0.8], level=0.05)
    0.025
    >>> benjamini_hochberg([0.5, 0.6], level=0.05)
    0.025
    """
    if not len(p_values):
        return level
    steps = level * np.arange(1, len(p_values) + 1) / len(p_values)
    passing = np.flatnonzero(np.sort(np.asarray(p_values)) <= steps)
    return float(steps[passing[-1]] if len(passing) else steps[0])


def _unseen(column: Column, level: float) -> tuple[Change, ...]:
    """Return the unseen categories of a column, where they are no chance."""
    found, sides = column.unseen, (column.reference, column.window)
    if found is None or column.ways * found.p_value > level:
        return ()
    trace = trace_of(*sides, None)
    words = words_of("unseen", *sides, trace, trace, found.critical)
    score, critical = found.share, found.critical
    return (Change(name="unseen", words=words, score=score, critical_score=critical),)


def _with_broken(
    features: list[FeatureDrift], broken: Sequence[tuple[Pair, float, float, float]]
) -> list[FeatureDrift]:
    """Return verdicts on features with the relations that broke: a change of either one."""
    changes: dict[str, tuple[Change, ...]] = {}
    for (one, other), correlation, before, critical in broken:
        for name, with_what in ((one, other), (other, one)):
            change = Change(
                name="relation",
                words=words_of_break(with_what, correlation, before),
                score=abs(correlation - before),
                critical_score=critical,
            )
            changes[name] = (*changes.get(name, ()), change)
    return [
        replace(
            each,
            status="drift",
            changes=(said := (*each.changes, *changes[each.feature])),
            reason="; ".join(map(str, said)),
        )
        if each.feature in changes and each.status != "unknown"
        else each
        for each in features
    ]


def _verdict(column: Column, level: float) -> FeatureDrift:
    """Return the verdict on a column whose p-value has to be at ``level`` or below."""
    status: Status = "unknown"
    reason, critical_score, is_past = column.problem, None, False
    chance = column.chance
    if column.score is not None:
        by_chance = column.is_by_chance(level)
        as_before = column.past_score is not None and column.score < column.past_score
        is_drift = column.is_far and not (by_chance or as_before or column.growth)
        status = "drift" if is_drift or column.changes else "ok"
        if column.is_far and chance is not None and by_chance:
            reason = f"far enough, but chance alone does that: p = {chance.p_value:.2g}"
        elif column.is_far and as_before:
            reason = "far enough, but windows of the past are as far"
        if column.growth:
            reason = WORDS.format(column.growth)
        if column.changes:
            reason = "; ".join(map(str, column.changes))
        if chance is not None:
            farther = min if column.method.low_is_drift else max
            critical_score = farther(column.threshold, chance.score_at(level))
        if critical_score is not None and column.past_score is not None:
            is_past = column.past_score > critical_score
            critical_score = max(critical_score, column.past_score)
    return FeatureDrift(
        feature=column.name,
        kind=column.kind,
        status=status,
        method=column.method.name,
        threshold=column.threshold,
        score=column.score,
        missing_ratio=column.window.missing_ratio,
        reason=reason,
        p_value=chance.p_value if chance is not None else None,
        critical_score=critical_score,
        critical_from="past windows" if is_past else "independent draws",
        changes=column.changes,
    )


def drift_strength(found: FeatureDrift) -> float:
    """Return how far a feature drifted, in multiples of its threshold."""
    score, threshold = found.score or 0.0, found.threshold
    far, near = (threshold, score) if METHODS[found.method].low_is_drift else (score, threshold)
    changes = [each.score / each.critical_score for each in found.changes]
    return max([far / max(near, 1e-300), *changes])
