"""`modelwatch forget`: erases predictions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, count_of, error_console, print_json, progress
from modelwatch_cli.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(forget)


def forget(
    event_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[EVENT_ID]...", help="ids of predictions")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="file with one id per line", dir_okay=False)
    ] = None,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="search all hours, even for ids that contain their hour"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Erase predictions by their event ids: from captures, samples, profiles, labels and reports.

    It also erases the predictions of their shadows. You can stop it at any point and run it
    again. docs/how-to/erase-records.md says what it cannot reach.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.erasure.rows import Events
    from modelwatch_cli.capture.dlq import open_box
    from modelwatch_cli.capture.forgetting import Forgetting, read_ids
    from modelwatch_cli.monitors.held import held_segments

    ids = read_ids("\n".join(event_ids or ()))
    if file is not None:
        try:
            ids += read_ids(file.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError("--file", str(error)) from error
    if not ids:
        raise ModelwatchError("give the event ids of the predictions, or a --file with them")
    settings = Settings()
    events = Events(ids)
    with progress() as bar:

        def begin(name: str, total: int) -> Callable[[], None]:
            task = bar.add_task(name, total=total)
            return lambda: bar.advance(task)

        client = s3_client(settings)
        forgetting = Forgetting(
            client,
            settings.capture_bucket,
            settings.report_bucket,
            begin,
            held_segments(settings, client),
        )
        found = forgetting.find(events, everywhere=everywhere)
        bar.stop()
        _confirm(
            f"{count_of(found.records, 'record')} of {count_of(len(events.ids), 'prediction')} in "
            f"{count_of(len(found.matches), 'hour')} of captures, and their labels",
            yes,
        )
        bar.start()
        done = forgetting.erase(events, found, open_box, time.time_ns() // 1_000_000)
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        console.print(
            f"Erased: {count_of(done.records, 'record')} in {count_of(len(done.hours), 'hour')}, "
            "labels in "
            f"{count_of(done.label_objects, 'object')}, {count_of(done.letters, 'dead letter')}, "
            f"{done.old_versions} old "
            f"versions of objects; {done.reports} results lost their report.",
            markup=False,
        )
    for note in done.notes:
        error_console.print(f"Mind: {note}.", markup=False)


def _confirm(what: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ModelwatchError(f"forget erases {what}; confirm with --yes")
    typer.confirm(f"Erase {what}?", abort=True, err=True)
