"""`modelwatch retention`."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch_cli.console import console, print_json, print_table, progress
from modelwatch_cli.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("retention")(show_retention)


def show_retention(
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Show what the buckets hold, how long it is kept, and when the oldest of it is deleted.

    CAPTURE_RETENTION_DAYS and REPORT_RETENTION_DAYS say how long, REPORT_LOCK how long no one can
    delete results; `modelwatch deploy` gives the buckets these rules, also a bucket that was there
    before.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch_cli.retention.rules import find_kept, wanted_days

    settings = Settings()
    with progress() as bar:
        task = bar.add_task("objects", total=None)
        found = find_kept(s3_client(settings), settings, lambda more: bar.advance(task, more))
    if as_json:
        print_json({"kept": found})
        return
    print_table(
        ("bucket", "below", "objects", "MB", "oldest", "kept for", "oldest goes after", "lock"),
        [
            (
                each.bucket,
                each.prefix,
                each.objects,
                f"{each.bytes / 1e6:.1f}",
                f"{each.oldest:%Y-%m-%d %H:%M}" if each.oldest else "",
                "ever" if each.days is None else f"{each.days} days",
                f"{each.next_deleted_at:%Y-%m-%d}" if each.next_deleted_at else "",
                each.lock,
            )
            for each in found
        ],
    )
    wanted = wanted_days(settings)
    lock = str(settings.report_lock or "")
    other = [
        each
        for each in found
        if wanted[each.bucket].get(each.prefix) != each.days
        or (lock and each.bucket == settings.report_bucket and each.lock != lock)
    ]
    if other:
        places = ", ".join(f"{each.bucket}/{each.prefix}" for each in other)
        console.print(
            f"The settings ask for something else at {places}: `modelwatch deploy` sets it."
        )
