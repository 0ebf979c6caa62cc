"""The rules of analyses, as the settings say them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import cast

from msgspec import structs

from modelwatch.domain.monitors import Monitor, Monitored
from modelwatch.domain.past.phases import AskedPhase
from modelwatch.domain.performance.results import PerformancePolicy
from modelwatch.domain.segments import SEGMENTS_SETTING
from modelwatch.domain.verdict.rules import AnalysisRules, DriftMode, DriftPolicy, VerdictRule
from modelwatch.errors import SettingError
from modelwatch.settings.analysis import AnalysisSettings, MonitorSettings

VERDICT_SETTINGS = (
    "ANALYSIS_WINDOWS",
    "ANALYSIS_SCHEDULE",
    "ANALYSIS_MIN_ROWS",
    "ANALYSIS_MAX_LOSS",
    "ANALYSIS_STALE",
    "ANALYSIS_HISTORY_DAYS",
    "FALSE_ALARMS_PER_MONTH",
    "ANALYSIS_VERDICT_RULE",
    "DRIFT_MODE",
    "DRIFT_NUMERICAL_METHOD",
    "DRIFT_NUMERICAL_THRESHOLD",
    "DRIFT_CATEGORICAL_METHOD",
    "DRIFT_CATEGORICAL_THRESHOLD",
    "DRIFT_SHARE_THRESHOLD",
    SEGMENTS_SETTING,
)
"""The settings that have a part in the verdict on a window, when it is evaluated again: then the
past, and so its phase, is what it was."""


def analysis_rules(settings: AnalysisSettings) -> AnalysisRules:
    """Return the rules.

    Raises
    ------
    SettingError
        When a setting cannot be read.
    """
    return AnalysisRules(
        plans=settings.analysis_windows,
        policy=drift_policy(settings),
        min_rows=settings.analysis_min_rows,
        lag=timedelta(seconds=settings.analysis_lag_seconds),
        max_loss=settings.analysis_max_loss,
        stale=settings.analysis_stale,
        run_every=settings.analysis_schedule,
        false_alarms_per_month=settings.false_alarms_per_month,
        performance_window=settings.performance_window,
        report_every=settings.report_every,
        sample_rows=settings.report_rows,
        history_days=settings.analysis_history_days,
        phase=cast(AskedPhase, settings.analysis_phase),
        segments=settings.text(SEGMENTS_SETTING),
    )


def monitored(settings: AnalysisSettings, monitor: Monitor | None = None) -> Monitored:
    """Return how a model is monitored: as the settings say, but for what a monitor overrides.

    Raises
    ------
    SettingError
        When a setting cannot be read, or is none that a monitor may override.
    """
    if monitor is None:
        return Monitored(rules=analysis_rules(settings), performance=performance_policy(settings))
    for name in monitor.settings.keys() - MonitorSettings.declared().keys():
        raise SettingError(name, "is not known as a rule of a monitor")
    own = settings.changed(monitor.settings)
    rules = analysis_rules(own)
    return Monitored(
        rules=replace(rules, policy=structs.replace(rules.policy, features=monitor.features)),
        performance=performance_policy(own),
        baseline=monitor.baseline,
        monitor=monitor.digest,
        owner=monitor.owner,
        labels=monitor.labels,
        capture=monitor.capture,
        planned=monitor.planned,
        constraints=monitor.constraints,
    )


def performance_policy(settings: AnalysisSettings) -> PerformancePolicy:
    """Return what it takes for metrics of labels; raises as `analysis_rules` does."""
    return PerformancePolicy(
        min_labels=settings.performance_min_labels,
        min_maturity=settings.performance_min_maturity,
    )


def drift_policy(settings: AnalysisSettings) -> DriftPolicy:
    """Return methods and thresholds; raises as `analysis_rules` does."""
    return DriftPolicy(
        mode=cast(DriftMode, settings.drift_mode),
        rule=cast(VerdictRule, settings.analysis_verdict_rule),
        numerical_method=settings.drift_numerical_method,
        numerical_threshold=settings.drift_numerical_threshold,
        categorical_method=settings.drift_categorical_method,
        categorical_threshold=settings.drift_categorical_threshold,
        share_threshold=settings.drift_share_threshold,
    )
