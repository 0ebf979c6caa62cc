"""Data drift: whether the data still looks like the training data, and what that costs."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from panels import (
    DRIFT_COLOURS,
    DRIFT_STATES,
    EPISODE_STATES,
    NO_DATA,
    TALL,
    VERSION,
    bars,
    board,
    heat,
    lines,
    newest_report,
    number,
    quantiles,
    red,
    states,
    thresholds,
)

_BY_VERSION = "{{model_name}} {{model_version}}"
_BY_FEATURE = "{{model_version}} {{feature}}"
_SCORE = f"{_BY_FEATURE} ({{{{method}}}})"


def data_drift() -> Any:
    """Return the dashboard."""
    made = board(
        "evidently-drift",
        "Evidently - Data Drift Monitoring",
        "Does the data that the model gets still look like what it was trained on?",
    )
    for part in (_verdict, _features, _performance, _analyses):
        for item in part():
            made = made.with_row(item) if isinstance(item, dashboard.Row) else made.with_panel(item)
    return made


def _verdict() -> list[Any]:
    opened = f"evidently_episode_opened_timestamp_seconds{{{VERSION}}}"
    status = number(
        "Status",
        "The newest analysis: no drift, drift, or unknown for want of data. Its values link to "
        "the newest report.",
        "short",
        (f"evidently_drift_status{{{VERSION}}}", _BY_VERSION),
    )
    return [
        newest_report(status.mappings([DRIFT_STATES, NO_DATA]).thresholds(DRIFT_COLOURS)),
        number(
            "Episode",
            "Whether an episode of drift is open; `modelwatch episodes list` names it.",
            "short",
            (f"evidently_episode_status{{{VERSION}}}", _BY_VERSION),
        )
        .mappings([EPISODE_STATES, NO_DATA])
        .thresholds(thresholds((None, "green"), (1, "red"), (2, "yellow"))),
        number(
            "Episode lasts",
            "For how long the open episode lasts; 0 without one.",
            "s",
            (
                # no open episode has the time 0
                f"(time() - {opened}) * ({opened} > bool 0)",
                _BY_VERSION,
            ),
        ).mappings([NO_DATA]),
        number(
            "Drifted features",
            "Number of drifted features in the newest analysis.",
            "short",
            (f"evidently_drifted_features_count{{{VERSION}}}", _BY_VERSION),
        ).thresholds(thresholds((None, "green"), (1, "yellow"), (3, "red"))),
        number(
            "Drift score",
            "Share of drifted features.",
            "percentunit",
            (f"evidently_drift_score{{{VERSION}}}", _BY_VERSION),
            per_row=2,
        ).thresholds(thresholds((None, "green"), (0.25, "yellow"), (0.5, "red"))),
        number(
            "Constraint violations",
            "Constraints on data quality that the newest window breaks, beyond chance.",
            "short",
            (f"evidently_constraint_violations_count{{{VERSION}}}", _BY_VERSION),
            per_row=2,
        ).thresholds(thresholds((None, "green"), (1, "red"))),
        states(
            "Status over time",
            "Green: no drift; red: drift; yellow: unknown, which is never no drift.",
            (f"evidently_drift_status{{{VERSION}}}", _BY_VERSION),
        ),
        lines(
            "Drift score over time",
            "Share of drifted features. A gap: unknown.",
            "percentunit",
            (f"evidently_drift_score{{{VERSION}}}", _BY_VERSION),
        ).max(1),
        lines(
            "Drift of the outputs",
            "Drift score of predictions and probabilities, in the method's own scale.",
            "short",
            (f"evidently_output_drift_score{{{VERSION}}}", "{{model_version}} {{output}}"),
        ),
        states(
            "Segments over time",
            "The same for declared segments (ANALYSIS_SEGMENTS), each against that of the "
            "reference.",
            (f"evidently_segment_drift_status{{{VERSION}}}", "{{model_version}} {{segment}}"),
        ),
    ]


def _features() -> list[Any]:
    scores = f"evidently_feature_drift_score{{{VERSION}}}"
    detected = f"evidently_feature_drift_detected{{{VERSION}}} == 1"
    drifted = f"on (model_name, model_version, feature) ({detected})"
    missing = f"evidently_missing_values_ratio{{{VERSION}}}"
    return [
        dashboard.Row("Features"),
        heat(
            "Features over time",
            "Drift score by feature, in the method's own scale; where nothing is drawn, unknown.",
            "short",
            (f"max by (model_version, feature) ({scores})", _BY_FEATURE),
        ),
        red(
            bars(
                "Scores by feature",
                "Newest drift score in the method's own scale. Red: drifted.",
                "short",
                (f"sort_desc({scores} and {drifted})", _SCORE),
                (f"sort_desc({scores} unless {drifted})", _SCORE),
            )
            .decimals(3)
            .height(TALL),
            "A",
        ),
        bars(
            "Missing values",
            "Share of missing values in the window.",
            "percentunit",
            (f"sort_desc({missing})", _BY_FEATURE),
        )
        .max(1)
        .height(TALL),
        lines(
            "Missing values over time",
            "Share of missing values, of the features that miss most.",
            "percentunit",
            (f"topk(10, {missing})", _BY_FEATURE),
            per_row=1,
        ).max(1),
    ]


def _performance() -> list[Any]:
    bounds = f'model_performance_bound{{{VERSION},metric="accuracy"}}'
    errors = f'model_estimated_bound{{{VERSION},metric="mae"}}'
    return [
        dashboard.Row("Performance"),
        lines(
            "Accuracy",
            "By labels, with the ends of its 95 % interval and what the best constant gives; and "
            "without labels, to expect from the probabilities. A gap: too few labels.",
            "percentunit",
            (f"model_accuracy{{{VERSION}}}", f"{_BY_VERSION} by labels"),
            (f"model_estimated_accuracy{{{VERSION}}}", f"{_BY_VERSION} expected"),
            (bounds, f"{_BY_VERSION} {{{{bound}}}}"),
        ).max(1),
        lines(
            "Mean absolute error",
            "Of regressions: by labels; and without labels, to expect from the rows, with the ends "
            "of its interval and the threshold that the reference gives.",
            "short",
            (f"model_mean_absolute_error{{{VERSION}}}", f"{_BY_VERSION} by labels"),
            (f"model_estimated_mean_absolute_error{{{VERSION}}}", f"{_BY_VERSION} expected"),
            (errors, f"{_BY_VERSION} {{{{bound}}}}"),
        ),
        lines(
            "Labels",
            "Share of the window's predictions whose label is known.",
            "percentunit",
            (f"model_label_maturity_ratio{{{VERSION}}}", _BY_VERSION),
            per_row=1,
        ).max(1),
    ]


def _analyses() -> list[Any]:
    analyses = f"rate(evidently_analysis_total{{{VERSION}}}[$__rate_interval])"
    late = f"increase(evidently_analysis_late_total{{{VERSION}}}[$__rate_interval])"
    missed = f"increase(evidently_analysis_missed_total{{{VERSION}}}[$__rate_interval])"
    return [
        dashboard.Row("Analyses"),
        lines(
            "Analyses",
            "Analyses per minute, by status.",
            "short",
            (f"60 * sum by (status) ({analyses})", "{{status}}"),
            per_row=3,
        ),
        lines(
            "Duration of analyses",
            "Time that an analysis took.",
            "s",
            *quantiles("evidently_analysis_duration_seconds", VERSION),
            per_row=3,
        ),
        lines(
            "Late and missed windows",
            "Windows that were analyzed late, or never, because runs were missed; 0 while there "
            "were none.",
            "short",
            (f"sum({late}) or vector(0)", "late"),
            (f"sum({missed}) or vector(0)", "missed"),
            per_row=3,
        ),
    ]
