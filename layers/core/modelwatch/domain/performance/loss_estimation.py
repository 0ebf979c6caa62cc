"""The estimate of a regression's metrics without labels, from `ExpectedLosses`."""

from __future__ import annotations

import math

import numpy as np

from modelwatch.domain.performance.calibration import EstimatedPerformance
from modelwatch.domain.performance.estimates import Estimate, z_of
from modelwatch.domain.performance.expected import ExpectedLosses
from modelwatch.domain.performance.losses import LossModel


def expected_metrics(losses: ExpectedLosses) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Return ``mae`` and ``rmse`` with their intervals, and all metrics by name.

    The interval is for what labels would show. Its parts: what the rows leave open; how far the
    groups of trees differ, each of which has learned from another half of the reference (Student's
    t, there are few of them); and how far the estimate moves when leaves have four times as many
    rows. A leaf mixes rows that are not alike, which pulls the estimate to the reference's mean;
    what larger leaves add to the pull bounds what is left of it, where halving leaves halves it.
    """
    means = losses.sums / losses.rows
    groups, coarse = means[:-1], means[-1]
    fine = groups.mean(axis=0)
    absolute, squared, signed, _, product = fine.tolist()
    spread = groups.var(axis=0, ddof=1)[:2]
    errors = np.sqrt(spread + losses.variances / losses.rows**2)
    half = (_t_of(len(groups) - 1) * errors + np.abs(fine - coarse)[:2]).tolist()
    mae = Estimate(absolute, max(0.0, absolute - half[0]), absolute + half[0], "losses")
    rmse = Estimate(
        math.sqrt(squared),
        math.sqrt(max(0.0, squared - half[1])),
        math.sqrt(squared + half[1]),
        "losses",
    )
    metrics = {"mae": mae.value, "rmse": rmse.value, "bias": signed}
    first, second = (losses.predictions / losses.rows).tolist()
    variance = second - 2 * product + squared - (first - signed) ** 2
    if variance > 0:
        metrics["r2"] = 1 - squared / variance
    return {"mae": mae, "rmse": rmse}, metrics


def _t_of(freedom: int) -> float:
    """Return Student's t for a two-sided interval, to 0.01 from five degrees of freedom on.

    The expansion is that of R. A. Fisher and E. A. Cornish, Technometrics 2 (1960) 209.

    >>> round(_t_of(9), 2)
    2.26
    """
    z = z_of()
    first = (z**3 + z) / (4 * freedom)
    return z + first + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def estimate_errors(
    losses: ExpectedLosses | None, model: LossModel | None, min_rows: int
) -> EstimatedPerformance:
    """Return what a regression's rows lead to expect, without a label.

    A metric raises an alarm when its whole interval is above its threshold, so that an estimate
    that is less sure never raises more of them.
    """
    if model is None:
        return EstimatedPerformance(
            status="unknown",
            reason="nothing was learned of its errors: register the version with labels of the"
            " test rows",
        )
    rows = 0 if losses is None else losses.rows
    if losses is None or rows < min_rows:
        reason = f"{rows} predictions that are numbers; {min_rows} are needed"
        return EstimatedPerformance(status="unknown", reason=reason)
    names = [
        feature.name
        for feature, known in zip(model.features, losses.known.tolist(), strict=True)
        if not known
    ]
    if names:
        reason = f"the captures have no value that the reference has of {', '.join(names)}"
        return EstimatedPerformance(status="unknown", reason=reason)
    estimates, metrics = expected_metrics(losses)
    thresholds = {name: each.threshold for name, each in model.reference.items()}
    return EstimatedPerformance(
        status="ok",
        rows=rows,
        calibration="reference",
        mae=estimates["mae"],
        rmse=estimates["rmse"],
        metrics=metrics,
        thresholds=thresholds,
        alarms=tuple(
            name
            for name, estimate in estimates.items()
            if estimate.low > thresholds.get(name, math.inf)
        ),
    )
