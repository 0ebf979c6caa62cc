"""Model comparison: two versions, or two variants, of a model side by side."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from panels import (
    DRIFT_COLOURS,
    DRIFT_STATES,
    NO_DATA,
    bare_board,
    choice,
    distribution,
    heat,
    lines,
    newest_report,
    number,
    thresholds,
    values_of,
    variable,
)

_MODEL = 'model_name="$model_name"'
_VERSIONS = {side: f'{_MODEL},model_version="$version_{side}"' for side in "ab"}
_VARIANTS = {side: f'{_VERSIONS[side]},variant=~"$variant_{side}"' for side in "ab"}
_NAMES = {side: f"{side.upper()}: version ${{version_{side}}}" for side in "ab"}


def comparison() -> Any:
    """Return the dashboard."""
    made = bare_board(
        "modelwatch-comparison",
        "Model comparison",
        "Which of two versions, or variants, responds faster, drifts less and is right more often?",
    ).with_variable(choice("model_name", "Model", values_of("model_name")))
    for side in "ab":
        versions = values_of("model_version", f",{_MODEL}")
        variants = f"label_values(model_predictions_total{{{_VERSIONS[side]}}}, variant)"
        made = made.with_variable(
            choice(f"version_{side}", f"Version {side.upper()}", versions, newest=side == "b")
        ).with_variable(variable(f"variant_{side}", f"Variant {side.upper()}", variants))
    for item in (*_now(), *_traffic(), *_drift(), *_performance()):
        made = made.with_row(item) if isinstance(item, dashboard.Row) else made.with_panel(item)
    return made


def _both(query: str, matchers: dict[str, str] = _VERSIONS) -> list[tuple[str, str]]:
    """Return a query for A and for B; ``%s`` in it stands for the matchers."""
    return [(query.replace("%s", matchers[side]), _NAMES[side]) for side in "ab"]


def _now() -> list[Any]:
    found: list[Any] = [dashboard.Row("Now")]
    for side in "ab":
        of, name = _VERSIONS[side], _NAMES[side]
        status = number(
            f"{side.upper()}: status",
            "The newest analysis; it links to the newest report.",
            "short",
            (f"evidently_drift_status{{{of}}}", name),
            per_row=6,
        )
        drifted = number(
            f"{side.upper()}: drifted features",
            "Number of drifted features. Absent while the status is unknown.",
            "short",
            (f"evidently_drifted_features_count{{{of}}}", name),
            per_row=6,
        )
        predictions = number(
            f"{side.upper()}: predictions",
            "Rows predicted per second.",
            "short",
            (
                f"sum(rate(model_predictions_total{{{_VARIANTS[side]}}}[$__rate_interval]))",
                name,
            ),
            per_row=6,
        )
        found += [
            newest_report(status.mappings([DRIFT_STATES, NO_DATA]).thresholds(DRIFT_COLOURS)),
            drifted.thresholds(thresholds((None, "green"), (1, "yellow"), (3, "red"))),
            predictions,
        ]
    return found


def _traffic() -> list[Any]:
    buckets = "sum by (le) (rate(model_prediction_latency_seconds_bucket{%s}[$__rate_interval]))"
    values = "sum by (le) (increase(model_prediction_value_bucket{%s}[$__range]))"
    return [
        dashboard.Row("Traffic and predictions"),
        lines(
            "Predictions",
            "Rows predicted per second.",
            "short",
            *_both("sum(rate(model_predictions_total{%s}[$__rate_interval]))", _VARIANTS),
        ),
        lines(
            "Model latency, p95",
            "Time that the model itself took for a request.",
            "s",
            *_both(f"histogram_quantile(0.95, {buckets})", _VARIANTS),
        ),
        *(
            distribution(
                f"{side.upper()}: prediction distribution",
                "Predictions of the time that is shown by their value: up to each bound, and above "
                "the one before it.",
                (values.replace("%s", _VARIANTS[side]), "<= {{le}}"),
            )
            for side in "ab"
        ),
    ]


def _drift() -> list[Any]:
    return [
        dashboard.Row("Drift"),
        lines(
            "Drift score",
            "Share of drifted features. A gap: unknown.",
            "percentunit",
            *_both("evidently_drift_score{%s}"),
        ).max(1),
        lines(
            "Missing values",
            "Share of missing values of the feature that misses most.",
            "percentunit",
            *_both("max(evidently_missing_values_ratio{%s})"),
        ).max(1),
        *(
            heat(
                f"{side.upper()}: features over time",
                "Drift score by feature, in the method's own scale.",
                "short",
                (
                    f"max by (feature) (evidently_feature_drift_score{{{_VERSIONS[side]}}})",
                    "{{feature}}",
                ),
                per_row=2,
            )
            for side in "ab"
        ),
    ]


def _performance() -> list[Any]:
    return [
        dashboard.Row("Performance"),
        lines(
            "Accuracy by labels",
            "Share of labelled predictions that were right. A gap: too few labels.",
            "percentunit",
            *_both("model_accuracy{%s}"),
            per_row=3,
        ).max(1),
        lines(
            "Expected accuracy",
            "What the probabilities of all predictions promise, without labels.",
            "percentunit",
            *_both("model_estimated_accuracy{%s}"),
            per_row=3,
        ).max(1),
        lines(
            "Labels",
            "Share of the window's predictions whose label is known.",
            "percentunit",
            *_both("model_label_maturity_ratio{%s}"),
            per_row=3,
        ).max(1),
    ]
