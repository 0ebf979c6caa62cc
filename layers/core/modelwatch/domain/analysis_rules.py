"""The rules of an analysis: which windows, what is enough, how many false alarms are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from modelwatch.domain.decisions import MONTH_SECONDS, run_level
from modelwatch.domain.drift import DriftPolicy
from modelwatch.domain.window_plans import WindowPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRules:
    """How windows are judged.

    Attributes
    ----------
    plans
        The windows of a run; metrics by feature are those of the first.
    policy
        Methods and thresholds.
    min_rows
        Fewest rows, of the window and of its reference, that allow a verdict.
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
        Length of the window whose labels tell how well the version predicts.
    sample_rows
        Rows of each side in a report.
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

    @property
    def alpha(self) -> float:
        """Probability of a false alarm that one window of one run may have.

        The budget is shared evenly by all windows of a month. By the union bound their expected
        false alarms add up to no more than the budget, however much the windows overlap.

        Examples
        --------
        >>> rules = AnalysisRules(
        ...     plans=(WindowPlan(timedelta(hours=1)),), run_every=timedelta(hours=1)
        ... )
        >>> round(1 / rules.alpha)
        730
        """
        intervals = [max(plan.step or self.run_every, self.run_every) for plan in self.plans]
        windows = sum(MONTH_SECONDS / interval.total_seconds() for interval in intervals)
        return run_level(self.false_alarms_per_month, windows)
