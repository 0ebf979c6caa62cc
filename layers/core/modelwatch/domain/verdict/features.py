"""The verdicts on features, and the one on the model that follows from them.

In the mode ``calibrated`` a feature drifts when its distance reaches the threshold of its kind
*and* is more than chance allows at the level of the run; in the mode ``classic`` the threshold is
enough, as for Evidently.

The level of a run comes from a budget of false alarms (`run_level`). Over the features of a run the
procedure of Benjamini and Hochberg holds it: when nothing changed, any feature drifts with that
probability at most, and otherwise no larger share of the drifted ones is false, on average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from modelwatch.domain.importance import Importance, drift_headline, rank_drift
from modelwatch.domain.profiles import ColumnProfile, Profile
from modelwatch.domain.statistics.distances import METHODS, Method
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.statistics.significance import Chance, chances
from modelwatch.domain.verdict.results import FeatureDrift, Status, Verdict
from modelwatch.domain.verdict.rules import DriftPolicy, FeatureKind

_NOTHING = Distribution(kind="empty", missing_ratio=1.0)


def evaluate_features(
    reference: Profile,
    window: Profile,
    importance: Importance | None,
    policy: DriftPolicy,
    level: float,
) -> Verdict:
    """Return the verdict on rows by their features, at a ``level`` (0 to 1) for all of them."""
    features = evaluate_columns(
        distributions(reference.features), distributions(window.features), policy, level
    )
    status, share, reason = model_status(features, policy.share_threshold)
    drifted = {each.feature: _strength(each) for each in features if each.status == "drift"}
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
    reference: Profile, window: Profile, policy: DriftPolicy, level: float
) -> tuple[FeatureDrift, ...]:
    """Return the verdicts on what the model predicted, of the outputs that both sides have."""
    before, now = reference.predictions, window.predictions
    both = [name for name in now if name in before]
    sides = [distributions({name: side[name] for name in both}) for side in (before, now)]
    return tuple(evaluate_columns(sides[0], sides[1], policy, level))


def distributions(columns: Mapping[str, ColumnProfile]) -> dict[str, Distribution]:
    """Return what is compared of each column."""
    return {name: Distribution.of_column(column) for name, column in columns.items()}


def evaluate_columns(
    reference: Mapping[str, Distribution],
    window: Mapping[str, Distribution],
    policy: DriftPolicy,
    level: float,
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

    Examples
    --------
    >>> numbers = Distribution.of_numbers
    >>> wine = {"alcohol": numbers(range(100)), "ash": numbers(range(100))}
    >>> now = {"alcohol": numbers(range(60, 160)), "ash": numbers([])}
    >>> found = evaluate_columns(wine, now, DriftPolicy(), level=0.001)
    >>> [(each.feature, each.status, each.reason) for each in found]
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
    cut = level
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
            level,
        )
    return [
        _verdict(
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


def _verdict(
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
    reason, critical = problem, None
    if score is not None:
        far = method.reaches(score, threshold)
        by_chance = chance is not None and chance.p_value > cut
        status = "drift" if far and not by_chance else "ok"
        if far and chance is not None and by_chance:
            reason = f"far enough, but chance alone does that: p = {chance.p_value:.2g}"
        if chance is not None:
            nearer = min if method.low_is_drift else max
            critical = nearer(threshold, chance.distance_at(cut))
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
        critical_score=critical,
    )


def model_status(
    features: Sequence[FeatureDrift], share_threshold: float
) -> tuple[Status, float, str]:
    """Return a model version's status, the share of its features that drifted, and the reason.

    Unknown features do not count, neither way; if all are unknown, so is the version.

    Examples
    --------
    >>> drifted = FeatureDrift(feature="a", kind="numerical", status="drift",
    ...                        method="wasserstein", threshold=0.2, score=0.9)
    >>> model_status([drifted], share_threshold=0.5)
    ('drift', 1.0, '1 of 1 features drifted; drift from a share of 0.5')
    >>> model_status([], share_threshold=0.5)
    ('unknown', 0.0, 'no feature can be compared')
    """
    known = [feature.status for feature in features if feature.status != "unknown"]
    if not known:
        return "unknown", 0.0, "no feature can be compared"
    drifted = known.count("drift")
    share = drifted / len(known)
    reason = f"{drifted} of {len(known)} features drifted"
    status: Status = "drift" if share >= share_threshold else "ok"
    return status, share, f"{reason}; drift from a share of {share_threshold:g}"


def _strength(found: FeatureDrift) -> float:
    """Return how far a feature drifted, in multiples of its threshold."""
    score, threshold = found.score or 0.0, found.threshold
    far, near = (threshold, score) if METHODS[found.method].low_is_drift else (score, threshold)
    return far / max(near, 1e-300)
