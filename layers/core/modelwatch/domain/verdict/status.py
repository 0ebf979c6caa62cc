"""From the verdicts on features and outputs to the one on the version: what to act on.

    rule        drift when
    share       a share of the known features drifted
    important   the same; or an important feature, or what the model predicts, drifted
    any         any feature, or what the model predicts, drifted

So each rule has the drifts of the one above it. Important are the fewest features that make nine
tenths of the importance that the version was registered with, but for those of which the model's
monitor says otherwise. Where no feature is known to be important, no single one is enough for
``important``: knowing less makes no louder alarm. What the model predicts are
its outputs: predictions, and the probabilities that its performance is estimated from. A drift that
makes no drift of the version is a warning (`Verdict.severity`).

Each rule keeps the budget: features together have one part of the run's level, outputs another.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.domain.importance import Importance
from modelwatch.domain.verdict.results import FeatureDrift, Status
from modelwatch.domain.verdict.rules import DriftPolicy


def features_status(
    features: Sequence[FeatureDrift], importance: Importance | None, policy: DriftPolicy
) -> tuple[Status, float, str]:
    """Return a version's status by its features, the share that drifted, and the reason.

    Unknown features do not count; if all that matter are unknown, so is the version.

    Examples
    --------
    >>> one = FeatureDrift(feature="a", kind="numerical", status="drift", method="wasserstein",
    ...                    threshold=0.1, score=0.9)
    >>> features_status([one], None, DriftPolicy())
    ('drift', 1.0, '1 of 1 features drifted; drift from a share of 0.5')
    >>> features_status([one], None, DriftPolicy(rule="any"))
    ('drift', 1.0, '1 of 1 features drifted; drift from one')
    >>> features_status([], None, DriftPolicy())
    ('unknown', 0.0, 'no feature can be compared')
    """
    known = [each for each in features if each.status != "unknown"]
    if not known:
        return "unknown", 0.0, "no feature can be compared"
    drifted = [each.feature for each in known if each.status == "drift"]
    share = len(drifted) / len(known)
    reason = f"{len(drifted)} of {len(known)} features drifted"
    if policy.rule == "any":
        return "drift" if drifted else "ok", share, f"{reason}; drift from one"
    status: Status = "drift" if share >= policy.share_threshold else "ok"
    by_share = f"drift from a share of {policy.share_threshold:g}"
    if policy.rule == "share":
        return status, share, f"{reason}; {by_share}"
    important = policy.important(importance.important if importance else ())
    if not important:
        return status, share, f"{reason}, of unknown importance; {by_share}"
    seen = important.intersection(each.feature for each in known)
    if not seen and status == "ok":
        return "unknown", share, f"{reason}; no important feature can be compared"
    matter = seen.intersection(drifted)
    reason += f", {len(matter)} of {len(seen)} important ones; drift from an important one or "
    reason += by_share.removeprefix("drift from ")
    return "drift" if matter else status, share, reason


def drifted_outputs(outputs: Sequence[FeatureDrift], policy: DriftPolicy) -> tuple[str, ...]:
    """Return the names of drifted outputs that make a drift of the version by the policy's rule."""
    if policy.rule == "share":
        return ()
    return tuple(each.feature for each in outputs if each.status == "drift")
