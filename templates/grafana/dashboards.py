"""The Grafana dashboards, as code: writes `dashboards/*.json`.

    python templates/grafana/dashboards.py

The files are committed, so Grafana needs nothing but them; a test checks that they are current.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueTextMode
from panels import (
    DRIFT_STATES,
    MODEL,
    VERSION,
    bars,
    board,
    heat,
    lines,
    number,
    quantiles,
    thresholds,
)

FOLDER = Path(__file__).parent / "dashboards"


def ml_monitoring() -> Any:
    """Traffic, latency, predictions, functions."""
    requests = "rate(api_requests_total[$__rate_interval])"
    predictions = f"rate(model_predictions_total{{{VERSION}}}[$__rate_interval])"
    values = f"increase(model_prediction_value_bucket{{{MODEL}}}[$__rate_interval])"
    durations = "rate(faas_invoke_duration_seconds_bucket[$__rate_interval])"
    return (
        board("ml-monitoring", "ML Monitoring", "Are predictions served, how fast, by what?")
        .with_row(dashboard.Row("API"))
        .with_panel(
            number("Requests", "Requests per second.", "reqps", (f"sum({requests})", "requests"))
        )
        .with_panel(
            number(
                "Failing requests",
                "Share of answers with a status of 500 or above.",
                "percentunit",
                ("modelwatch:api_error_ratio:rate5m", "{{stage}}"),
            ).thresholds(thresholds((None, "green"), (0.01, "yellow"), (0.05, "red")))
        )
        .with_panel(
            number(
                "Predictions",
                "Rows predicted per second.",
                "short",
                (f"sum({predictions})", "predictions"),
            )
        )
        .with_panel(
            number(
                "Version",
                "The version that was loaded last.",
                "short",
                (f"model_version_info{{{MODEL}}} == 1", "{{model_name}} {{version}}"),
            ).text_mode(BigValueTextMode.NAME)
        )
        .with_panel(
            lines(
                "Requests by answer",
                "Requests per second, by route and status.",
                "reqps",
                (f"sum by (endpoint, status) ({requests})", "{{endpoint}} {{status}}"),
            )
        )
        .with_panel(
            lines(
                "Latency",
                "Time in the function, from a request's arrival to its answer.",
                "s",
                *quantiles("api_request_latency_seconds"),
            )
        )
        .with_row(dashboard.Row("Model"))
        .with_panel(
            lines(
                "Predictions by version",
                "Rows predicted per second.",
                "short",
                (
                    f"sum by (model_name, model_version) ({predictions})",
                    "{{model_name}} {{model_version}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Model latency",
                "Time that the model itself took for a request.",
                "s",
                *quantiles("model_prediction_latency_seconds", MODEL),
            )
        )
        .with_panel(
            bars(
                "Prediction distribution",
                "Predictions in the last interval, up to each bound (cumulative).",
                "short",
                (f"sum by (le) ({values})", "<= {{le}}"),
            )
        )
        .with_panel(
            lines(
                "Load time",
                "Time that the last load of the model took.",
                "s",
                (f"model_load_time_seconds{{{MODEL}}}", "{{model_name}}"),
            )
        )
        .with_row(dashboard.Row("Functions"))
        .with_panel(
            lines(
                "Duration, p95",
                "Duration of invocations, from Lambda's REPORT lines.",
                "s",
                (
                    f"histogram_quantile(0.95, sum by (function, le) ({durations}))",
                    "{{function}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Cold starts",
                "Cold starts per minute.",
                "short",
                (
                    "60 * sum by (function) (rate(faas_coldstarts_total[$__rate_interval]))",
                    "{{function}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Memory",
                "Largest memory use that the newest invocation reported.",
                "bytes",
                ("faas_max_memory_bytes", "{{function}}"),
            )
        )
        .with_panel(
            lines(
                "Failed invocations",
                "Share of invocations that raised, timed out or died.",
                "percentunit",
                ("modelwatch:function_error_ratio:rate15m", "{{function}}"),
            )
        )
    )


def data_drift() -> Any:
    """Whether the data still looks like the training data."""
    by_feature = "{{model_name}} {{model_version}} {{feature}}"
    analyses = f"rate(evidently_analysis_total{{{VERSION}}}[$__rate_interval])"
    return (
        board(
            "evidently-drift",
            "Evidently - Data Drift Monitoring",
            "Does the data that the model gets still look like what it was trained on?",
        )
        .with_panel(
            number(
                "Status",
                "The newest analysis: no drift, drift, or unknown for want of data.",
                "short",
                (f"evidently_drift_status{{{VERSION}}}", "{{model_name}} {{model_version}}"),
            )
            .mappings([DRIFT_STATES])
            .thresholds(thresholds((None, "green"), (1, "red"), (2, "yellow")))
        )
        .with_panel(
            number(
                "Drifted features",
                "Number of drifted features in the newest analysis.",
                "short",
                (
                    f"evidently_drifted_features_count{{{VERSION}}}",
                    "{{model_name}} {{model_version}}",
                ),
            ).thresholds(thresholds((None, "green"), (1, "yellow"), (3, "red")))
        )
        .with_panel(
            number(
                "Drift score",
                "Share of drifted features.",
                "percentunit",
                (f"evidently_drift_score{{{VERSION}}}", "{{model_name}} {{model_version}}"),
            ).thresholds(thresholds((None, "green"), (0.25, "yellow"), (0.5, "red")))
        )
        .with_panel(
            number(
                "Analyses",
                "Analyses per minute, by answer.",
                "short",
                (f"60 * sum by (status) ({analyses})", "{{status}}"),
            )
        )
        .with_panel(
            lines(
                "Drift score over time",
                "Share of drifted features. A gap: unknown.",
                "percentunit",
                (f"evidently_drift_score{{{VERSION}}}", "{{model_name}} {{model_version}}"),
                per_row=1,
            ).max(1)
        )
        .with_panel(
            heat(
                "Features over time",
                "Drift score by feature, in the method's own scale.",
                "short",
                (f"evidently_feature_drift_score{{{VERSION}}}", "{{feature}}"),
            )
        )
        .with_panel(
            bars(
                "Scores by feature",
                "Newest drift score by feature and method.",
                "short",
                (
                    f"sort_desc(evidently_feature_drift_score{{{VERSION}}})",
                    "{{feature}} ({{method}})",
                ),
            )
        )
        .with_panel(
            bars(
                "Missing values",
                "Share of missing values in the window.",
                "percentunit",
                (f"sort_desc(evidently_missing_values_ratio{{{VERSION}}})", by_feature),
            )
        )
        .with_panel(
            lines(
                "Duration of analyses",
                "Time that an analysis took.",
                "s",
                *quantiles("evidently_analysis_duration_seconds", VERSION),
                per_row=1,
            )
        )
    )


def pipeline() -> Any:
    """Queue, capture, bridge, cost."""
    captures = "sum by (outcome) (rate(capture_records_total[$__rate_interval]))"
    return (
        board("modelwatch-pipeline", "Pipeline", "Does what is predicted arrive, at what cost?")
        .with_panel(
            lines(
                "Queues",
                "Messages in the capture queue and its dead-letter queue.",
                "short",
                ("sum by (queue, state) (queue_messages)", "{{queue}} {{state}}"),
            )
        )
        .with_panel(
            lines(
                "Captured records",
                "Per second: accepted, then sent or lost by predict; stored, rejected by capture.",
                "short",
                (captures, "{{outcome}}"),
            )
        )
        .with_panel(
            number(
                "Since the last reading",
                "Time since the bridge read every source.",
                "s",
                ("time() - bridge_last_success_timestamp_seconds", "{{instance}}"),
            ).thresholds(thresholds((None, "green"), (30, "yellow"), (120, "red")))
        )
        .with_panel(
            number(
                "Lag",
                "Age of the newest event when the bridge read it.",
                "s",
                ("bridge_lag_seconds", "{{instance}}"),
            )
        )
        .with_panel(
            number(
                "Unusable lines",
                "Metric lines that could not be used, in an hour.",
                "short",
                ("increase(bridge_parse_errors_total[1h])", "{{instance}}"),
            ).thresholds(thresholds((None, "green"), (1, "yellow")))
        )
        .with_panel(
            number(
                "Cost of 1000 predictions",
                "All functions' GB-seconds and requests at AWS's prices, over the last hour.",
                "currencyUSD",
                ("modelwatch:cost_usd_per_thousand_predictions:rate1h", "{{stage}}"),
            ).decimals(5)
        )
        .with_panel(
            lines(
                "Events",
                "Log events that the bridge read, per second.",
                "short",
                ("rate(bridge_events_total[$__rate_interval])", "{{instance}}"),
                per_row=1,
            )
        )
    )


BOARDS = {"ml_monitoring": ml_monitoring, "data_drift": data_drift, "pipeline": pipeline}


def rendered() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        f"{name}.json": JSONEncoder(sort_keys=True, indent=2).encode(make().build()) + "\n"
        for name, make in BOARDS.items()
    }


def main() -> None:
    """Write the files."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
