"""The rules of analyses, as the settings say them."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from modelwatch.domain.segments import SEGMENTS_SETTING
from modelwatch.domain.verdict.rules import AnalysisRules, DriftMode, DriftPolicy
from modelwatch.settings import Settings

VERDICT_SETTINGS = (
    "ANALYSIS_WINDOWS",
    "ANALYSIS_SCHEDULE",
    "ANALYSIS_MIN_ROWS",
    "ANALYSIS_MAX_LOSS",
    "ANALYSIS_STALE",
    "FALSE_ALARMS_PER_MONTH",
    "DRIFT_MODE",
    "DRIFT_NUMERICAL_METHOD",
    "DRIFT_NUMERICAL_THRESHOLD",
    "DRIFT_CATEGORICAL_METHOD",
    "DRIFT_CATEGORICAL_THRESHOLD",
    "DRIFT_SHARE_THRESHOLD",
    SEGMENTS_SETTING,
)
"""The settings that have a part in the verdict on a window."""


def analysis_rules(settings: Settings) -> AnalysisRules:
    """Return the rules.

    Raises
    ------
    SettingError
        When a setting cannot be read.
    """
    return AnalysisRules(
        plans=settings.windows("ANALYSIS_WINDOWS"),
        policy=drift_policy(settings),
        min_rows=settings.integer("ANALYSIS_MIN_ROWS"),
        lag=timedelta(seconds=settings.integer("ANALYSIS_LAG_SECONDS")),
        max_loss=settings.number("ANALYSIS_MAX_LOSS"),
        stale=settings.duration("ANALYSIS_STALE"),
        run_every=settings.duration("ANALYSIS_SCHEDULE"),
        false_alarms_per_month=settings.number("FALSE_ALARMS_PER_MONTH"),
        performance_window=settings.duration("PERFORMANCE_WINDOW"),
        report_every=settings.duration("REPORT_EVERY"),
        sample_rows=settings.integer("REPORT_ROWS"),
        segments=settings.text(SEGMENTS_SETTING),
    )


def drift_policy(settings: Settings) -> DriftPolicy:
    """Return methods and thresholds; raises as `analysis_rules` does."""
    return DriftPolicy(
        mode=cast(DriftMode, settings.text("DRIFT_MODE")),
        numerical_method=settings.text("DRIFT_NUMERICAL_METHOD"),
        numerical_threshold=settings.number("DRIFT_NUMERICAL_THRESHOLD"),
        categorical_method=settings.text("DRIFT_CATEGORICAL_METHOD"),
        categorical_threshold=settings.number("DRIFT_CATEGORICAL_THRESHOLD"),
        share_threshold=settings.number("DRIFT_SHARE_THRESHOLD"),
    )
