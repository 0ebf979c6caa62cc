"""Two variants or versions of a model side by side, and what can be said of which is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from modelwatch.domain.performance.estimates import Estimate
from modelwatch.domain.performance.results import PerformanceVerdict
from modelwatch.domain.verdict.results import FeatureDrift

Outcome = Literal["a better", "b better", "no difference shown", "not comparable", "unknown"]
"""What can be said. ``unknown`` (nothing is known) is not ``no difference shown``."""

DIRECTIONS: Mapping[str, int] = {
    "accuracy": 1, "f1": 1, "precision": 1, "recall": 1, "roc_auc": 1, "log_loss": -1,
    "mae": -1, "rmse": -1, "r2": 1,
}  # fmt: skip
"""By metric: 1 where more is better, -1 where less is."""

MAIN_METRICS: Mapping[str, str] = {"classification": "accuracy", "regression": "mae"}
"""The metric that makes the verdict, by what the models do, unless another is asked for."""

QUANTILES = (0.5, 0.95, 0.99)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two.

    Attributes
    ----------
    name
        As it was asked for: an alias or a version.
    model_version, variant
        The version, and the alias whose predictions count; empty: all of the version's.
    rows
        Distinct predictions in the window.
    latency_ms
        Quantiles of the time that a prediction took, by `QUANTILES`; empty where no one measured.
    records, labelled
        Predictions in the whole hours of the window, and those of them whose label is known.
    """

    name: str
    model_version: str
    variant: str
    rows: int
    latency_ms: tuple[float, ...] = ()
    records: int = 0
    labelled: int = 0


class MetricComparison(msgspec.Struct, frozen=True):
    """A metric of both, and how much more it is for B, with the interval of the difference."""

    a: Estimate
    b: Estimate
    difference: Estimate


class ComparisonVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said of which of two is better.

    Attributes
    ----------
    outcome, sentence
        The verdict, also in words.
    metric
        The one that makes the verdict; empty where none could be compared.
    labels_needed
        Where no difference is shown: how many more labels, of both together, would show the
        difference that is seen, if it stays what it is; None where there is none.
    """

    outcome: Outcome
    sentence: str
    metric: str = ""
    labels_needed: int | None = None


class Comparison(ComparisonVerdict, frozen=True):
    """What is known of two.

    Attributes
    ----------
    inputs, outputs
        Whether features, and predictions with probabilities, are distributed alike: B beside A.
    performance
        By metric.
    window_start, window_end
        Of the predictions; labels are those of the whole hours that it touches.
    notes
        Remarks for the reader.
    """

    model_name: str
    window_start: datetime
    window_end: datetime
    a: Side
    b: Side
    inputs: tuple[FeatureDrift, ...] = ()
    outputs: tuple[FeatureDrift, ...] = ()
    performance: Mapping[str, MetricComparison] = {}
    notes: tuple[str, ...] = ()


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return how much more ``b`` is than ``a``, of rows of their own, with an interval.

    The limits of the two are added in squares, each on the side where it matters. Of two shares
    with Wilson's intervals that is Newcombe's tenth method; of others it is known as MOVER, and
    needs nothing but that each interval is good.

    References
    ----------
    R. G. Newcombe, Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17 (1998) 873. G. Y. Zou and A. Donner, Construction of confidence limits
    about effect measures: a general approach, Statistics in Medicine 27 (2008) 1693.

    Examples
    --------
    >>> from modelwatch.domain.performance.estimates import wilson
    >>> found = difference(wilson(48 / 80, 80), wilson(56 / 70, 70))
    >>> [round(limit, 4) for limit in (found.value, found.low, found.high)], found.method
    ([0.2, 0.0524, 0.3339], 'newcombe')
    """
    value = b.value - a.value
    low = value - math.hypot(b.value - b.low, a.high - a.value)
    high = value + math.hypot(b.high - b.value, a.value - a.low)
    if a.method == b.method == "wilson":
        # shares differ by 1 at most, and rounding leads beyond
        return Estimate(value, max(low, -1.0), min(high, 1.0), "newcombe")
    return Estimate(value, low, high, "mover")


def labels_needed(difference: Estimate, labels: int) -> int | None:
    """Return how many more labels would show a difference that is not shown by ``labels``.

    Intervals shrink with the root of the number of labels: so many more make the interval end at
    0, if the difference stays what it is and the labels come as they do. A difference that is 0 can
    never be shown.

    Examples
    --------
    >>> labels_needed(Estimate(0.02, -0.02, 0.06, "newcombe"), 1000)
    3000
    """
    if not difference.value:
        return None
    far = difference.low if difference.value > 0 else difference.high
    times = ((difference.value - far) / difference.value) ** 2
    return max(1, math.ceil(labels * (times - 1)))


def compare_metrics(a: PerformanceVerdict, b: PerformanceVerdict) -> dict[str, MetricComparison]:
    """Return the metrics that both have and of which it is known what is better."""
    return {
        name: MetricComparison(a.metrics[name], b.metrics[name], difference(a.metrics[name], found))
        for name, found in b.metrics.items()
        if name in a.metrics and name in DIRECTIONS
    }


def outcome_of(metric: str, found: MetricComparison) -> Outcome:
    """Return which is better by a metric: where the interval of the difference leaves 0 out.

    Examples
    --------
    >>> worse = MetricComparison(*[Estimate(0, 0, 0, "")] * 2, Estimate(-0.2, -0.3, -0.1, ""))
    >>> outcome_of("accuracy", worse), outcome_of("log_loss", worse)
    ('a better', 'b better')
    """
    ends = (found.difference.low, found.difference.high)
    low, high = sorted(DIRECTIONS[metric] * end for end in ends)
    if low > 0:
        return "b better"
    return "a better" if high < 0 else "no difference shown"
