"""Which features drifted: distances against thresholds, and against what chance alone does.

In the mode ``calibrated`` a feature drifts when its distance reaches the threshold of its kind
*and* is more than chance allows at the level of the run; in the mode ``classic`` the threshold
alone decides, as by Evidently.

The level of a run comes from a budget of false alarms (`run_level`). Over the features of a run the
procedure of Benjamini and Hochberg holds it: when nothing changed, any feature drifts with that
probability at most, and otherwise no larger share of the drifted ones is false, on average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from modelwatch.domain.drift import DriftPolicy, FeatureDrift, FeatureKind, Status
from modelwatch.domain.statistics.distances import METHODS, Method
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.statistics.significance import Chance, chances

MONTH_SECONDS = 365.25 * 86_400 / 12

LARGEST_LEVEL = 0.05
"""A run's level is never higher, however few runs a month has."""

_NOTHING = Distribution(kind="empty", missing_ratio=1.0)


def run_level(false_alarms_per_month: float, decisions_per_month: float) -> float:
    """Return the probability of a false alarm that one decision may have.

    The expected number of false alarms is the sum of their probabilities, whether decisions depend
    on each other (overlapping windows, one reference for all) or not. So the budget is shared out
    evenly.

    Parameters
    ----------
    false_alarms_per_month
        How many are acceptable, per model.
    decisions_per_month
        Runs of the schedule times the windows (and variants) that each of them decides on.

    Examples
    --------
    >>> round(run_level(1, MONTH_SECONDS / 3600), 5)  # hourly
    0.00137
    >>> run_level(1, 1)
    0.05
    """
    return min(LARGEST_LEVEL, false_alarms_per_month / max(decisions_per_month, 1e-9))


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


def decide(
    reference: Mapping[str, Distribution],
    window: Mapping[str, Distribution],
    policy: DriftPolicy,
    alpha: float,
) -> list[FeatureDrift]:
    """Decide for each feature of either side, in the reference's order.

    A feature that cannot be compared is ``unknown``, with the reason. Never raises for what a
    column holds.

    Parameters
    ----------
    reference, window
        Distribution by feature.
    policy
        Methods, thresholds and mode.
    alpha
        Level of the run, 0 to 1 (`run_level`); not looked at in the mode ``classic``.

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> policy = DriftPolicy(mode="calibrated")
    >>> wine = {"alcohol": numbers(range(100)), "ash": numbers(range(100))}
    >>> now = {"alcohol": numbers(range(60, 160)), "ash": numbers([])}
    >>> [(f.feature, f.status, f.reason) for f in decide(wine, now, policy, alpha=0.001)]
    [('alcohol', 'drift', ''), ('ash', 'unknown', 'the window has no value in it')]
    """
    names = list(dict.fromkeys([*reference, *window]))
    pairs = {name: (reference.get(name, _NOTHING), window.get(name, _NOTHING)) for name in names}
    problems = {name: _problem(name, reference, window, policy.min_values) for name in names}
    kinds = {name: _kind(*pair) for name, pair in pairs.items()}
    methods = {name: METHODS[policy.method(kind)] for name, kind in kinds.items()}
    scores: dict[str, float] = {}
    for name in names:
        if problems[name]:
            continue
        score = methods[name].score(*pairs[name])
        if math.isfinite(score):
            scores[name] = score
        else:
            problems[name] = "no finite distance: the values are too large"
    chance: dict[str, Chance] = {}
    cut = alpha
    if policy.mode == "calibrated":
        chance = _chances(scores, pairs, methods)
        # what is not far enough cannot drift: it counts as what chance alone would do
        cut = benjamini_hochberg(
            [
                chance[name].p_value
                if methods[name].reaches(score, policy.threshold(kinds[name]))
                else 1.0
                for name, score in scores.items()
            ],
            alpha,
        )
    return [
        _answer(
            name, kinds[name], methods[name], policy, scores.get(name), chance.get(name), cut,
            pairs[name][1].missing_ratio, problems[name],
        )
        for name in names
    ]  # fmt: skip


def _problem(
    name: str,
    reference: Mapping[str, Distribution],
    window: Mapping[str, Distribution],
    min_values: int,
) -> str:
    for sides, side in ((reference, "the reference"), (window, "the window")):
        if name not in sides:
            return f"{side} has no such column"
        if sides[name].kind == "empty":
            return f"{side} has no value in it"
    old, new = reference[name], window[name]
    if old.kind != new.kind:
        return "numbers on one side, other values on the other"
    for sized, side in ((old, "the reference"), (new, "the window")):
        if sized.size < min_values:
            return f"{sized.size} values in {side}; {min_values} are needed"
    return ""


def _kind(old: Distribution, new: Distribution) -> FeatureKind:
    known = [side.kind for side in (old, new) if side.kind != "empty"]
    return "categorical" if known and known[0] == "categorical" else "numerical"


def _chances(
    scores: Mapping[str, float],
    pairs: Mapping[str, tuple[Distribution, Distribution]],
    methods: Mapping[str, Method],
) -> dict[str, Chance]:
    found: dict[str, Chance] = {}
    for method in dict.fromkeys(methods.values()):
        names = [name for name in scores if methods[name] is method]
        found.update(zip(names, chances(method, [pairs[name] for name in names]), strict=True))
    return found


def _answer(
    name: str,
    kind: FeatureKind,
    method: Method,
    policy: DriftPolicy,
    score: float | None,
    chance: Chance | None,
    cut: float,
    missing_ratio: float,
    problem: str,
) -> FeatureDrift:
    threshold = policy.threshold(kind)
    status: Status = "unknown"
    reason, needed = problem, None
    if score is not None:
        far = method.reaches(score, threshold)
        by_chance = chance is not None and chance.p_value > cut
        status = "drift" if far and not by_chance else "ok"
        if far and chance is not None and by_chance:
            reason = f"far enough, but chance alone does that: p = {chance.p_value:.2g}"
        if chance is not None:
            at_chance = chance.distance_at(cut)
            needed = min(threshold, at_chance) if method.low_is_drift else max(threshold, at_chance)
    return FeatureDrift(
        feature=name,
        kind=kind,
        status=status,
        method=method.name,
        threshold=threshold,
        score=score,
        missing_ratio=missing_ratio,
        reason=reason,
        p_value=chance.p_value if chance is not None else None,
        needed=needed,
    )
