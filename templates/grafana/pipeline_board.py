"""Pipeline: whether what is predicted arrives, and at what cost."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from panels import VERSION, board, lines, number, quantiles, thresholds


def pipeline() -> Any:
    """Return the dashboard."""
    made = board("modelwatch-pipeline", "Pipeline", "Does what is predicted arrive, at what cost?")
    for item in (*_capture(), *_models(), *_functions(), *_bridge()):
        made = made.with_row(item) if isinstance(item, dashboard.Row) else made.with_panel(item)
    return made


def _capture() -> list[Any]:
    records = "sum by (outcome) (rate(capture_records_total[$__rate_interval]))"
    labels = "sum by (outcome) (rate(capture_labels_total[$__rate_interval]))"
    dead = 'sum(queue_messages{queue=~".*(dlq|dead).*",queue!~".*.fifo",state="visible"})'
    waiting = 'sum(queue_messages{queue!~".*(dlq|dead).*|.*.fifo"})'
    lost = 'sum(increase(capture_records_total{outcome=~"lost|rejected"}[1h]))'
    return [
        dashboard.Row("Capture"),
        number("Waiting", "Messages in the capture queue.", "short", (waiting, "messages")),
        number(
            "Dead letters", "Messages that capture could not use.", "short", (dead, "messages")
        ).thresholds(thresholds((None, "green"), (1, "red"))),
        number(
            "Lost in an hour",
            "Records that were lost on their way, or rejected.",
            "short",
            (lost, "records"),
        ).thresholds(thresholds((None, "green"), (1, "red"))),
        number(
            "Cost of 1000 predictions",
            "All functions' GB-seconds and requests at AWS's prices, over the last hour.",
            "currencyUSD",
            ("modelwatch:cost_usd_per_thousand_predictions:rate1h", "{{stage}}"),
        ).decimals(5),
        lines(
            "Queues",
            "Messages in the capture queue and its dead-letter queue.",
            "short",
            (
                'sum by (queue, state) (queue_messages{queue!~".*.fifo"})',
                "{{queue}} {{state}}",
            ),
        ),
        lines(
            "Captured records",
            "Per second: sampled out or accepted, then sent or lost by predict; stored or rejected "
            "by capture.",
            "short",
            (records, "{{outcome}}"),
        ),
        lines(
            "Age in the queue",
            "Age of the oldest message of a batch when capture had done with the batch.",
            "s",
            *quantiles("capture_queue_delay_seconds"),
            per_row=3,
        ),
        lines(
            "Oldest dead letter",
            "Age of the oldest message of the dead-letter queue; SQS deletes it after 14 days. 0 "
            "while it is empty.",
            "s",
            (
                'max(queue_oldest_message_seconds{queue!~".*.fifo"}) or vector(0)',
                "oldest",
            ),
            per_row=3,
        ),
        lines(
            "Labels",
            "Labels per second: accepted by the API, stored by the queue's consumer.",
            "short",
            (labels, "{{outcome}}"),
            per_row=3,
        ),
    ]


def _models() -> list[Any]:
    predictions = f"rate(model_predictions_total{{{VERSION}}}[$__rate_interval])"
    analyses = f"rate(evidently_analysis_total{{{VERSION}}}[$__rate_interval])"
    by_version = "sum by (model_name, model_version)"
    due = 'sum(queue_messages{queue=~".*-analyses.fifo"})'
    given_up = 'sum(queue_messages{queue=~".*-analyses-dead.fifo",state="visible"})'
    return [
        dashboard.Row("Model versions"),
        lines(
            "Predictions",
            "Rows predicted per second: what goes in.",
            "short",
            (f"{by_version} ({predictions})", "{{model_name}} {{model_version}}"),
            per_row=3,
        ),
        lines(
            "Analyses",
            "Analyses per minute: what comes out.",
            "short",
            (f"60 * {by_version} ({analyses})", "{{model_name}} {{model_version}}"),
            per_row=3,
        ),
        lines(
            "Queue of analyses",
            "Messages of what is due of several models: waiting or in work, and given up after "
            "three tries.",
            "short",
            (due, "due"),
            (given_up, "given up"),
            per_row=3,
        ),
    ]


def _functions() -> list[Any]:
    invocations = "sum by (function) (rate(faas_invoke_duration_seconds_count[$__rate_interval]))"
    billed = "sum by (function) (rate(faas_billed_gb_seconds_total[$__rate_interval]))"
    return [
        dashboard.Row("Functions"),
        lines("Invocations", "Invocations per second.", "short", (invocations, "{{function}}")),
        lines(
            "Billed",
            "Gigabyte-seconds per second: what AWS charges for.",
            "short",
            (billed, "{{function}}"),
        ),
    ]


def _bridge() -> list[Any]:
    return [
        dashboard.Row("Bridge"),
        number(
            "Since the last reading",
            "Time since the bridge read every source.",
            "s",
            ("time() - bridge_last_success_timestamp_seconds", "{{instance}}"),
        ).thresholds(thresholds((None, "green"), (30, "yellow"), (120, "red"))),
        number(
            "Lag",
            "Age of the newest event when the bridge read it.",
            "s",
            ("bridge_lag_seconds", "{{instance}}"),
        ),
        number(
            "Unusable lines",
            "Metric lines that could not be used, in an hour.",
            "short",
            ("increase(bridge_parse_errors_total[1h])", "{{instance}}"),
        ).thresholds(thresholds((None, "green"), (1, "yellow"))),
        number(
            "Too many series",
            "Values, in an hour, that came when a metric had as many series as it may have; 0 "
            "while there were none.",
            "short",
            ("sum(increase(bridge_overflow_total[1h])) or vector(0)", "values"),
        ).thresholds(thresholds((None, "green"), (1, "red"))),
        lines(
            "Events",
            "Log events that the bridge read, per second.",
            "short",
            ("rate(bridge_events_total[$__rate_interval])", "{{instance}}"),
        ),
        lines(
            "Failed readings",
            "Rounds of reading per minute in which a source failed.",
            "short",
            ("60 * rate(bridge_read_errors_total[$__rate_interval])", "{{instance}}"),
        ),
    ]
