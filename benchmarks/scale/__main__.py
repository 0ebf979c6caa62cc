"""What each part has to do at 100 to 100,000 predictions a second, and which limit it meets first.

    make bench-scale

Loads follow from the lines of `modelwatch cost`, service times from the other benchmarks, limits
from AWS's published default quotas. An hour of Poisson arrivals with ten minutes of three times as
many goes through the consumer, second by second. Nothing of it ran on AWS. Prints the tables of
`docs/explanation/scale.md`, and JSON as the last line.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from modelwatch_cli.costs.estimate import MONTH, Traffic, month
from modelwatch_cli.settings import Settings

RATES = (100, 1_000, 10_000, 100_000)
FEATURES, MODELS, PREDICT_MS = 20, 1, 5.0
SETTINGS = Settings({})

# measured by the other benchmarks
ROWS_A_SECOND = 30_000 * 13 / FEATURES
"""Of one consumer (`make bench-capture`)."""
MERGED_BASE_GB, MERGED_GB_A_MILLION = 0.6, 0.3
"""Memory of merging an hour (`make bench-compaction`: 0.9 GB for 1 million rows, 1.2 for 2)."""
PROFILE_SECONDS = 8.1 / 1001
"""Of an object of the newest hour, in an analysis (`make bench-compaction`)."""

# assumed: there was no AWS to measure it
RUN_SECONDS = 0.1
"""Of a run of the consumer beside its rows: the requests to S3."""

# AWS's default quotas of an account in a region, 2026-11
API_REQUESTS = 10_000
CONCURRENCY = 1_000
LAMBDA_REQUESTS = 10 * CONCURRENCY
IN_FLIGHT = 120_000
PAYLOAD_BYTES = 6e6
S3_WRITES = 3_500
LOG_MEGABYTES = 5.0
"""FilterLogEvents: 5 requests a second of 1 MB each, for whoever polls logs."""
FUNCTION_GB, FUNCTION_SECONDS = 3008 / 1024, 900

BURST, BURST_SECONDS, HOUR = 3, 600, 3_600


@dataclass(frozen=True)
class Limit:
    """What a part has to do, what it can, and so how full it is."""

    part: str
    load: float
    limit: float
    unit: str

    @property
    def share(self) -> float:
        """Above 1 it cannot."""
        return self.load / self.limit


@dataclass(frozen=True)
class Consumer:
    """An hour of the queue with a burst."""

    oldest_seconds: float
    backlog_rows: float
    drained_seconds: float | None


def bill(rate: float) -> dict[str, tuple[float, float]]:
    """Return count and USD of each line of a month's bill."""
    items = month(Traffic(rate, FEATURES, MODELS, PREDICT_MS), SETTINGS)
    return {item.what: (item.count, item.usd) for item in items}


def capacity(rate: float) -> float:
    """Return how many rows a second the consumers store."""
    lines = bill(rate)
    messages = 10 * lines["SQS: it deletes, by ten"][0]
    rows_a_message = rate * MONTH.total_seconds() / messages
    rows = min(SETTINGS.capture_batch_size * rows_a_message, PAYLOAD_BYTES / (40 + 15 * FEATURES))
    return SETTINGS.capture_max_concurrency * rows / (RUN_SECONDS + rows / ROWS_A_SECOND)


def limits(rate: float) -> list[Limit]:
    """Return every part's load at ``rate`` predictions a second, the fullest first."""
    lines, seconds = bill(rate), MONTH.total_seconds()
    objects = lines["S3: one object a batch, with its profile"][0] / seconds
    messages = 10 * lines["SQS: it deletes, by ten"][0] / seconds
    waited = SETTINGS.capture_batch_window_seconds + RUN_SECONDS
    at_once = float(stats.poisson.ppf(0.9999, rate * PREDICT_MS / 1000))
    merged = (FUNCTION_GB - MERGED_BASE_GB) / MERGED_GB_A_MILLION * 1e6
    logs = lines["CloudWatch: log lines of predict"][0] * 1000 / seconds
    found = [
        Limit("API Gateway", rate, API_REQUESTS, "requests/s"),
        Limit("predict: requests", rate, LAMBDA_REQUESTS, "requests/s"),
        Limit("predict: at once", at_once, CONCURRENCY, "environments"),
        Limit("capture queue", messages * waited, IN_FLIGHT, "messages in flight"),
        Limit("consumer", rate, capacity(rate), "rows/s"),
        Limit("S3", objects, S3_WRITES, "writes/s"),
        Limit("compaction", rate * HOUR, merged, "rows of an hour"),
        Limit(
            "analysis", objects * HOUR * PROFILE_SECONDS, FUNCTION_SECONDS, "s for the newest hour"
        ),
        Limit("polled logs", logs, LOG_MEGABYTES, "MB/s"),
    ]
    return sorted(found, key=lambda each: -each.share)


def consume(rate: float) -> Consumer:
    """Send an hour through the consumer."""
    draw, able = np.random.default_rng(1), capacity(rate)
    backlog = oldest = most = 0.0
    drained = None
    for second in range(2 * HOUR):
        is_burst = HOUR // 6 <= second < HOUR // 6 + BURST_SECONDS
        backlog = max(0.0, backlog + draw.poisson(rate * (BURST if is_burst else 1)) - able)
        most, oldest = max(most, backlog), max(oldest, backlog / able)
        ended = second - (HOUR // 6 + BURST_SECONDS)
        if drained is None and ended >= 0 and backlog == 0:
            drained = ended
    return Consumer(oldest, most, drained)


def tables() -> list[str]:
    """Return the lines of the page's tables."""
    lines = ["| a second | first limit | of it | then | USD a month | USD a million |"]
    lines += ["|---|---|---|---|---|---|"]
    for rate in RATES:
        first, second, *_ = limits(rate)
        usd = sum(each for _, each in bill(rate).values())
        million = usd / (rate * MONTH.total_seconds()) * 1e6
        lines.append(
            f"| {rate:,} | {first.part} | {first.share:.0%} | {second.part}, {second.share:.0%} "
            f"| {_rounded(usd):,.0f} | {million:.1f} |"
        )
    lines += ["", f"| part | limit | {' | '.join(f'{rate:,}' for rate in RATES)} |"]
    lines += [f"|---|---|{'---|' * len(RATES)}"]
    by_rate = {rate: {each.part: each for each in limits(rate)} for rate in RATES}
    for part in sorted(by_rate[RATES[0]]):
        each = [by_rate[rate][part] for rate in RATES]
        limit = f"{_rounded(each[0].limit):,.0f}"
        shares = " | ".join(f"{_rounded(one.load):,.10g} ({one.share:.0%})" for one in each)
        lines.append(f"| {part} | {limit} {each[0].unit} | {shares} |")
    lines += ["", "| a second, and ten minutes of three times as many | oldest record | then |"]
    lines += ["|---|---|---|"]
    for rate in RATES:
        found = consume(rate)
        ended = found.drained_seconds
        then = "never caught up" if ended is None else f"caught up after {_rounded(ended):.0f} s"
        lines.append(f"| {rate:,} | waits {_rounded(found.oldest_seconds):.0f} s | {then} |")
    return lines


def _rounded(value: float) -> float:
    """Return a number with two digits: more are not known."""
    return float(f"{value:.2g}")


if __name__ == "__main__":
    print("\n".join(tables()))
    print(
        json.dumps(
            {
                rate: {
                    "limits": [asdict(each) | {"share": each.share} for each in limits(rate)],
                    "consumer": asdict(consume(rate)),
                    "usd": sum(usd for _, usd in bill(rate).values()),
                }
                for rate in RATES
            }
        )
    )
