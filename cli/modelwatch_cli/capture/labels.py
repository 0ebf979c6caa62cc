"""`modelwatch labels import`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console, count_of, error_console, print_json, progress
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.client import Client
    from modelwatch.domain.labels import Label
    from modelwatch_cli.capture.label_files import Problem

_LABELS_PER_REQUEST = 5_000

_SORTED_LABELS = 200_000
"""This number of labels is sorted by their predictions' hours: a message then has few hours, and
the consumer, which makes an object per hour, makes few objects."""

_SHOWN_PROBLEMS = 20
_KEPT_PROBLEMS = 1_000


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    labels = typer.Typer(help="Labels: what predictions should have been.", no_args_is_help=True)
    labels.command("import")(import_labels)
    app.add_typer(labels, name="labels")


def import_labels(
    file: Annotated[
        Path, typer.Argument(help="CSV with a header, JSON lines or a JSON list", dir_okay=False)
    ],
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="import the good lines of a file with bad ones")
    ] = False,
    text: Annotated[
        bool, typer.Option("--text", help="read labels of a CSV file as text, even numbers")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Send the labels in FILE to the capture API.

    The fields (columns) are event_id and label, and optionally labelled_at, predicted_at and
    source. The whole file is checked first: if a line is no label, nothing is imported, without
    --skip-invalid. An interrupted import can be run again: a label that comes twice counts once.
    """
    from modelwatch_cli.capture.label_files import Problem, read_labels
    from modelwatch_cli.deployment.cloudformation.calling import open_client

    now_ms = time.time_ns() // 1_000_000
    good = 0
    problem_count = 0
    problems: list[Problem] = []
    with error_console.status("reading"):
        for found in read_labels(file, now_ms, as_text=text):
            if isinstance(found, Problem):
                problem_count += 1
                if len(problems) < _KEPT_PROBLEMS:
                    problems.append(found)
            else:
                good += 1
    accepted = 0
    refused = problem_count > 0 and not skip_invalid
    if good and not refused:
        labels = (
            found
            for found in read_labels(file, now_ms, as_text=text)
            if not isinstance(found, Problem)
        )
        with open_client(Settings(), "capture") as client, progress() as bar:
            task = bar.add_task("labels", total=good)
            accepted = send_labels(client, in_order(labels), lambda sent: bar.advance(task, sent))
    if as_json:
        print_json(
            {
                "file": str(file),
                "labels": good,
                "accepted": accepted,
                "invalid": problem_count,
                "problems": problems,
            }
        )
    else:
        console.print(f"{count_of(accepted, 'label')} imported", markup=False)
    for problem in problems[:_SHOWN_PROBLEMS]:
        error_console.print(str(problem), markup=False)
    if problem_count > _SHOWN_PROBLEMS:
        error_console.print(f"and {problem_count - _SHOWN_PROBLEMS} more")
    if refused:
        raise ModelwatchError(
            f"{count_of(problem_count, 'line')} of {file} cannot be used as labels, so nothing "
            "was imported; "
            "correct them, or leave them out with --skip-invalid"
        )
    if not good and not problem_count:
        raise ModelwatchError(f"{file} holds no label")


def in_order(labels: Iterable[Label]) -> Iterator[Label]:
    """Yield ``labels`` sorted by the time of their predictions, in large chunks."""
    for many in batched(labels, _SORTED_LABELS, strict=False):
        yield from sorted(many, key=lambda label: label.predicted_at_ms)


def send_labels(
    client: Client, labels: Iterator[Label], on_sent: Callable[[int], None] = lambda _: None
) -> int:
    """Send ``labels`` to ``POST /ground-truth``, many at once; return the accepted number.

    Raises ModelwatchError when the API does not accept them after a few tries; labels accepted so
    far stay accepted.

    Parameters
    ----------
    client
        Of the capture API.
    """
    from modelwatch import ApiError

    accepted = 0
    for batch in batched(labels, _LABELS_PER_REQUEST, strict=False):
        try:
            accepted += client.send_labels(batch)
        except ApiError as error:
            raise ModelwatchError(f"{accepted} labels were accepted, and then: {error}") from error
        on_sent(len(batch))
    return accepted
