"""The rules of a verdict: methods and thresholds, what is enough, how many false alarms may be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import msgspec

from modelwatch.domain.past.phases import AskedPhase
from modelwatch.domain.window_plans import WindowPlan

FeatureKind = Literal["numerical", "categorical"]

DriftMode = Literal["calibrated", "classic"]
"""Whether chance is allowed for (see `modelwatch.domain.verdict.features`), or only thresholds."""

VerdictRule = Literal["any", "important", "share"]
"""Which drifts make a drift of the model version: `modelwatch.domain.verdict.status`."""

MONTH_SECONDS = 365.25 * 86_400 / 12

LARGEST_LEVEL = 0.05
"""A run's level is never higher, however few runs a month has."""

FEWEST_REFERENCE_ROWS = 30
"""Rows that a reference needs, or ``min_rows`` if that is smaller."""


class FeatureRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for one feature, in place of what holds for its kind.

    Attributes
    ----------
    threshold
        Its own threshold; None: that of its kind.
    method
        Its own method, which needs a threshold of its own; empty: that of its kind.
    ignore
        Whether its drift is not looked at.
    important
        Whether its drift alone is one of the version, by the rule ``important``; None: its
        importance says so.
    """

    threshold: float | None = None
    method: str = ""
    ignore: bool = False
    important: bool | None = None


class DriftPolicy(msgspec.Struct, frozen=True):
    """Which methods and thresholds make a verdict.

    A feature drifts when its score reaches the threshold of its kind; ``rule`` says which drifts
    make a drift of the model version (the default is that of policies of before there were rules),
    and ``share_threshold`` is the one of the rule ``share``. Methods have Evidently's names;
    `modelwatch.domain.statistics.distances.METHODS` says which are distances (a high score means
    drift) and which p-values (a low one does). In ``calibrated`` mode a score must also be beyond
    what chance makes of windows of its size; in ``classic`` mode the threshold is enough. A feature
    with fewer than ``min_values`` values on either side is unknown. ``features`` has by name what
    holds for single features, and not for what the model predicts.
    """

    numerical_method: str = "wasserstein"
    numerical_threshold: float = 0.1
    categorical_method: str = "jensenshannon"
    categorical_threshold: float = 0.1
    share_threshold: float = 0.5
    mode: DriftMode = "calibrated"
    min_values: int = 10
    rule: VerdictRule = "share"
    features: dict[str, FeatureRule] = {}

    @property
    def methods(self) -> tuple[str, str]:
        """The methods for numbers and for categories."""
        return self.numerical_method, self.categorical_method

    def method(self, kind: FeatureKind, feature: str = "") -> str:
        """Return the method for features of ``kind``, or the one of a feature's own."""
        of_kind = self.numerical_method if kind == "numerical" else self.categorical_method
        return self._rule(feature).method or of_kind

    def threshold(self, kind: FeatureKind, feature: str = "") -> float:
        """Return the threshold for features of ``kind``, or the one of a feature's own."""
        own = self._rule(feature).threshold
        of_kind = self.numerical_threshold if kind == "numerical" else self.categorical_threshold
        return of_kind if own is None else own

    def ignores(self, feature: str) -> bool:
        """Return whether the drift of a feature is not looked at."""
        return self._rule(feature).ignore

    def important(self, known: Collection[str]) -> frozenset[str]:
        """Return the important features, where ``known`` are so by their importance."""
        said = {name: rule.important for name, rule in self.features.items()}
        others = {name for name in known if said.get(name) is None}
        return frozenset(others | {name for name, given in said.items() if given})

    def _rule(self, feature: str) -> FeatureRule:
        return self.features.get(feature, _OF_KIND)


_OF_KIND = FeatureRule()


def run_level(false_alarms_per_month: float, verdicts_per_month: float) -> float:
    """Return the probability of a false alarm that one verdict may have.

    The expected number of false alarms is the sum of their probabilities, whether verdicts depend
    on each other (overlapping windows, one reference for all) or not. So the budget is shared out
    evenly.

    Parameters
    ----------
    false_alarms_per_month
        How many are acceptable, per model.
    verdicts_per_month
        Runs of the schedule times the windows (and variants) that each of them evaluates.

    Examples
    --------
    >>> round(run_level(1, MONTH_SECONDS / 3600), 5)  # hourly
    0.00137
    >>> run_level(1, 1)
    0.05
    """
    return min(LARGEST_LEVEL, false_alarms_per_month / max(verdicts_per_month, 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRules:
    """How windows are evaluated.

    Attributes
    ----------
    plans
        The windows of a run; metrics by feature are those of the first.
    policy
        Methods and thresholds.
    min_rows
        Fewest rows of a window that allow a verdict; see `min_reference_rows` for its reference.
    lag
        Age at which captures count as complete.
    max_loss
        A window of which a larger share was lost on its way to the store is ``unknown``.
    stale
        A window whose newest record is older at its end is ``unknown``.
    run_every
        How often the schedule runs.
    false_alarms_per_month
        How many are acceptable for a model version.
    report_every
        While a drift lasts, reports are made so often, and when other features drift.
    performance_window
        Length of the window whose labels show how well the version predicts.
    sample_rows
        Rows of each side in a report.
    history_days
        So many days of the past make its critical scores; 0: the past is not asked.
    phase
        Which windows just before a window is compared with; ``auto``: by what the past says.
    segments
        The declared segments, as `modelwatch.domain.segments.parse_segments` reads them.
    """

    plans: tuple[WindowPlan, ...]
    policy: DriftPolicy = field(default_factory=DriftPolicy)
    min_rows: int = 100
    lag: timedelta = timedelta(seconds=5)
    max_loss: float = 0.05
    stale: timedelta = timedelta(days=1)
    run_every: timedelta = timedelta(minutes=1)
    false_alarms_per_month: float = 1.0
    report_every: timedelta = timedelta(hours=1)
    performance_window: timedelta = timedelta(days=7)
    sample_rows: int = 2000
    segments: str = ""
    history_days: int = 28
    phase: AskedPhase = "auto"

    @property
    def min_reference_rows(self) -> int:
        """Fewest rows of a reference, and fewest that data quality looks at."""
        return min(self.min_rows, FEWEST_REFERENCE_ROWS)

    @property
    def level(self) -> float:
        """Probability of a false alarm that one window of one run may have.

        The budget is shared evenly by all windows of a month. By the union bound their expected
        false alarms add up to no more than the budget, however much the windows overlap.

        Examples
        --------
        >>> rules = AnalysisRules(
        ...     plans=(WindowPlan(timedelta(hours=1)),), run_every=timedelta(hours=1)
        ... )
        >>> round(1 / rules.level)
        730
        """
        intervals = [max(plan.step or self.run_every, self.run_every) for plan in self.plans]
        windows = sum(MONTH_SECONDS / interval.total_seconds() for interval in intervals)
        return run_level(self.false_alarms_per_month, windows)
