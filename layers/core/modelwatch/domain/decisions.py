"""Decisions about features: how far a window is from its reference, and whether that is drift."""

from __future__ import annotations

import math
from collections.abc import Mapping

from modelwatch.domain.drift import DriftPolicy, FeatureDrift, FeatureKind, Status
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution


def decide(
    reference: Mapping[str, Distribution],
    window: Mapping[str, Distribution],
    policy: DriftPolicy,
    alpha: float,  # noqa: ARG001 - the level of calibrated decisions
) -> list[FeatureDrift]:
    """Answer for every feature of either side, in the reference's order."""
    return [
        _decide(name, reference.get(name), window.get(name), policy)
        for name in dict.fromkeys([*reference, *window])
    ]


def _decide(
    name: str, old: Distribution | None, new: Distribution | None, policy: DriftPolicy
) -> FeatureDrift:
    known = old if old is not None and old.kind != "empty" else new
    kind: FeatureKind = "categorical" if known and known.kind == "categorical" else "numerical"
    answer = {
        "feature": name,
        "kind": kind,
        "method": policy.method(kind),
        "threshold": policy.threshold(kind),
        "missing_ratio": new.missing_ratio if new is not None else 1.0,
    }
    reason = _problem(old, new)
    if reason or old is None or new is None:
        return FeatureDrift(status="unknown", reason=reason, **answer)  # type: ignore[arg-type]
    method = METHODS[policy.method(kind)]
    score = method.score(old, new)
    if not math.isfinite(score):
        return FeatureDrift(status="unknown", reason="no finite score", **answer)  # type: ignore[arg-type]
    status: Status = "drift" if method.reaches(score, policy.threshold(kind)) else "ok"
    return FeatureDrift(status=status, score=score, **answer)  # type: ignore[arg-type]


def _problem(old: Distribution | None, new: Distribution | None) -> str:
    for side, title in ((old, "the reference"), (new, "the window")):
        if side is None:
            return f"{title} has no such column"
        if side.kind == "empty":
            return f"{title} has no value in it"
    if old is not None and new is not None and old.kind != new.kind:
        return "numbers on one side, other values on the other"
    return ""
