"""`modelwatch backfill`."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, print_table, progress
from modelwatch_cli.options import model_option, since_option, until_option, version_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import past_span

if TYPE_CHECKING:
    from modelwatch.adapters.captures.hour_profiles import MadeHour
    from modelwatch.services.backfill import Backfilled, PastWindows
    from modelwatch_cli.backfill.hours import Hours

_SHOWN_PROBLEMS = 20


class Engine(StrEnum):
    """Who makes the profiles."""

    LOCAL = "local"
    SPARK = "spark"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(backfill)


def backfill(
    since: Annotated[str, since_option("windows that end after this")],
    until: Annotated[
        str | None, until_option("windows that end by this time; by default now")
    ] = None,
    model: Annotated[str | None, model_option()] = None,
    version: Annotated[str, version_option("only this version; by default all")] = "",
    engine: Annotated[
        Engine, typer.Option(help="who makes the profiles: this process, or Spark's workers")
    ] = Engine.LOCAL,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="make all profiles again from the rows: ANALYSIS_SEGMENTS has changed"
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what there is to do; write nothing")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Analyze a past that no run saw: make hourly profiles of captures, then evaluate its windows.

    Windows are those of the model's rules, each with the past that was known then. They have the
    schedule's names: what has a result is left alone. You can stop it at any point and run it
    again: it goes on with what is not done.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.domain.segments import SEGMENTS_SETTING
    from modelwatch.services.backfill import backfill as evaluate
    from modelwatch.services.backfill import past_windows
    from modelwatch_cli.backfill.hours import find_hours, make_profiles
    from modelwatch_cli.backfill.read_once import ReadOnce
    from modelwatch_cli.backfill.windows import past_analysis

    settings = Settings()
    name = model or settings.model_name
    start, end = past_span(since, until)
    analysis = past_analysis(settings, ReadOnce(s3_client(settings)))
    monitors = analysis.monitors.current()
    monitors.require_ours(name)
    monitored = monitors.of(name)
    end = min(end, datetime.now(UTC) - monitored.rules.lag)
    settings = settings.changed({SEGMENTS_SETTING: monitored.rules.segments})
    longest = max(plan.length for plan in monitored.rules.plans)
    made: list[MadeHour] = []
    with progress() as bar:
        looking = bar.add_task("looking at hours", total=None)
        # the first windows begin before their end
        first = (start - longest).replace(minute=0, second=0, microsecond=0)
        hours = find_hours(settings, name, version, first, end, again, lambda: bar.advance(looking))
        bar.remove_task(looking)
        if not dry_run:
            task = bar.add_task("profiles of hours", total=len(hours.due))
            with closing(make_profiles(settings, hours.due, again, engine.value)) as making:
                for each in making:
                    made.append(each)
                    bar.advance(task)
                    _tell(len(made), len(hours.due), "hours")
        windows = past_windows(analysis.reports, monitored, hours.captured, start, end)
        done = None
        if not dry_run:
            task = bar.add_task("windows", total=len(windows.due))
            count = 0

            def on_window() -> None:
                nonlocal count
                count += 1
                bar.advance(task)
                _tell(count, len(windows.due), "windows")

            done = evaluate(analysis.evaluator.evaluate, windows.due, on_window)
    summary = _summary(name, (start, end), engine, hours, made, windows, done)
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    problems = {each.name: each.problem for each in made if each.problem}
    problems |= done.failures if done else {}
    for place, problem in list(problems.items())[:_SHOWN_PROBLEMS]:
        error_console.print(f"{place}: {problem}", markup=False)
    if problems:
        raise ModelwatchError(
            f"{len(problems)} hours or windows are not done; run the same command again"
        )
    if not hours.captured:
        raise ModelwatchError(
            f"{name} has no captures from {start - longest:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} "
            "UTC; --since begins earlier, or --model is another one"
        )


def _tell(done: int, total: int, what: str) -> None:
    """Off a terminal, print a line now and then."""
    every = max(1, total // 10)
    if not error_console.is_terminal and done % every == 0:
        error_console.print(f"{done} of {total} {what}")


def _summary(
    name: str,
    span: tuple[datetime, datetime],
    engine: Engine,
    hours: Hours,
    made: list[MadeHour],
    windows: PastWindows,
    done: Backfilled | None,
) -> dict[str, Any]:
    whole = [each for each in made if not each.problem]
    results = done.results if done else []
    counts = Counter(each.severity for each in results if not each.variant)
    return {
        "model_name": name,
        "versions": [version for _, version in sorted(hours.captured)],
        "since": span[0],
        "until": span[1],
        "engine": engine,
        "hours": {
            "closed": len(hours.closed),
            "due": len(hours.due),
            "made": len(whole),
            "rows": sum(each.rows for each in whole),
        },
        "windows": {
            "due": len(windows.due),
            "known": windows.known,
            "empty": done.empty if done else 0,
            "evaluated": sum(counts.values()),
            "severities": counts,
        },
        "failures": {
            **{each.name: each.problem for each in made if each.problem},
            **(done.failures if done else {}),
        },
    }


def _print(summary: dict[str, Any]) -> None:
    hours, windows = summary["hours"], summary["windows"]
    console.print(
        f"{summary['model_name']}, {summary['since']:%Y-%m-%d %H:%M} to "
        f"{summary['until']:%Y-%m-%d %H:%M} UTC",
        markup=False,
    )
    print_table(
        ["", "due", "done", "known before"],
        [
            ("hours", hours["due"], hours["made"], hours["closed"] - hours["due"]),
            ("windows", windows["due"], windows["evaluated"], windows["known"]),
        ],
    )
    if windows["empty"]:
        console.print(f"{windows['empty']} windows have no record, and no result")
    if windows["severities"]:
        found = ", ".join(
            f"{count} {each}" for each, count in sorted(windows["severities"].items())
        )
        console.print(f"verdicts: {found}")
