"""ML Monitoring: traffic, latency, predictions, functions."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.common import BigValueTextMode
from panels import (
    MODEL,
    TALL,
    VERSION,
    board,
    distribution,
    lines,
    none,
    number,
    quantiles,
    thresholds,
)


def ml_monitoring() -> Any:
    """Return the dashboard."""
    requests = "rate(api_requests_total[$__rate_interval])"
    predictions = f"rate(model_predictions_total{{{VERSION}}}[$__rate_interval])"
    values = f"increase(model_prediction_value_bucket{{{VERSION}}}[$__range])"
    errors = f"rate(model_prediction_errors_total{{{MODEL}}}[$__rate_interval])"
    durations = "rate(faas_invoke_duration_seconds_bucket[$__rate_interval])"
    inits = "rate(faas_init_duration_seconds_bucket[$__rate_interval])"
    return (
        board("ml-monitoring", "ML Monitoring", "Are predictions served, how fast, by what?")
        .with_row(dashboard.Row("API"))
        .with_panel(
            number("Requests", "Requests per second.", "reqps", (f"sum({requests})", "requests"))
        )
        .with_panel(
            number(
                "Failing requests",
                "Share of responses with a status of 500 or above.",
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
                "Requests by response",
                "Requests per second, by route and status.",
                "reqps",
                (f"sum by (endpoint, status) ({requests})", "{{endpoint}} {{status}}"),
            )
        )
        .with_panel(
            lines(
                "Latency",
                "Time in the function, from a request's arrival to its response.",
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
                    f"sum by (model_name, model_version, variant) ({predictions})",
                    "{{model_name}} {{model_version}} {{variant}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Model latency",
                "Time that the model itself took for a request.",
                "s",
                *quantiles("model_prediction_latency_seconds", VERSION),
            )
        )
        .with_panel(
            distribution(
                "Prediction distribution",
                "Predictions of the time that is shown by their value: up to each bound, and above "
                "the one before it.",
                (f"sum by (le) ({values})", "<= {{le}}"),
            )
        )
        .with_panel(
            lines(
                "Failed predictions",
                "Predictions that failed, per minute, by type of error; 0 while there were none.",
                "short",
                (f"60 * sum by (error_type) ({errors}) {none('error_type')}", "{{error_type}}"),
            ).height(TALL)
        )
        .with_panel(
            lines(
                "Load time",
                "Time that the last load of the model took.",
                "s",
                (f"model_load_time_seconds{{{MODEL}}}", "{{model_name}}"),
            )
        )
        .with_panel(
            lines(
                "Stale",
                "1 while something older than what the registry asks for is served.",
                "bool",
                (f"model_stale{{{MODEL}}}", "{{model_name}}"),
            ).max(1)
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
                "Duration of cold starts, p95",
                "Time from the start of an environment to its first invocation.",
                "s",
                (f"histogram_quantile(0.95, sum by (function, le) ({inits}))", "{{function}}"),
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
            ).max(1)
        )
        .with_panel(
            lines(
                "Throttled invocations",
                "Invocations per minute that Lambda refused, as CloudWatch counts them; 0 where "
                "it is not asked (BRIDGE_THROTTLES_SECONDS).",
                "short",
                (
                    "60 * sum by (function) (rate(faas_throttles_total[$__rate_interval])) "
                    + none("function"),
                    "{{function}}",
                ),
            )
        )
    )
