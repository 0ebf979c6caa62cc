"""Shows a run of requests: its progress, and its summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from modelwatch.domain.numbers import rounded
from modelwatch_cli.console import console, error_console, print_table
from modelwatch_cli.traffic.load import LATE_SECONDS, LoadSummary
from modelwatch_cli.traffic.schedule import Schedule

LINE_SECONDS = 10.0
"""Seconds between two lines off a terminal."""

RECENT = 1000
"""The current p95 is that of this number of newest responses."""

PERCENTS = (50, 95, 99, 100)


@contextmanager
def watching(
    title: str, total: int | None, schedule: Schedule | None, quiet: bool = False
) -> Iterator[Callable[[LoadSummary], None]]:
    """Yield a function that shows the current summary: a bar, or off a terminal a line at times.

    Parameters
    ----------
    total
        How many requests there will be; None: unknown.
    schedule
        The target rate; None: as fast as possible.
    """
    bar = Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}" + (f"/{total}" if total is not None else "")),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=error_console,
        transient=True,
        disable=quiet or not error_console.is_terminal,
    )
    said_at = time.monotonic()
    seen = (0.0, 0)
    rate = float("nan")

    def show(summary: LoadSummary) -> None:
        nonlocal said_at, seen, rate
        at, sent = seen
        if summary.duration_seconds - at >= 1:
            rate = (summary.sent - sent) / (summary.duration_seconds - at)
            seen = (summary.duration_seconds, summary.sent)
        asked = f"{schedule.rate_at(summary.duration_seconds):.1f}" if schedule else "all"
        note = (
            f"{'-' if isnan(rate) else f'{rate:.1f}'} of {asked} requests/s, "
            f"{summary.failures} errors, p95 {_ms(summary.percentile_ms(95, RECENT))}"
        )
        bar.update(task, completed=summary.statuses.total(), note=note)
        if bar.disable and not quiet and time.monotonic() - said_at >= LINE_SECONDS:
            said_at = time.monotonic()
            error_console.print(f"{title}: {summary.statuses.total()} responses, {note}")

    with bar:
        task = bar.add_task(title, total=total, note="")
        yield show


def print_summary(summary: LoadSummary, asked_rate: float | None = None) -> None:
    """Print status codes, latencies, predictions, and whether the machine was fast enough.

    ``asked_rate`` is the mean target rate of the schedule, in requests a second.
    """
    count = summary.statuses.total()
    asked = f" of {asked_rate:.1f}" if asked_rate else ""
    ended = "; it was interrupted" if summary.interrupted else ""
    console.print(
        f"{count} requests in {summary.duration_seconds:.1f} s"
        + ("" if isnan(summary.rate) else f", {summary.rate:.1f}{asked} a second")
        + f": {', '.join(f'{number} x {status}' for status, number in _statuses(summary).items())}"
        + ended
    )
    values = [_ms(summary.percentile_ms(percent)).removesuffix(" ms") for percent in PERCENTS]
    print_table(["p50 ms", "p95 ms", "p99 ms", "max ms"], [values])
    classes = summary.by_class()
    if classes:
        print_table(
            ["prediction", "requests", "share"],
            [
                [name, number, f"{number / summary.predictions:.0%}"]
                for name, number in classes.items()
            ],
        )
    elif classes is None:
        quantiles = summary.quantiles()
        print_table(
            [f"prediction {name}" for name in quantiles],
            [[rounded(value, 4) for value in quantiles.values()]],
        )
    if summary.late:
        why = (
            f"; {summary.at_limit} waited, since too many requests were in flight (--max-in-flight)"
            if summary.at_limit
            else ": this machine was too slow"
        )
        console.print(
            f"{summary.late} requests started more than {LATE_SECONDS:g} s after they were due, "
            f"the latest {summary.latest_seconds:.1f} s{why}. Latencies count from when they were "
            "due."
        )


def summary_dict(summary: LoadSummary, asked_rate: float | None = None) -> dict[str, object]:
    """Return the same for scripts, without latencies and rates that are unknown."""
    classes = summary.by_class()
    return {
        "requests": summary.statuses.total(),
        "statuses": _statuses(summary),
        "interrupted": summary.interrupted,
        "duration_seconds": round(summary.duration_seconds, 3),
        "rate": {
            name: round(value, 3)
            for name, value in {"asked": asked_rate, "reached": summary.rate}.items()
            if value is not None and not isnan(value)
        },
        "latency_ms": {
            f"p{percent}": round(summary.percentile_ms(percent), 2)
            for percent in PERCENTS
            if summary.latencies_ms
        },
        "late": {
            "requests": summary.late,
            "latest_seconds": round(summary.latest_seconds, 3),
            "at_limit": summary.at_limit,
        },
        "predictions": {"quantiles": summary.quantiles()}
        if classes is None
        else {"by_class": classes},
        "event_ids": summary.event_ids,
    }


def _statuses(summary: LoadSummary) -> dict[str, int]:
    return dict(sorted(summary.statuses.items()))


def _ms(value: float) -> str:
    return "-" if isnan(value) else f"{value:.1f} ms"
