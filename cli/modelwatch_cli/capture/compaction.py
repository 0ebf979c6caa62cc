"""`modelwatch captures compact`."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console, print_json, print_table, progress
from modelwatch_cli.options import since_option, until_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_since, option_time

_SHOWN_HOURS = 50


def compact_captures(
    since: Annotated[str | None, since_option("first hour; by default the first one")] = None,
    until: Annotated[
        str | None, until_option("only earlier hours; by default all hours that are over")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the hours as JSON")] = False,
) -> None:
    """Merge the objects of each closed hour into one, without waiting for the schedule.

    Readers see the same records before, during and after. You can stop it at any point and
    run it again.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.captures.compaction import S3Compaction
    from modelwatch.adapters.erasure.erased import S3Erasures
    from modelwatch.services.compaction import CompactionService
    from modelwatch_cli.monitors.held import held_segments

    settings = Settings()
    s3 = s3_client(settings)
    bucket = settings.capture_bucket
    service = CompactionService(
        captures=S3Compaction(s3, bucket, held_segments(settings, s3)),
        erasures=S3Erasures(s3, bucket),
        lag_seconds=settings.compaction_lag_seconds,
    )
    with progress() as bar:
        task = bar.add_task("hours", total=None)
        end = option_time("--until", until) if until else None
        hours = service.due(option_since(since, end) if since else None, end)
        bar.update(task, total=len(hours))
        outcome = service.compact(hours, lambda: bar.advance(task))
    if as_json:
        print_json(outcome)
    elif outcome.merged:
        print_table(
            ["hour", "objects", "records", "repeated", "MB before", "MB after"],
            [
                (
                    hour.name,
                    hour.objects,
                    hour.rows,
                    hour.repeated,
                    hour.bytes_before / 1e6,
                    hour.bytes_after / 1e6,
                )
                for hour in outcome.merged[:_SHOWN_HOURS]
            ],
        )
        if len(outcome.merged) > _SHOWN_HOURS:
            console.print(f"and {len(outcome.merged) - _SHOWN_HOURS} hours more")
    else:
        console.print("There is no hour to merge.")
    if outcome.waiting and not as_json:
        console.print(f"Another run is at work on {outcome.waiting} hours.")
    if outcome.failures:
        raise ModelwatchError("; ".join(outcome.failures.values()))
